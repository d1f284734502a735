//! A version of a saved network: a numbered folder that exists whole or not at all.

use crate::common::files;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Default folder of saved networks.
const SAVED: &str = "saved_models";

/// Name of Triton's configuration file, next to the versions of a network.
const TRITON: &str = "config.pbtxt";

/// A version that does not exist yet.
pub struct Version {
    /// `…/NAME`
    model: PathBuf,
    number: u64,
    /// True if the user chose the number. Otherwise it is the next free one at the time of publishing.
    named: bool,
}

impl Version {
    /// Returns the named version, or the next one of the checkpoint's run.
    pub fn choose(named: Option<&Path>, checkpoint: &Path) -> Result<Self> {
        let Some(folder) = named else {
            let model = Path::new(SAVED).join(run_of(checkpoint)?);
            return Ok(Self { number: newest(&model)? + 1, model, named: false });
        };
        let number = folder.file_name().and_then(|name| name.to_str()?.parse().ok()).filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            usage(format!("--output {}: a version is a number from 1 on, such as {SAVED}/unet/1", folder.display()))
        })?;
        let model = folder.parent().unwrap_or(Path::new("")).to_path_buf();
        if folder.symlink_metadata().is_ok() {
            return Err(Self::taken(folder, &model)?);
        }
        Ok(Self { model, number, named: true })
    }

    fn taken(folder: &Path, model: &Path) -> Result<anyhow::Error> {
        let next = newest(model)? + 1;
        Ok(usage(format!("{} exists already, and a version never changes: take {next}", folder.display())))
    }

    /// Publishes the files that `write` puts into the folder it is given as a version, with `triton`, if any, next to
    /// the versions. Returns the version's folder. Leaves none after an error.
    pub fn publish(self, write: impl FnOnce(&Path) -> Result<()>, triton: Option<&str>) -> Result<PathBuf> {
        let config = self.model.join(TRITON);
        let there = || fs::read_to_string(&config).ok();
        if triton.is_some() && there().is_some_and(|there| Some(&*there) != triton) {
            return Err(usage(format!(
                "{} is of networks with other inputs, outputs or formats: take another name for this one",
                config.display()
            )));
        }
        remove_left_behind(&self.model);
        let partial = self.model.join(format!(".{}.{}.partial", self.number, own_process()));
        fs::create_dir_all(&self.model).with_context(|| self.model.display().to_string())?;
        // Fails on a link that somebody placed there, rather than following it.
        fs::create_dir(&partial).with_context(|| partial.display().to_string())?;
        let made = write(&partial).and_then(|()| {
            for entry in fs::read_dir(&partial)? {
                File::open(entry?.path())?.sync_all()?;
            }
            File::open(&partial)?.sync_all()?;
            if let Some(triton) = triton
                && there().as_deref() != Some(triton)
            {
                let published = files::publish(&config, triton.as_bytes());
                // Another export may have written the same first.
                published.or_else(|error| if there().as_deref() == Some(triton) { Ok(()) } else { Err(error) })?;
            }
            let folder = self.rename(&partial)?;
            let model = if self.model == Path::new("") { Path::new(".") } else { &self.model };
            File::open(model)?.sync_all()?;
            Ok(folder)
        });
        if made.is_err() {
            // Ignored: the original error says more than one about this removal.
            let _ = fs::remove_dir_all(&partial);
        }
        made
    }

    /// Renames the finished folder to its number or, if that is taken meanwhile and nobody chose it, to the next free
    /// one.
    fn rename(&self, partial: &Path) -> Result<PathBuf> {
        let mut number = self.number;
        loop {
            let folder = self.model.join(number.to_string());
            let Err(error) = fs::rename(partial, &folder) else { return Ok(folder) };
            // What somebody else made there is left as it is.
            match folder.symlink_metadata() {
                Ok(_) if self.named => return Err(Self::taken(&folder, &self.model)?),
                Ok(_) => number = newest(&self.model)?.max(number) + 1,
                Err(_) => return Err(error).with_context(|| format!("publishing {}", folder.display())),
            }
        }
    }
}

/// Returns the name of the run that holds a checkpoint: `NAME` of `NAME/checkpoints/step-…`.
fn run_of(checkpoint: &Path) -> Result<PathBuf> {
    let whole = checkpoint.canonicalize().with_context(|| checkpoint.display().to_string())?;
    let run = whole.parent().filter(|folder| folder.file_name() == Some("checkpoints".as_ref())).and_then(Path::parent);
    run.and_then(Path::file_name).map(PathBuf::from).ok_or_else(|| {
        usage(format!(
            "{} lies in no run, which would give the saved network its name: name it with --output {SAVED}/NAME/1",
            checkpoint.display()
        ))
    })
}

/// Returns a name of this process that is unique among all machines that share the disk.
fn own_process() -> String {
    format!("{}@{}", std::process::id(), gethostname::gethostname().display())
}

