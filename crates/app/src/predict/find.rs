//! Finds the images to predict.

use super::earlier::Earlier;
use crate::common::output;
use crate::common::seal::is_ours;
use crate::common::usage::usage;
use anyhow::{Result, bail};
use data::{Config, Layout, Passed};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Maximum number of files named in a message.
const NAMED: usize = 20;

/// An image to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its path.
    pub file: PathBuf,
    /// Base name of its output files: its path below the named folder, without the extension.
    pub base: PathBuf,
    /// Its height and width.
    pub size: [u32; 2],
}

/// Images by their names, which are unique.
pub type Pictures = BTreeMap<String, Picture>;

/// Result of a search for images.
#[derive(Debug, Default)]
pub struct Found {
    /// Images that seem sound.
    pub pictures: Pictures,
    /// Files that are meant to be images and cannot be read.
    pub broken: Vec<Passed>,
    /// Number of other files.
    pub others: usize,
    /// Number of earlier predictions.
    pub predictions: usize,
}

/// Finds images among `paths` and in the folders among them. A named file is meant to be an image; one in a folder is
/// if its name or its first bytes say so, or if it can be read.
pub fn find(paths: &[PathBuf], data: &Config) -> Result<Found> {
    let (mut found, mut earlier) = (Found::default(), Earlier::default());
    for path in paths {
        if path.is_dir() {
            for file in data::walk(path) {
                match file {
                    Ok(file) => found.add(&file, path, false, (&mut earlier, data))?,
                    // A link to nowhere. (Other errors may be of a folder, which may hold images.)
                    Err(data::Error::Io { path: file, source }) if file.is_symlink() && !data::may_be_image(&file) => {
                        log::debug!("Passed over {}: {source}", file.display());
                        found.others += 1;
                    }
                    Err(error) => {
                        let file = if let data::Error::Io { path, .. } = &error { path } else { path };
                        let name = shown(&base(file, path));
                        found.broken.push(Passed { name, reason: error.to_string() });
                    }
                }
            }
        } else {
            found.add(path, path.parent().unwrap_or(Path::new("")), true, (&mut earlier, data))?;
        }
    }
    if found.pictures.is_empty() && found.broken.is_empty() {
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(usage(format!("no image in {}{}", shown.join(", "), found.passed_over())));
    }
    Ok(found)
}

/// Returns whether the network's images may be such files, by their names or first bytes.
fn is_image(file: &Path, layout: &Layout) -> bool {
    data::may_be_image(file) || !layout.is_plain() && data::may_be_numbers(file)
}

impl Found {
    /// Adds a file below `folder`, with those that make an image with it, or its slices.
    fn add(&mut self, file: &Path, folder: &Path, named: bool, (earlier, data): (&mut Earlier, &Config)) -> Result<()> {
        let Some((image, own)) = data.together(file) else {
            self.others += 1;
            return Ok(());
        };
        let cut = data.slices().filter(|_| file.is_file());
        let Some((axis, count)) = cut.and_then(|axis| Some((axis, data::part::slices(&image, axis).transpose()?)))
        else {
            return self.put((&image, &own), folder, named, (earlier, data));
        };
        match count {
            Ok(count) => (0..count).try_for_each(|index| {
                let [image, own] = [&image, &own].map(|path| data::part::slice(path, axis, index));
                self.put((&image, &own), folder, true, (&mut *earlier, data))
            }),
            Err(error) => {
                let name = shown(&base(&own, folder));
                self.broken.push(Passed { name, reason: error.to_string() });
                Ok(())
            }
        }
    }

    /// Adds an image, which is called like the file `own` below `folder`.
    fn put(
        &mut self,
        (file, own): (&Path, &Path),
        folder: &Path,
        named: bool,
        (earlier, data): (&mut Earlier, &Config),
    ) -> Result<()> {
        let (layout, orientation) = (&data.layout(), data.orientation());
        let base = base(own, folder);
        let name = shown(&base);
        let made = if named { is_ours(file) } else { earlier.made(file, folder) };
        if made {
            if named {
                let reason = format!("{} is a prediction that this program made", file.display());
                self.broken.push(Passed { name, reason });
            } else {
                self.predictions += 1;
            }
            return Ok(());
        }
        // Among others they are found by their names only where the network sees such.
        let is_strange = !named && data::may_be_numbers(file) && !is_image(file, layout);
        let size = match file.metadata() {
            _ if is_strange => Err("it holds numbers".into()),
            // Reading a pipe would block.
            Ok(about) if !about.is_file() => Err(format!("{} is not a regular file", file.display())),
            _ => data::dimensions(file, layout, orientation).map_err(|error| error.to_string()),
        };
        match size {
            Ok(size) => self.insert(name, Picture { file: file.into(), base, size }),
            Err(reason) if named || is_image(file, layout) => {
                self.broken.push(Passed { name, reason });
                Ok(())
            }
            Err(reason) => {
                log::debug!("Passed over {}: {reason}", file.display());
                self.others += 1;
                Ok(())
            }
        }
    }

