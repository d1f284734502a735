//! Connected regions of a class map, by union-find over its runs.

use crate::runs::{Run, Runs};

/// Label of runs that belong to no region.
const NONE: u32 = u32::MAX;

/// Pixels that are connected with a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Neighbours {
    /// Those that share a side: SciPy's default.
    #[default]
    Four,
    /// Those that share a side or a corner: OpenCV's and scikit-image's default.
    Eight,
}

/// Connected regions, numbered by their first pixels, row by row.
#[derive(Debug, Clone)]
pub struct Regions {
    /// Region of each run, or [`NONE`].
    of_run: Vec<u32>,
    areas: Vec<u64>,
    at_edge: Vec<bool>,
}

impl Regions {
    /// Finds the regions of the pixels whose class `belongs` to them, whatever classes touch in them.
    ///
    /// # Panics
    ///
    /// Panics if the map has 2³² − 1 runs or more.
    pub fn of(runs: &Runs, neighbours: Neighbours, belongs: impl Fn(u8) -> bool) -> Self {
        assert!(runs.len() < NONE as usize, "a map of {} runs is too large", runs.len());
        let reach = u32::from(neighbours == Neighbours::Eight);
        let mut parents = vec![NONE; runs.len()];
        let mut above: Vec<Run> = Vec::new();
        for row in 0..runs.height() {
            let mut current = Vec::with_capacity(above.len());
            let mut first = 0;
            for run in runs.row(row).filter(|run| belongs(run.class)) {
                parents[run.number] = run.number as u32;
                if current.last().is_some_and(|left: &Run| left.end == run.start) {
                    join(&mut parents, run.number as u32 - 1, run.number as u32);
                }
                while above.get(first).is_some_and(|above| above.end + reach <= run.start) {
                    first += 1;
                }
                for other in above[first..].iter().take_while(|above| above.start < run.end + reach) {
                    join(&mut parents, other.number as u32, run.number as u32);
                }
                current.push(run);
            }
            above = current;
        }
        Self::numbered(runs, parents)
    }

    /// Numbers the regions of a forest in which each parent comes before its children.
    fn numbered(runs: &Runs, mut parents: Vec<u32>) -> Self {
        let (mut areas, mut at_edge) = (Vec::new(), Vec::new());
        for row in 0..runs.height() {
            for run in runs.row(row) {
                let parent = parents[run.number];
                if parent == NONE {
                    continue;
                }
                // An earlier run has its region's number already.
                let region = if parent as usize == run.number { areas.len() as u32 } else { parents[parent as usize] };
                if parent as usize == run.number {
                    areas.push(0);
                    at_edge.push(false);
                }
                parents[run.number] = region;
                areas[region as usize] += run.pixels();
                at_edge[region as usize] |=
                    row == 0 || row + 1 == runs.height() || run.start == 0 || run.end == runs.width();
            }
        }
        Self { of_run: parents, areas, at_edge }
    }

