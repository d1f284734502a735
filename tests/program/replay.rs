//! The record of a refused batch, and `app train --replay`, which examines it.

use super::life::published;
use super::support::Place;
use std::fs;

/// Makes a run that stops, and returns the folder of the batch that it refused.
fn stopped(place: &Place) -> String {
    let options = "--run nan --set optimizer.rule.kind=sgd --set optimizer.learning_rate=1e30 --set train.epochs=5";
    let ran = place.train(options).refused(1, "To see what happened: app train --replay nan/rejected/step-");
    let folder = ran.stderr.split_once("app train --replay ").unwrap().1.split_whitespace().next().unwrap();
    assert!(place.path(folder).join("batch.safetensors").is_file(), "{folder}");
    folder.into()
}

#[test]
fn a_refused_batch_is_shown_sample_by_sample() {
    let place = Place::new();
    let folder = stopped(&place);
    let before = fs::read_dir(place.path("nan")).unwrap().count();
    let shown = place.app(&format!("train --replay {folder}")).ok();
    let table: Vec<&str> = shown.stdout.lines().collect();
    assert!(table[0].starts_with("sample ") && table[0].ends_with(" loss"), "{}", shown.stdout);
    let samples = table[1..].iter().take_while(|line| line.starts_with("shapes-train-"));
    assert_eq!(samples.count(), 5, "one line for each of the batch:\n{}", shown.stdout);
    assert!(shown.stdout.contains("not finite"), "{}", shown.stdout);
    assert!(shown.stdout.contains("As in the run, where the loss was "), "{}", shown.stdout);
    assert_eq!(fs::read_dir(place.path("nan")).unwrap().count(), before, "it changes nothing");
    // Replaying works from anywhere, also if the run itself is gone.
    fs::rename(place.path(&folder), place.path("step-0000000099")).unwrap();
    place.app("train --replay step-0000000099").refused(1, "manifest.json");
    fs::rename(place.path("step-0000000099"), place.path("kept")).unwrap();
    fs::remove_dir_all(place.path("nan")).unwrap();
    assert_eq!(place.app("train --replay kept").ok().stdout, shown.stdout);
}

#[test]
fn what_holds_no_batch_is_not_replayed() {
    let place = Place::new();
    place.train("").ok();
    let checkpoint = published(&place, "runs/tiny").pop().unwrap();
    let checkpoint = checkpoint.display();
    place
        .app(&format!("train --replay {checkpoint}"))
        .refused(1, "holds no batch: take a folder that a run left under");
    place.app("train --replay nowhere").refused(1, "nowhere");
    place.app(&format!("train --replay {checkpoint} --run runs/tiny")).refused(2, "cannot be used with");
}

#[test]
fn a_damaged_batch_is_named_and_not_replayed() {
    let place = Place::new();
    let folder = stopped(&place);
    let file = place.path(&folder).join("batch.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let refused = place.app(&format!("train --replay {folder}")).refused(1, "batch.safetensors");
    assert!(refused.stdout.is_empty(), "{}", refused.stdout);
    fs::remove_file(file).unwrap();
    place.app(&format!("train --replay {folder}")).refused(1, "batch.safetensors");
}
