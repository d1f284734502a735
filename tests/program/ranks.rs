//! `app train --nproc`: ranks that one program starts.

use super::life::{HANGS, Life};
use super::support::{Place, Ran, skip};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A training that lasts until it is stopped.
const LONG: &str =
    "train --config tiny.json --run run --nproc 2 --set train.epochs=100000 --set checkpoint.keep_last=2";

#[test]
fn ranks_are_started_by_one_launcher_only_and_their_number_is_clear() {
    let place = Place::new();
    place.train("--nproc 0").refused(2, "say auto, or a number from 1 to 1024");
    place.train("--nproc two").refused(2, "say auto, or a number from 1 to 1024");
    place.app("train --nproc 2 --replay run/rejected/step-5").refused(2, "cannot be used with '--replay");
    if !tch::Cuda::is_available() {
        place.train("--nproc auto").refused(2, "libtorch finds no GPU: give a number, e.g. --nproc 2");
    }
    let mut inside = place.command("train --config tiny.json --nproc 2");
    let output = inside.env("RANK", "1").output().unwrap();
    Ran::new(output).refused(2, "RANK is set: this process is a rank already");
    assert!(!place.path("runs").exists());
}

#[test]
fn a_configuration_that_the_ranks_refuse_is_the_launchers_status() {
    let place = Place::new();
    let ran = place.train("--nproc 2 --set model.width=0");
    let ran = ran.refused(2, "model.width: must be from 1 to 1024, is 0");
    assert!(ran.stderr.contains("[rank 1]"), "{}", ran.stderr);
}

/// Asserts that the lines of two runs have the same numbers, but for rounding.
pub fn assert_close(one: &[Value], other: &[Value], tolerance: f64) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one.as_object().unwrap(), other.as_object().unwrap());
        assert!(one.keys().eq(other.keys()), "{one:?}\n{other:?}");
        for (key, value) in one {
            let numbers = [value.as_f64(), other[key].as_f64()];
            let close = match numbers {
                // A pixel at the border of two classes may fall to the other one.
                [Some(a), Some(b)] if key.contains("loss") => (a - b).abs() <= tolerance * a.abs(),
                [Some(a), Some(b)] => (a - b).abs() <= 2e-2 * a.abs().max(1.0),
                _ => *value == other[key],
            };
            assert!(close, "{key}: {value} and {}", other[key]);
        }
    }
}

