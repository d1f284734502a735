//! Tests that the program does what was asked, or reports that it does not: names of scores, finished runs, a continued
//! learning rate, text encodings, impossible names, a full stdout.

use super::support::{Place, Ran};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;

#[test]
fn a_best_checkpoint_by_no_score_is_refused_before_anything_is_made() {
    let place = Place::new();
    let refused = place.train("--set checkpoint.best=mean_iuo");
    let refused = refused.refused(2, "checkpoint.best: there is no validation score \"mean_iuo\", only loss, accuracy");
    assert!(refused.stderr.contains("; did you mean mean_iou?"), "{}", refused.stderr);
    place.train("--set checkpoint.best=iou/dog").refused(2, "iou/background, iou/circle");
    place.train("--set checkpoint.best=pixels").refused(2, "no validation score \"pixels\"");
    assert!(!place.path("runs").exists());
    place.train("--set checkpoint.best=dice/circle --set train.epochs=1").ok();
    let other = place.train("--run other --set checkpoint.best=loss --set train.epochs=1").ok();
    assert!(other.stderr.contains("checkpoint.best is loss and checkpoint.mode is max"), "{}", other.stderr);
}

#[test]
fn a_learning_rate_that_follows_a_score_needs_one_and_goes_on_where_it_was() {
    let place = Place::new();
    let plateau = "--set schedule.decay.kind=plateau";
    let refused = place.train(&format!("{plateau} --set schedule.decay.score=mean_iuo"));
    let refused = refused.refused(2, "schedule.decay.score: there is no validation score \"mean_iuo\", only loss");
    assert!(refused.stderr.contains("; did you mean mean_iou?"), "{}", refused.stderr);
    place.train(&format!("{plateau} --set schedule.decay.patiense=1")).refused(2, "schedule.decay.patiense");
    place.train(&format!("{plateau} --set schedule.decay.factor=1")).refused(2, "schedule.decay.factor");
    assert!(!place.path("runs").exists());

    // No score is ever almost twice as good as the first one, so every further validation drops the learning rate.
    let options = format!(
        "{plateau} --set schedule.decay.score=accuracy --set schedule.decay.mode=max --set schedule.decay.patience=0 \
         --set schedule.decay.threshold=0.9 --set schedule.decay.factor=0.5 --set train.epochs=4"
    );
    place.train(&format!("{options} --run straight")).ok();
    let lines = place.metrics("straight");
    let rates: Vec<f64> = lines
        .iter()
        .filter(|line| line["stage"] == "train")
        .map(|line| line["learning_rate"].as_f64().unwrap())
        .collect();
    assert_eq!(rates, [1e-3, 1e-3, 5e-4, 2.5e-4]);
    let epoch = lines.last().unwrap()["step"].as_u64().unwrap() / 4;
    // Within an epoch, and at its end, before and after which the learning rate differs.
    for step in [2 * epoch - 1, 2 * epoch] {
        let run = format!("{options} --run stopped-{step}");
        place.train(&format!("{run} --until-step {step}")).refused(75, "Stopped at step");
        let asked = place.train(&run.replace("patience=0", "patience=3"));
        asked.refused(2, "schedule.decay.patience: 0 -> 3 (if it is meant: --allow schedule.decay.patience)");
        place.train(&run).ok();
        for file in ["model.safetensors", "optimizer.safetensors"] {
            assert!(place.last("straight", file) == place.last(&format!("stopped-{step}"), file), "{step}: {file}");
        }
    }
}

