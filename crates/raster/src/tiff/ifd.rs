//! Directories of a TIFF file: the tags of each page, classic and BigTIFF.

use crate::error::{Problem, damaged, refused};
use crate::source::{Endian, Source};
use std::collections::{BTreeMap, HashSet};

/// Largest number of directories that are followed.
const MOST_PAGES: usize = 1 << 16;

/// A TIFF file.
pub(crate) struct Container {
    pub(crate) source: Source,
    pub(crate) endian: Endian,
    /// True for BigTIFF: offsets of 64 bits.
    big: bool,
    first: u64,
}

/// Tags of a page.
pub(crate) struct Directory(BTreeMap<u16, Entry>);

/// Values of a tag, which lie in the file.
#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: u16,
    count: u64,
    at: u64,
}

impl Entry {
    /// Returns the bytes a value.
    fn bytes(self) -> Option<u64> {
        match self.kind {
            1 | 2 | 6 | 7 => Some(1),
            3 | 8 => Some(2),
            4 | 9 | 11 | 13 => Some(4),
            5 | 10 | 12 | 16..=18 => Some(8),
            _ => None,
        }
    }
}

impl Container {
    /// Reads the first bytes.
    pub(crate) fn open(mut source: Source) -> Result<Self, Problem> {
        let start = source.bytes(0, 8)?;
        let endian = if start.starts_with(b"II") { Endian::Little } else { Endian::Big };
        let big = endian.unsigned(&start[2..4]) == 43;
        let first = if big {
            let rest = source.bytes(4, 12)?;
            if endian.unsigned(&rest[..2]) != 8 {
                return refused("is a BigTIFF whose offsets are not of 8 bytes: save it anew (gdal_translate)");
            }
            endian.unsigned(&rest[4..])
        } else {
            endian.unsigned(&start[4..])
        };
        Ok(Self { source, endian, big, first })
    }

    /// Reads all directories, in the order of the file.
    pub(crate) fn directories(&mut self) -> Result<Vec<Directory>, Problem> {
        let (mut all, mut seen, mut next) = (Vec::new(), HashSet::new(), self.first);
        while next != 0 {
            if !seen.insert(next) {
                return damaged(format!("its pages follow each other in a circle (directory at {next})"));
            }
            if all.len() == MOST_PAGES {
                return refused(format!("has more than {MOST_PAGES} pages: split it"));
            }
            let (directory, following) = self.directory(next)?;
            all.push(directory);
            next = following;
        }
        if all.is_empty() { damaged("it holds no page") } else { Ok(all) }
    }

    fn directory(&mut self, at: u64) -> Result<(Directory, u64), Problem> {
        // Bytes of the count, of an entry, of the count within it, and of what is stored in place of an offset.
        let (counted, wide, inline) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let counter = self.source.bytes(at, counted)?;
        let count = self.endian.unsigned(&counter);
        if count > 65_535 {
            return damaged(format!("its directory at {at} claims {count} tags"));
        }
        let start = at + counted;
        let table = self.source.bytes(start, count * wide + inline)?;
        let (entries, next) = table.split_at((count * wide) as usize);
        let mut tags = BTreeMap::new();
        for (index, entry) in entries.chunks_exact(wide as usize).enumerate() {
            let (head, value) = entry.split_at((wide - inline) as usize);
            let mut found = Entry {
                kind: self.endian.unsigned(&head[2..4]) as u16,
                count: self.endian.unsigned(&head[4..]),
                at: start + index as u64 * wide + (wide - inline),
            };
            // What is of an unknown kind stays where it is: nobody asks for it.
            if found.bytes().and_then(|bytes| bytes.checked_mul(found.count)).is_some_and(|all| all > inline) {
                found.at = self.endian.unsigned(value);
            }
            tags.entry(self.endian.unsigned(&head[..2]) as u16).or_insert(found);
        }
        Ok((Directory(tags), self.endian.unsigned(next)))
    }

    /// Returns the bytes of a tag; none if the page lacks it. At most `most` values.
    fn raw(&mut self, directory: &Directory, tag: u16, most: u64) -> Result<Option<(u16, Vec<u8>)>, Problem> {
        let Some(entry) = directory.0.get(&tag) else { return Ok(None) };
        let Some(bytes) = entry.bytes() else {
            return damaged(format!("its tag {tag} is of the unknown type {}", entry.kind));
        };
        let count = entry.count.min(most);
        Ok(Some((entry.kind, self.source.bytes(entry.at, count.saturating_mul(bytes))?)))
    }

    /// Returns the whole numbers of a tag, at most the first `most`; none if the page lacks it.
    pub(crate) fn numbers(&mut self, page: &Directory, tag: u16, most: u64) -> Result<Option<Vec<u64>>, Problem> {
        let Some((kind, bytes)) = self.raw(page, tag, most)? else { return Ok(None) };
        let width = match kind {
            1 | 7 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => return damaged(format!("its tag {tag} holds no whole numbers (type {kind})")),
        };
        Ok(Some(bytes.chunks_exact(width).map(|number| self.endian.unsigned(number)).collect()))
    }

    /// Returns the first number of a tag, or `usual`.
    pub(crate) fn number(&mut self, page: &Directory, tag: u16, usual: u64) -> Result<u64, Problem> {
        match self.numbers(page, tag, 1)? {
            None => Ok(usual),
            Some(numbers) => match numbers.first() {
                Some(number) => Ok(*number),
                None => damaged(format!("its tag {tag} has no value")),
            },
        }
    }

    /// Returns the floats of a tag; none if the page lacks it.
    pub(crate) fn floats(&mut self, page: &Directory, tag: u16, most: u64) -> Result<Option<Vec<f64>>, Problem> {
        let Some((kind, bytes)) = self.raw(page, tag, most)? else { return Ok(None) };
        let width = match kind {
            11 => 4,
            12 => 8,
            _ => return damaged(format!("its tag {tag} holds no floats (type {kind})")),
        };
        Ok(Some(bytes.chunks_exact(width).map(|number| self.endian.float(number)).collect()))
    }

    /// Returns the bytes of a tag; none if the page lacks it.
    pub(crate) fn bytes(&mut self, page: &Directory, tag: u16, most: u64) -> Result<Option<Vec<u8>>, Problem> {
        Ok(self.raw(page, tag, most)?.map(|(_, bytes)| bytes))
    }
}

impl Directory {
    /// Returns whether the page has a tag.
    pub(crate) fn has(&self, tag: u16) -> bool {
        self.0.contains_key(&tag)
    }
}
