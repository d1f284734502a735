//! `app train --nproc`: ranks that one program starts.

use super::support::Place;

#[test]
fn ranks_are_started_by_one_launcher_only_and_their_number_is_clear() {
    let place = Place::new();
    place.train("--nproc 0").refused(2, "say auto, or a number from 1 to 1024");
    place.train("--nproc two").refused(2, "say auto, or a number from 1 to 1024");
    place.app("train --nproc 2 --replay run/rejected/step-5").refused(2, "cannot be used with '--replay");
    if !tch::Cuda::is_available() {
        place.train("--nproc auto").refused(2, "libtorch finds no GPU: give a number, e.g. --nproc 2");
    }
    let mut inside = place.command("train --config tiny.json --nproc 2");
    let output = inside.env("RANK", "1").output().unwrap();
    super::support::Ran::new(output).refused(2, "RANK is set: this process is a rank already");
    assert!(!place.path("runs").exists());
}

#[test]
fn a_configuration_that_the_ranks_refuse_is_the_launchers_status() {
    let place = Place::new();
    let ran = place.train("--nproc 2 --set model.width=0");
    let ran = ran.refused(2, "model.width: must be from 1 to 1024, is 0");
    assert!(ran.stderr.contains("[rank 1]"), "{}", ran.stderr);
}
