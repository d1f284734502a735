//! Checks the files that a command is about to write: all are known, and each may be written, before the first one is.

use crate::common::files::{Replace, folder};
use crate::common::usage::usage;
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Maximum number of files named in a message.
const NAMED: usize = 3;

/// Identity of a file in the file system, independent of links, case and spelling of its name.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

/// Input files, which are never written.
#[derive(Debug, Default)]
pub struct Inputs {
    known: HashMap<Identity, PathBuf>,
}

impl Inputs {
    /// Adds a file: itself, and what it links to.
    pub fn add(&mut self, path: &Path) {
        for identity in identities(path) {
            self.known.entry(identity).or_insert_with(|| path.into());
        }
    }

    /// Returns the input file that `path` is, too.
    pub fn at(&self, path: &Path) -> Option<&Path> {
        identities(path).into_iter().find_map(|identity| self.known.get(&identity)).map(PathBuf::as_path)
    }
}

#[cfg(unix)]
fn identities(path: &Path) -> Vec<Identity> {
    use std::os::unix::fs::MetadataExt;
    let of = |about: Metadata| (about.dev(), about.ino());
    [fs::symlink_metadata(path), fs::metadata(path)].into_iter().flatten().map(of).collect()
}

#[cfg(not(unix))]
fn identities(path: &Path) -> Vec<Identity> {
    path.canonicalize().into_iter().collect()
}

/// Files that are about to be written.
#[derive(Debug)]
pub struct Targets {
    inputs: Inputs,
    replace: Replace,
    /// Source of each file by its canonical path, and by that path in lower case.
    all: HashMap<PathBuf, PathBuf>,
    small: HashMap<String, PathBuf>,
    /// Sources of files that exist already.
    there: HashMap<Identity, PathBuf>,
    /// Folders of the files: the canonical path by the given one.
    folders: HashMap<PathBuf, PathBuf>,
    /// Existing files that may not be replaced.
    foreign: Vec<PathBuf>,
}

impl Targets {
    /// Creates an empty set.
    pub fn new(inputs: Inputs, replace: Replace) -> Self {
        let (all, small, there, folders) = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
        Self { inputs, replace, all, small, there, folders, foreign: Vec::new() }
    }

    /// Adds a file that is made from `source` (`path` itself, if the source has no name).
    ///
    /// # Errors
    ///
    /// Fails if `path` is one of the other targets, even under another name. Also fails if it is an input file, a
    /// folder or a device, or if its parent is not a folder.
    pub fn add(&mut self, path: &Path, source: &Path) -> Result<()> {
        let shown = path.display();
        let real = self.real(folder(path))?.join(path.file_name().context("a file needs a name")?);
        let in_small = self.small.insert(real.to_string_lossy().to_lowercase(), source.into());
        let mut other = in_small.filter(|_| ignores_case(&real));
        other = self.all.insert(real, source.into()).or(other);
        let about = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            about => Some(about.with_context(|| format!("writing {shown}"))?),
        };
        if let Some(about) = about {
            if let Some(input) = self.inputs.at(path) {
                let input = input.display();
                return Err(usage(format!(
                    "{shown} is an input ({input}) and would be replaced: name another --output"
                )));
            }
            if !about.is_file() && !about.is_symlink() {
                return Err(usage(format!("{shown} is no file and cannot be replaced: name another --output")));
            }
            // A file that is no link has the same identity twice.
            let identities: HashSet<Identity> = identities(path).into_iter().collect();
            for identity in identities {
                other = self.there.insert(identity, source.into()).or(other);
            }
            if !self.replace.allows(path) {
                self.foreign.push(path.into());
            }
        }
        let Some(other) = other else { return Ok(()) };
        let (one, other) = (other.display(), source.display());
        Err(usage(format!("{one} and {other} would both be written to {shown}: predict them into different folders")))
    }

    /// Fails if there are files that may not be replaced.
    pub fn check(&self) -> Result<()> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        let mut named: Vec<String> = self.foreign.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        if self.foreign.len() > NAMED {
            named.push(format!("{} others", self.foreign.len() - NAMED));
        }
        Err(usage(format!(
            "not made by this program, or changed since, and would be replaced: {}; name another --output, or add \
             --overwrite to replace them",
            named.join(", ")
        )))
    }

    /// Returns the canonical path of a folder whose last parts may not exist yet.
    fn real(&mut self, folder: &Path) -> Result<PathBuf> {
        if let Some(real) = self.folders.get(folder) {
            return Ok(real.clone());
        }
        let real = match fs::symlink_metadata(folder) {
            Ok(_) => {
                let real = folder.canonicalize().with_context(|| folder.display().to_string())?;
                if !real.is_dir() {
                    let shown = folder.display();
                    return Err(usage(format!("{shown} is no folder, so nothing can be written into it")));
                }
                real
            }
            Err(_) => match (folder.file_name(), self::folder(folder)) {
                (Some(name), above) if above != folder => self.real(above)?.join(name),
                _ => folder.to_path_buf(),
            },
        };
        self.folders.insert(folder.into(), real.clone());
        Ok(real)
    }
}