#[test]
fn a_training_ends_early_as_finished_and_goes_on_if_that_is_asked_for() {
    let place = Place::new();
    let early = |score: &str, patience: u64| {
        let rule = format!(r#"{{"score":"{score}","mode":"max","min_delta":2,"patience":{patience}}}"#);
        format!("--set train.early_stopping={rule} --set train.epochs=9 --set export.at_end=true")
    };
    let refused = place.train(&early("mean_iuo", 2)).refused(2, "train.early_stopping.score: there is no validation");
    assert!(refused.stderr.contains("; did you mean mean_iou?"), "{}", refused.stderr);
    place.train(&early("mean_iou", 0)).refused(2, "train.early_stopping.patience: must be at least 1, is 0");
    assert!(!place.path("runs").exists());

    // No score is ever better by 2.
    let ran = place.train(&early("mean_iou", 2)).ok();
    assert!(ran.stderr.contains("Training ends early, after epoch 3: mean_iou has not improved on"), "{}", ran.stderr);
    let end = place.metrics("runs/tiny").pop().unwrap();
    assert_eq!((&end["stage"], &end["epoch"], &end["stopped_early"]), (&"run".into(), &3.into(), &2.0.into()));
    let report = fs::read_to_string(place.path("runs/tiny/report.html")).unwrap();
    assert!(report.contains("of 9; early stopping after 2 without an improvement"));
    assert!(place.path("saved_models/tiny/1/model.json").exists());
    let runs: Value = serde_json::from_str(&place.app("runs --json").ok().stdout).unwrap();
    assert!(runs.to_string().contains("\"finished\""), "{runs}");

    let again = place.train(&early("mean_iou", 2)).ok();
    let says = "runs/tiny is finished: 3 epochs. To train longer: --set train.early_stopping=null";
    assert!(again.stderr.contains(says), "{}", again.stderr);
    place.train(&early("mean_iou", 3)).ok();
    let epochs = || place.metrics("runs/tiny").iter().filter(|line| line["stage"] == "train").count();
    assert_eq!(epochs(), 4);
    place.train("--set train.early_stopping=null --set train.epochs=5").ok();
    assert_eq!(epochs(), 5);
}

#[test]
fn where_no_checkpoint_has_the_score_the_newest_is_taken_and_that_is_said() {
    let place = Place::new();
    place.train("--until-step 3").refused(75, "Stopped at step 3");
    let best = place.app("validate --checkpoint best --json").ok();
    let says = "No checkpoint has the score mean_iou (checkpoint.best): taking the newest, \
                runs/tiny/checkpoints/step-0000000003";
    assert!(best.stderr.contains(says), "{}", best.stderr);
    fs::remove_dir_all(place.path("runs/tiny/checkpoints/step-0000000003")).unwrap();
    for which in ["best", "latest"] {
        let said = place.app(&format!("validate --run runs/tiny --checkpoint {which}"));
        said.refused(2, "runs/tiny holds no checkpoint yet: train it first");
    }
}

/// Draws twelve images with a square each, in other places for another `seed`, and writes a configuration called
/// `config.json`.
fn squares(place: &Place, folder: &str, seed: u32) {
    for kind in ["images", "masks"] {
        fs::create_dir_all(place.path(&format!("{folder}/data/{kind}"))).unwrap();
    }
    for i in 0..12 {
        let inside = |x: u32, y: u32| (i * seed % 9..i * seed % 9 + 6).contains(&x) && (3..9).contains(&y);
        let image = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([if inside(x, y) { 200 } else { 50 }; 3]));
        image.save(place.path(&format!("{folder}/data/images/{i:02}.png"))).unwrap();
        let mask = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([inside(x, y).into()]));
        mask.save(place.path(&format!("{folder}/data/masks/{i:02}.png"))).unwrap();
    }
    let config = format!(
        r#"{{"data": {{"kind": "folders", "root": "{folder}/data", "classes": ["ground", "square"], "size": [16, 16]}},
            "model": {{"kind": "unet", "width": 2, "depth": 1}}, "train": {{"epochs": 1, "threads": 1, "device": "cpu"}},
            "summary": {{"tensorboard": false, "report": false}}, "export": {{"at_end": false}}}}"#
    );
    fs::write(place.path(&format!("{folder}/config.json")), config).unwrap();
}

