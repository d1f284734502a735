//! Finds pictures that occur more than once, exactly or nearly.

use super::finding::{Finding, Kind};
use super::inspect::{HASH_BYTES, Prints};
use crate::list::split::Split;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Maximum number of differing bits (of 256) between the perceptual hashes of near duplicates. Measured on 600
/// photographs (the Oxford-IIIT Pet sample): compressed anew at quality 40, or halved, they differ from themselves in 4
/// bits at the median and in 18 in 99 of 100 cases; of the 180,000 pairs all but the six that do show the same picture
/// differ in 48 or more.
const NEAR: u32 = 24;

/// A sample and what later comparisons need of it; `None` for one that could not be decoded.
pub(super) struct Compared {
    pub(super) split: Split,
    pub(super) name: String,
    /// File of which it is a part, such as a slice of a volume.
    pub(super) volume: Option<PathBuf>,
    pub(super) prints: Option<Prints>,
}

/// A sample that could be decoded.
struct Picture<'a> {
    split: Split,
    name: &'a str,
    volume: Option<&'a Path>,
    prints: &'a Prints,
}

/// Finds all duplicates: the same picture twice, across splits, with different masks, or nearly the same.
pub(super) fn find<'a>(seen: &'a [Compared]) -> Vec<Finding> {
    let picture = |seen: &'a Compared| {
        let volume = seen.volume.as_deref();
        Some(Picture { split: seen.split, name: &seen.name, volume, prints: seen.prints.as_ref()? })
    };
    let pictures: Vec<Picture> = seen.iter().filter_map(picture).collect();
    let mut groups: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (place, picture) in pictures.iter().enumerate() {
        groups.entry(picture.prints.image).or_default().push(place);
    }
    let same = groups.values().filter(|group| group.len() > 1).flat_map(|group| same(&pictures, group));
    same.chain(nearly(&pictures)).collect()
}

/// Returns the findings on a group of identical pictures. A repeated name is reported elsewhere.
fn same(pictures: &[Picture], group: &[usize]) -> Vec<Finding> {
    // Neighbouring slices look alike, and those beside a body show nothing.
    let blank = |picture: &Picture| picture.volume.is_some() && picture.prints.looks.is_none();
    let first = group.first().and_then(|&place| pictures[place].volume);
    if group.iter().all(|&place| blank(&pictures[place]) || first.is_some() && pictures[place].volume == first) {
        return Vec::new();
    }
    let members: BTreeMap<(&str, &str), &Picture> =
        group.iter().map(|&place| ((pictures[place].split.name(), pictures[place].name), &pictures[place])).collect();
    let names: BTreeSet<&str> = members.values().map(|picture| picture.name).collect();
    if names.len() < 2 {
        return Vec::new();
    }
    let about = |kind, message: &str| {
        Finding::new(kind, message).samples(members.values().map(|picture| (picture.split, picture.name)))
    };
    let splits: BTreeSet<&str> = members.keys().map(|(split, _)| *split).collect();
    let mut findings = vec![match splits.len() {
        1 => about(Kind::Duplicate, "are the same picture"),
        _ => about(Kind::DuplicateAcross, "are the same picture, in training and in validation"),
    }];
    let masks: BTreeSet<[u8; 32]> = members.values().map(|picture| picture.prints.mask).collect();
    if masks.len() > 1 {
        findings.push(about(Kind::Contradiction, "are the same picture, with different masks"));
    }
    findings
}

/// Finds pairs of pictures that look alike without being identical.
fn nearly(pictures: &[Picture]) -> Vec<Finding> {
    let mut pairs: BTreeSet<(usize, usize)> = BTreeSet::new();
    // Two hashes that differ in at most NEAR bits share at least one of NEAR + 1 pieces. So only pictures that share a
    // piece are compared, not every pair.
    for piece in 0..=NEAR as usize {
        let mut alike: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, picture) in pictures.iter().enumerate() {
            if let Some(hash) = &picture.prints.looks {
                alike.entry(cut(hash, piece)).or_default().push(place);
            }
        }
        for group in alike.values() {
            for (at, &a) in group.iter().enumerate() {
                pairs
                    .extend(group[at + 1..].iter().filter(|&&b| are_near(&pictures[a], &pictures[b])).map(|&b| (a, b)));
            }
        }
    }
    pairs.into_iter().map(|(a, b)| pair(&pictures[a], &pictures[b])).collect()
}

/// Returns the bits of one of the NEAR + 1 pieces of a hash.
fn cut(hash: &[u8; HASH_BYTES], piece: usize) -> u64 {
    let bits = HASH_BYTES * 8;
    let pieces = NEAR as usize + 1;
    let range = bits * piece / pieces..bits * (piece + 1) / pieces;
    range.fold(0, |all, bit| all << 1 | u64::from(hash[bit / 8] >> (bit % 8) & 1))
}

fn are_near(a: &Picture, b: &Picture) -> bool {
    let (Some(first), Some(second)) = (&a.prints.looks, &b.prints.looks) else { return false };
    let distance: u32 = first.iter().zip(second).map(|(a, b)| (a ^ b).count_ones()).sum();
    let of_one_volume = a.volume.is_some() && a.volume == b.volume;
    distance <= NEAR && a.prints.image != b.prints.image && !of_one_volume
}

fn pair(a: &Picture, b: &Picture) -> Finding {
    let (kind, message) = match a.split == b.split {
        true => (Kind::NearDuplicate, "look nearly the same"),
        false => (Kind::NearDuplicateAcross, "look nearly the same, in training and in validation"),
    };
    let mut both = [a, b].map(|picture| (picture.split, picture.name));
    both.sort_by_key(|(split, name)| (split.name(), *name));
    Finding::new(kind, message).samples(both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hashes_that_differ_little_share_a_piece(hash: [u8; 32], bits in proptest::collection::vec(0usize..256, 0..=24)) {
            let mut other = hash;
            bits.iter().for_each(|bit| other[bit / 8] ^= 1 << (bit % 8));
            prop_assert!((0..=NEAR as usize).any(|piece| cut(&hash, piece) == cut(&other, piece)));
        }
    }
}
