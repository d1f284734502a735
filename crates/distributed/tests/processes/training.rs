//! Training by several ranks is that of one process.

use crate::launch::{join, run, say, setting};
use crate::network::{Descent, SAMPLES, loss, parameters};
use contract::{Optimizer, Ranks, StateDict};
use distributed::{Compression, Group, Options, Reduced, World};
use tch::{Kind, Tensor};

/// Trains for `steps` batches, with a weight that is frozen for the first two. Returns the parameters and the number of
/// buckets.
fn train(group: &Group, steps: i64, accumulate: u64, compression: Compression) -> (StateDict, usize) {
    let parameters = parameters();
    let share = SAMPLES / group.count() as i64;
    let first = share * group.rank() as i64;
    let inner = Descent { parameters: clone(&parameters), accumulate, waiting: 0 };
    let optimizer = Reduced::new(inner, group, &parameters, compression);
    let mut optimizer = optimizer.capturable(setting("CAPTURABLE", 0.0) == 1.0);
    for step in 0..steps {
        let _ = parameters["middle.weight"].set_requires_grad(step >= 2);
        let loss = loss(&parameters, step, first, first + share);
        optimizer.minimize(&loss, &|| Ok(Tensor::from(1f32))).unwrap();
    }
    // Leftovers of the accumulation.
    optimizer.flush().unwrap();
    let buckets = optimizer.buckets();
    (parameters, buckets)
}

fn clone(parameters: &StateDict) -> StateDict {
    parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}

fn alone(steps: i64, accumulate: u64) -> StateDict {
    let group = Group::join(World::alone(), &Options::default()).unwrap();
    let (parameters, buckets) = train(&group, steps, accumulate, Compression::None);
    assert_eq!(buckets, 0, "a single process reduces nothing");
    parameters
}

pub fn rank() {
    let group = join();
    let (steps, accumulate) = (setting("STEPS", 4.0) as i64, setting("ACCUMULATE", 1.0) as u64);
    let (compression, bound) = match setting("BF16", 0.0) {
        0.0 => (Compression::None, 1e-6),
        _ => (Compression::Bf16, 2e-3),
    };
    let (trained, buckets) = train(&group, steps, accumulate, compression);
    match group.count() {
        1 => assert_eq!(buckets, 0, "a group of one sums nothing"),
        _ => assert!(buckets > 1 || accumulate > 1, "{buckets}"),
    }
    let expected = alone(steps, accumulate);
    let mut moved = 0;
    for ((name, trained), (expected, initial)) in trained.iter().zip(expected.values().zip(parameters().values())) {
        let difference = (trained - expected).abs().max().double_value(&[]);
        assert!(difference < bound && (difference == 0.0 || group.count() > 1), "{name}: {difference}");
        moved += i64::from(!expected.equal(initial));
    }
    assert_eq!(moved, if steps > 2 { 6 } else { 5 }, "all but the one that is never used");
    let all = group.gather(&trained.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect()).unwrap();
    assert!(all.iter().all(|other| other.iter().all(|(name, tensor)| tensor.equal(&trained[name]))), "ranks differ");
    let sum: f64 = trained.values().map(|tensor| tensor.sum(Kind::Double).double_value(&[])).sum();
    say(&format!("{sum:.17e}"));
}

#[test]
fn ranks_train_what_one_process_does() {
    for count in [1, 2, 3] {
        let said = run("training", count, &[]);
        assert!(said.iter().all(|rank| rank == &said[0] && rank.len() == 1), "{said:?}");
    }
}

#[test]
fn accumulated_gradients_are_summed_once_and_leftovers_too() {
    for (steps, accumulate) in [("5", "2"), ("5", "3"), ("2", "7")] {
        run("training", 2, &[("STEPS", steps), ("ACCUMULATE", accumulate)]);
    }
}

#[test]
fn gradients_that_are_summed_at_the_end_of_the_pass_are_the_same_to_the_bit() {
    for (count, setting) in [(2, ("BF16", "1")), (3, ("BF16", "0")), (3, ("BF16", "1")), (3, ("ACCUMULATE", "3"))] {
        let said = [run("training", count, &[setting]), run("training", count, &[setting, ("CAPTURABLE", "1")])];
        assert_eq!(said[0], said[1], "{count} ranks, {setting:?}");
    }
}

#[test]
fn gradients_may_travel_in_bf16() {
    let said = [run("training", 2, &[("BF16", "1")]), run("training", 2, &[])];
    assert_ne!(said[0], said[1], "rounded");
}
