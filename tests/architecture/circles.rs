//! Circles of files: those that import each other, directly or by way of others.

use super::crates;
use super::modules::{Crate, Target, Way};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the pairs of files of which the first uses items of the second, with the paths that do so.
///
/// A path counts for the file that defines the item, not for those that re-export it. Neither a re-export nor `mod`
/// makes an edge by itself. A glob leads to the file of its module.
pub fn edges(krate: &Crate) -> BTreeMap<(usize, usize), BTreeSet<String>> {
    let mut edges: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for mention in krate.mentions.iter().filter(|mention| mention.way != Way::Reexport) {
        let from = krate.modules[mention.module].file;
        for target in krate.targets(mention) {
            if let Target::File(to) = target
                && to != from
            {
                edges.entry((from, to)).or_default().insert(mention.path.segments.join("::"));
            }
        }
    }
    edges
}

/// Returns the strongly connected components of more than one file, the largest first.
pub fn circles(edges: &BTreeMap<(usize, usize), BTreeSet<String>>) -> Vec<BTreeSet<usize>> {
    let files: BTreeSet<usize> = edges.keys().flat_map(|(from, to)| [*from, *to]).collect();
    let reach = |start: usize| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(file) = open.pop() {
            open.extend(
                edges.range((file, 0)..=(file, usize::MAX)).map(|((_, to), _)| *to).filter(|to| seen.insert(*to)),
            );
        }
        seen
    };
    let reached: BTreeMap<usize, BTreeSet<usize>> = files.iter().map(|file| (*file, reach(*file))).collect();
    let circle = |file: &usize| -> BTreeSet<usize> {
        reached[file].iter().filter(|other| reached[other].contains(file)).copied().collect()
    };
    let found: BTreeSet<BTreeSet<usize>> = files.iter().map(circle).filter(|circle| !circle.is_empty()).collect();
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|circle| usize::MAX - circle.len());
    found
}

/// Lists the edges within the circles of a crate.
fn describe(krate: &Crate) -> String {
    let edges = edges(krate);
    let circles = circles(&edges);
    let folder = krate.files[0].parent().unwrap();
    let name = |file: usize| krate.files[file].strip_prefix(folder).unwrap_or(&krate.files[file]).display().to_string();
    let mut text = String::new();
    for circle in &circles {
        text += &format!("circle of {} files\n", circle.len());
        for ((from, to), paths) in edges.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to)) {
            // A name that is imported stands in the list with its whole path already.
            let again = |path: &String| paths.iter().any(|other| other.ends_with(&format!("::{path}")));
            let paths: Vec<&str> = paths.iter().filter(|path| !again(path)).map(String::as_str).collect();
            text += &format!("  {} uses {}: {}\n", name(*from), name(*to), paths.join(", "));
        }
    }
    text
}

#[test]
fn files_import_each_other_in_no_circle() {
    let of_crate = |(name, krate): &(String, Crate)| {
        let circles = describe(krate);
        (!circles.is_empty()).then(|| format!("{name}\n{circles}"))
    };
    let found: String = crates().iter().filter_map(of_crate).collect();
    assert!(found.is_empty(), "Move what the files of a circle need of each other into a file of its own:\n{found}");
}
