//! Files: opening regular ones that a user or a data set names, writing ones that exist whole or not at all, and the
//! permission to change any.
//!
//! ```
//! let error = regular::open(std::path::Path::new("/")).unwrap_err();
//! assert!(error.to_string().ends_with("only regular files are read"));
//! ```
//!
//! # What it does not do
//!
//! It checks no content and takes no locks. Symbolic links to files that are opened are followed.

mod partial;
mod permit;

pub use partial::{Failed, Partial, flush_folder, publish};
pub use permit::{Permit, Refusal};

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Opens the regular file at `path` for reading. Anything else is an error at once: a FIFO without a writer would block
/// without end, and a device can be read without end.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        /// `O_NONBLOCK` on Linux, for the processors that libtorch runs on, and on the systems that descend from BSD.
        const NONBLOCK: i32 = if cfg!(target_os = "linux") { 0o4000 } else { 4 };
        options.custom_flags(NONBLOCK);
    }
    options.open(path).and_then(checked)
}

/// Refuses an open file that is not regular. Since it is open, nobody can put another in its place.
pub fn checked(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let found = if kind.is_dir() { "a folder" } else { "a pipe, socket or device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {found}, and only regular files are read")))
}

/// Returns true if both are of the same file.
#[cfg(unix)]
pub fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Assumes the same file, which only Unix can tell.
#[cfg(not(unix))]
pub fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
#[cfg(unix)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::{open, same};
    use crate::partial::tests::Folder;
    use std::io::{ErrorKind, Read};
    use std::{fs, path::Path, process};

    #[test]
    fn only_regular_files_are_opened() {
        let folder = Folder::new();
        fs::write(folder.join("file"), "text").unwrap();
        let mut text = String::new();
        open(&folder.join("file")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        // Nobody writes to it: an open that waits would hang here.
        assert!(process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
        for other in [folder.join("pipe"), folder.to_path_buf(), Path::new("/dev/zero").into()] {
            assert_eq!(open(&other).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", other.display());
        }
    }

    #[test]
    fn a_file_is_the_same_under_its_other_names_and_no_other_is() {
        let folder = Folder::new();
        let about = |name: &str| fs::metadata(folder.join(name)).unwrap();
        fs::write(folder.join("file"), "text").unwrap();
        fs::hard_link(folder.join("file"), folder.join("linked")).unwrap();
        fs::copy(folder.join("file"), folder.join("copied")).unwrap();
        assert!(same(&about("file"), &about("linked")) && !same(&about("file"), &about("copied")));
    }
}
