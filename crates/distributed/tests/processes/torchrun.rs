//! Ranks that torchrun launches, if there is a Python with PyTorch.

use crate::launch::{Rank, command};
use std::process::Command;

#[test]
fn torchrun_launches_ranks() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import torch.distributed.run"]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: {python} has no PyTorch; name one that has by PYTHON");
        return;
    }
    let rank = command("training", &[]);
    let mut torchrun = Command::new(python);
    torchrun.args(["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]);
    torchrun.arg(rank.get_program()).args(rank.get_args());
    torchrun.envs(rank.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let end = Rank::new(torchrun).end();
    assert_eq!((end.status, end.said.len()), (Some(0), 2), "{end:?}");
    assert_eq!(end.said[0], end.said[1]);
}
