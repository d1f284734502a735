//! `app export`: the files that others get of a trained network.

use super::support::{Place, Ran, onnx_runtime, python, root, skip};
use serde_json::Value;
use std::fs;
use tch::{CModule, Device, Kind, Tensor};

const NORMALIZED: &str = r#"--set data.normalize={"mean":[0.5,0.4,0.3],"std":[0.2,0.3,0.4]}"#;

#[test]
fn a_saved_network_is_a_triton_model_that_gives_what_validation_saw() {
    let place = Place::new();
    place.train(&format!("--run runs/shapes {NORMALIZED}")).ok();
    let ran = place.app("export --run runs/shapes").ok();
    assert_eq!(ran.stdout.trim(), "saved_models/shapes/1");
    assert_eq!(place.app("export --run runs/shapes --checkpoint best").ok().stdout.trim(), "saved_models/shapes/2");
    let triton = fs::read_to_string(place.path("saved_models/shapes/config.pbtxt")).unwrap();
    assert!(triton.contains("pytorch_libtorch") && triton.contains("dims: [ -1, 4, -1, -1 ]"), "{triton}");
    let folder = place.path("saved_models/shapes/1");
    let saved: Value = serde_json::from_slice(&fs::read(folder.join("model.json")).unwrap()).unwrap();
    assert_eq!(saved["classes"][1], serde_json::json!({"id": 1, "name": "circle", "color": "#56b4e9"}));
    assert_eq!((&saved["normalize"]["mean"][1], &saved["size"][0]), (&0.4.into(), &16.into()));
    assert_eq!(saved["parity"]["model.pt"]["samples"], 12);
    assert_eq!(saved["parity"]["model.pt"]["class_agreement"], 1.0);
    assert_eq!(saved["scores"]["mean_iou"], place.metrics("runs/shapes").last().unwrap()["mean_iou"]);
    // As other programs use it, on a picture in its own size: the class map is that of predict.
    let script = CModule::load(folder.join("model.pt")).unwrap();
    let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, 128]));
    picture.save(place.path("a.png")).unwrap();
    place.app("predict --run runs/shapes --output out a.png").ok();
    let expected = image::open(place.path("out/a.png")).unwrap().into_luma8().into_raw();
    let values =
        Tensor::from_slice(picture.as_raw()).view([1, 16, 16, 3]).permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0;
    let found = script.forward_ts(&[&values]).unwrap().argmax(1, false).flatten(0, -1);
    assert_eq!(Vec::<i64>::try_from(found).unwrap(), expected.iter().map(|id| i64::from(*id)).collect::<Vec<_>>());
    // Any number of images, and other sizes.
    let many = Tensor::rand([3, 3, 32, 48], (Kind::Float, Device::Cpu));
    assert_eq!(script.forward_ts(&[many]).unwrap().size(), [3, 4, 32, 48]);
    // oxiseg runs it, too, without the run: with the run's data, or others.
    let object = |ran: Ran| serde_json::from_str::<Value>(&ran.ok().stdout).unwrap();
    let of_run = object(place.app("validate --run runs/shapes --json"));
    fs::rename(place.path("runs/shapes"), place.path("elsewhere")).unwrap();
    let of_model = object(place.app("validate --model saved_models/shapes/1 --json"));
    assert_eq!((&of_model["iou"], &of_model["epoch"]), (&of_run["iou"], &2.into()));
    assert_eq!(of_model["checkpoint"], "saved_models/shapes/1");
    let fewer = "validate --model saved_models/shapes/1 --json --set data.validation_samples=5";
    assert_eq!(object(place.app(fewer))["samples"], 5);
    place.app("predict --model saved_models/shapes/1 --output again a.png").ok();
    assert_eq!(fs::read(place.path("again/a.png")).unwrap(), fs::read(place.path("out/a.png")).unwrap());
    place.app("predict --model saved_models/shapes/1 --run x --output x a.png").refused(2, "cannot be used with");
    place.app("predict --model saved_models/shapes --output x a.png").refused(2, "is no saved network: model.json");
    // The weights start a new run.
    let weights = folder.join("model.safetensors");
    let start = format!(r#"--run again --set model.weights={{"path":"{}"}}"#, weights.display());
    assert!(place.train(&start).ok().stderr.contains("Starting from"));
}