    fn insert(&mut self, name: String, picture: Picture) -> Result<()> {
        match self.pictures.get(&name) {
            Some(other) if !is_same(&other.file, &picture.file) => Err(usage(format!(
                "{} and {} would both be written to {name}.png: predict them into different folders",
                other.file.display(),
                picture.file.display()
            ))),
            Some(_) => Ok(()),
            None => {
                self.pictures.insert(name, picture);
                Ok(())
            }
        }
    }

    /// Returns the counts of skipped files as the end of a sentence; empty if there are none.
    pub fn passed_over(&self) -> String {
        let counts = [(self.others, "other file"), (self.predictions, "earlier prediction")];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(n, what)| plural(*n, what)).collect();
        if counts.is_empty() { String::new() } else { format!("; skipped {}", counts.join(" and ")) }
    }

    /// Reports the files that cannot be read, each with its reason.
    pub fn tell_broken(&self, json: bool) -> Result<()> {
        output::skipped(&self.broken);
        self.broken.iter().filter(|_| json).try_for_each(output::broken)
    }
}

/// Fails if any of the images, `images` in all, could not be read.
pub fn complain(broken: &[Passed], images: usize) -> Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = broken.iter().take(NAMED).map(|broken| broken.name.as_str()).collect();
    let more = format!("{} more", broken.len().saturating_sub(NAMED));
    if broken.len() > NAMED {
        names.push(&more);
    }
    bail!("{} of {images} images could not be read: {}", broken.len(), names.join(", "));
}

/// Returns the base name of an image's output files: its path below `folder`, without the extension.
fn base(file: &Path, folder: &Path) -> PathBuf {
    let below = file.strip_prefix(folder).ok().filter(|below| !below.as_os_str().is_empty());
    data::part::named(below.or(file.file_name().map(Path::new)).unwrap_or(file))
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Returns the path as text, unique for each path: bytes that are not UTF-8 are written as `\xE9`, and a backslash as
/// two.
fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a string never fails.
            let _ = write!(shown, "\\x{byte:02X}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn each_name_has_its_own_text() {
        let text = |bytes: &[u8]| shown(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(text("né/a b%20\n".as_bytes()), "né/a b%20\n");
        assert_eq!(
            (text(b"caf\xe9"), text(b"caf\xe8"), text(br"caf\xE9")),
            (r"caf\xE9".into(), r"caf\xE8".into(), r"caf\\xE9".into())
        );
    }

    #[test]
    fn images_are_found_and_what_cannot_be_read_is_told_from_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("p/deep")).unwrap();
        for name in ["p/a.png", "p/deep/b", "p/.hidden.png"] {
            image::GrayImage::new(3, 2).save_with_format(path(name), image::ImageFormat::Png).unwrap();
        }
        for (name, text) in
            [("p/empty.jpg", ""), ("p/notes.txt", "BM no image"), ("p/page.jpeg", "<html>"), ("p/x.heic", "")]
        {
            fs::write(path(name), text).unwrap();
        }
        let found = find(
            &[path("p"), path("p/./a.png"), path("p/.hidden.png"), path("p/notes.txt"), path("gone.png")],
            &Config::default(),
        )
        .unwrap();
        let names: Vec<_> = found.pictures.keys().map(String::as_str).collect();
        assert_eq!(names, [".hidden", "a", "deep/b"]);
        assert_eq!(found.pictures["deep/b"], Picture { file: path("p/deep/b"), base: "deep/b".into(), size: [2, 3] });
        let broken: Vec<_> = found.broken.iter().map(|broken| broken.name.as_str()).collect();
        assert_eq!(broken, ["empty", "page", "x", "notes", "gone"]);
        assert_eq!((found.others, found.passed_over()), (1, "; skipped 1 other file".into()));
        fs::create_dir(path("none")).unwrap();
        assert!(find(&[path("none")], &Config::default()).unwrap_err().to_string().starts_with("no image in "));
        fs::create_dir(path("q")).unwrap();
        fs::copy(path("p/a.png"), path("q/a.jpg")).unwrap();
        assert!(
            find(&[path("p"), path("q")], &Config::default())
                .unwrap_err()
                .to_string()
                .contains("would both be written to a.png")
        );
    }
}
