//! A version of a saved network: a numbered folder that exists whole or not at all.

use crate::files;
use crate::usage::usage;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where saved networks are, unless somewhere else is named.
const SAVED: &str = "saved_models";

/// The file beside the versions of a network that Triton reads.
const TRITON: &str = "config.pbtxt";

/// A version that does not exist yet.
pub struct Version {
    /// `…/NAME/NUMBER`
    pub folder: PathBuf,
    number: u64,
}

impl Version {
    /// The one that is named, or the next of the run that the checkpoint is of.
    pub fn choose(named: Option<&Path>, checkpoint: &Path) -> Result<Self> {
        let folder = match named {
            Some(folder) => folder.to_path_buf(),
            None => {
                let model = model_of(checkpoint)?;
                model.join((newest(&model)? + 1).to_string())
            }
        };
        let number = folder.file_name().and_then(|name| name.to_str()?.parse().ok()).filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            usage(format!("--output {}: a version is a number from 1 on, such as {SAVED}/unet/1", folder.display()))
        })?;
        if folder.exists() {
            let next = newest(folder.parent().unwrap_or(Path::new("")))? + 1;
            return Err(usage(format!(
                "{} exists already, and a version never changes: take {next}",
                folder.display()
            )));
        }
        Ok(Self { folder, number })
    }

    /// Makes the version of the files that `write` puts into the folder that it is given, and of `triton`, if there is any, what
    /// stands beside the versions. After an error there is no version.
    pub fn publish(&self, write: impl FnOnce(&Path) -> Result<()>, triton: Option<&str>) -> Result<()> {
        let model = self.folder.parent().unwrap_or(Path::new("."));
        let config = model.join(TRITON);
        if triton.is_some() && fs::read_to_string(&config).is_ok_and(|there| Some(&*there) != triton) {
            return Err(usage(format!(
                "{} is of networks with other inputs, outputs or formats: take another name for this one",
                config.display()
            )));
        }
        let partial = model.join(format!(".{}.{}.partial", self.number, std::process::id()));
        fs::create_dir_all(&partial).with_context(|| partial.display().to_string())?;
        let made = write(&partial).and_then(|()| {
            for entry in fs::read_dir(&partial)? {
                File::open(entry?.path())?.sync_all()?;
            }
            File::open(&partial)?.sync_all()?;
            if let Some(triton) = triton {
                files::publish(&config, triton.as_bytes())?;
            }
            // A folder that somebody made meanwhile and put something into is left as it is.
            fs::rename(&partial, &self.folder).with_context(|| format!("publishing {}", self.folder.display()))?;
            Ok(File::open(model)?.sync_all()?)
        });
        if made.is_err() {
            // The error that led here says more than one about this.
            let _ = fs::remove_dir_all(&partial);
        }
        made
    }
}

/// The folder for the versions of the run that the checkpoint is of.
fn model_of(checkpoint: &Path) -> Result<PathBuf> {
    // runs/NAME/checkpoints/step-…
    let run = checkpoint.canonicalize()?.ancestors().nth(2).and_then(Path::file_name).map(PathBuf::from);
    Ok(Path::new(SAVED).join(run.context("the checkpoint is in no run: name an --output")?))
}

/// The versions there are of the run that the checkpoint is of.
pub fn all_of(checkpoint: &Path) -> Result<Vec<PathBuf>> {
    let model = model_of(checkpoint)?;
    let entries = match fs::read_dir(&model) {
        Err(_) if !model.exists() => return Ok(Vec::new()),
        entries => entries.with_context(|| model.display().to_string())?,
    };
    let versions = entries.flatten().map(|entry| entry.path());
    Ok(versions.filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'))).collect())
}

/// The highest number of a version in the folder of a network; 0 where there is none.
fn newest(model: &Path) -> Result<u64> {
    if !model.exists() {
        return Ok(0);
    }
    let mut newest = 0;
    for entry in fs::read_dir(model).with_context(|| model.display().to_string())? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        newest = newest.max(number.unwrap_or(0));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(folder: &Path) -> Result<Version> {
        Version::choose(Some(folder), Path::new("none"))
    }

    #[test]
    fn versions_are_numbers_that_rise_and_never_change() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("unet");
        for name in ["x", "0", "-1", "1.5"] {
            let error = choose(&model.join(name)).err().unwrap().to_string();
            assert!(error.contains("a version is a number"), "{error}");
        }
        let write = |folder: &Path| Ok(fs::write(folder.join("model.pt"), "x")?);
        choose(&model.join("3")).unwrap().publish(write, Some("triton")).unwrap();
        assert_eq!(fs::read_to_string(model.join("config.pbtxt")).unwrap(), "triton");
        assert_eq!(newest(&model).unwrap(), 3);
        let error = choose(&model.join("3")).err().unwrap().to_string();
        assert!(error.contains("take 4"), "{error}");
        let error = choose(&model.join("4")).unwrap().publish(write, Some("other")).unwrap_err().to_string();
        assert!(error.contains("other inputs, outputs or formats"), "{error}");
    }

    #[test]
    fn after_an_error_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let fail = |folder: &Path| {
            fs::write(folder.join("model.pt"), "half")?;
            anyhow::bail!("no room")
        };
        let version = choose(&folder.path().join("unet/1")).unwrap();
        assert_eq!(version.publish(fail, Some("triton")).unwrap_err().to_string(), "no room");
        assert_eq!(fs::read_dir(folder.path().join("unet")).unwrap().count(), 0);
        // Somebody else was first.
        fs::create_dir_all(version.folder.join("theirs")).unwrap();
        let error = version.publish(|_| Ok(()), None).unwrap_err().to_string();
        assert!(error.contains("publishing"), "{error}");
        assert!(version.folder.join("theirs").exists());
    }
}