#[test]
fn another_configuration_of_the_same_name_is_not_finished_by_the_first() {
    let place = Place::new();
    squares(&place, "a", 5);
    squares(&place, "b", 7);
    place.app("train --config a/config.json").ok();
    let before = place.metrics("runs/config");
    for longer in ["", " --set train.epochs=2"] {
        let refused = place.app(&format!("train --config b/config.json{longer}"));
        let refused = refused
            .refused(2, "runs/config/checkpoints/step-0000000001 was trained with a different configuration or data");
        assert!(
            refused.stderr.contains("data.train: ") && !refused.stderr.contains("is finished"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("Name another folder with --run"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("Changed (safe)"), "nothing was: {}", refused.stderr);
    }
    assert_eq!(place.metrics("runs/config"), before);
    place.app("train --config b/config.json --run runs/b").ok();

    // The same data in another place counts as the same; differences are named.
    fs::rename(place.path("a/data"), place.path("moved")).unwrap();
    let moved = place.app("train --config a/config.json --set data.root=moved --set export.samples=3").ok();
    assert!(moved.stderr.contains("runs/config is finished: 1 epochs."), "{}", moved.stderr);
    let says = "trained with another configuration, and these changes were not applied: data.root: \"a/data\" -> \
                \"moved\"; export.samples: 16 -> 3. To train with them, name another folder with --run";
    assert!(moved.stderr.contains(says), "{}", moved.stderr);
    // The data of a finished run may be missing if nothing else is asked of it; that of another run may not.
    let gone = place.app("train --config a/config.json").ok();
    assert!(gone.stderr.contains("could not be compared") && gone.stderr.contains("is finished"), "{}", gone.stderr);
    place.app("train --config a/config.json --set data.root=nowhere").refused(1, "nowhere");
}

#[test]
fn a_run_that_is_trained_longer_says_what_becomes_of_the_learning_rate() {
    let place = Place::new();
    let poly = "--set schedule.decay.kind=polynomial";
    place.train(poly).ok();
    let longer = place.train(&format!("{poly} --set train.epochs=4")).ok();
    let rates: Vec<f64> = place
        .metrics("runs/tiny")
        .iter()
        .filter(|line| line["stage"] == "train")
        .map(|line| line["learning_rate"].as_f64().unwrap())
        .collect();
    assert!(rates[2] > rates[1], "{rates:?}");
    let says = format!("The learning rate was {:.2e} and goes on at ", rates[1]);
    assert!(longer.stderr.contains(&says) && longer.stderr.contains("WARN"), "{says}: {}", longer.stderr);
    assert!(longer.stderr.contains("schedule.decay now runs over 4 epochs, and ran over 2"), "{}", longer.stderr);
    // The suggested command works.
    let keep = r#"--set schedule.decay={"kind":"constant"} --set optimizer.learning_rate=1e-5 --set train.epochs=5
                  --allow schedule.decay --allow optimizer.learning_rate"#;
    let kept = place.train(keep).ok();
    assert!(!kept.stderr.contains("The learning rate was"), "{}", kept.stderr);
    assert_eq!(place.metrics("runs/tiny").last().unwrap()["learning_rate"], 1e-5);
}

#[test]
fn texts_as_editors_write_them_are_read_and_others_refused_in_words() {
    let place = Place::new();
    let text = fs::read_to_string(place.path("tiny.json")).unwrap().replace("\"epochs\": 2", "\"epochs\": 1");
    let utf16 = |text: &str| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let latin: Vec<u8> = text.replace("cpu", "cp\u{fc}").chars().map(|c| c as u32 as u8).collect();
    for (name, bytes) in [
        ("bom", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("crlf", text.replace('\n', "\r\n").into_bytes()),
        ("utf16", utf16(&text)),
        ("latin", latin),
    ] {
        fs::write(place.path(&format!("{name}.json")), bytes).unwrap();
    }
    for name in ["bom", "crlf"] {
        place.app(&format!("train --config {name}.json")).ok();
        assert!(place.path("runs").join(name).exists());
    }
    place.app("train --config utf16.json").refused(2, "utf16.json: this is not UTF-8, but UTF-16");
    place.app("train --config latin.json").refused(2, "latin.json: this is not UTF-8 (the byte 0xFC in line 5)");
    place.app("train --config runs").refused(2, "runs is a folder: name the file in it");
    // A run's own copy may also come back from an editor with a BOM.
    let saved = place.path("runs/bom/config.json");
    fs::write(&saved, [b"\xef\xbb\xbf", &fs::read(&saved).unwrap()[..]].concat()).unwrap();
    place.app("validate --run runs/bom").ok();
    place.app("runs").ok();
}

#[test]
fn folders_and_names_that_cannot_be_are_refused_in_words() {
    let place = Place::new();
    fs::write(place.path("file"), "mine").unwrap();
    std::os::unix::fs::symlink("loop", place.path("loop")).unwrap();
    place.train("--run file").refused(2, "file is a file, not a run folder");
    place.app("validate --run file").refused(2, "file is a file, not a run folder");
    place.app("validate --run nowhere").refused(2, "nowhere is not a run folder: it does not exist");
    // A link to itself stands in for an unreadable folder, since root may read any: both are errors of the system.
    for command in ["train --config tiny.json", "validate"] {
        let refused = place.app(&format!("{command} --run loop")).refused(1, "looking for the run folder loop: ");
        assert!(!refused.stderr.contains("no run folder"), "{}", refused.stderr);
    }
    place
        .app("train --config tiny.json --resume newest")
        .refused(2, "there is no checkpoint newest: name the folder of a checkpoint");
    place.app("export --formats tflite").refused(2, "[possible values: torchscript, onnx, safetensors, int8]");
    for option in ["--run=", "--resume=", "--config="] {
        let empty = Ran::new(place.command("train").arg(option).output().unwrap());
        assert_eq!(empty.status, 2, "{option}: {}", empty.stderr);
    }
    assert_eq!(fs::read_to_string(place.path("file")).unwrap(), "mine");
    place.train("--run file/inside").refused(1, "file/inside");
    assert!(!place.path("runs").exists() && !place.path("checkpoints").exists());
}

#[test]
fn a_full_stdout_takes_nothing_from_a_training_and_fails_what_is_only_printed() {
    if !Path::new("/dev/full").exists() {
        return super::support::skip("no /dev/full");
    }
    let place = Place::new();
    let full = |arguments: &str| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        Ran::new(place.command(arguments).stdout(full).stderr(std::process::Stdio::piped()).output().unwrap())
    };
    let ran = full("train --config tiny.json --set export.at_end=true").ok();
    assert!(ran.stderr.contains("WARN") && ran.stderr.contains("was not printed: writing to stdout"), "{}", ran.stderr);
    assert!(place.path("runs/tiny/report.html").exists() && place.path("saved_models/tiny/1/model.json").exists());
    for done in ["export --run runs/tiny", "report --run runs/tiny"] {
        assert!(full(done).ok().stderr.contains("was not printed"), "{done}");
    }
    for result in ["validate --json", "validate", "runs --json", "schema"] {
        full(result).refused(1, "writing to stdout");
    }
}

#[test]
fn no_rate_is_said_where_none_is_known() {
    let place = Place::new();
    // All batches of the epoch are done, but not its end.
    place.train("--set train.epochs=1 --until-step 5").refused(75, "Stopped at step 5");
    let manifest: Value = serde_json::from_slice(&place.last("runs/tiny", "manifest.json")).unwrap();
    let ran = place.train("--set train.epochs=1");
    assert!(!ran.stderr.contains("NaN"), "{manifest}\n{}", ran.stderr);
}