#[test]
fn ranks_train_what_one_process_trains_and_the_first_alone_writes() {
    let place = Place::new();
    // Adam would turn rounding errors of gradients that are 0 into steps.
    let more = "--set optimizer.rule={\"kind\":\"sgd\"} --set optimizer.accumulate=2 --set model.dropout=0.2 \
                --set loss.dice=0.5";
    place.train(&format!("--run one {more}")).ok();
    for count in [2, 3] {
        let run = format!("run-{count}");
        let ran = place.train(&format!("--run {run} --nproc {count} {more}")).ok();
        assert_eq!(ran.stdout.matches("mean_iou").count(), 1, "one table:\n{}", ran.stdout);
        assert!(!ran.stderr.contains("[rank 1]"), "{}", ran.stderr);
        assert_close(&place.metrics("one"), &place.metrics(&run), 1e-5);
        let names = |run: &str| {
            let mut names: Vec<_> =
                fs::read_dir(place.path(run)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names("one"), names(&run));
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_bit_and_with_any_number_of_ranks() {
    let place = Place::new();
    place.train("--run straight --nproc 2").ok();
    place.train("--run resumed --nproc 2 --until-step 3").refused(75, "Stopped at step 3");
    place.train("--run resumed --nproc 2 --until-step 7").refused(75, "Stopped at step 7");
    place.train("--run resumed --nproc 2").ok();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        assert!(place.last("straight", file) == place.last("resumed", file), "{file}");
    }
    assert_eq!(place.metrics("straight"), place.metrics("resumed"));

    place.train("--run other --nproc 3 --until-step 2").refused(75, "Stopped at step 2");
    place.train("--run other --nproc 2 --until-step 4").refused(75, "Stopped at step 4");
    place.train("--run other --nproc 3 --until-step 7").refused(75, "Stopped at step 7");
    place.train("--run other").ok();
    assert_close(&place.metrics("straight"), &place.metrics("other"), 1e-3);
}

#[test]
fn one_rank_in_a_group_of_its_own_trains_what_a_process_does_without_a_warning() {
    let place = Place::new();
    place.train("--run plain").ok();
    let port = port();
    let rank = |backend: &str| {
        let arguments = format!("train --config tiny.json --run rank --set distributed.backend={backend}");
        let mut command = place.command(&arguments);
        command.envs([("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1")]);
        Ran::new(command.env("MASTER_PORT", port.to_string()).output().unwrap())
    };
    if !tch::Cuda::is_available() {
        rank("nccl").refused(1, "Set distributed.backend to gloo or auto");
        assert!(!place.path("rank").exists());
    }
    let ran = rank("gloo").ok();
    assert!(!ran.stderr.contains("Warning") && !ran.stderr.contains("WARN"), "{}", ran.stderr);
    assert_eq!(place.metrics("rank"), place.metrics("plain"));
}

#[test]
fn gradients_that_one_process_left_waiting_count_once_for_all_ranks() {
    let place = Place::new();
    let more = "--set optimizer.rule={\"kind\":\"sgd\"} --set optimizer.accumulate=3";
    place.train(&format!("--run straight {more}")).ok();
    // Two of three batches of an update.
    place.train(&format!("--run resumed {more} --until-step 2")).refused(75, "Stopped at step 2");
    assert!(String::from_utf8_lossy(&place.last("resumed", "optimizer.safetensors")).contains("\"gradient."));
    place.train(&format!("--run resumed {more} --nproc 2")).ok();
    assert_close(&place.metrics("straight"), &place.metrics("resumed"), 1e-5);
}

#[test]
fn a_finished_run_asks_no_more_to_be_started_again() {
    let place = Place::new();
    place.train("--run run").ok();
    for nproc in ["", "--nproc 2"] {
        fs::write(place.path("run/requeue"), "app train --run run\n").unwrap();
        let ran = place.train(&format!("--run run {nproc}")).ok();
        assert!(ran.stderr.contains("is finished") && !place.path("run/requeue").exists(), "{}", ran.stderr);
    }
}

/// Starts two ranks as another launcher does, each in a folder and with arguments of its own, and waits for both.
fn by_hand(folders: [&Place; 2], port: u16, arguments: [&str; 2]) -> [Ran; 2] {
    let ranks = [0, 1].map(|rank| {
        let mut command = folders[rank].command(&format!("train --run run {}", arguments[rank]));
        let (number, port) = (rank.to_string(), port.to_string());
        let variables = [("RANK", &*number), ("LOCAL_RANK", &*number), ("WORLD_SIZE", "2"), ("MASTER_PORT", &*port)];
        command.envs(variables).env("MASTER_ADDR", "127.0.0.1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    ranks.map(|rank| Ran::new(rank.wait_with_output().unwrap()))
}

/// Returns a port that is free at this moment.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_first_ranks_arguments_count() {
    let place = Place::new();
    let tiny = "--config tiny.json";
    let [first, other] = by_hand([&place, &place], port(), [&format!("{tiny} --until-step 3"), tiny]);
    first.refused(75, "Stopped at step 3");
    assert_eq!(other.status, 75, "{}", other.stderr);
}

#[test]
fn a_rank_with_other_data_is_refused_and_named() {
    let places = [Place::new(), Place::new()];
    let config = r#"{"data": {"kind": "folders", "root": ".", "images": "images", "masks": "masks", "size": [16, 16],
        "classes": ["a", "b"], "split": {"train": "train", "validation": "validation"}},
        "model": {"kind": "unet", "width": 4, "depth": 2}, "train": {"epochs": 1, "threads": 1, "device": "cpu"}}"#;
    for (place, samples) in places.iter().zip([4, 3]) {
        fs::write(place.path("files.json"), config).unwrap();
        for (folder, mode) in [("images", 3), ("masks", 1)] {
            for (split, samples) in [("train", samples), ("validation", 2)] {
                fs::create_dir_all(place.path(folder).join(split)).unwrap();
                for sample in 0..samples {
                    let file = place.path(folder).join(split).join(format!("{sample}.png"));
                    let bytes: Vec<u8> = (0..16 * 16 * mode).map(|place| u8::from(place % 2 == 0)).collect();
                    let color = if mode == 3 { image::ExtendedColorType::Rgb8 } else { image::ExtendedColorType::L8 };
                    image::save_buffer(file, &bytes, 16, 16, color).unwrap();
                }
            }
        }
    }
    let arguments = "--config files.json";
    for rank in by_hand([&places[0], &places[1]], port(), [arguments; 2]) {
        rank.refused(1, "rank 1 has other training data than rank 0: 3 samples, ");
    }
    assert!(!places[0].path("run").exists());
}

#[test]
fn ranks_say_what_concerns_all_of_them_once_and_nothing_of_libtorchs_own() {
    let place = Place::new();
    let ran = place.train("--run run --nproc 3 --set model.precision=bf16 --set data.loader.batch_size=2").ok();
    let idle = "1 of the ranks have no sample of any batch: raise data.loader.batch_size, or start fewer ranks";
    assert_eq!(ran.stderr.matches(idle).count(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("Warning") && !ran.stderr.contains("[rank "), "{}", ran.stderr);
}

/// Returns the process ids of the ranks that a launcher started, in their order.
pub fn ranks(launcher: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).unwrap_or_default();
    children.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Returns true if there is no such process, or only what its parent has not read yet.
fn has_ended(id: u32) -> bool {
    let about = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    about.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

pub fn send(signal: &str, id: u32) {
    assert!(Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status().unwrap().success());
}

/// Starts a long training of two ranks and waits for its first checkpoint.
fn started(place: &Place) -> Option<Life> {
    if !Path::new(&format!("/proc/self/task/{}/children", std::process::id())).exists() {
        skip("no /proc that lists a process's children");
        return None;
    }
    let mut life = Life::start(place, LONG);
    let checkpoints = place.path("run/checkpoints");
    let saved = || {
        fs::read_dir(&checkpoints)
            .is_ok_and(|mut all| all.any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("step-")))
    };
    assert!(life.until(|_| saved()), "it ended:\n{}", life.said());
    Some(life)
}

#[test]
fn a_signal_to_the_launcher_stops_all_ranks_with_one_checkpoint() {
    let place = Place::new();
    let Some(life) = started(&place) else { return };
    let all = ranks(life.pid());
    assert_eq!(all.len(), 2);
    life.send("TERM");
    let end = life.end();
    assert_eq!(end.status, Some(75), "{}", end.said);
    assert!(end.said.contains("Stopped at step ") && !end.said.contains("ERROR"), "{}", end.said);
    assert!(all.into_iter().all(has_ended) && place.path("run/requeue").exists());
    let mut again = Life::start(&place, LONG);
    assert!(again.until(|_| !place.path("run/requeue").exists()), "{}", again.said());
    again.send("INT");
    let end = again.end();
    assert_eq!(end.status, Some(75), "{}", end.said);
    assert!(end.said.contains("Continuing from"), "{}", end.said);
}

#[test]
fn a_rank_that_is_preempted_saves_for_all() {
    let place = Place::new();
    let Some(life) = started(&place) else { return };
    send("TERM", ranks(life.pid())[1]);
    let end = life.end();
    assert_eq!(end.status, Some(75), "{}", end.said);
    assert!(end.said.contains("Stopped at step ") && place.path("run/requeue").exists(), "{}", end.said);
}

#[test]
fn a_rank_that_is_killed_is_named_and_the_run_goes_on_from_what_was_saved() {
    let place = Place::new();
    let Some(life) = started(&place) else { return };
    send("KILL", ranks(life.pid())[1]);
    let end = life.end();
    assert_eq!(end.status, Some(137), "{}", end.said);
    assert!(end.said.contains("rank 1 died") && end.said.contains("Rank 1 ended with status 137"), "{}", end.said);
    assert!(place.path("run/requeue").exists());
    let ran = place.app("train --run run --nproc 2 --set train.epochs=1").ok();
    assert!(ran.stderr.contains("is finished") || ran.stderr.contains("Continuing from"), "{}", ran.stderr);
}

#[test]
fn ranks_do_not_outlive_a_launcher_that_is_killed() {
    let place = Place::new();
    let Some(life) = started(&place) else { return };
    let all = ranks(life.pid());
    life.kill();
    let since = Instant::now();
    while !all.iter().all(|id| has_ended(*id)) {
        assert!(since.elapsed() < HANGS, "ranks are left: {all:?}");
        sleep(Duration::from_millis(5));
    }
    assert!(place.path("run/requeue").exists(), "they saved and asked to be started again");
}
