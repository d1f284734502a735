//! Tests of the demo at a real terminal: its output, keys, signals, and the restoring of the terminal.

#[cfg(test)]
mod pty;

use pty::{End, Terminal, demo};
use std::process::{Command, Stdio};

const SIZE: [u16; 2] = [30, 100];
/// Arguments for a training whose steps take seconds.
const LONG: &[&str] = &["4000"];
const STOPPED: End = End { status: 75, restored: true };

/// Starts the demo, and waits until its dashboard is visible.
fn open(arguments: &[&str]) -> Option<Terminal> {
    let mut terminal = Terminal::start(SIZE, arguments, &[])?;
    terminal.until_seen("runs/street");
    assert!(terminal.covered() && terminal.cursor_hidden());
    Some(terminal)
}

fn assert_restored(terminal: &Terminal) {
    assert!(!terminal.covered(), "the alternate screen was not left");
    assert!(!terminal.cursor_hidden(), "the cursor was not shown");
    let (left, shown) = ("\x1b[?1049l", "\x1b[?25h");
    assert!(terminal.after_leaving().contains(shown), "{shown:?} does not come after {left:?}");
}

#[test]
fn the_end_gives_the_terminal_back_and_shows_the_log() {
    let Some(mut terminal) = open(&["1"]) else { return };
    assert_eq!(terminal.end(), End { status: 0, restored: true });
    assert_restored(&terminal);
    let after = terminal.after_leaving();
    assert!(after.contains("INFO ] Training on 320 samples\r\n"), "{after}");
    assert!(after.contains("INFO ] Epoch 40/40 | validation") && after.contains("The end\r\n"), "{after}");
}

#[test]
fn keys_become_commands_and_turn_the_view() {
    let Some(mut terminal) = open(&["60"]) else { return };
    terminal.send("s");
    terminal.until_seen("Saving after this step");
    terminal.until_seen("Asked for: Save");
    terminal.send("v");
    terminal.until_seen("Asked for: Validate");
    // Pasted text is not a command.
    terminal.send("\x1b[200~qes\x1b[201~");
    assert!(!terminal.rows().iter().any(|row| row.contains("close this and stop")));
    terminal.send("?");
    terminal.until_seen("close this and stop");
    terminal.send("?\t");
    let alone = |terminal: &Terminal| {
        let rows = terminal.rows();
        rows.iter().any(|row| row.starts_with("Loss ")) && !rows.iter().any(|row| row.contains("Mean IoU"))
    };
    terminal.until("the losses alone", alone);
    terminal.send("\x1b[5~");
    terminal.send("e");
    terminal.until_seen("Stopping when this epoch is over");
    terminal.send("q");
    assert_eq!(terminal.end(), STOPPED);
    assert_restored(&terminal);
    let asked: Vec<String> =
        terminal.after_leaving().split("Asked for: ").skip(1).map(|rest| rest.lines().next().unwrap().into()).collect();
    assert_eq!(asked, ["Save", "Validate", "StopAfterEpoch", "StopNow"]);
}

#[test]
fn another_size_is_another_picture() {
    let Some(mut terminal) = open(LONG) else { return };
    terminal.resize([12, 50]);
    terminal.until_seen("needs 60 × 16");
    terminal.resize([45, 160]);
    terminal.until_seen("Learning rate");
    terminal.until("all of it", |terminal| {
        let rows = terminal.rows();
        rows.len() == 45 && rows[0].starts_with("runs/street") && rows[44].starts_with("s save   v validate")
    });
    assert!(!terminal.rows().join("\n").contains("cells"));
    terminal.send("q");
    terminal.signal("SIGTERM");
    assert_eq!(terminal.end(), STOPPED);
}

#[test]
fn control_c_is_the_signal_it_is_elsewhere() {
    let Some(mut terminal) = open(&["60"]) else { return };
    terminal.send("\x03");
    assert_eq!(terminal.end(), STOPPED);
    assert_restored(&terminal);
    assert!(terminal.after_leaving().contains("Stopped in epoch"), "{}", terminal.after_leaving());
}

#[test]
fn a_second_control_c_in_a_long_step_ends_the_program_at_once() {
    let Some(mut terminal) = open(LONG) else { return };
    terminal.send("\x03");
    terminal.until("the terminal as it was", |terminal| !terminal.covered() && !terminal.cursor_hidden());
    terminal.until_seen("Training on 320 samples");
    terminal.send("\x03");
    assert_eq!(terminal.end(), End { status: 130, restored: true });
    assert_restored(&terminal);
}

#[test]
fn signals_to_stop_give_the_terminal_back_at_once() {
    for (signal, second) in [("SIGTERM", 143), ("SIGINT", 130)] {
        let Some(mut terminal) = open(LONG) else { return };
        terminal.signal(signal);
        terminal.until("the terminal as it was", |terminal| !terminal.covered() && !terminal.cursor_hidden());
        terminal.signal(signal);
        assert_eq!(terminal.end(), End { status: second, restored: true });
        assert_restored(&terminal);
    }
}

