//! Checks that an error leaves parameters and state unchanged, or that the optimizer reports the change.

use super::*;

/// Returns a loss without a graph, on which a backward pass fails.
fn fails(parameters: &[(String, Tensor)]) -> Tensor {
    loss(parameters, 9).detach()
}

#[test]
fn a_backward_pass_that_fails_leaves_all_as_it_was() {
    for rule in RULES {
        let mut setup = Setup::new(&config(rule));
        setup.batch(1).unwrap();
        let before = (setup.values(), setup.state());
        setup.optim.minimize(&fails(&setup.parameters), &ONE).unwrap_err();
        assert!(setup.optim.is_unchanged());
        assert_same(&before.0, &setup.values());
        assert_same(&before.1, &setup.state());
        // Training continues as if nothing had happened.
        let mut straight = Setup::new(&config(rule));
        straight.batch(1).unwrap();
        for setup in [&mut setup, &mut straight] {
            setup.batch(2).unwrap();
        }
        assert_same(&straight.values(), &setup.values());
        assert_same(&straight.state(), &setup.state());
    }
}

#[test]
fn gradients_that_wait_may_be_spoilt() {
    let mut setup = Setup::new(&Config { accumulate: 3, ..config(ADAM) });
    assert!(setup.batch(1).is_none());
    setup.optim.minimize(&fails(&setup.parameters), &ONE).unwrap_err();
    assert!(!setup.optim.is_unchanged());
}

#[test]
fn a_failure_after_the_backward_pass_and_before_the_update_leaves_all_as_it_was() {
    for (accumulate, waiting) in [(1, 0), (2, 1)] {
        let mut setup = Setup::new(&Config { accumulate, ..config(ADAM) });
        // An update first, so that the learning rate is written: the next one is the same.
        (0..accumulate).for_each(|batch| drop(setup.batch(batch)));
        (0..waiting).for_each(|batch| assert!(setup.batch(batch).is_none()));
        let before = (setup.values(), setup.state());
        let rate = setup.optim.groups[0].layers[0].rate.shallow_clone();
        // An undefined tensor, on which any operation fails.
        setup.optim.groups[0].layers[0].rate = Tensor::new();
        let loss = loss(&setup.parameters, 5);
        let failed = setup.optim.minimize(&loss, &ONE);
        assert_eq!((failed.is_err(), setup.optim.is_unchanged()), (true, waiting == 0), "{failed:?}");
        assert_same(&before.0, &setup.values());
        if waiting == 0 {
            setup.optim.groups[0].layers[0].rate = rate;
            assert_same(&before.1, &setup.state());
        }
    }
}

#[test]
fn an_update_that_fails_in_the_middle_says_so() {
    let mut setup = Setup::new(&config(ADAM));
    setup.batch(1).unwrap();
    // The count of updates, which an update changes first, is missing.
    setup.optim.groups[0].step = Tensor::new();
    let loss = loss(&setup.parameters, 2);
    setup.optim.minimize(&loss, &ONE).unwrap_err();
    assert!(!setup.optim.is_unchanged());
}
