//! Tests of gradients on request.

use super::*;

#[test]
fn gradients_are_told_of_the_one_update_that_they_were_asked_for() {
    let config = Config { accumulate: 2, clip_norm: Some(0.1), ..config(ADAM) };
    for scaled in [false, true] {
        let mut setup = Setup::new(&config);
        if scaled {
            setup.optim = setup.optim.scaling_the_loss().unwrap();
        }
        let asked = setup.optim.asked_gradients();
        setup.batch(0);
        setup.batch(1);
        assert!(asked.take().is_empty());
        asked.ask();
        setup.batch(2);
        assert!(setup.batch(3).is_some() && setup.batch(4).is_none());
        // Asking again before taking the gradients loses nothing.
        asked.ask();
        let found = asked.take();
        let [first, second] = [2, 3].map(|batch| gradients(&setup.parameters, batch));
        assert_eq!(found.len(), first.len());
        for (((name, found), first), second) in found.iter().zip(first).zip(second) {
            assert!(((first + second) / 2.0 - found).abs().max().double_value(&[]) < 1e-6, "{name}");
        }
        assert!(asked.take().is_empty());
    }
}
