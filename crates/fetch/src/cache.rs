//! The file in its folder: found, fetched by one process at a time, verified, pinned.

use crate::download::download;
use crate::hash::{Pin, sha256};
use crate::partial::Partial;
use crate::{Error, Event, Fetched, Limits, Wanted};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Interval of looking for the lock that another process holds.
const LOOK: Duration = Duration::from_millis(100);

/// Ensures that the file is there, and verifies it. Fetches it unless it is; of several processes one does, and the
/// others wait for it. Calls `report` with what happens.
///
/// # Errors
///
/// Fails if the file cannot be fetched or written, or is not the one that is meant; then there is no file, unless there
/// was one before.
pub fn fetch(wanted: &Wanted, limits: &Limits, report: &mut dyn FnMut(Event)) -> Result<Fetched, Error> {
    let place = Place::of(wanted)?;
    if let Some(fetched) = place.cached()? {
        return Ok(fetched);
    }
    fs::create_dir_all(&place.folder).map_err(Error::io("create", &place.folder))?;
    let _lock = place.lock(report)?;
    // Another process may have fetched it meanwhile.
    if let Some(fetched) = place.cached()? {
        return Ok(fetched);
    }
    let mut partial = Partial::open(&place.beside("partial"), &place.beside("from"), wanted.url)?;
    download(wanted, limits, &mut partial, report)?;
    let verified = place.verify(&partial);
    if verified.is_err() {
        partial.remove();
    }
    let fetched = verified?;
    // Before the file has its name: otherwise one that changed could be the first to be pinned.
    place.pin.write(&fetched.sha256)?;
    partial.publish(wanted.to)?;
    Ok(fetched)
}

/// Paths of a file and of those beside it.
struct Place<'w> {
    wanted: &'w Wanted<'w>,
    folder: PathBuf,
    name: String,
    pin: Pin,
}

impl<'w> Place<'w> {
    fn of(wanted: &'w Wanted<'w>) -> Result<Self, Error> {
        let folder = wanted.to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = wanted.to.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| {
            let said = io::Error::new(ErrorKind::InvalidInput, "it has no file name");
            Error::io("fetch to", wanted.to)(said)
        })?;
        let pin = Pin::new(folder.join(format!("{name}.sha256")), &name);
        Ok(Self { wanted, folder: folder.into(), name, pin })
    }

    fn beside(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// Returns the file that is there, verified; None if there is none.
    fn cached(&self) -> Result<Option<Fetched>, Error> {
        let path = self.wanted.to;
        let (found, bytes) = match sha256(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let pinned = self.pin.read()?;
        let expected = pinned.as_deref().unwrap_or_default();
        let foreign = |expected: &str, pin| Error::Foreign {
            path: path.into(),
            expected: expected.into(),
            found: found.clone(),
            pin,
        };
        if !found.starts_with(self.wanted.sha256) {
            return Err(foreign(&format!("{}…", self.wanted.sha256), None));
        }
        if !found.starts_with(expected) {
            return Err(foreign(expected, Some(self.pin.path().into())));
        }
        if pinned.is_none() {
            // Somebody put it there. A folder that only others may change is of use all the same.
            match self.pin.write(&found) {
                Err(Error::Io { source, .. }) if is_closed(&source) => {}
                written => written?,
            }
        }
        Ok(Some(Fetched { sha256: found, bytes, fresh: false }))
    }

    /// Takes the lock, as soon as nobody else holds it. It ends with the file that is returned, or with the process.
    fn lock(&self, report: &mut dyn FnMut(Event)) -> Result<File, Error> {
        let path = self.beside("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        report(Event::Waiting);
                    }
                    told = true;
                    thread::sleep(LOOK);
                }
                Err(TryLockError::Error(source)) => return Err(Error::Lock { path, source }),
            }
        }
    }

    /// Compares what came with the published hash and the one of the first fetch.
    fn verify(&self, partial: &Partial) -> Result<Fetched, Error> {
        let (found, bytes) = sha256(partial.path()).map_err(Error::io("read", partial.path()))?;
        let (url, expected) = (self.wanted.url.to_string(), self.wanted.sha256.to_string());
        if !found.starts_with(&expected) {
            return Err(Error::Hash { url, expected, found });
        }
        match self.pin.read()? {
            Some(pinned) if pinned != found => Err(Error::Changed { url, pinned, found, pin: self.pin.path().into() }),
            _ => Ok(Fetched { sha256: found, bytes, fresh: true }),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem].contains(&error.kind())
}