    /// Returns the number of regions.
    pub fn len(&self) -> usize {
        self.areas.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Returns the region of a run by its number.
    pub fn of_run(&self, run: usize) -> Option<usize> {
        self.of_run.get(run).filter(|region| **region != NONE).map(|region| *region as usize)
    }

    /// Returns the number of pixels of each region.
    pub fn areas(&self) -> &[u64] {
        &self.areas
    }

    /// Returns true if the region has a pixel at the edge of the image.
    pub fn is_at_edge(&self, region: usize) -> bool {
        self.at_edge[region]
    }

    /// Returns the number of the region with the most pixels; of several, the first one.
    pub fn largest(&self) -> Option<usize> {
        (0..self.len()).rev().max_by_key(|region| self.areas[*region])
    }

    /// Returns the class outside of each `wanted` region that most of its border lies on, counted in pixel sides; of
    /// several, the lowest. It is None for a region that is not wanted, and for one that covers the image.
    pub fn surroundings(&self, runs: &Runs, wanted: impl Fn(usize) -> bool) -> Vec<Option<u8>> {
        let mut sides: Vec<Vec<(u8, u64)>> = vec![Vec::new(); self.len()];
        let mut add = |inside: Run, outside: Run, count: u32| {
            let region = self.of_run[inside.number];
            if region == NONE || region == self.of_run[outside.number] || !wanted(region as usize) {
                return;
            }
            let of_region = &mut sides[region as usize];
            match of_region.iter_mut().find(|(class, _)| *class == outside.class) {
                Some((_, all)) => *all += u64::from(count),
                None => of_region.push((outside.class, count.into())),
            }
        };
        let mut above: Vec<Run> = Vec::new();
        for row in 0..runs.height() {
            let current: Vec<Run> = runs.row(row).collect();
            for pair in current.windows(2) {
                add(pair[0], pair[1], 1);
                add(pair[1], pair[0], 1);
            }
            let (mut one, mut other) = (above.iter().peekable(), current.iter().peekable());
            while let (Some(&&upper), Some(&&lower)) = (one.peek(), other.peek()) {
                let shared = upper.end.min(lower.end) - upper.start.max(lower.start);
                add(upper, lower, shared);
                add(lower, upper, shared);
                if upper.end <= lower.end {
                    one.next();
                }
                if lower.end <= upper.end {
                    other.next();
                }
            }
            above = current;
        }
        let most = |sides: Vec<(u8, u64)>| {
            let most = sides.into_iter().max_by_key(|(class, count)| (*count, u8::MAX - class));
            most.map(|(class, _)| class)
        };
        sides.into_iter().map(most).collect()
    }
}

/// Joins the trees of two runs under the earlier root.
fn join(parents: &mut [u32], one: u32, other: u32) {
    let (one, other) = (root(parents, one), root(parents, other));
    parents[one.max(other) as usize] = one.min(other);
}

/// Returns the root of a tree, and halves the way there.
fn root(parents: &mut [u32], mut run: u32) -> u32 {
    while parents[run as usize] != run {
        parents[run as usize] = parents[parents[run as usize] as usize];
        run = parents[run as usize];
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(width: u32, ids: &[u8]) -> Runs {
        let mut runs = Runs::new(width);
        runs.push(ids);
        runs
    }

    #[test]
    fn corners_join_eight_neighbours_only() {
        let diagonal = runs(4, &[1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1]);
        let four = Regions::of(&diagonal, Neighbours::Four, |class| class == 1);
        assert_eq!(four.areas(), [1, 1, 4, 1, 1]);
        let eight = Regions::of(&diagonal, Neighbours::Eight, |class| class == 1);
        assert_eq!((eight.areas(), eight.is_at_edge(0)), (&[8][..], true));
        assert_eq!(four.largest(), Some(2));
        assert!(!four.is_at_edge(2) && four.of_run(1).is_none());
    }

    #[test]
    fn a_comb_is_one_region_and_its_first_run_numbers_it() {
        // Teeth that meet only in the last row.
        let comb = runs(5, &[1, 0, 1, 0, 2, 1, 0, 1, 0, 2, 1, 1, 1, 1, 2]);
        let all = Regions::of(&comb, Neighbours::Four, |class| class > 0);
        assert_eq!(all.areas(), [11]);
        let ones = Regions::of(&comb, Neighbours::Four, |class| class == 1);
        assert_eq!((ones.areas(), ones.of_run(4)), (&[8][..], None));
    }

    #[test]
    fn the_longest_border_decides_and_the_lowest_class_among_equals() {
        // One side of the 9 lies on class 5, one on 3, one on 4; those at the image's edge count nothing.
        let map = runs(3, &[5, 9, 3, 5, 4, 3]);
        let nine = Regions::of(&map, Neighbours::Four, |class| class == 9);
        assert_eq!(nine.surroundings(&map, |_| true), [Some(3)]);
        assert_eq!(nine.surroundings(&map, |_| false), [None]);
        let wide = runs(4, &[5, 9, 9, 3, 5, 4, 4, 3]);
        let nine = Regions::of(&wide, Neighbours::Four, |class| class == 9);
        assert_eq!(nine.surroundings(&wide, |_| true), [Some(4)]);
        let all = runs(2, &[9, 9]);
        assert_eq!(Regions::of(&all, Neighbours::Four, |class| class == 9).surroundings(&all, |_| true), [None]);
    }
}