#[test]
fn a_signal_to_quit_gives_the_terminal_back_and_quits() {
    let Some(mut terminal) = open(LONG) else { return };
    terminal.signal("SIGQUIT");
    assert_eq!(terminal.end(), End { status: 131, restored: true });
    assert_restored(&terminal);
    assert!(terminal.after_leaving().contains("Training on 320 samples"), "{}", terminal.after_leaving());
}

#[test]
fn a_size_that_no_terminal_has_is_not_believed() {
    let Some(mut terminal) = open(&["60"]) else { return };
    terminal.claim([u16::MAX, u16::MAX]);
    terminal.until("a picture of 240 rows", |terminal| terminal.text().contains("\x1b[240;1H"));
    terminal.send("q");
    assert_eq!(terminal.end(), STOPPED);
}

#[test]
fn a_terminal_that_nobody_reads_stops_nothing() {
    for arguments in [&["2"][..], &["--plain", "2"]] {
        let Some(mut terminal) = Terminal::start(SIZE, arguments, &[]) else { return };
        terminal.until_seen(if arguments.len() == 1 { "runs/street" } else { "Epoch 1/40" });
        terminal.stall();
        assert_eq!(terminal.end(), End { status: 0, restored: true }, "{arguments:?}");
    }
}

#[test]
fn a_signal_is_heeded_also_where_nobody_reads() {
    let Some(mut terminal) = open(&["60"]) else { return };
    terminal.stall();
    terminal.signal("SIGTERM");
    assert_eq!(terminal.end(), STOPPED);
}

#[test]
fn a_terminal_that_goes_away_is_a_signal_to_stop() {
    for arguments in [&["60"][..], &["--plain", "60"]] {
        let Some(mut terminal) = Terminal::start(SIZE, arguments, &[]) else { return };
        terminal.until_seen(if arguments.len() == 1 { "runs/street" } else { "Epoch 1/40" });
        terminal.hang_up();
        // Without a dashboard, the signal has its default action.
        assert_eq!(terminal.end().status, if arguments.len() == 1 { 75 } else { 129 }, "{arguments:?}");
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_said() {
    let Some(mut terminal) = Terminal::start(SIZE, &["--panic"], &[]) else { return };
    assert_eq!(terminal.end(), End { status: 101, restored: true });
    assert_restored(&terminal);
    let after = terminal.after_leaving();
    let (log, panic) = (after.find("Training on 320 samples"), after.find("asked to panic"));
    assert!(log.is_some() && log < panic, "{after}");
}

/// Returns true if any sequence sets a colour: 30 to 38 and 90 to 97, and 10 more for the background. (39 and 49 reset
/// it.)
fn is_colored(text: &str) -> bool {
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|sign: char| sign.is_ascii_alphabetic())?;
        (&rest[end..=end] == "m").then(|| &rest[..end])
    });
    let is_color = |code: u8| matches!(code, 30..=38 | 40..=48 | 90..=97 | 100..=107);
    sequences.flat_map(|codes| codes.split(';')).filter_map(|code| code.parse().ok()).any(is_color)
}

#[test]
fn no_color_means_none() {
    for arguments in [&["1"][..], &["--plain", "1"]] {
        for (variables, colored) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
            let Some(mut terminal) = Terminal::start(SIZE, arguments, variables) else { return };
            assert_eq!(terminal.end(), End { status: 0, restored: true });
            assert_eq!(is_colored(&terminal.text()), colored, "{arguments:?} with {variables:?}");
        }
    }
}

#[test]
fn a_dumb_terminal_has_lines_only() {
    let Some(mut terminal) = Terminal::start(SIZE, &["1"], &[("TERM", "dumb")]) else { return };
    assert_eq!(terminal.end(), End { status: 1, restored: true });
    assert!(terminal.text().contains("TERM is 'dumb'") && !terminal.text().contains('\x1b'), "{}", terminal.text());
    let Some(mut terminal) = Terminal::start(SIZE, &["--plain", "1"], &[("TERM", "dumb")]) else { return };
    assert_eq!(terminal.end(), End { status: 0, restored: true });
    assert!(terminal.text().contains("mean IoU") && !terminal.text().contains('\x1b'), "{}", terminal.text());
}

#[test]
fn bars_say_how_far_it_is_and_rows_stay() {
    let Some(mut terminal) = Terminal::start([30, 140], &["--plain", "5"], &[]) else { return };
    terminal.until_seen("Epoch 3/40");
    assert_eq!(terminal.end(), End { status: 0, restored: true });
    let text = terminal.text();
    for part in ["/320 ", "loss ", "score ", " images/s", "data ", " left", "run "] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let rows = terminal.rows();
    assert!(rows.iter().any(|row| row.starts_with("40/40")), "{rows:?}");
    assert!(!rows.iter().any(|row| row.contains(" left")), "a bar is left: {rows:?}");
}

#[test]
fn without_a_terminal_there_is_a_word_and_no_picture() {
    let mut command = Command::new(demo());
    let output = command.arg("1").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--tui needs a terminal") && !said.contains('\x1b'), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
