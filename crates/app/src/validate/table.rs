//! The table of `app validate --csv`: a row for each image and class.

use crate::common::files::{Partial, Replace, folder};
use crate::common::images::Image;
use crate::common::network::Trained;
use crate::common::targets::Inputs;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use data::Dataset;
use metric::{BoundaryScores, Tally};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Columns of the table. Those from `iou` on are empty for a class in neither the mask nor the prediction.
const COLUMNS: [&str; 15] = [
    "name",
    "class",
    "pixels",
    "predicted",
    "intersection",
    "union",
    "iou",
    "dice",
    "precision",
    "recall",
    "boundary_intersection",
    "boundary_union",
    "boundary_iou",
    "hausdorff95",
    "surface_dice",
];

/// Inputs of a validation, which the table never replaces.
pub struct Used<'a> {
    pub dataset: &'a dyn Dataset,
    pub networks: &'a [Trained],
    /// File of the post-processing that is applied.
    pub applied: Option<&'a Path>,
}

/// Checks that the table may be written to `path`: the path is free, or holds a file that `overwrite` allows to
/// replace, which is neither part of a run or saved network in use nor another file that is `used`.
pub fn check(path: &Path, used: &Used, overwrite: bool) -> Result<()> {
    let shown = path.display();
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context(format!("--csv {shown}")),
        Err(_) if folder(path).is_dir() => return Ok(()),
        Err(_) => return Err(usage(format!("--csv {shown}: there is no folder {}", folder(path).display()))),
    };
    if !overwrite {
        return Err(usage(format!("--csv {shown} is there: name another file, or add --overwrite to replace it")));
    }
    if !about.is_file() && !about.is_symlink() {
        return Err(usage(format!("--csv {shown} is no file and cannot be replaced: name another file")));
    }
    let place = folder(path).canonicalize().with_context(|| shown.to_string())?;
    for checkpoint in used.networks.iter().map(|trained| &*trained.checkpoint) {
        // A checkpoint lies in its run as `checkpoints/step-…`; a saved network is a folder of its own.
        let is_run = |above: &&Path| above.join("config.json").is_file();
        let kept = checkpoint.ancestors().take(3).find(is_run).unwrap_or(checkpoint);
        if kept.canonicalize().is_ok_and(|kept| place.starts_with(kept)) {
            return Err(usage(format!("--csv {shown} is part of {}: name another file", kept.display())));
        }
    }
    let mut inputs = Inputs::default();
    if let Some(file) = used.applied {
        inputs.add(file);
        if inputs.at(path).is_some() {
            return Err(usage(format!("--csv {shown} is the file of --postprocess: name another file")));
        }
    }
    for index in 0..used.dataset.len() {
        used.dataset.paths(index)?.iter().for_each(|file| inputs.add(file));
    }
    match inputs.at(path) {
        Some(input) => {
            Err(usage(format!("--csv {shown} is an image or mask ({}): name another file", input.display())))
        }
        None => Ok(()),
    }
}

/// Writes the table, whole or not at all. What was made at `path` since it was checked stays, unless `overwrite`.
pub fn write(path: &Path, images: &[Image], classes: &[String], overwrite: bool) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for image in images {
        for (class, (name, tally)) in classes.iter().zip(&image.tallies).enumerate() {
            let boundaries = image.boundaries.get(class).and_then(Option::as_ref);
            writer.write_record([image.name.clone(), name.clone()].into_iter().chain(fields(tally, boundaries)))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    let partial = Partial::of(path, &bytes)?;
    partial.check(Replace::with(overwrite))?;
    partial.place()
}

/// Returns the numbers of a row.
fn fields(tally: &Tally, boundaries: Option<&BoundaryScores>) -> impl Iterator<Item = String> {
    let counts = [tally.support, tally.predicted, tally.hits, tally.union()].map(|count| count.to_string());
    let or_empty = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let scores = [tally.iou(), tally.dice(), tally.precision(), tally.recall()].map(or_empty);
    let bands = [boundaries.map(|scores| scores.intersection), boundaries.map(|scores| scores.union)];
    let bands = bands.map(|count| count.map_or_else(String::new, |count| count.to_string()));
    let of_boundaries = [
        boundaries.map(BoundaryScores::boundary_iou),
        boundaries.map(|scores| scores.hausdorff95),
        boundaries.map(|scores| scores.surface_dice),
    ];
    counts.into_iter().chain(scores).chain(bands).chain(of_boundaries.map(or_empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_image_and_class_with_names_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let boundaries = BoundaryScores { intersection: 1, union: 4, hausdorff95: 1.5, surface_dice: 0.75 };
        let image = Image {
            name: "a, \"b\"".into(),
            tallies: vec![Tally { hits: 2, support: 4, predicted: 2 }, Tally::default()],
            boundaries: vec![Some(boundaries), None],
        };
        write(&path, std::slice::from_ref(&image), &["sky".into(), "cat".into()], false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], COLUMNS.join(","));
        assert_eq!(rows[1], "\"a, \"\"b\"\"\",sky,4,2,2,4,0.5,0.6666666666666666,1,0.5,1,4,0.25,1.5,0.75");
        assert_eq!(rows[2..], ["\"a, \"\"b\"\"\",cat,0,0,0,0,,,,,,,,,"]);
        // Somebody else's by now.
        let error = write(&path, &[image], &[], false).unwrap_err().to_string();
        assert!(error.contains("made or changed by somebody else"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        write(&path, &[], &[], true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }
}
