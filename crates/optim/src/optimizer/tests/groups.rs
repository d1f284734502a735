//! Tests of parameter groups.

use super::*;
use crate::GroupConfig;

#[test]
fn groups_learn_slower_later_or_not_at_all_and_go_on_from_their_state() {
    let group =
        |parameters: &str, factor, frozen_epochs| GroupConfig { parameters: parameters.into(), factor, frozen_epochs };
    // An epoch has two updates.
    let groups = vec![group("v*", 1.0, 2), group("m*", 0.0, 0), group("c*", 0.5, 1)];
    for rule in RULES {
        let config = Config { groups: groups.clone(), ..config(rule) };
        let setup = || {
            let parameters = parameters();
            let shared = parameters.iter().map(|(name, p)| (name.clone(), p.shallow_clone())).collect();
            Setup {
                optim: config.build(shared, Schedule::default(), Length { updates_per_epoch: 2, epochs: 5 }).unwrap(),
                parameters,
            }
        };
        let mut straight = setup();
        let mut resumed = setup();
        let mut trained = Vec::new();
        for batch in 0..6 {
            let before = straight.values();
            straight.batch(batch);
            let after = straight.values();
            let changed = |name: &&str| !after[*name].equal(&before[*name]);
            trained.push(["scalar", "vector", "matrix", "conv"].iter().filter(|name| changed(name)).count());
            // The same update with an optimizer that resumes from the state of the former.
            let (state, values) = (resumed.state(), resumed.values());
            resumed = setup();
            tch::no_grad(|| resumed.parameters.iter_mut().for_each(|(name, p)| p.copy_(&values[name])));
            resumed.optim.load_state(&state).unwrap();
            resumed.batch(batch);
            assert_same(&resumed.values(), &after);
        }
        assert_eq!(trained, [1, 1, 2, 2, 3, 3], "{rule:?}: the scalar, the convolution, the vector; never the matrix");
        let learns = |setup: &Setup| setup.parameters.iter().map(|(_, p)| p.requires_grad()).collect::<Vec<_>>();
        assert_eq!(learns(&straight), [true, true, false, true]);
        assert_eq!(learns(&setup()), [true, false, false, false]);
    }
}
