//! Real processes on loopback. The test binary starts itself again as the ranks, by the name of a role.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod captured;
mod faults;
mod launch;
mod network;
mod operations;
mod torchrun;
mod training;

/// Becomes a rank, if [`launch`] started this process.
#[test]
#[ignore = "a rank of the other tests, which start it"]
fn rank() {
    let Ok(role) = std::env::var(launch::ROLE) else { return };
    tch::set_num_threads(1);
    match role.as_str() {
        "operations" => operations::rank(),
        "training" => training::rank(),
        "captured" => captured::rank(),
        "endless" => faults::endless(),
        "endless training" => faults::endless_training(),
        "leaving" => faults::leaving(),
        "slow" => faults::slow(),
        other => panic!("no role '{other}'"),
    }
}