/// Returns whether the file system at `path` ignores case: a parent folder is the same under its name in another
/// case.
fn ignores_case(path: &Path) -> bool {
    let mut folders = path.ancestors().skip(1).filter(|folder| folder.is_dir());
    let other = |folder: &Path| {
        let name = folder.file_name()?.to_str()?;
        let (small, large) = (name.to_lowercase(), name.to_uppercase());
        (small != large).then(|| folder.with_file_name(if name == small { large } else { small }))
    };
    folders.find_map(|folder| Some((folder, other(folder)?))).is_some_and(|(folder, other)| {
        let (folder, other) = (identities(folder), identities(&other));
        folder.last().is_some_and(|real| other.last() == Some(real))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn says(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_is_read_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("pics")).unwrap();
        fs::write(path("pics/a.png"), "a photograph").unwrap();
        fs::hard_link(path("pics/a.png"), path("hard.png")).unwrap();
        symlink(path("pics/a.png"), path("soft.png")).unwrap();
        symlink(path("pics"), path("folder")).unwrap();
        for replace in [Replace::Ours, Replace::All] {
            for read in ["pics/a.png", "soft.png"] {
                let mut inputs = Inputs::default();
                inputs.add(&path(read));
                let mut targets = Targets::new(inputs, replace);
                for written in ["pics/a.png", "pics/../pics/./a.png", "hard.png", "soft.png", "folder/a.png"] {
                    let error = says(targets.add(&path(written), Path::new("a")));
                    assert!(error.contains("is an input (") && error.contains(read), "{written}: {error}");
                }
            }
        }
    }

    #[test]
    fn no_file_is_written_twice_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("out")).unwrap();
        symlink(path("out"), path("link")).unwrap();
        fs::write(path("out/there"), "").unwrap();
        fs::hard_link(path("out/there"), path("out/there too")).unwrap();
        let mut targets = Targets::new(Inputs::default(), Replace::All);
        let mut add = |name: &str| {
            let added = targets.add(&path(name), Path::new(name));
            if let Err(error) = &added {
                assert!(error.to_string().contains("would both be written to"), "{error}");
            }
            added.is_ok()
        };
        assert!(add("out/a") && add("out/deep/er/a") && add("out/there"));
        assert!(!add("out/a") && !add("link/a") && !add("link/deep/er/a") && !add("out/there too"));
        assert!(add("out/b") && add("out/B"), "capitals make a difference here");
        // Where they make no difference, a folder is known by both names.
        fs::create_dir(path("lower")).unwrap();
        symlink(path("lower"), path("LOWER")).unwrap();
        assert!(!ignores_case(&path("out/b")) && ignores_case(&path("lower").join("b")));
    }

    #[test]
    fn what_somebody_else_made_stays_unless_a_person_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.png", "b.png", "c.png", "d.png"] {
            fs::write(path(name), "a mask by hand").unwrap();
        }
        let check = |replace| {
            let mut targets = Targets::new(Inputs::default(), replace);
            for name in ["a.png", "b.png", "c.png", "d.png", "e.png"] {
                targets.add(&path(name), Path::new(name)).unwrap();
            }
            targets.check()
        };
        let error = check(Replace::Ours).unwrap_err();
        assert!(
            error.is::<crate::common::usage::Usage>() && error.to_string().contains("c.png, 1 others; name"),
            "{error}"
        );
        check(Replace::All).unwrap();
        // A folder or a device is never replaced, and a file is no folder.
        fs::create_dir(path("f.png")).unwrap();
        let mut targets = Targets::new(Inputs::default(), Replace::All);
        assert!(says(targets.add(&path("f.png"), Path::new("f"))).contains("is no file"));
        assert!(says(targets.add(Path::new("/dev/null"), Path::new("f"))).contains("is no file"));
        assert!(says(targets.add(&path("a.png/x"), Path::new("f"))).contains("a.png is no folder"));
    }
}
