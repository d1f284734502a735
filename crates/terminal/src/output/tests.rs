use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

const QUICK: Limits = Limits { bytes: 1000, patience: Duration::from_millis(100), longest: Duration::from_secs(60) };
const PATIENT: Limits = Limits { bytes: 16 << 20, patience: Duration::from_secs(60), ..QUICK };

/// Reader that records what it takes, and can fail or stall.
#[derive(Default, Clone)]
struct Reader {
    taken: Arc<Mutex<Vec<u8>>>,
    /// Errors of the next writes, in order. Later writes succeed.
    refusals: Arc<Mutex<VecDeque<ErrorKind>>>,
    /// Held by a test to make the reader stall.
    gate: Arc<Mutex<()>>,
    writes: Arc<AtomicUsize>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock().unwrap());
        match self.refusals.lock().unwrap().pop_front() {
            Some(kind) => Err(kind.into()),
            None => self.taken.lock().unwrap().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    fn text(&self) -> String {
        String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
    }
}

fn output(limits: Limits) -> (Output, Reader, Reader) {
    let (out, err) = (Reader::default(), Reader::default());
    let (of_out, of_err) = (out.clone(), err.clone());
    (Output::serve(limits, || of_out, || of_err), out, err)
}

impl Output {
    /// Waits for a reader that reads again, however long it took nothing.
    fn settle(&self) {
        while !self.flush() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn line(&self, text: &str) {
        self.say(format!("{text}\n").into_bytes());
    }
}

#[test]
fn lines_of_all_threads_come_whole_and_in_their_order() {
    let (output, _, err) = output(PATIENT);
    scope(|scope| {
        for thread in 0..4 {
            let output = &output;
            scope.spawn(move || (0..500).for_each(|at| output.line(&format!("{thread} {at} {}", "x".repeat(at * 17)))));
        }
    });
    assert!(output.flush());
    let text = err.text();
    for thread in 0..4 {
        let own = text.lines().filter(|line| line.starts_with(&format!("{thread} ")));
        let expected = (0..500).map(|at| format!("{thread} {at} {}", "x".repeat(at * 17)));
        assert!(own.eq(expected), "of thread {thread}");
    }
    assert_eq!(text.lines().count(), 2000);
}

#[test]
fn a_reader_that_stalls_keeps_nobody_waiting_and_hears_later_what_is_missing() {
    let (output, _, err) = output(QUICK);
    output.line("before");
    assert!(output.flush());
    let stalled = err.gate.lock().unwrap();
    for at in 0..120 {
        output.line(&format!("line {at:04}"));
    }
    assert!(!output.flush(), "nobody reads");
    // A reader that took nothing for so long is not waited for again.
    let since = Instant::now();
    assert!(!output.flush() && since.elapsed() < QUICK.patience);
    output.line("no room for this either");
    drop(stalled);
    output.settle();
    output.line("after");
    assert!(output.flush());
    let text = err.text();
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines.iter().filter(|line| line.starts_with("line ")).count();
    assert!((100..=101).contains(&kept), "{kept}");
    assert_eq!(lines[0], "before");
    assert_eq!(lines[kept], format!("line {:04}", kept - 1));
    let missing = format!("({} lines were left out here, since nobody took them)", 121 - kept);
    assert_eq!(lines[kept + 1..], [&missing, "after"]);
}

#[test]
fn a_reader_that_is_gone_fails_nobody() {
    let (output, _, err) = output(PATIENT);
    err.refusals.lock().unwrap().extend([ErrorKind::BrokenPipe, ErrorKind::Other, ErrorKind::StorageFull]);
    ["one", "two\nlines", "three", "four", "five"].into_iter().for_each(|line| output.line(line));
    assert!(output.flush());
    assert_eq!(err.text(), "(4 lines were left out here, since nobody took them)\nfour\nfive\n");
}

#[test]
fn a_stream_that_must_not_block_and_an_interruption_lose_nothing() {
    let (output, _, err) = output(PATIENT);
    err.refusals.lock().unwrap().extend([ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::WouldBlock]);
    ["one", "two"].into_iter().for_each(|line| output.line(line));
    assert!(output.flush());
    assert_eq!(err.text(), "one\ntwo\n");
}

#[test]
fn lines_stand_above_the_bar_and_only_its_newest_state_is_drawn() {
    let (output, _, err) = output(PATIENT);
    output.bar(1, Some("bar 1".into()));
    assert!(output.flush());
    let stalled = err.gate.lock().unwrap();
    output.line("line");
    (2..100).for_each(|state| output.bar(1, Some(format!("bar {state}"))));
    drop(stalled);
    assert!(output.flush());
    // Another bar takes its place, and only its owner can remove it.
    output.bar(2, Some("other".into()));
    assert!(output.flush());
    output.bar(1, None);
    assert!(output.flush());
    output.line("last");
    assert!(output.flush());
    output.bar(2, None);
    assert!(output.flush());
    let text = err.text().replace("\r\x1b[2K", "<clear>");
    let (start, rest) = text.split_once("line\n").unwrap();
    assert_eq!(start, "bar 1<clear>");
    let (states, rest) = rest.split_once("bar 99").unwrap();
    assert!(states.matches("bar").count() <= 1, "{text}");
    assert_eq!(rest, "<clear>other<clear>last\nother<clear>");
}

#[test]
fn results_come_after_the_lines_and_say_how_it_went() {
    let (output, out, err) = output(QUICK);
    output.bar(1, Some("bar".into()));
    output.line("line");
    output.show("table").unwrap();
    assert_eq!((out.text(), err.text().contains("line\n")), ("table\n".into(), true));
    out.refusals.lock().unwrap().push_back(ErrorKind::StorageFull);
    assert_eq!(output.show("full").unwrap_err().kind(), ErrorKind::StorageFull);
    let stalled = err.gate.lock().unwrap();
    output.line("waits");
    assert_eq!(output.show("behind it").unwrap_err().kind(), ErrorKind::TimedOut);
    drop(stalled);
    output.settle();
    assert_eq!(out.text(), "table\nbehind it\n");
}

#[test]
fn what_is_long_is_written_in_pieces_and_a_line_at_once() {
    let (output, _, err) = output(PATIENT);
    output.line(&"x".repeat(PIECE - 1));
    assert!(output.flush());
    assert_eq!(err.writes.load(Ordering::SeqCst), 1);
    output.line(&"x".repeat(3 * PIECE));
    assert!(output.flush());
    assert_eq!(err.writes.load(Ordering::SeqCst), 5);
}
