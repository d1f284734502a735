//! Tests of a learning rate that follows a score.

use super::*;
use crate::{Direction, Plateau};

/// A schedule that halves the learning rate, 0.05, after every second validation without a better accuracy.
fn schedule() -> Schedule {
    let plateau = Plateau {
        score: "accuracy".into(),
        mode: Direction::Max,
        factor: 0.5,
        patience: 1,
        threshold: 0.0,
        ..Plateau::default()
    };
    Schedule { warmup: 2, decay: Decay::Plateau(plateau) }
}

const ACCURACIES: [f64; 7] = [0.5, 0.6, 0.6, 0.5, 0.5, 0.7, 0.6];

/// Makes an epoch of two batches, and then its validation. Returns the learning rate of the last update.
fn epoch(setup: &mut Setup, epoch: usize) -> f64 {
    (0..2).for_each(|batch| drop(setup.batch(2 * epoch as u64 + batch)));
    let before = setup.optim.learning_rate();
    setup.optim.scored(&vec![("loss".into(), 1.0), ("accuracy".into(), ACCURACIES[epoch])]).unwrap();
    // A log that is written now must not show the next one.
    assert_eq!(setup.optim.learning_rate(), before);
    before
}

fn epochs(setup: &mut Setup, epochs: std::ops::Range<usize>) -> Vec<f64> {
    epochs.map(|at| epoch(setup, at)).collect()
}

#[test]
fn the_learning_rate_falls_with_the_next_update() {
    let mut setup = Setup::scheduled(&config(MOMENTUM), schedule());
    assert_eq!(setup.optim.learning_rate(), 0.025, "the first of the warm-up");
    assert_eq!(epochs(&mut setup, 0..7), [0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025]);
    assert_eq!(setup.batch(20).unwrap().learning_rate, 0.025);
}

#[test]
fn a_state_taken_after_any_validation_continues_to_the_bit() {
    let mut whole = Setup::scheduled(&config(ADAM), schedule());
    epochs(&mut whole, 0..7);
    for taken_after in 0..7 {
        let [mut first, mut second] = [(); 2].map(|()| Setup::scheduled(&config(ADAM), schedule()));
        epochs(&mut first, 0..taken_after);
        // The other has its own past.
        epochs(&mut second, 0..5);
        let values = first.values();
        tch::no_grad(|| second.parameters.iter_mut().for_each(|(name, p)| p.copy_(&values[name])));
        second.optim.load_state(&first.state()).unwrap();
        assert_eq!(second.optim.learning_rate(), first.optim.learning_rate());
        epochs(&mut second, taken_after..7);
        assert_same(&second.values(), &whole.values());
        assert_same(&second.state(), &whole.state());
    }
}

#[test]
fn a_score_that_does_not_exist_is_an_error_and_other_schedules_need_none() {
    let mut setup = Setup::scheduled(&config(ADAM), schedule());
    let before = setup.state();
    let said = setup.optim.scored(&vec![("loss".into(), 1.0)]).unwrap_err().to_string();
    assert_eq!(said, "schedule.decay.score: there is no score \"accuracy\", only loss");
    assert_same(&setup.state(), &before);
    Setup::new(&config(ADAM)).optim.scored(&Vec::new()).unwrap();
}

#[test]
fn a_run_may_change_to_a_plateau_and_back() {
    let [mut plain, mut following] = [Schedule::default(), schedule()].map(|s| Setup::scheduled(&config(ADAM), s));
    plain.batch(0);
    epochs(&mut following, 0..5);
    let of_plateau = following.state();
    following.optim.load_state(&plain.state()).unwrap();
    assert_eq!(following.batch(1).unwrap().learning_rate, 0.05, "following begins anew");
    plain.optim.load_state(&of_plateau).unwrap();
    assert!(plain.state().keys().all(|name| !name.starts_with("plateau.")));
    assert_eq!(plain.batch(1).unwrap().learning_rate, 0.05);
}
