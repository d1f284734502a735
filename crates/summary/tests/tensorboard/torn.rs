//! An event file cut at any byte, read before and after the run resumes.

use crate::logs::{Logs, each_step, read};
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use summary::{Histogram, Image, Record, Stage, TensorBoard, Value, Writer};

/// Writes epoch `epoch` of training: a scalar, an image, a histogram.
fn write(writer: &mut TensorBoard, epoch: u64) {
    for value in [
        each_step(epoch),
        Value::Images { name: "samples".into(), images: vec![Image::new(1, 1, vec![0; 3]).unwrap()] },
        Value::Histograms(vec![("weights".into(), Histogram::of(&[0.5]))]),
    ] {
        writer.write(&Record::new(Stage::Train, epoch, epoch, value)).unwrap();
    }
}

/// Returns the offsets at which the records of an event file end, with 0 first.
fn ends(file: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    while let Some(length) = file[ends[ends.len() - 1]..].first_chunk() {
        ends.push(ends[ends.len() - 1] + 16 + u64::from_le_bytes(*length) as usize);
    }
    ends
}

/// Creates a run's `train` folder with this as its only event file.
fn put(run: &Path, name: &Path, file: &[u8]) -> PathBuf {
    let folder = run.join("train");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), file).unwrap();
    folder
}

#[test]
fn a_file_cut_at_any_byte_opens_up_to_there_and_the_run_goes_on() {
    let logs = Logs::new();
    let whole = logs.folder().join("whole");
    let mut writer = TensorBoard::new(&whole);
    (1..=2).for_each(|epoch| write(&mut writer, epoch));
    drop(writer);
    let path = fs::read_dir(whole.join("train")).unwrap().next().unwrap().unwrap().path();
    let (name, file) = (Path::new(path.file_name().unwrap()), fs::read(&path).unwrap());
    let ends = ends(&file);
    assert_eq!(ends.len(), 8, "a version and six records");

    let [torn, resumed] = ["torn", "resumed"].map(|folder| logs.folder().join(folder));
    for cut in 0..=file.len() {
        put(&torn.join(cut.to_string()), name, &file[..cut]);
        let run = resumed.join(cut.to_string());
        put(&run, name, &file[..cut]);
        // Resume after the first epoch; for every other cut twice, so that the second process finds the work of the
        // first.
        for _ in 0..=cut % 2 {
            let mut writer = TensorBoard::new(&run);
            writer.write(&Record::new(Stage::Run, 1, 1, Value::Restart)).unwrap();
            (2..=3).for_each(|epoch| write(&mut writer, epoch));
        }
    }
    let Some(said) = read("read_many.py", &torn) else { return };
    let gone_on = read("read_many.py", &resumed).unwrap();
    let steps = |run: &Json, tag: &str| run.get(tag).cloned().unwrap_or(json!([]));
    for cut in 0..=file.len() {
        let run = &said[cut.to_string()];
        let records = ends.iter().filter(|end| **end <= cut).count().saturating_sub(2);
        for (n, tag) in ["loss", "samples", "weights"].into_iter().enumerate() {
            let kept: Vec<usize> = (1..=2).filter(|epoch| (epoch - 1) * 3 + n < records).collect();
            assert_eq!(steps(run, tag), json!(kept), "{tag}, cut at {cut}");
            let mut all: Vec<usize> = kept.into_iter().filter(|epoch| *epoch == 1).collect();
            all.extend([2, 3]);
            assert_eq!(steps(&gone_on[cut.to_string()], tag), json!(all), "{tag}, cut at {cut} and gone on");
        }
    }
}
