//! Ranks that torchrun launches and restarts, where a Python with PyTorch is found.

#![cfg(target_os = "linux")]

use super::life::{Life, assert_same, assert_same_end, newest_step};
use super::ranks::{assert_close, ranks, send};
use super::support::{APP, Place, skip};
use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// Steps enough for a fault in the middle.
const OPTIONS: &str = "train --config tiny.json --set train.epochs=10 --set data.validation_samples=60 \
                       --set checkpoint.every_steps=2 --set summary.per_step=true \
                       --set distributed.timeout_seconds=8";
/// Interval at which an agent looks at its ranks.
const MONITOR: &str = "--monitor-interval=0.1";
/// Line of the first rank when the training begins. Those of other ranks name them.
const BEGINS: &str = "INFO ] Training on ";

/// Python with PyTorch: PYTHON, python3 or that of `scripts/bench`.
static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let own = cache.map(|cache| cache.join("oxiseg/bench-python/bin/python"));
    let all = [env::var_os("PYTHON").map(PathBuf::from), Some("python3".into()), own];
    let has_torch = |python: &PathBuf| {
        let found = Command::new(python).args(["-c", "import torch.distributed.run"]).output();
        found.is_ok_and(|found| found.status.success())
    };
    all.into_iter().flatten().find(has_torch)
});

/// Returns torchrun with these options, which launches the program with these arguments. None, and a message, where
/// there is no PyTorch.
fn torchrun(place: &Place, options: &str, arguments: &str) -> Option<Command> {
    let Some(python) = &*PYTHON else {
        skip("ranks that torchrun launches: no Python with PyTorch; name one by PYTHON");
        return None;
    };
    let mut command = Command::new(python);
    command.args(["-m", "torch.distributed.run", "--no-python"]).args(options.split_whitespace());
    // Without "--" it takes --run for an option of its own.
    command.arg("--").arg(&*APP).args(arguments.split_whitespace()).current_dir(place.path(""));
    Some(command)
}

/// Starts torchrun on this machine alone with two ranks.
fn started(place: &Place, run: &str) -> Option<Life> {
    let options = format!("--standalone --nproc-per-node=2 --max-restarts=3 {MONITOR}");
    let command = torchrun(place, &options, &format!("{OPTIONS} --run {run}"))?;
    Some(Life::of(place, command, "debug"))
}

/// Returns the process ids of the ranks of an agent.
fn ranks_of(agent: &Life) -> Vec<u32> {
    let mut all = ranks(agent.pid());
    all.retain(|id| fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == fs::canonicalize(&*APP).unwrap()));
    all
}

/// Asserts that a log names rank 1 as lost. Gloo does not always notice that a process has ended.
fn names_rank_1_and_goes_on(said: &str) {
    let named = ["rank 1 died", "rank 1 gives no sign of life"].iter().any(|name| said.contains(name));
    assert!(named && said.contains("Continuing from run/checkpoints"), "{said}");
}

/// Makes the run to compare with.
fn straight(place: &Place) {
    place.app(&format!("{OPTIONS} --run straight --nproc 2")).ok();
}

#[test]
fn torchruns_ranks_train_what_those_of_the_own_launcher_do() {
    let place = Place::new();
    let Some(life) = started(&place, "run") else { return };
    let end = life.end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    straight(&place);
    assert_same(&place, "straight", "run");
}

#[test]
fn torchrun_restarts_the_ranks_after_one_was_killed_and_the_run_goes_on() {
    let place = Place::new();
    let Some(mut life) = started(&place, "run") else { return };
    // Each has the same arguments again; the first rank is the one that writes.
    for (attempt, victim) in [(1, 1), (2, 0)] {
        let steps = 7 * attempt;
        assert!(life.until(|_| newest_step(&place, "run") >= steps as u64), "{}", life.said());
        assert!(life.until_said(BEGINS, attempt), "{}", life.said());
        send("KILL", ranks_of(&life)[victim]);
        assert!(life.until_said(BEGINS, attempt + 1), "{}", life.said());
    }
    let end = life.end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    names_rank_1_and_goes_on(&end.said);
    straight(&place);
    assert_same_end(&place, "straight", "run", &end.said);
}

#[test]
fn a_job_that_is_told_to_stop_by_two_at_once_saves() {
    let place = Place::new();
    let Some(mut life) = started(&place, "run") else { return };
    assert!(life.until(|_| newest_step(&place, "run") >= 4), "{}", life.said());
    // Slurm signals all processes of a job, and torchrun passes its own signal on.
    ranks_of(&life).into_iter().for_each(|id| send("TERM", id));
    life.send("TERM");
    let end = life.end();
    assert!(end.said.contains("Stopped at step ") && place.path("run/requeue").exists(), "{}", end.said);
    let end = started(&place, "run").unwrap().end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    assert!(!place.path("run/requeue").exists());
    straight(&place);
    assert_same(&place, "straight", "run");
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn a_run_that_loses_a_machine_goes_on_with_fewer_ranks() {
    let long = OPTIONS.replace("train.epochs=10", "train.epochs=40 --set optimizer.rule={\"kind\":\"sgd\"}");
    let place = Place::new();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let options = format!(
        "--nnodes=1:2 --nproc-per-node=1 --max-restarts=5 {MONITOR} --rdzv-backend=c10d --rdzv-id=elastic \
         --rdzv-endpoint=127.0.0.1:{port} \
         --rdzv-conf=last_call_timeout=5,keep_alive_interval=1,keep_alive_max_attempt=3"
    );
    let agent = || {
        let command = torchrun(&place, &options, &format!("{long} --run run"))?;
        Some(Life::of(&place, command, "debug"))
    };
    let Some(mut first) = agent() else { return };
    // It keeps the store that both agents meet at.
    assert!(first.until(|_| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()), "{}", first.said());
    let mut second = agent().unwrap();
    let both = |life: &Life| life.said().contains("[rank 1]") && newest_step(&place, "run") > 4;
    assert!(second.until(both), "{}\n{}", first.said(), second.said());
    let lost = ranks_of(&second);
    second.kill();
    lost.into_iter().for_each(|id| send("KILL", id));
    let end = first.end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    names_rank_1_and_goes_on(&end.said);
    place.app(&format!("{long} --run straight")).ok();
    // Training scores may lack what a lost rank saw.
    let lines = |run: &str| {
        let mut lines = place.metrics(run);
        lines.retain(|line| line["stage"] != "train");
        lines
    };
    assert_close(&lines("straight"), &lines("run"), 1e-2);
}