#[test]
fn nothing_is_published_over_another_version_or_network() {
    let place = Place::new();
    place.train("--run runs/shapes").ok();
    place.app("export --run runs/shapes --output out/7").ok();
    place
        .app("export --run runs/shapes --output out/7")
        .refused(2, "out/7 exists already, and a version never changes: take 8");
    place.app("export --run runs/shapes --output out/last").refused(2, "a version is a number");
    place.train("--run runs/grey --set data.kind=shapes --set model.width=2").ok();
    fs::write(place.path("out/config.pbtxt"), "of another").unwrap();
    place.app("export --run runs/grey --output out/8").refused(2, "other inputs, outputs or formats");
    assert!(!place.path("out/8").exists());
    let hidden = fs::read_dir(place.path("out"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_training_ends_by_saving_its_best_network_unless_it_is_told_not_to() {
    let place = Place::new();
    let train = "--run runs/shapes --set export.at_end=true --set checkpoint.best=mean_iou";
    let ran = place.train(&format!("{train} --until-step 5")).refused(75, "Stopped at step 5");
    assert!(!ran.stderr.contains("saved_models") && !place.path("saved_models").exists());
    let ran = place.train(train).ok();
    assert!(ran.stderr.contains("Saved the network: saved_models/shapes/1"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("saved_models"), "stdout has the scores: {}", ran.stdout);
    let saved: Value =
        serde_json::from_slice(&fs::read(place.path("saved_models/shapes/1/model.json")).unwrap()).unwrap();
    let best = place.app("validate --run runs/shapes --checkpoint best --json").ok().stdout;
    let best: Value = serde_json::from_str(&best).unwrap();
    assert_eq!((&saved["run"]["checkpoint"], &saved["run"]["epoch"]), (&best["checkpoint"], &best["epoch"]));
    // A network that cannot be saved leaves a finished run.
    fs::write(place.path("saved_models/shapes/config.pbtxt"), "of another").unwrap();
    let ran =
        place.train(&format!("{train} --set train.epochs=3")).refused(2, "is trained, and its network was not saved");
    assert!(ran.stderr.contains("app export --run runs/shapes"), "{}", ran.stderr);
    // The same command tries again, until it is there.
    fs::remove_dir_all(place.path("saved_models/shapes/1")).unwrap();
    let again = || place.train(&format!("{train} --set train.epochs=3"));
    again().refused(2, "is trained, and its network was not saved");
    fs::remove_file(place.path("saved_models/shapes/config.pbtxt")).unwrap();
    for saves in [true, false] {
        let ran = again().ok();
        assert!(ran.stderr.contains("is finished"), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("Saved the network: saved_models/shapes/1"), saves, "{}", ran.stderr);
    }
}

#[test]
fn others_give_the_same_classes_and_what_was_compared_is_told() {
    let (Some(library), Some(mut python)) = (onnx_runtime(), python()) else {
        return skip("ONNX, for there is no ONNX Runtime (scripts/python installs it)");
    };
    let place = Place::new();
    place.train(&format!("--run runs/shapes {NORMALIZED}")).ok();
    let ran = place.app("export --run runs/shapes").ok();
    let compared = |number: u32| {
        let folder = place.path(&format!("saved_models/shapes/{number}"));
        let saved: Value = serde_json::from_slice(&fs::read(folder.join("model.json")).unwrap()).unwrap();
        saved["parity"].clone()
    };
    // Where there is no ONNX Runtime, rten compares.
    assert_eq!(compared(1)["model.onnx"]["class_agreement"], 1.0, "{}", ran.stderr);
    let export = |more: &str| {
        let mut command = place.command(&format!("export --run runs/shapes {more}"));
        Ran::new(command.env("ORT_DYLIB_PATH", &library).output().unwrap())
    };
    export("--set export.samples=7").ok();
    assert_eq!(compared(2)["model.onnx"]["samples"], 7);
    assert_eq!(compared(2)["model.onnx"]["class_agreement"], 1.0);
    assert_eq!(compared(2)["model.safetensors"]["max_error"], 0.0);
    // Weights of 16 bits take half the room, and their deviations are reported.
    export("--set export.weights=bf16 --formats safetensors,torchscript").ok();
    let size = |number: u32| {
        fs::metadata(place.path(&format!("saved_models/shapes/{number}/model.safetensors"))).unwrap().len()
    };
    assert!(size(3) < size(2) * 6 / 10, "{} and {}", size(3), size(2));
    assert!(
        compared(3)["model.safetensors"]["max_error"].as_f64().unwrap() > 1e-6 && compared(3)["model.onnx"].is_null()
    );
    assert!(!place.path("saved_models/shapes/3/model.onnx").exists());
    export("--formats oxnn").refused(2, "[possible values: torchscript, onnx, safetensors, int8]");
    // Python runs it without oxiseg.
    let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, (x * y) as u8]));
    picture.save(place.path("a.png")).unwrap();
    place.app("predict --model saved_models/shapes/2 --output out a.png").ok();
    python.arg(root().join("scripts/check_model")).args(["saved_models/shapes/2", "a.png", "--classes", "out"]);
    let said = Ran::new(python.current_dir(place.path("")).output().unwrap()).ok().stdout;
    assert!(said.contains(": valid (onnx.checker)"), "{said}");
    let same = "a.png: model.onnx and app predict give the same class in 100.0000% of the pixels";
    let same =
        same.replace("model.onnx and", if said.contains("model.pt") { "model.pt and" } else { "model.onnx and" });
    assert!(said.contains(&same), "{said}");
}

/// Exports in 16 and in 8 bits, which take less room, agree and run elsewhere; too tight a tolerance publishes nothing.
#[test]
fn sixteen_and_eight_bits_agree_or_nothing_is_published() {
    let (Some(library), Some(mut python)) = (onnx_runtime(), python()) else {
        return skip("ONNX, for there is no ONNX Runtime (scripts/python installs it)");
    };
    let place = Place::new();
    // Trained well enough that classes do not hang on the last digits.
    let more = "--set data.train_samples=300 --set data.validation_samples=40 --set data.loader.batch_size=10";
    let longer = "--set model.width=16 --set train.epochs=20 --set optimizer.learning_rate=0.003";
    place.train(&format!("--run runs/shapes {more} {longer} {NORMALIZED}")).ok();
    let export = |more: &str| {
        let mut command = place.command(&format!("export --run runs/shapes {more}"));
        Ran::new(command.env("ORT_DYLIB_PATH", &library).output().unwrap())
    };
    let size = |path: &str| fs::metadata(place.path(path)).unwrap().len();
    let parity = |folder: &str, file: &str| {
        let saved: Value = serde_json::from_slice(&fs::read(place.path(folder).join("model.json")).unwrap()).unwrap();
        saved["parity"][file].clone()
    };
    export("--formats onnx --output whole/1").ok();
    export("--formats onnx --set export.onnx=fp16 --output half/1").ok();
    assert!(size("half/1/model.onnx") * 10 < size("whole/1/model.onnx") * 6);
    let of_half = parity("half/1", "model.onnx");
    assert!(of_half["class_agreement"].as_f64().unwrap() >= 0.999 && of_half["max_error"].as_f64().unwrap() > 0.0);
    assert!(of_half["mean_iou"].is_null());

    let ran = export("--formats int8 --output int8/1").ok();
    assert!(ran.stderr.contains("Measured the ranges for model.int8.onnx on 64 training samples"), "{}", ran.stderr);
    assert!(size("int8/1/model.int8.onnx") * 10 < size("whole/1/model.onnx") * 4);
    let mut files: Vec<_> = fs::read_dir(place.path("int8/1")).unwrap().map(|it| it.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["model.int8.onnx", "model.json"]);
    let scores: Vec<f64> = serde_json::from_value(parity("int8/1", "model.int8.onnx")["mean_iou"].clone()).unwrap();
    let of_run: Value = serde_json::from_str(&place.app("validate --run runs/shapes --json").ok().stdout).unwrap();
    assert!((scores[0] - of_run["mean_iou"].as_f64().unwrap()).abs() < 1e-3, "{scores:?}");
    assert!(scores[0] - scores[1] <= 0.01, "the default tolerance: {scores:?}");
    // Triton looks for model.onnx unless it is told otherwise.
    let triton = |folder: &str| fs::read_to_string(place.path(folder).join("config.pbtxt")).unwrap();
    assert!(triton("int8").contains("onnxruntime_onnx\"\ndefault_model_filename: \"model.int8.onnx\""));
    assert!(!triton("whole").contains("default_model_filename"));
    // The same seed, the same file.
    export("--formats int8 --output again/1").ok();
    let bytes = |folder: &str| fs::read(place.path(folder).join("1/model.int8.onnx")).unwrap();
    assert!(bytes("int8") == bytes("again"));

    // Ranges of one image, and no fall allowed.
    let tight = "--formats int8,onnx --set export.int8_tolerance=0 --set export.int8_samples=1 --output tight/1";
    let ran = export(tight).refused(1, "model.int8.onnx costs too much: the mean IoU on 40 validation samples is");
    assert!(ran.stderr.contains("export.int8_tolerance allows 0") && !place.path("tight/1").exists());
    assert_eq!(fs::read_dir(place.path("tight")).unwrap().count(), 0);
    export("--set export.int8_tolerance=2").refused(2, "export.int8_tolerance: must be from 0 to 1, is 2");

    // Without ONNX Runtime, rten measures.
    let ran = place.app("export --run runs/shapes --formats int8 --output rten/1").ok();
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        assert!(ran.stderr.contains("so rten runs model.int8.onnx"), "{}", ran.stderr);
    }
    // Python runs both without oxiseg.
    export("--formats onnx,int8 --output both/1").ok();
    let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, (x * y) as u8]));
    picture.save(place.path("a.png")).unwrap();
    python.arg(root().join("scripts/check_model")).args(["both/1", "a.png"]).current_dir(place.path(""));
    let ran = Ran::new(python.output().unwrap());
    assert!(ran.stdout.contains("model.int8.onnx: valid (onnx.checker)"), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("a.png: model.onnx and model.int8.onnx give the same class in"), "{}", ran.stdout);
}

