//! A class map as runs of equal pixels.

use std::ops::Range;

/// Class ids of an image as runs of equal pixels, row by row. Neighbouring runs of a row have different classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    width: u32,
    /// Column behind each run.
    ends: Vec<u32>,
    classes: Vec<u8>,
    /// Number of the first run of each row, and behind the last row the number of all runs.
    rows: Vec<usize>,
}

/// A run of equal pixels in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Number of the run in its image.
    pub number: usize,
    /// Its first column.
    pub start: u32,
    /// Column behind it.
    pub end: u32,
    /// Class id of its pixels.
    pub class: u8,
}

impl Run {
    /// Returns the number of its pixels.
    pub fn pixels(&self) -> u64 {
        u64::from(self.end - self.start)
    }

    /// Returns its columns.
    pub fn columns(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Runs {
    /// Creates the map of an image of this width that has no rows yet.
    pub fn new(width: u32) -> Self {
        Self { width, ends: Vec::new(), classes: Vec::new(), rows: vec![0] }
    }

    /// Appends whole rows of class ids. Pixels behind the last whole row are left out.
    pub fn push(&mut self, ids: &[u8]) {
        for row in ids.chunks_exact((self.width as usize).max(1)) {
            let mut end = 0;
            for run in row.chunk_by(|one, next| one == next) {
                end += run.len() as u32;
                self.ends.push(end);
                self.classes.push(run[0]);
            }
            self.rows.push(self.ends.len());
        }
    }

    /// Returns the number of columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of rows so far.
    pub fn height(&self) -> usize {
        self.rows.len() - 1
    }

    /// Returns the number of runs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if there are no runs.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the runs of a row, from the left.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Run> + '_ {
        let numbers = match self.rows.get(row..=row + 1) {
            Some(&[first, last]) => first..last,
            _ => 0..0,
        };
        let mut start = 0;
        numbers.map(move |number| {
            let end = self.ends[number];
            let run = Run { number, start, end, class: self.classes[number] };
            start = end;
            run
        })
    }

    /// Returns the class ids of some rows, row by row.
    pub fn pixels(&self, rows: Range<usize>) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(rows.len() * self.width as usize);
        for run in rows.flat_map(|row| self.row(row)) {
            pixels.resize(pixels.len() + run.columns().len(), run.class);
        }
        pixels
    }

    /// Gives each run the class that `class` returns for its number and its class, and joins runs that have become
    /// equal.
    pub fn change(&mut self, class: impl Fn(usize, u8) -> u8) {
        // Runs move towards the front, never past one that has not been read.
        let (mut first, mut kept) = (0, 0);
        for row in 0..self.height() {
            let (last, first_kept) = (self.rows[row + 1], kept);
            for number in first..last {
                let class = class(number, self.classes[number]);
                if kept > first_kept && self.classes[kept - 1] == class {
                    self.ends[kept - 1] = self.ends[number];
                } else {
                    (self.ends[kept], self.classes[kept]) = (self.ends[number], class);
                    kept += 1;
                }
            }
            first = last;
            self.rows[row + 1] = kept;
        }
        self.ends.truncate(kept);
        self.classes.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back_however_they_came() {
        let ids = [1, 1, 2, 0, 0, 0, 3, 1, 3];
        for portion in [3, 6, 9] {
            let mut runs = Runs::new(3);
            ids.chunks(portion).for_each(|rows| runs.push(rows));
            assert_eq!((runs.height(), runs.len(), runs.pixels(0..3)), (3, 6, ids.to_vec()));
            assert_eq!(runs.pixels(1..2), [0, 0, 0]);
            let last: Vec<Run> = runs.row(2).collect();
            assert_eq!(last[1], Run { number: 4, start: 1, end: 2, class: 1 });
        }
        assert_eq!(Runs::new(5).row(0).count(), 0);
    }

    #[test]
    fn runs_that_become_equal_are_one() {
        let mut runs = Runs::new(4);
        runs.push(&[1, 2, 1, 3, 0, 2, 0, 2]);
        runs.change(|_, class| if class == 2 { 1 } else { class });
        assert_eq!((runs.len(), runs.pixels(0..2)), (6, vec![1, 1, 1, 3, 0, 1, 0, 1]));
        let mut same = Runs::new(4);
        same.push(&runs.pixels(0..2));
        assert_eq!(runs, same);
    }
}
