//! The operations of a group.

use crate::launch::{free_port, join, run, say};
use contract::{Ranks, StateDict};
use tch::{Device, Kind, Tensor};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

pub fn rank() {
    let group = join();
    let (own, count) = (group.rank() as i64, group.count() as i64);
    let sum = count * (count + 1) / 2;

    // Kinds, layouts and sizes are mixed; an empty list and an empty tensor are no exception.
    let whole = Tensor::full([3, 5], own + 1, CPU);
    let turned = Tensor::full([4, 6], own + 1, CPU).tr();
    let number = Tensor::from(own + 1);
    let none = Tensor::zeros([0], CPU);
    let column = Tensor::full([4, 2], own + 1, CPU);
    group.sum(&[&whole, &number, &turned, &none, &column.select(1, 0)].map(Tensor::shallow_clone)).unwrap();
    group.sum(&[]).unwrap();
    assert!(whole.equal(&Tensor::full([3, 5], sum, CPU)));
    assert!(turned.equal(&Tensor::full([6, 4], sum, CPU)));
    assert_eq!((number.int64_value(&[]), column.double_value(&[3, 0])), (sum, sum as f64));
    assert_eq!(column.double_value(&[3, 1]), (own + 1) as f64, "only the view was summed");

    // Sums are the same on all ranks to the bit.
    tch::manual_seed(own);
    let drawn = Tensor::randn([10_007], CPU);
    group.sum(&[drawn.shallow_clone()]).unwrap();
    let all = group.gather(&[("drawn".to_string(), drawn.shallow_clone())].into()).unwrap();
    assert_eq!(all.len() as i64, count);
    assert!(all.iter().all(|state| state["drawn"].equal(&drawn)));

    for from in 0..count {
        let kinds = [Kind::Float, Kind::Bool, Kind::Int16, Kind::BFloat16, Kind::Double];
        let values = kinds.map(|kind| Tensor::full([3, 2], i64::from(own == from), (kind, Device::Cpu)));
        group.broadcast(&values, from as usize).unwrap();
        assert!(values.iter().all(|values| values.sum(Kind::Double).double_value(&[]) == 6.0), "from {from}");
    }

    // Names and shapes differ.
    let mut state = StateDict::new();
    for number in 0..own {
        state.insert(format!("{number} of {own}"), Tensor::full([number, 2], own, (Kind::Int64, Device::Cpu)));
    }
    for (rank, state) in group.gather(&state).unwrap().iter().enumerate() {
        assert_eq!(state.len(), rank);
        for (number, (name, tensor)) in state.iter().enumerate() {
            assert_eq!((name, tensor.size()), (&format!("{number} of {rank}"), vec![number as i64, 2]));
            assert!(tensor.equal(&tensor.full_like(rank as i64)));
        }
    }

    // One call late.
    let given = |step: u32, rank: i64| if i64::from(step) % count == rank { 1u32 << (31 - step) | 1 } else { 0 };
    for step in 0..5 {
        let agreed = group.agree(given(step, own)).unwrap();
        let before = |step: u32| (0..count).fold(0, |all, rank| all | given(step, rank));
        assert_eq!(agreed, step.checked_sub(1).map_or(0, before), "step {step}");
    }
    group.barrier().unwrap();
    assert!(group.fault().is_none());

    // A call that is refused is no fault of others.
    let said = group.sum(&[Tensor::zeros([2], (Kind::Bool, Device::Cpu))]).unwrap_err().to_string();
    assert!(said.contains("of kind Bool cannot be summed") && group.fault().is_none(), "{said}");
    group.barrier().unwrap();
    say("done");
}

#[test]
fn operations_of_one_two_and_three_ranks() {
    for count in [1, 2, 3] {
        assert_eq!(run("operations", count, &[]), vec![vec!["done"]; count]);
    }
}

#[test]
fn the_port_that_is_taken_is_named() {
    let world = |port: u16| distributed::World { count: 2, local_count: 2, port, ..distributed::World::alone() };
    let listener = std::net::TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let taken = listener.local_addr().unwrap().port();
    let error = distributed::Group::join(world(taken), &distributed::Options::default()).unwrap_err();
    assert!(error.to_string().contains(&format!("cannot listen on 127.0.0.1:{taken}")) && !error.can_resume());
}
