//! Files that exist whole or not at all.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `bytes` to a file beside `path`, flushes it to the disk and renames it to `path`.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = Partial::create(path)?;
    (&partial.file).write_all(bytes).with_context(|| partial.doing())?;
    partial.publish()
}

/// A path as a shell takes it, for a command that a person may copy.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A file beside `path` that becomes `path` once it is complete, and is removed if it never is.
pub struct Partial {
    file: File,
    path: PathBuf,
    partial: PathBuf,
    published: bool,
}

impl Partial {
    /// Makes the file, empty.
    pub fn create(path: &Path) -> Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let file = File::create(&partial).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { file, path: path.into(), partial: partial.into(), published: false })
    }

    /// The file, to be written to.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().with_context(|| self.doing())
    }

    /// What is being done with it, for an error.
    pub fn doing(&self) -> String {
        format!("writing {}", self.path.display())
    }

    /// Flushes it to the disk and renames it.
    pub fn publish(mut self) -> Result<()> {
        let published = self.file.sync_all().and_then(|()| fs::rename(&self.partial, &self.path));
        self.published = published.is_ok();
        published.with_context(|| self.doing())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here says more than one about this.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        for (path, expected) in [
            ("runs/x-1_a.b", "runs/x-1_a.b"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shown(Path::new(path)), expected);
        }
    }
}
