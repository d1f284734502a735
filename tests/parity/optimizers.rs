//! Steps of each optimizer, and schedules.

use super::{Recorded, assert_close, cases};
use contract::{Optimizer, StateDict, Stateful, Update};
use optim::{Length, Schedule};
use serde::Deserialize;
use tch::{Kind, Tensor};

const UPDATES: usize = 5;

/// Batch i has the loss `sum over parameters p of |M_p p - c_pi|^2 / 2`.
struct Problem {
    /// Name, value, `M_p`, and `c_p` with a row for each batch.
    parameters: Vec<(String, Tensor, Tensor, Tensor)>,
}

impl Problem {
    fn new(recorded: &Recorded) -> Self {
        let start = recorded.under("start.");
        let parameters = start.into_iter().map(|(name, value)| {
            let (matrix, aims) = (recorded.get(&format!("matrix.{name}")), recorded.get(&format!("aims.{name}")));
            (name, value.set_requires_grad(true), matrix, aims)
        });
        Self { parameters: parameters.collect() }
    }

    fn named(&self) -> StateDict {
        self.parameters.iter().map(|(name, value, ..)| (name.clone(), value.shallow_clone())).collect()
    }

    fn loss(&self, batch: i64) -> Tensor {
        let loss = |value: &Tensor, matrix: &Tensor, aims: &Tensor| {
            (matrix.mv(&value.flatten(0, -1)) - aims.get(batch)).square().sum(Kind::Float) / 2.0
        };
        self.parameters.iter().map(|(_, value, matrix, aims)| loss(value, matrix, aims)).sum()
    }
}

fn assert_parameters(case: &str, done: usize, problem: &Problem, recorded: &Recorded) {
    for (name, value) in problem.named() {
        let name = format!("{case}.after{done}.{name}");
        assert_close(&name, &value, &recorded.get(&name));
    }
}

#[test]
fn one_and_five_steps_of_each_optimizer_are_those_of_pytorch() {
    let recorded = Recorded::open("optimizers");
    let cases = cases::<optim::Config>("optimizers");
    assert_eq!(cases.len(), 24);
    for (case, config) in cases {
        config.check().unwrap();
        let problem = Problem::new(&recorded);
        let length = Length { updates_per_epoch: 1, epochs: UPDATES as u64 };
        let mut optimizer = config.build(problem.named(), Schedule::default(), length).unwrap();
        let mut updates: Vec<Update> = Vec::new();
        for batch in 0..UPDATES as i64 * config.accumulate as i64 {
            let Some(update) = optimizer.minimize(&problem.loss(batch), &|| Ok(Tensor::from(1f32))).unwrap() else {
                continue;
            };
            updates.push(update);
            if updates.len() == 1 {
                assert_parameters(&case, 1, &problem, &recorded);
            }
        }
        assert_eq!(updates.len(), UPDATES, "{case}");
        assert_parameters(&case, UPDATES, &problem, &recorded);
        let state = optimizer.state();
        for (name, expected) in recorded.under(&format!("{case}.state.")) {
            assert_close(&format!("{case}.state.{name}"), &state[&name], &expected);
        }
        let norms: Vec<&Tensor> = updates.iter().map(|update| &update.gradient_norm).collect();
        assert_close(&format!("{case}.norms"), &Tensor::stack(&norms, 0), &recorded.get(&format!("{case}.norms")));
        assert!(updates.iter().all(|update| update.rejected.double_value(&[]) == 0.0), "{case}");
    }
}

#[derive(Deserialize)]
struct ScheduleCase {
    total: u64,
    schedule: Schedule,
}

#[test]
fn schedules_are_those_of_pytorch_and_mmsegmentation() {
    let recorded = Recorded::open("schedules");
    let cases = cases::<ScheduleCase>("schedules");
    assert_eq!(cases.len(), 17);
    for (name, ScheduleCase { total, schedule }) in cases {
        schedule.check(1.0).unwrap();
        let factors: Vec<f64> = (0..total).map(|update| schedule.rate(1.0, update, total)).collect();
        assert_close(&name, &Tensor::from_slice(&factors), &recorded.get(&name));
    }
}
