//! What a person at a terminal sees.

use super::support::{APP, Place, python, skip};

#[test]
fn a_terminal_shows_a_bar_with_loss_and_speed_and_a_file_does_not() {
    let Some(mut command) = python() else { return skip("no Python packages: run scripts/python") };
    let place = Place::new();
    let spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    command.args(["-c", spawn]).arg(&*APP).args(["train", "--config", "tiny.json", "--set", "train.epochs=20"]);
    let shown = command.current_dir(place.path("")).env("TERM", "xterm").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in ["Epoch 1/20", "/24", "loss ", " images/s", " left"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    assert!(!shown.contains("Epoch 21/20"), "a bar for an epoch that does not come: {shown:?}");
    let plain = place.train("--run plain").ok();
    assert!(!plain.stderr.contains('\r') && !plain.stderr.contains('\x1b'), "{:?}", plain.stderr);
}
