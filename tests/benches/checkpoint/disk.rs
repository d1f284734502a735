//! The disk's own rate: a checkpoint's bytes, written in the plainest ways.

use crate::common::Outcome;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Returns the size in bytes of the files in `folder`.
pub fn bytes(folder: &Path) -> Outcome<u64> {
    files(folder)?.iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
}

/// Waits until the disk is idle, so that nobody pays for another's writes.
pub fn rest() -> Outcome<()> {
    run(&mut Command::new("sync"))
}

fn run(command: &mut Command) -> Outcome<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Returns the seconds to write the files of `from` from memory into the new folder `to`, in blocks of 1 MiB, each file
/// flushed at its end.
pub fn written_from_memory(from: &Path, to: &Path) -> Outcome<f64> {
    let contents = files(from)?.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    fs::create_dir(to)?;
    let start = Instant::now();
    for (i, bytes) in contents.iter().enumerate() {
        let mut file = File::create_new(to.join(i.to_string()))?;
        bytes.chunks(1 << 20).try_for_each(|block| file.write_all(block))?;
        file.sync_all()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_dir_all(to)?;
    Ok(seconds)
}

/// Returns the seconds that the shell takes for `command` on each file of `from` ($1) and its copy in the new folder
/// `to` ($2). The files are in the system's cache: they were read just before.
pub fn shell(command: &str, from: &Path, to: &Path) -> Outcome<f64> {
    let files = files(from)?;
    files.iter().try_for_each(|path| fs::read(path).map(drop))?;
    fs::create_dir(to)?;
    let start = Instant::now();
    for (i, path) in files.iter().enumerate() {
        run(Command::new("sh").args(["-c", command, "sh"]).arg(path).arg(to.join(i.to_string())))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_dir_all(to)?;
    Ok(seconds)
}
