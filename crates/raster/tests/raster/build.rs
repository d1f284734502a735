//! TIFF files that no writer makes: any tags, any blocks.

use std::path::PathBuf;

/// Tags of a page of bytes, one band, not compressed, and its one strip.
pub struct Built {
    pub tags: Vec<(u16, u16, Vec<u64>)>,
    pub blocks: Vec<Vec<u8>>,
    pub big: bool,
    pub floats: Vec<(u16, Vec<f64>)>,
    pub texts: Vec<(u16, String)>,
}

impl Built {
    /// Creates an image of `height` by `width` zeros.
    pub fn new(height: u64, width: u64) -> Self {
        let tags = vec![
            (256, 4, vec![width]),
            (257, 4, vec![height]),
            (258, 3, vec![8]),
            (259, 3, vec![1]),
            (262, 3, vec![1]),
            (277, 3, vec![1]),
            (278, 4, vec![height]),
        ];
        let blocks = vec![vec![0; (height * width).min(1 << 20) as usize]];
        Self { tags, blocks, big: false, floats: Vec::new(), texts: Vec::new() }
    }

    /// Replaces or adds a tag of short numbers.
    pub fn with(self, tag: u16, numbers: &[u64]) -> Self {
        self.with_type(tag, 3, numbers)
    }

    pub fn with_type(mut self, tag: u16, kind: u16, numbers: &[u64]) -> Self {
        self.tags.retain(|(other, ..)| *other != tag);
        self.tags.push((tag, kind, numbers.to_vec()));
        self
    }

    pub fn without(mut self, tag: u16) -> Self {
        self.tags.retain(|(other, ..)| *other != tag);
        self
    }

    /// Returns the file. Places and lengths of the blocks are added unless they are among the tags.
    pub fn bytes(mut self) -> Vec<u8> {
        let wide = if self.big { 8 } else { 4 };
        let mut bytes: Vec<u8> =
            if self.big { b"II+\0\x08\0\0\0\0\0\0\0\0\0\0\0".to_vec() } else { b"II*\0\0\0\0\0".to_vec() };
        let mut places = Vec::new();
        for block in &self.blocks {
            places.push([bytes.len() as u64, block.len() as u64]);
            bytes.extend(block);
        }
        let tiled = self.tags.iter().any(|(tag, ..)| *tag == 322);
        let kind = if self.big { 16 } else { 4 };
        for (which, tag) in if tiled { [324, 325] } else { [273, 279] }.into_iter().enumerate() {
            if !self.tags.iter().any(|(other, ..)| *other == tag) {
                self.tags.push((tag, kind, places.iter().map(|place| place[which]).collect()));
            }
        }
        let mut entries: Vec<(u16, u16, u64, Vec<u8>)> = Vec::new();
        for (tag, kind, numbers) in &self.tags {
            let size = match kind {
                1 | 2 | 7 => 1,
                3 => 2,
                4 | 11 => 4,
                _ => 8,
            };
            let data = numbers.iter().flat_map(|number| number.to_le_bytes()[..size].to_vec()).collect();
            entries.push((*tag, *kind, numbers.len() as u64, data));
        }
        for (tag, numbers) in &self.floats {
            let data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            entries.push((*tag, 12, numbers.len() as u64, data));
        }
        for (tag, text) in &self.texts {
            entries.push((*tag, 2, text.len() as u64, text.as_bytes().to_vec()));
        }
        entries.sort_by_key(|(tag, ..)| *tag);
        let mut table = Vec::new();
        for (tag, kind, count, data) in &entries {
            table.extend(tag.to_le_bytes());
            table.extend(kind.to_le_bytes());
            table.extend(&count.to_le_bytes()[..wide]);
            if data.len() <= wide {
                table.extend(data);
                table.resize(table.len() + wide - data.len(), 0);
            } else {
                table.extend(&(bytes.len() as u64).to_le_bytes()[..wide]);
                bytes.extend(data);
            }
        }
        let at = bytes.len() as u64;
        bytes.extend(&(entries.len() as u64).to_le_bytes()[..if self.big { 8 } else { 2 }]);
        bytes.extend(table);
        bytes.extend([0; 8]);
        let start = if self.big { 8 } else { 4 };
        bytes[start..start + wide].copy_from_slice(&at.to_le_bytes()[..wide]);
        bytes
    }
}

/// A folder that is removed at the end of its test, and a file in it.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
