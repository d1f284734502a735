//! Positions of the classes in a mask.

use crate::load::IGNORE;
use crate::load::class_index::{Present, counts};
use crate::transform::random::{Purpose, Random};

/// A class in a mask, with positions of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The class and its numbers of pixels.
    pub(super) shown: Present,
    /// Places of the listed pixels in the mask, row by row, ascending.
    pub(super) places: Vec<u32>,
}

/// Lists up to `most` pixels of each class of a mask, by id; ignored pixels belong to none.
///
/// The pixels of a class with more are divided, in the order of the rows, into `most` stretches of equal length, and
/// one is drawn from each: every part of an object is listed as densely as any other. The draw is a function of the
/// class and its number of pixels alone. A mask of more pixels than 32 bits count lists nothing.
pub(super) fn locate(ids: &[u8], most: u32) -> Vec<Found> {
    if u32::try_from(ids.len()).is_err() {
        return Vec::new();
    }
    let mut counts = counts(ids);
    counts[usize::from(IGNORE)] = 0;
    let drawn: Vec<Vec<u64>> = (0..=u8::MAX).map(|class| ranks(class, counts[usize::from(class)], most)).collect();
    let mut places: Vec<Vec<u32>> = drawn.iter().map(|ranks| Vec::with_capacity(ranks.len())).collect();
    let mut seen = [0u64; 256];
    for (place, id) in (0u32..).zip(ids) {
        let class = usize::from(*id);
        if drawn[class].get(places[class].len()) == Some(&seen[class]) {
            places[class].push(place);
        }
        seen[class] += 1;
    }
    let found = (0..=u8::MAX).zip(places).filter(|(_, places)| !places.is_empty());
    found
        .map(|(class, places)| {
            let shown = Present { class, pixels: counts[usize::from(class)], listed: places.len() as u32 };
            Found { shown, places }
        })
        .collect()
}

/// Draws up to `most` of `pixels` numbers from 0, ascending.
fn ranks(class: u8, pixels: u64, most: u32) -> Vec<u64> {
    let most = u64::from(most);
    if pixels <= most {
        return (0..pixels).collect();
    }
    let mut random = Random::new(0, Purpose::Listed, class.into(), pixels);
    let start = |stretch: u64| stretch * pixels / most;
    (0..most).map(|stretch| start(stretch) + random.below(start(stretch + 1) - start(stretch))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pixels_are_all_listed_and_ignored_ones_never() {
        let ids = [3, 0, IGNORE, 3, 3, 0, IGNORE, 7];
        let found = |class, places: &[u32]| {
            let listed = places.len() as u32;
            Found { shown: Present { class, pixels: listed.into(), listed }, places: places.to_vec() }
        };
        assert_eq!(locate(&ids, 10), [found(0, &[1, 5]), found(3, &[0, 3, 4]), found(7, &[7])]);
        assert_eq!(locate(&[IGNORE; 9], 10), []);
        assert_eq!(locate(&[], 10), []);
    }

    #[test]
    fn many_pixels_are_listed_evenly_and_always_the_same() {
        // A field of 100 x 100 pixels of class 1 in a mask of 200 x 150, and one of class 2 below it.
        let class = |row: usize, column: usize| match (row, column) {
            (20..120, 30..130) => 1,
            (150..190, 30..130) => 2,
            _ => 0,
        };
        let ids: Vec<u8> = (0..30_000).map(|place| class(place / 150, place % 150)).collect();
        let found = locate(&ids, 1000);
        let sizes: Vec<_> =
            found.iter().map(|found| (found.shown.class, found.shown.pixels, found.shown.listed)).collect();
        assert_eq!(sizes, [(0, 16_000, 1000), (1, 10_000, 1000), (2, 4_000, 1000)]);
        for Found { shown, places } in &found {
            assert!(places.is_sorted_by(|left, right| left < right) && places.len() == 1000);
            assert!(places.iter().all(|place| ids[*place as usize] == shown.class));
        }
        // One of ten pixels in the order of the rows, and so ten of each row. Columns differ: no stripe is preferred.
        let of_row = |row: u32| found[1].places.iter().filter(|place| **place / 150 == row).count();
        assert!((20..120).all(|row| of_row(row) == 10));
        let in_left = found[1].places.iter().filter(|place| **place % 150 < 80).count();
        let odd = found[1].places.iter().filter(|place| **place % 2 == 1).count();
        assert!(in_left.abs_diff(500) < 50 && odd.abs_diff(500) < 50, "{in_left}, {odd}");
        assert_eq!(locate(&ids, 1000), found);
    }
}
