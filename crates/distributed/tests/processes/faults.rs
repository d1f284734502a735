//! Ranks that die, stop, leave, fall behind or never come are named by all others.

use crate::launch::{End, FAULT, Rank, join, say, setting, start};
use crate::network::{Descent, SAMPLES, loss, parameters};
use contract::{BoxError, Optimizer, Ranks};
use distributed::{Compression, Error, Group, Reduced};
use std::time::Duration;
use tch::Tensor;

/// Ends the process as a program does after an error: the group is dropped first.
fn fail(group: Group, error: &BoxError) -> ! {
    let fault = error.downcast_ref::<Error>().filter(|error| error.can_resume());
    assert_eq!(fault.is_some(), group.fault().is_some(), "{error}");
    say(&error.to_string());
    drop(group);
    std::process::exit(if fault.is_some() { FAULT } else { 1 });
}

/// Works until another rank fails.
pub fn endless() {
    let group = join();
    let mut step = 0;
    let error = loop {
        let values = Tensor::ones([100_000], (tch::Kind::Float, tch::Device::Cpu));
        if let Err(error) = group.sum(&[values]).and_then(|()| group.agree(1).map(drop)) {
            break error;
        }
        if step == 3 {
            say("ready");
        }
        step += 1;
        std::thread::sleep(Duration::from_millis(5));
    };
    fail(group, &error);
}

/// Trains until another rank fails, in a backward pass.
pub fn endless_training() {
    let group = join();
    let parameters = parameters();
    let share = SAMPLES / group.count() as i64;
    let first = share * group.rank() as i64;
    let shared = parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    let inner = Descent { parameters: shared, accumulate: 1, waiting: 0 };
    let mut optimizer = Reduced::new(inner, &group, &parameters, Compression::None);
    let mut step = 0;
    let error = loop {
        let loss = loss(&parameters, step % 7, first, first + share);
        if let Err(error) = optimizer.minimize(&loss, &|| Ok(Tensor::from(1f32))) {
            break error;
        }
        if step == 3 {
            say("ready");
        }
        step += 1;
    };
    drop(optimizer);
    fail(group, &error);
}

/// Rank 1 gives up, and the others meet it at work.
pub fn leaving() {
    let group = join();
    if group.rank() == 1 {
        say("left");
        return;
    }
    let error = loop {
        if let Err(error) = group.barrier() {
            break error;
        }
    };
    fail(group, &error);
}

/// Rank 1 is slower than the timeout.
pub fn slow() {
    let group = join();
    group.barrier().unwrap();
    if group.rank() == 1 {
        std::thread::sleep(Duration::from_secs_f64(3.0 * setting("TIMEOUT", 2.0)));
    }
    let error = group.barrier().unwrap_err();
    fail(group, &error);
}

/// Waits until all ranks work, and does something to one of them. Returns the ends of the others.
fn after(role: &str, timeout: &str, victim: usize, harm: impl FnOnce(Rank) -> Option<Rank>) -> Vec<End> {
    let mut ranks = start(role, 3, &[0, 1, 2], &[("TIMEOUT", timeout)]);
    ranks.iter_mut().for_each(|rank| rank.wait_for("ready"));
    let harmed = harm(ranks.remove(victim));
    let ends = ranks.into_iter().map(Rank::end).collect();
    if let Some(stopped) = harmed {
        stopped.signal("CONT");
        stopped.kill();
    }
    ends
}

fn all_name(ends: &[End], culprit: &str) {
    for end in ends {
        let said = end.said.last().map_or("", String::as_str);
        assert!(said.starts_with(culprit) && end.status == Some(FAULT), "'{culprit}' expected: {ends:#?}");
    }
}

fn kill(rank: Rank) -> Option<Rank> {
    rank.kill();
    None
}

fn stop(rank: Rank) -> Option<Rank> {
    rank.signal("STOP");
    Some(rank)
}

#[test]
fn a_killed_rank_is_named() {
    // Far below the timeout, or the launcher's patience would end.
    all_name(&after("endless", "600", 2, kill), "rank 2 died");
    all_name(&after("endless training", "600", 1, kill), "rank 1 died");
}

#[test]
fn the_rank_with_the_store_is_named_as_well() {
    all_name(&after("endless", "600", 0, kill), "rank 0 died");
}

#[test]
fn a_stopped_rank_is_named_after_the_timeout() {
    all_name(&after("endless", "2", 2, stop), "rank 2 gives no sign of life");
    all_name(&after("endless training", "2", 1, stop), "rank 1 gives no sign of life");
}

#[test]
fn a_stopped_rank_with_the_store_is_named_after_the_timeout() {
    all_name(&after("endless", "2", 0, stop), "rank 0 gives no sign of life");
}

#[test]
fn a_rank_that_never_started_is_named() {
    for (missing, of) in [(2, [0, 1]), (0, [1, 2])] {
        let ranks = start("endless", 3, &of, &[("TIMEOUT", "2")]);
        let ends: Vec<End> = ranks.into_iter().map(Rank::end).collect();
        all_name(&ends, &format!("rank {missing} never started"));
    }
}

#[test]
fn a_rank_that_leaves_or_is_slow_is_named() {
    let ranks = start("leaving", 3, &[0, 1, 2], &[]);
    let mut ends: Vec<End> = ranks.into_iter().map(Rank::end).collect();
    assert_eq!(ends.remove(1).status, Some(0));
    all_name(&ends, "rank 1 left");
    let ranks = start("slow", 3, &[0, 1, 2], &[("TIMEOUT", "2")]);
    let ends: Vec<End> = ranks.into_iter().map(Rank::end).collect();
    all_name(&ends, "rank 1 is too slow");
}
