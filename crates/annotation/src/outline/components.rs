//! Connected components of a class map, as runs joined by union-find.

use super::trace::Grid;

/// Pixels that belong to one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// Pixels with a common side.
    Four,
    /// Pixels with a common side or corner.
    Eight,
}

/// Component of each pixel.
pub(super) struct Components {
    /// First run of each row, and behind the last row the number of runs.
    rows: Vec<u32>,
    /// First column of each run.
    starts: Vec<u32>,
    /// A run of the same component, or the run itself.
    parents: Vec<u32>,
}

impl Components {
    /// Labels the pixels of a map; all classes have components, the ignored too.
    pub(super) fn new(grid: &Grid, neighbours: Neighbours) -> Components {
        let mut components = Components { rows: vec![0], starts: Vec::new(), parents: Vec::new() };
        // A run that ends in the column before touches an 8-connected one.
        let reach = u32::from(neighbours == Neighbours::Eight);
        let mut above: Vec<(u32, u32, u8)> = Vec::new();
        let mut current: Vec<(u32, u32, u8)> = Vec::new();
        for row in grid.map.chunks_exact(grid.width as usize) {
            current.clear();
            for (x, &class) in row.iter().enumerate() {
                match current.last_mut() {
                    Some((_, end, last)) if *last == class => *end += 1,
                    _ => current.push((x as u32, x as u32 + 1, class)),
                }
            }
            let first = components.starts.len() as u32;
            let first_above = first - above.len() as u32;
            components.starts.extend(current.iter().map(|(start, _, _)| start));
            components.parents.extend(first..first + current.len() as u32);
            let mut candidate = 0;
            for (run, &(start, end, class)) in current.iter().enumerate() {
                while above.get(candidate).is_some_and(|(_, end, _)| end + reach <= start) {
                    candidate += 1;
                }
                let touching = above[candidate..].iter().take_while(|(from, _, _)| *from < end + reach);
                for (offset, _) in touching.enumerate().filter(|(_, (_, _, other))| *other == class) {
                    components.join(first + run as u32, first_above + (candidate + offset) as u32);
                }
            }
            components.rows.push(components.starts.len() as u32);
            std::mem::swap(&mut above, &mut current);
        }
        components
    }

    /// Returns the component of a pixel: the number of its first run.
    pub(super) fn at(&self, [x, y]: [u32; 2]) -> u32 {
        let row = self.rows[y as usize] as usize..self.rows[y as usize + 1] as usize;
        let run = self.starts[row.clone()].partition_point(|start| *start <= x) + row.start - 1;
        self.root(run as u32)
    }

    fn root(&self, mut run: u32) -> u32 {
        while self.parents[run as usize] != run {
            run = self.parents[run as usize];
        }
        run
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.shorten(one), self.shorten(other));
        self.parents[one.max(other) as usize] = one.min(other);
    }

    /// Finds the root, and lets each second run on the way skip one.
    fn shorten(&mut self, mut run: u32) -> u32 {
        while self.parents[run as usize] != run {
            let parent = self.parents[run as usize];
            self.parents[run as usize] = self.parents[parent as usize];
            run = self.parents[run as usize];
        }
        run
    }
}
