//! A NaN on one rank, and ranks that fail.

use super::*;

#[test]
fn a_nan_on_one_rank_is_skipped_on_all_and_the_whole_batch_is_kept() {
    for seldom in [false, true] {
        let mut crew = Crew::new(24, 1);
        crew.poisoned = Some((1, 4));
        crew.run.seldom = seldom;
        let ended = crew.train(2);
        assert_ended(&ended, Outcome::Finished, 24);
        assert_eq!(weights(&ended[0]), weights(&ended[1]));
        assert!(weights(&ended[0]).iter().all(|weight| weight.is_finite()));
        assert_eq!(crew.load(24).states["recovery"]["times"].int64_value(&[]), 1);
        let kept = checkpoint::load(&crew.path().join("rejected/step-0000000005")).unwrap();
        let names = ["4.0 of 0", "4.1 of 0", "4.2 of 0", "4.0 of 1", "4.1 of 1", "4.2 of 1"];
        assert_eq!(kept.about["rejected"]["names"], serde_json::json!(names));
        let targets = &kept.states["batch"]["targets"];
        assert_eq!(targets.isnan().nonzero().flatten(0, -1), Tensor::from_slice(&[3i64, 4, 5]));
    }
}

#[test]
fn a_nan_on_one_rank_takes_all_back_to_the_checkpoint_that_only_the_first_has() {
    let mut crew = Crew::new(6, 1);
    crew.poisoned = Some((1, 4));
    crew.run.settings.non_finite.policy = Policy::Rollback;
    crew.run.settings.save.every_steps = Some(2);
    crew.run.settings.until_step = Some(5);
    let ended = crew.train(2);
    assert_ended(&ended, Outcome::Stopped, 5);
    assert_eq!(crew.saved(), [0, 2, 4, 5]);
    let learnt = &crew.load(4).states["model"]["weight"].to_kind(Kind::Double);
    for ended in &ended {
        assert_eq!(weights(ended), Vec::<f64>::try_from(&learnt.flatten(0, -1)).unwrap());
    }
}

#[test]
fn a_failure_of_one_rank_ends_the_others_and_the_first_saves_what_was_learnt() {
    let straight = Crew::new(8, 1).train(2);
    for rank in [0, 1] {
        let mut crew = Crew::new(8, 1);
        crew.unreadable = Some((rank, 5));
        let ended = crew.train(2);
        let said = [0, 1].map(|rank| ended[rank].outcome.clone().unwrap_err());
        assert!(said[rank].contains("epoch 1, batch 6: no batch: cat_7.jpg is torn"), "{said:?}");
        assert!(said[1 - rank].contains("another rank has left"), "{said:?}");
        assert_eq!(crew.saved(), [5]);
        let states = crew.load(5).states;
        assert!(states["ranks"]["count"].int64_value(&[]) == 2 && !states.contains_key("metric-1"));
        crew.unreadable = None;
        let resumed = crew.train(2);
        assert_ended(&resumed, Outcome::Finished, 8);
        for rank in [0, 1] {
            assert_eq!(weights(&resumed[rank]), weights(&straight[rank]));
        }
    }
}

#[test]
fn steps_that_may_be_wrong_since_a_rank_was_lost_are_not_saved() {
    for (rank, saved) in [(0, vec![3, 5]), (1, vec![3])] {
        let mut crew = Crew::new(8, 1);
        crew.run.settings.save.every_steps = Some(3);
        (crew.unreadable, crew.enqueued) = (Some((rank, 5)), true);
        assert!(crew.train(2).iter().all(|ended| ended.outcome.is_err()));
        assert_eq!(crew.saved(), saved, "rank {rank} fails");
    }
}
