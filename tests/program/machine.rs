//! Tests the machine's influence on a run: kernels round differently, the OpenMP runtime must not.

use super::support::{Place, Ran, root, skip};
use checkpoint::Store;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn json(place: &Place, file: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(file)).unwrap()).unwrap()
}

/// Returns the kernels that the last checkpoint of a run records.
fn recorded(place: &Place, run: &str) -> Value {
    let manifest: Value = serde_json::from_slice(&place.last(run, "manifest.json")).unwrap();
    manifest["about"]["kernels"].clone()
}

#[test]
fn a_run_says_what_it_was_made_with_and_its_checkpoints_which_kernels() {
    let place = Place::new();
    place.train("--run run").ok();
    let environment = json(&place, "run/environment.json");
    let of = |key: &str| environment[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(of("processor"), torch_ext::processor());
    assert!(of("openmp").contains("omp"), "{environment}");
    assert!(of("kernels").contains(recorded(&place, "run").as_str().unwrap()), "{environment}");
    assert_eq!(recorded(&place, "run"), if torch_ext::has_avx512() { "winograd" } else { "own" });
    let bf16 = match (torch_ext::has_amx(), torch_ext::has_avx512_bf16()) {
        (false, true) => "winograd",
        _ => "own",
    };
    place.train("--run narrow --set model.precision=bf16").ok();
    assert_eq!(recorded(&place, "narrow"), bf16);
}

#[test]
fn truth_values_of_older_configurations_are_no_change_and_other_kernels_are_asked_about() {
    let place = Place::new();
    place.train("--run run --set model.fused=true").ok();
    assert_eq!(json(&place, "run/config.json")["model"]["fused"], "auto");
    let ran = place.train("--run run --set model.fused=true --set train.epochs=3").ok();
    assert!(!ran.stderr.contains("fused"), "{}", ran.stderr);
    let off = "--run run --set model.fused=false --set train.epochs=4";
    place.train(off).refused(2, r#"model.fused: "auto" -> "off" (if it is meant: --allow model.fused)"#);
    place.train(&format!("{off} --allow model.fused")).ok();
    assert_eq!(recorded(&place, "run"), "libtorch");
    place.train("--run run --set model.fused=yes").refused(2, r#"expected "auto", "on" or "off""#);
}

/// Rewrites the last checkpoint of a run as one that records other kernels, or none.
fn record(place: &Place, run: &str, kernels: Option<&str>) {
    let folder = place.checkpoints(run).pop().unwrap();
    let mut snapshot = checkpoint::load(&folder).unwrap();
    let about = snapshot.about.as_object_mut().unwrap();
    match kernels {
        Some(kernels) => about.insert("kernels".into(), kernels.into()),
        None => about.remove("kernels"),
    };
    fs::remove_dir_all(&folder).unwrap();
    Store::new(folder.parent().unwrap(), &checkpoint::Config::default()).save(&snapshot).unwrap();
}

#[test]
fn a_resumed_run_keeps_its_kernels_and_says_where_it_cannot() {
    let place = Place::new();
    // 16 channels, so that there is a choice of kernels.
    let options = "--run run --set model.precision=bf16 --set model.width=16 --set model.depth=1";
    let ran = place.train(options).ok();
    assert!(!ran.stderr.contains("kernels"), "{}", ran.stderr);
    record(&place, "run", None);
    place.train(&format!("{options} --set train.epochs=3")).ok();
    // The only kernels of a version without records.
    assert_eq!(recorded(&place, "run"), if torch_ext::has_avx512_bf16() { "winograd" } else { "own" });
    record(&place, "run", Some("own"));
    place.train(&format!("{options} --set train.epochs=4")).ok();
    assert_eq!(recorded(&place, "run"), "own", "also where others are faster");
    record(&place, "run", Some("of-another-processor"));
    let ran = place.train(&format!("{options} --set train.epochs=5")).ok();
    assert!(ran.stderr.contains("was trained with the kernels 'of-another-processor', which this"), "{}", ran.stderr);
}

/// Returns the OpenMP runtime in force here, and GNU's, which `scripts/libtorch` keeps with LLVM's.
fn runtimes() -> Option<[PathBuf; 2]> {
    let here = fs::canonicalize(torch_ext::OpenMp::in_force().file?).ok()?;
    let gnu = here.parent()?.join("gnu/libgomp.so.1");
    gnu.exists().then_some([here, gnu])
}

#[test]
fn both_openmp_runtimes_give_the_same_bits() {
    let Some([here, gnu]) = runtimes() else {
        return skip("there is one OpenMP runtime only; scripts/libtorch would keep GNU's beside LLVM's");
    };
    let place = Place::new();
    let options = "--set train.threads=2 --set model.width=16 --set data.size=[64,64]";
    for (run, preloaded) in [("llvm", None), ("gnu", Some(&gnu))] {
        let mut command = place.command(&format!("train --config tiny.json --run {run} {options}"));
        if let Some(file) = preloaded {
            command.env("LD_PRELOAD", file);
        }
        let ran = Ran::new(command.output().unwrap()).ok();
        let said = json(&place, &format!("{run}/environment.json"))["openmp"].as_str().unwrap().to_owned();
        let file = said.rsplit_once(": ").map(|(_, file)| fs::canonicalize(Path::new(file)).unwrap());
        assert_eq!(file.as_ref(), Some(preloaded.unwrap_or(&here)), "{said}");
        assert_eq!(said.contains("sleep after 1 ms"), run == "llvm", "{said}");
        assert_eq!(ran.stderr.matches("GNU's OpenMP").count(), usize::from(run == "gnu"), "{}", ran.stderr);
    }
    for file in ["model.safetensors", "optimizer.safetensors", "metric.safetensors", "generator.safetensors"] {
        assert!(place.last("llvm", file) == place.last("gnu", file), "{file}");
    }
    // A user's setting stays.
    let mut command = place.command(&format!("train --config tiny.json --run mine {options}"));
    Ran::new(command.env("KMP_BLOCKTIME", "7").output().unwrap()).ok();
    let said = json(&place, "mine/environment.json")["openmp"].to_string();
    assert!(said.contains("sleep after 7 ms"), "{said}");
}

/// Makes a wheel with a file in the place of LLVM's runtime, in a folder that pip can be pointed to.
const WHEEL: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/cmeel_libomp-21.1.8-0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("cmeel.prefix/lib/libgomp.so.1", "LLVM's")
    info = "cmeel_libomp-21.1.8.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: cmeel-libomp\nVersion: 21.1.8\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"#;

#[test]
fn the_cached_libtorch_gets_llvms_openmp_runtime_and_a_persons_own_is_left_alone() {
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    let known = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if !known || !pip.is_ok_and(|pip| pip.status.success()) {
        return skip("scripts/libtorch without python3 and pip, or on another system than Linux on x86-64");
    }
    let place = Place::new();
    let (home, own) = (place.path("cache/oxiseg/libtorch-2.11.0-cpu"), place.path("own"));
    for libtorch in [home.join("torch"), own.clone()] {
        fs::create_dir_all(libtorch.join("lib")).unwrap();
        fs::write(libtorch.join("lib/libtorch_cpu.so"), "").unwrap();
        fs::write(libtorch.join("lib/libgomp.so.1"), "GNU's").unwrap();
    }
    for folder in ["scripts", "wheels"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    fs::copy(root().join("scripts/libtorch"), place.path("scripts/libtorch")).unwrap();
    let install = |libtorch: Option<&Path>, wheels: &str| {
        let mut command = Command::new(place.path("scripts/libtorch"));
        command.arg("cpu").env("XDG_CACHE_HOME", place.path("cache")).env_remove("LIBTORCH_USE_PYTORCH");
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", place.path(wheels)).env_remove("LIBTORCH");
        libtorch.map(|libtorch| command.env("LIBTORCH", libtorch));
        Ran::new(command.output().unwrap()).ok().stderr
    };
    let runtime = |libtorch: &Path| fs::read_to_string(libtorch.join("lib/libgomp.so.1")).unwrap();
    // If it cannot be downloaded, the other one stays, with one warning.
    let said = install(None, "nowhere");
    assert_eq!(said.matches("warning: LLVM's OpenMP runtime could not be installed").count(), 1, "{said}");
    assert_eq!(runtime(&home.join("torch")), "GNU's");

    let made = Command::new("python3").args(["-c", WHEEL]).arg(place.path("wheels")).status();
    assert!(made.unwrap().success());
    assert!(install(None, "wheels").contains("using LLVM's OpenMP runtime 21.1.8 (Apache-2.0 with LLVM exceptions)"));
    assert_eq!(runtime(&home.join("torch")), "LLVM's");
    assert_eq!(fs::read_to_string(home.join("openmp/gnu/libgomp.so.1")).unwrap(), "GNU's");
    assert_eq!(install(None, "nowhere"), "", "it is there already");

    assert!(install(Some(&own), "wheels").contains("(your LIBTORCH)"));
    assert_eq!(runtime(&own), "GNU's");
}
