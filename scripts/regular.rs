//! Opens files named by a user or a data set. This is a part of each crate that reads such files, since those crates do
//! not depend on each other.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens the regular file at `path` for reading. Anything else is an error at once: a FIFO without a writer would block
/// without end, and a device can be read without end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
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
pub(crate) fn checked(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let found = if kind.is_dir() { "a folder" } else { "a pipe, socket or device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {found}, and only regular files are read")))
}
