//! `manifest.json`: the description of a checkpoint, with the sizes and checksums of its other files.
//!
//! Its first entry is the checksum of the file itself, computed with zeros in the checksum's place, so a single changed
//! bit is detected before anything is parsed.

use crate::{
    Error,
    files::{self, Record},
    hashed::Hashed,
};
use contract::Progress;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path, time::SystemTime};

/// Name of the file that makes a folder a checkpoint.
pub const NAME: &str = "manifest.json";
const SUFFIX: &str = ".safetensors";
const FORMAT: u64 = 1;
/// Maximum size of a manifest: 16 MiB, thousands of times what it needs.
const LIMIT: u64 = 16 << 20;
const PREFIX: &[u8] = b"{\n  \"blake3\": \"";
const SEAL: std::ops::Range<usize> = PREFIX.len()..PREFIX.len() + 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    blake3: String,
    format: u64,
    /// Seconds since 1970.
    pub created: u64,
    #[serde(with = "ProgressFields")]
    pub progress: Progress,
    /// JSON has no NaN and no infinity: both are null.
    scores: BTreeMap<String, Option<f64>>,
    pub files: BTreeMap<String, Record>,
    pub about: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Progress")]
struct ProgressFields {
    epoch: u64,
    batch: u64,
    step: u64,
    samples: u64,
}

impl Manifest {
    pub fn new(progress: Progress, scores: &BTreeMap<String, f64>, about: serde_json::Value) -> Self {
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let scores = scores.iter().map(|(name, score)| (name.clone(), score.is_finite().then_some(*score))).collect();
        Self { blake3: "0".repeat(64), format: FORMAT, created, progress, scores, files: BTreeMap::new(), about }
    }

    /// Returns true if both describe the same content, whenever they were written.
    pub fn same_content(&self, other: &Self) -> bool {
        let timeless = |manifest: &Self| Self { created: 0, blake3: String::new(), ..manifest.clone() };
        timeless(self) == timeless(other)
    }

    /// Returns the scores, NaN for those that were not finite.
    pub fn scores(&self) -> BTreeMap<String, f64> {
        self.scores.iter().map(|(name, score)| (name.clone(), score.unwrap_or(f64::NAN))).collect()
    }

    /// Returns the score `name`, or `None` if it is missing or was not finite.
    pub fn score(&self, name: &str) -> Option<f64> {
        self.scores.get(name).copied().flatten()
    }

    /// Writes the manifest into `folder`, after checking that it can be read back.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(NAME);
        let refuse = |problem: String| Error::About { step: self.progress.step, problem };
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| refuse(error.to_string()))?;
        bytes.push(b'\n');
        seal(&mut bytes);
        if bytes.len() as u64 > LIMIT {
            return Err(refuse(format!("it has {} bytes, and {LIMIT} are the most", bytes.len())));
        }
        Self::parse(&path, &bytes).map_err(|error| refuse(error.to_string()))?;
        Hashed::create(&path, |file| file.write(&bytes)).map(drop)
    }

    /// Reads the manifest of `folder`. The files that it lists have plain names, so they lie in that folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(NAME);
        let (file, bytes) = files::open(&path)?;
        if bytes > LIMIT {
            return Err(Error::damaged(&path, format!("it has {bytes} bytes, and a manifest has {LIMIT} at most")));
        }
        let manifest = Self::parse(&path, &files::read(&path, file, bytes)?)?;
        match crate::names::step_of(folder) {
            Some(step) if step != manifest.progress.step => {
                Err(Error::damaged(&path, format!("it is that of step {}", manifest.progress.step)))
            }
            _ => Ok(manifest),
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let json = |error: serde_json::Error| Error::damaged(path, error.to_string());
        let Some(seal) = bytes.get(SEAL).filter(|_| bytes.starts_with(PREFIX)) else {
            return Err(Error::damaged(path, "it does not begin with its checksum"));
        };
        if seal != checksum(bytes).as_bytes() {
            return Err(Error::damaged(path, "its bytes do not match their checksum"));
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(json)?;
        if format != FORMAT {
            return Err(Error::Format { path: path.into(), found: format, known: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(json)?;
        match manifest.files.keys().find(|name| state_of(name).is_none()) {
            Some(name) => Err(Error::damaged(path, format!("it lists a file {name:?}, which is no state's name"))),
            None => Ok(manifest),
        }
    }
}

/// Returns the checksum of a manifest that is long enough to hold one.
fn checksum(manifest: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&manifest[..SEAL.start]).update(&[b'0'; 64]).update(&manifest[SEAL.end..]);
    hasher.finalize().to_hex().to_string()
}

/// Writes the checksum of a manifest into it.
pub fn seal(manifest: &mut [u8]) {
    let checksum = checksum(manifest);
    manifest[SEAL].copy_from_slice(checksum.as_bytes());
}

/// Returns the name of the file that holds a state.
pub fn file_of(state: &str) -> Result<String, Error> {
    let name = format!("{state}{SUFFIX}");
    state_of(&name).is_some().then_some(name).ok_or_else(|| Error::Name { state: state.into() })
}

/// Returns the state that a file holds, or `None` if its name could differ between file systems or lead out of the
/// folder.
pub fn state_of(file: &str) -> Option<&str> {
    let plain = |state: &&str| {
        (1..=64).contains(&state.len())
            && state.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    file.strip_suffix(SUFFIX).filter(plain)
}
