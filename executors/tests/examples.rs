//! The examples learn.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use contract::{StateDict, Stateful};
use std::process::Command;
use tch::{Device, Tensor, nn::VarStore};

#[path = "../examples/distill.rs"]
#[allow(dead_code, reason = "its main is for `cargo run`")]
mod distill;

#[test]
fn the_smallest_loop_learns() {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/own_model");
    assert!(program.exists(), "{} is missing: run cargo test -p executors", program.display());
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers = said.lines().map(|line| {
        let (line, accuracy) = line.split_once(", accuracy ").unwrap();
        let (_, loss) = line.split_once(": loss ").unwrap();
        [loss, accuracy].map(|number| number.parse::<f64>().unwrap())
    });
    let numbers: Vec<[f64; 2]> = numbers.collect();
    assert_eq!(numbers.len(), 5, "{said}");
    assert!(numbers.is_sorted_by(|before, after| after[0] < before[0]), "{said}");
    assert!(numbers[4][1] > 0.95, "{said}");
}

fn copied(store: &VarStore) -> StateDict {
    Stateful::state(store).into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
}

/// Returns the names of the tensors that are the same to the bit.
fn same(a: &StateDict, b: &StateDict) -> Vec<String> {
    let bits = |tensor: &Tensor| -> Vec<u32> {
        Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap().into_iter().map(f32::to_bits).collect()
    };
    a.iter().filter(|(name, tensor)| bits(tensor) == bits(&b[*name])).map(|(name, _)| name.clone()).collect()
}

#[test]
fn a_student_learns_from_a_teacher_that_stays_as_it_is() {
    tch::manual_seed(1);
    let [of_teacher, of_student, of_other] = [(); 3].map(|()| VarStore::new(Device::Cpu));
    let teacher = distill::network(&of_teacher, 12);
    let [_, teacher_score] = distill::train(&teacher, &of_teacher, &loss::CrossEntropy::default(), 1).unwrap();
    assert!(teacher_score > 0.8, "{teacher_score}");

    let student = distill::network(&of_student, 4);
    let other = distill::network(&of_other, 4);
    contract::load(&of_other.state(), &of_student.state()).unwrap();
    let [teacher_before, student_before] = [&of_teacher, &of_student].map(copied);
    let pair = distill::Pair { student: &student, teacher: &teacher };
    let [_, with] = distill::train(&pair, &of_student, &distill::Distillation, 200).unwrap();
    let [_, without] = distill::train(&other, &of_other, &loss::CrossEntropy::default(), 200).unwrap();
    assert!(with > without + 0.02, "mean IoU {with} with the teacher, {without} without");

    assert_eq!(same(&teacher_before, &of_teacher.state()).len(), teacher_before.len(), "the teacher changed");
    assert_eq!(same(&student_before, &of_student.state()), [""; 0], "these tensors of the student did not change");
}