#[test]
fn a_damaged_saved_network_is_refused() {
    let place = Place::new();
    place.train("--run runs/shapes").ok();
    place.app("export --run runs/shapes --output saved_models/unet/1").ok();
    image::RgbImage::new(8, 8).save(place.path("a.png")).unwrap();
    place.app("export --run runs/shapes --output saved_models/unet/2 --formats torchscript").ok();
    for (version, name) in [(1, "model.safetensors"), (2, "model.pt")] {
        let file = place.path(&format!("saved_models/unet/{version}/{name}"));
        let predict = || place.app(&format!("predict --model saved_models/unet/{version} --output out a.png"));
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [&whole[..whole.len() / 2], &flipped, b""] {
            fs::write(&file, bytes).unwrap();
            predict().refused(1, &format!("{name} is damaged"));
        }
        fs::remove_file(&file).unwrap();
        predict().refused(1, &format!("{name}: No such file"));
        fs::create_dir(&file).unwrap();
        predict().refused(1, &format!("{name}: it is a folder, and only regular files are read"));
    }
    fs::write(place.path("saved_models/unet/1/model.json"), "{\"format\": 1}").unwrap();
    place.app("predict --model saved_models/unet/1 --output out a.png").refused(1, "missing field `files`");
    assert!(!place.path("out").exists());
    place.app("export --run runs/shapes --formats safetensors --output weights/1").ok();
    assert!(!place.path("weights/config.pbtxt").exists());
    place.app("predict --model weights/1 --output fine a.png").ok();
    place.app("export --run runs/shapes --formats onnx --output onnx/1").ok();
    place.app("predict --model onnx/1 --output out a.png").refused(2, "has neither model.safetensors nor model.pt");
    assert!(!place.path("out").exists());
}
