//! Tests the output on a terminal, and runs whose terminal stalls or goes away.

use super::life::{HANGS, Life, Random, assert_same, assert_tidy, newest_step};
use super::support::{APP, Place, Ran, python, root, skip};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const RESUMABLE: i64 = 75;
/// Many epochs: no test reaches the last.
const LONG: &str = "train --config tiny.json --set train.epochs=100000 --set checkpoint.every_epochs=100000 \
                    --set summary.tensorboard=false";

/// The program on a terminal of its own, which its relay can stall and take away.
struct Terminal {
    relay: Child,
    said: Receiver<Value>,
    shown: String,
}

impl Terminal {
    /// Starts a command line; returns `None`, with a message, if there is no Python.
    fn start(place: &Place, line: &str) -> Option<Self> {
        if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
            skip("no python3");
            return None;
        }
        let mut command = Command::new("python3");
        command.arg(root().join("crates/terminal/tests/relay.py")).args(["40", "120", "sh", "-c"]);
        command.arg(line.replace("app ", &format!("{} ", APP.display()))).current_dir(place.path(""));
        command.env("TERM", "xterm").env_remove("RUST_LOG").env_remove("NO_COLOR");
        let mut relay = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = relay.stdout.take().unwrap();
        let (sender, said) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { relay, said, shown: String::new() })
    }

    fn ask(&mut self, what: &Value) {
        writeln!(self.relay.stdin.as_mut().unwrap(), "{what}").unwrap();
    }

    fn stall(&mut self) {
        self.ask(&json!({ "stall": true }));
    }

    fn hang_up(&mut self) {
        self.ask(&json!({ "hang up": true }));
    }

    /// Reads its next message; returns the status if that is its end.
    fn next(&mut self) -> Option<i64> {
        let said = self.said.recv_timeout(HANGS).expect("it does not end");
        if let Some(shown) = said["shown"].as_str() {
            let byte = |at: usize| u8::from_str_radix(&shown[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..shown.len()).step_by(2).map(byte).collect();
            self.shown += &String::from_utf8_lossy(&bytes);
        }
        said["status"].as_i64()
    }

    fn until_shown(&mut self, text: &str) {
        while !self.shown.contains(text) {
            assert_eq!(self.next(), None, "it ended before {text:?}: {}", self.shown);
        }
    }

    fn end(&mut self) -> i64 {
        loop {
            if let Some(status) = self.next() {
                return status;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.relay.kill().ok();
        self.relay.wait().ok();
    }
}

fn lines(place: &Place, run: &str) -> usize {
    fs::read_to_string(place.path(run).join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

/// Waits until the run has logged `more` further lines.
fn until_it_goes_on(place: &Place, run: &str, more: usize) {
    let (since, before) = (Instant::now(), lines(place, run));
    while lines(place, run) < before + more {
        assert!(since.elapsed() < HANGS, "the run stands still at line {before}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_terminal_shows_a_bar_with_loss_and_speed_and_a_file_does_not() {
    let Some(mut command) = python() else { return skip("no Python packages: run scripts/python") };
    let place = Place::new();
    let spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    command.args(["-c", spawn]).arg(&*APP).args(["train", "--config", "tiny.json", "--set", "train.epochs=20"]);
    let shown = command.current_dir(place.path("")).env("TERM", "xterm").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in ["Epoch 1/20", "/24", "loss ", " images/s", " left"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    assert!(!shown.contains("Epoch 21/20"), "a bar for an epoch that does not come: {shown:?}");
    // The log keeps its colours on a terminal.
    assert!(shown.contains("\x1b[32mINFO"), "{shown:?}");
    let plain = place.train("--run plain").ok();
    assert!(!plain.stderr.contains('\r') && !plain.stderr.contains('\x1b'), "{:?}", plain.stderr);
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_with_a_checkpoint() {
    for tui in ["", "--tui"] {
        let place = Place::new();
        let Some(mut terminal) = Terminal::start(&place, &format!("exec app {LONG} --run run {tui}")) else { return };
        terminal.until_shown("Epoch");
        until_it_goes_on(&place, "run", 2);
        terminal.hang_up();
        assert_eq!(terminal.end(), RESUMABLE, "{tui}");
        assert!(newest_step(&place, "run") > 0);
        // A signal stopped it, so it asks to be started again. Nothing else lies about.
        fs::remove_file(place.path("run/requeue")).unwrap();
        assert_tidy(&place, "run");
    }
}

#[test]
fn a_run_that_ignores_hang_ups_outlives_its_terminal() {
    for tui in ["", "--tui"] {
        let place = Place::new();
        let nohup = format!("trap '' HUP; exec app {LONG} --run run {tui}");
        let Some(mut terminal) = Terminal::start(&place, &nohup) else { return };
        terminal.until_shown("Epoch");
        terminal.hang_up();
        until_it_goes_on(&place, "run", 6);
        terminal.ask(&json!({ "signal": "SIGTERM" }));
        assert_eq!(terminal.end(), RESUMABLE, "{tui}");
        assert!(newest_step(&place, "run") > 0);
    }
}

#[test]
fn a_terminal_that_nobody_reads_neither_stops_the_run_nor_keeps_it_from_saving() {
    for tui in ["", "--tui"] {
        let place = Place::new();
        let Some(mut terminal) = Terminal::start(&place, &format!("exec app {LONG} --run run {tui}")) else { return };
        terminal.until_shown("Epoch");
        terminal.stall();
        until_it_goes_on(&place, "run", 6);
        terminal.ask(&json!({ "signal": "SIGTERM" }));
        assert_eq!(terminal.end(), RESUMABLE, "{tui}");
        assert!(newest_step(&place, "run") > 0);
    }
}

#[test]
fn pipes_that_nobody_reads_keep_no_run_from_its_end() {
    let place = Place::new();
    // Fills a pipe to its default capacity.
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'.'; 65536]).unwrap();
    let mut command = place.command("train --config tiny.json --run run");
    let mut run = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_eq!((newest_step(&place, "run"), lines(&place, "run")), (10, 4));
    assert!(place.path("run/report.html").exists());
    drop(reader);
}

#[test]
fn a_slow_reader_gets_every_line_in_its_order() {
    let place = Place::new();
    let mut command = place.command("train --config tiny.json --set train.epochs=60 --run run");
    let mut run = command.env("RUST_LOG", "trace").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut said, mut part) = (Vec::new(), [0; 512]);
    let mut stderr = run.stderr.take().unwrap();
    loop {
        let count = stderr.read(&mut part).unwrap();
        if count == 0 {
            break;
        }
        said.extend_from_slice(&part[..count]);
        sleep(Duration::from_millis(1));
    }
    let said = String::from_utf8(said).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0), "{said}");
    let steps: Vec<u64> =
        said.lines().filter_map(|line| line.split_once("Loss at step ")?.1.split(':').next()?.parse().ok()).collect();
    assert!(steps.iter().copied().eq(1..=300), "{steps:?}");
    assert!(said.trim_end().lines().last().unwrap().contains("Wrote the report"), "{said}");
}

#[test]
fn a_full_stdout_is_a_warning_after_a_training() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return skip("no /dev/full") };
    let place = Place::new();
    let ran = place.command("train --config tiny.json --run run").stdout(full).output().unwrap();
    let ran = Ran::new(ran).ok();
    assert!(ran.stderr.contains("the result was not printed"), "{}", ran.stderr);
    assert!(place.path("run/report.html").exists());
}

/// Asserts that `text` holds no control characters and no line forged by a name.
fn assert_clean(text: &str) {
    let obeyed = |sign: char| sign.is_control() && sign != '\n' || ('\u{202a}'..='\u{202e}').contains(&sign);
    assert!(!text.contains(obeyed), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
}

#[test]
fn nothing_from_data_is_an_order_to_the_terminal() {
    const EVIL: &str = "e\x1b]0;owned\x07\u{9b}2J\u{202e}\nforged";
    let place = Place::new();
    let mut config: Value = serde_json::from_str(super::support::TINY).unwrap();
    let data = place.path(EVIL);
    for folder in ["images", "masks"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    let image = |folder: &str, at: u32, size| {
        let image = image::GrayImage::from_fn(size, size, |x, y| image::Luma([u8::from(x > y)]));
        image.save(data.join(folder).join(format!("{EVIL}{at}.png"))).unwrap();
    };
    (0..8).for_each(|at| ["images", "masks"].iter().for_each(|folder| image(folder, at, 16)));
    let run = |arguments: &[&str]| {
        let ran = Ran::new(place.command("").args(arguments).output().unwrap());
        assert_clean(&ran.stdout);
        assert_clean(&ran.stderr);
        ran
    };
    config["data"] = json!({"kind": "folders", "root": data, "size": [16, 16], "loader": {"batch_size": 2}, "channels": 1,
                            "classes": ["sky", EVIL], "split": {"validation_fraction": 0.5}});
    fs::write(place.path("evil.json"), config.to_string()).unwrap();
    run(&["train", "--config", "evil.json"]).ok();
    run(&["validate"]).ok();
    // A mask of another size, and a file that is no image.
    image("masks", 0, 9);
    fs::write(data.join("images").join(format!("{EVIL}1.png")), "no image").unwrap();
    assert!(run(&["data", "check", "--config", "evil.json"]).stdout.contains("\\u001b"));
    run(&["data", "check", "--config", "evil.json", "--json"]);
    run(&["train", "--config", "evil.json", "--resume", "never"]);
    run(&["train", "--config", "tiny.json", "--set", &format!("{EVIL}=1")]);
    run(&["train", "--config", EVIL]);
    assert_eq!(run(&[EVIL]).status, 2);
    run(&["train", "--config", "tiny.json", "--run", &format!("runs/{EVIL}")]).ok();
    assert!(run(&["runs"]).stdout.contains("\\u001b"));
    let listed: Value = serde_json::from_str(&run(&["runs", "--json"]).ok().stdout).unwrap();
    assert_eq!(listed[0]["name"], EVIL, "JSON keeps its meaning");
    run(&["validate", "--run", &format!("runs/{EVIL}")]).ok();
    run(&["predict", EVIL, "--run", &format!("runs/{EVIL}"), "--output", "out", "--json"]);
}

#[test]
fn signals_of_a_closing_session_may_come_in_any_number() {
    let ignored = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    if ignored.is_some_and(|signals| signals & 1 == 1) {
        return skip("SIGHUP: these tests were started with it ignored, and so is the program");
    }
    for signals in [&["HUP", "HUP"][..], &["XCPU", "XCPU", "XCPU"], &["HUP", "TERM"]] {
        let place = Place::new();
        let mut life = Life::with_log(&place, &format!("{LONG} --run run"), "debug");
        assert!(life.until_said("Loss at step", 3));
        signals.iter().for_each(|signal| life.send(signal));
        let end = life.end();
        assert_eq!(end.status, Some(75), "{signals:?}: {}", end.said);
        assert!(newest_step(&place, "run") > 0 && end.said.contains("Stopped at step"), "{}", end.said);
    }
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn thirty_terminals_that_go_away_or_stall_lose_no_step() {
    let place = Place::new();
    let options =
        "train --config tiny.json --set train.epochs=150 --set optimizer.accumulate=2 --set summary.per_step=true";
    place.app(&format!("{options} --run straight")).ok();
    let mut random = Random(30);
    for at in 0..30 {
        let tui = if at % 2 == 0 { "" } else { "--tui" };
        let run = format!("run-{}", at / 6);
        let Some(mut terminal) = Terminal::start(&place, &format!("exec app {options} --run {run} {tui}")) else {
            return;
        };
        // Not how many checkpoints: retention keeps few. A life that ends in a validation saves no new step.
        let before = newest_step(&place, &run);
        terminal.until_shown("Epoch");
        sleep(random.part_of(Duration::from_millis(400)));
        match at % 3 {
            0 => terminal.hang_up(),
            1 => {
                terminal.stall();
                terminal.ask(&json!({ "signal": "SIGTERM" }));
            }
            _ => terminal.ask(&json!({ "signal": "SIGHUP" })),
        }
        let status = terminal.end();
        assert!(status == 0 || status == RESUMABLE && newest_step(&place, &run) >= before, "{at}: {status}");
        if at % 6 == 5 {
            place.app(&format!("{options} --run {run}")).ok();
            assert_same(&place, "straight", &run);
            assert_tidy(&place, &run);
        }
    }
}