/// Removes the partial versions that killed exports of this machine left in a network's folder. A failure is only
/// logged.
fn remove_left_behind(model: &Path) {
    for entry in fs::read_dir(model).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(left_behind) {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => log::info!("Removed {}, which a killed export left behind", entry.path().display()),
                // Another export removed it first.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => log::warn!("{}, which a killed export left behind: {error}", entry.path().display()),
            }
        }
    }
}

/// Returns whether `name` is that of an unfinished version whose process, on this machine, no longer runs:
/// `.NUMBER.PROCESS@MACHINE.partial` (earlier versions: `.NUMBER.PROCESS.partial`).
fn left_behind(name: &str) -> bool {
    let process = || -> Option<&str> {
        let (number, process) = name.strip_prefix('.')?.strip_suffix(".partial")?.split_once('.')?;
        number.parse::<u64>().ok()?;
        let (process, machine) = process.split_once('@').map_or((process, None), |(id, machine)| (id, Some(machine)));
        let here = gethostname::gethostname();
        machine.is_none_or(|machine| here.to_str() == Some(machine)).then_some(process)
    };
    // Without /proc this is unknown, and nothing is removed.
    let proc = Path::new("/proc");
    process()
        .and_then(|id| id.parse::<u32>().ok())
        .is_some_and(|id| proc.join("self").exists() && !proc.join(id.to_string()).exists())
}

/// Returns the saved versions of the checkpoint's run.
pub fn all_of(checkpoint: &Path) -> Result<Vec<PathBuf>> {
    let model = Path::new(SAVED).join(run_of(checkpoint)?);
    let entries = match fs::read_dir(&model) {
        Err(_) if !model.exists() => return Ok(Vec::new()),
        entries => entries.with_context(|| model.display().to_string())?,
    };
    let versions = entries.flatten().map(|entry| entry.path());
    Ok(versions.filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'))).collect())
}

/// Returns the highest version number in a network's folder; 0 if there is none.
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
        let version = || choose(&folder.path().join("unet/1")).unwrap();
        assert_eq!(version().publish(fail, Some("triton")).unwrap_err().to_string(), "no room");
        assert_eq!(fs::read_dir(folder.path().join("unet")).unwrap().count(), 0);
        // Somebody else was first.
        let late = version();
        fs::create_dir_all(folder.path().join("unet/1/theirs")).unwrap();
        let error = late.publish(|_| Ok(()), None).unwrap_err().to_string();
        assert!(error.contains("exists already, and a version never changes: take 2"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("unet")).unwrap().count(), 1);
        assert!(folder.path().join("unet/1/theirs").exists());
    }

    #[test]
    fn of_parallel_exports_the_later_takes_the_next_number() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("unet");
        let next = || Version { number: newest(&model).unwrap() + 1, model: model.clone(), named: false };
        let write = |text: &'static str| move |folder: &Path| Ok(fs::write(folder.join("model.pt"), text)?);
        let (first, second, third) = (next(), next(), next());
        // The other process has a folder of its own.
        let names = [first, second].map(|version| version.publish(write("x"), None).unwrap());
        assert_eq!(names, [model.join("1"), model.join("2")]);
        // A file takes a number, too.
        fs::write(model.join("3"), "theirs").unwrap();
        assert_eq!(third.publish(write("y"), None).unwrap(), model.join("4"));
        assert_eq!(fs::read_to_string(model.join("4/model.pt")).unwrap(), "y");
        assert_eq!(
            (fs::read_to_string(model.join("3")).unwrap(), fs::read_dir(&model).unwrap().count()),
            ("theirs".into(), 4)
        );
    }

    #[test]
    fn what_a_killed_export_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("unet");
        let (own, here) = (std::process::id(), gethostname::gethostname().display().to_string());
        // No process identifier is this high.
        let gone = [".1.4294967295.partial".to_string(), format!(".12.4294967295@{here}.partial")];
        let stays = [
            format!(".1.{own}.partial"),
            format!(".2.{own}@{here}.partial"),
            ".1.4294967295@another.machine.partial".into(),
            ".x.4294967295.partial".into(),
            ".1.x.partial".into(),
            ".1.4294967295".into(),
            "1.4294967295.partial".into(),
            ".4294967295.partial".into(),
        ];
        for name in gone.iter().chain(&stays) {
            fs::create_dir_all(model.join(name)).unwrap();
            fs::write(model.join(name).join("model.pt"), "half").unwrap();
        }
        choose(&model.join("3")).unwrap().publish(|_| Ok(()), None).unwrap();
        assert!(gone.iter().all(|name| !model.join(name).exists()));
        assert!(stays.iter().all(|name| model.join(name).exists()));
    }

    #[test]
    fn a_version_has_the_name_of_the_checkpoints_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| {
            fs::create_dir_all(folder.path().join(path)).unwrap();
            run_of(&folder.path().join(path))
        };
        assert_eq!(at("runs/old/checkpoints/step-5").unwrap(), Path::new("old"));
        for path in ["passed/step-5", "runs/old/rejected/step-5"] {
            let error = at(path).unwrap_err();
            assert!(error.is::<crate::common::usage::Usage>());
            assert!(error.to_string().contains("lies in no run") && error.to_string().contains("--output"), "{error}");
        }
    }
}
