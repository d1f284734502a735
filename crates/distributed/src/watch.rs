//! Signs of life in the store, and the search for the rank that made an operation fail.

use crate::beat::{Beat, State, culprits};
use crate::bounded::bounded;
use crate::error::{Culprit, Fate, Fault};
use contract::TorchError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use torch_ext::{Alarm, Store};

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// A rank without a sign of life for this long has died or stopped.
const WINDOW: Duration = Duration::from_secs(3);
/// Number of signs of life that a rank gives without one of the next rank, before that one counts as lost. Gloo may not
/// notice that a process has ended until the timeout.
const SILENCE: u32 = 20;
/// Time between two looks at the others, while a culprit is searched for.
const LOOK: Duration = Duration::from_millis(250);
/// Time that the rank with the store stays for the others after a failure, and at most after a run.
const LINGER: Duration = Duration::from_secs(6);
/// Time after which the store counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Key of the fault that all ranks report, and its value as long as there is none.
const FAULT: &str = "fault";
const NONE: &str = "-";

/// Thread of a rank that gives signs of life. All calls of the store are made there, since they may never return.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    holder: Option<usize>,
    /// Time that a farewell may take.
    farewell: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    /// Number of operations that this rank has begun.
    calls: AtomicU64,
    fault: OnceLock<Fault>,
    alarm: OnceLock<Alarm>,
}

impl Shared {
    /// Ends the waits of this rank if there is a fault.
    fn raise(&self) {
        if let (Some(_), Some(alarm)) = (self.fault.get(), self.alarm.get())
            && let Err(error) = alarm.raise()
        {
            log::debug!("This rank goes on waiting: {error}");
        }
    }
}

enum Request {
    Diagnose { cause: String, reply: Sender<Fault> },
    Leave(Sender<()>),
}

/// Returns true if an error tells that the other end of a connection has gone.
pub(crate) fn is_closed(cause: &str) -> bool {
    ["closed by peer", "reset by peer", "Broken pipe", "Connection refused", "Connection was likely closed"]
        .iter()
        .any(|sign| cause.contains(sign))
}

/// Waits until all ranks are here, and starts to give signs of life. `holder` is the rank that keeps the store, if one
/// does.
pub(crate) fn meet(
    store: Store,
    rank: usize,
    count: usize,
    holder: Option<usize>,
    timeout: Duration,
) -> Result<Watch, Fault> {
    let store = Arc::new(store);
    let met = {
        let store = Arc::clone(&store);
        bounded(timeout + PATIENCE, move || wait_for_all(&store, rank, count, holder, timeout))
    };
    met.unwrap_or_else(|| Err(lost(holder, "the store does not answer")))?;
    let (requests, inbox) = channel();
    let shared = Arc::new(Shared::default());
    let of = Arc::clone(&shared);
    let (next, state) = ((None, 0), State::Here);
    let life = Life { store, rank, count, holder, shared: of, number: 0, state, next };
    let spawned = thread::Builder::new().name("oxiseg-watch".into()).spawn(move || life.run(&inbox));
    spawned.map_err(|error| Fault::of(rank, Fate::Left, format!("no thread could be started: {error}")))?;
    let farewell = if holder == Some(rank) { LINGER + PATIENCE } else { 2 * BEAT };
    Ok(Watch { shared, requests, holder, farewell })
}

fn wait_for_all(
    store: &Store,
    rank: usize,
    count: usize,
    holder: Option<usize>,
    timeout: Duration,
) -> Result<(), Fault> {
    let gone = |error: TorchError| lost(holder, &error.to_string());
    if rank == 0 {
        store.set(FAULT, NONE).map_err(gone)?;
    }
    store.set(&beat_of(rank), &Beat { number: 0, calls: 0, state: State::Here }.encode()).map_err(gone)?;
    let mut keys: Vec<String> = (0..count).map(beat_of).collect();
    keys.push(FAULT.into());
    let since = Instant::now();
    loop {
        let left = timeout.saturating_sub(since.elapsed());
        if store.wait(&keys, left.min(BEAT)).is_ok() {
            return Ok(());
        }
        // Also where the store is gone: then this fails as well.
        if store.has(FAULT).map_err(gone)? {
            let said = store.get(&[FAULT.into()]).map_err(gone)?;
            if let Some(fault) = said.first().and_then(|line| Fault::decode(line)) {
                return Err(fault);
            }
        }
        if left.is_zero() {
            break;
        }
    }
    let mut culprits = Vec::new();
    for rank in 0..count {
        if !store.has(&beat_of(rank)).map_err(gone)? {
            culprits.push(Culprit { rank, fate: Fate::NeverStarted });
        }
    }
    let fault = Fault { culprits, cause: format!("they were waited for {} s", timeout.as_secs_f64().round()) };
    let said = store.replace(FAULT, NONE, &fault.encode()).map_err(gone)?;
    if holder == Some(rank) {
        // The others read it before the store goes.
        thread::sleep(2 * BEAT);
    }
    Err(Fault::decode(&said).unwrap_or(fault))
}

fn beat_of(rank: usize) -> String {
    format!("beat/{rank}")
}

/// Returns the fault of a store that is gone.
fn lost(holder: Option<usize>, cause: &str) -> Fault {
    let cause = format!("the store is lost ({cause})");
    match holder {
        Some(rank) => Fault::of(rank, if is_closed(&cause) { Fate::Dead } else { Fate::Silent }, cause),
        None => Fault { culprits: Vec::new(), cause: format!("{cause}, which the launcher keeps") },
    }
}

impl Watch {
    /// Counts an operation that begins.
    pub(crate) fn begin(&self) {
        self.shared.calls.fetch_add(1, Relaxed);
    }

    /// Returns the fault, once there is one.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.shared.fault.get()
    }

    /// Ends this rank's waits by `alarm`, once there is a fault.
    pub(crate) fn guard(&self, alarm: Alarm) {
        let _ = self.shared.alarm.set(alarm);
    }

    /// Finds the ranks to blame for the failure of an operation. Takes a few seconds at most.
    pub(crate) fn diagnose(&self, cause: String) -> Fault {
        if let Some(fault) = self.fault() {
            return fault.clone();
        }
        let (reply, answer) = channel();
        let asked = self.requests.send(Request::Diagnose { cause: cause.clone(), reply }).is_ok();
        let found = if asked { answer.recv_timeout(WINDOW + PATIENCE).ok() } else { None };
        let found = found.unwrap_or_else(|| lost(self.holder, &format!("it does not answer; {cause}")));
        self.shared.fault.get_or_init(|| found).clone()
    }

    /// Tells the others that this rank leaves, and waits for those that still need its store.
    pub(crate) fn leave(&self) {
        let (reply, done) = channel();
        if self.requests.send(Request::Leave(reply)).is_ok() {
            // Nothing depends on it: the others will miss the signs of life.
            let _ = done.recv_timeout(self.farewell);
        }
    }
}

/// The thread's own part.
struct Life {
    store: Arc<Store>,
    rank: usize,
    count: usize,
    holder: Option<usize>,
    shared: Arc<Shared>,
    number: u64,
    state: State,
    /// Last sign of life of the next rank, and the number of looks since it came.
    next: (Option<Beat>, u32),
}

impl Life {
    fn run(mut self, requests: &Receiver<Request>) {
        // The store may be lost: operations fail then, and a diagnosis says so.
        let mut last = self.beat();
        loop {
            match requests.recv_timeout(BEAT) {
                Err(RecvTimeoutError::Timeout) => {
                    if last.is_ok() {
                        last = self.beat().and_then(|()| self.look());
                        if let (Err(error), Some(_)) = (&last, self.holder.filter(|holder| *holder != self.rank)) {
                            self.shared.fault.get_or_init(|| lost(self.holder, &error.to_string()));
                        }
                    }
                    self.shared.raise();
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(Request::Diagnose { cause, reply }) => {
                    let found = self.diagnose(&cause);
                    let found = found.unwrap_or_else(|error| lost(self.holder, &format!("{error}; {cause}")));
                    let _ = reply.send(self.shared.fault.get_or_init(|| found).clone());
                }
                Ok(Request::Leave(reply)) => {
                    let _ = self.leave();
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    /// Gives a sign of life, and takes in the fault that others have found.
    fn beat(&mut self) -> Result<(), TorchError> {
        self.number += 1;
        let beat = Beat { number: self.number, calls: self.shared.calls.load(Relaxed), state: self.state };
        self.store.set(&beat_of(self.rank), &beat.encode())?;
        let said = self.store.get(&[FAULT.into()])?;
        if let Some(fault) = said.first().and_then(|line| Fault::decode(line)) {
            self.shared.fault.get_or_init(|| fault);
        }
        Ok(())
    }

    /// Reports the next rank if it has given no sign of life for too long.
    fn look(&mut self) -> Result<(), TorchError> {
        let rank = (self.rank + 1) % self.count;
        let said = self.store.get(&[beat_of(rank)])?;
        let beat = said.first().and_then(|line| Beat::decode(line)).filter(|beat| beat.state == State::Here);
        let looks = if beat.is_some() && beat == self.next.0 { self.next.1 + 1 } else { 0 };
        self.next = (beat, looks);
        if looks >= SILENCE && self.shared.fault.get().is_none() {
            let fault = Fault::of(rank, Fate::Silent, format!("the last sign came more than {SILENCE} s ago"));
            let said = self.store.replace(FAULT, NONE, &fault.encode())?;
            self.shared.fault.get_or_init(|| Fault::decode(&said).unwrap_or(fault));
        }
        Ok(())
    }

    fn beats(&self) -> Result<Vec<Option<Beat>>, TorchError> {
        let keys: Vec<String> = (0..self.count).map(beat_of).collect();
        Ok(self.store.get(&keys)?.iter().map(|line| Beat::decode(line)).collect())
    }

    fn diagnose(&mut self, cause: &str) -> Result<Fault, TorchError> {
        self.beat()?;
        let before = self.beats()?;
        let since = Instant::now();
        loop {
            if let Some(fault) = self.shared.fault.get() {
                return Ok(fault.clone());
            }
            thread::sleep(LOOK);
            self.beat()?;
            if since.elapsed() >= WINDOW {
                break;
            }
        }
        let culprits = culprits(&before, &self.beats()?, self.rank, is_closed(cause));
        let fault = Fault { culprits, cause: cause.into() };
        let said = self.store.replace(FAULT, NONE, &fault.encode())?;
        Ok(Fault::decode(&said).unwrap_or(fault))
    }

    fn leave(&mut self) -> Result<(), TorchError> {
        self.state = if self.shared.fault.get().is_some() { State::Driven } else { State::Left };
        self.beat()?;
        if self.holder != Some(self.rank) {
            return Ok(());
        }
        let start = Instant::now();
        let mut seen = self.beats()?;
        let mut changed = vec![start; self.count];
        while start.elapsed() < LINGER {
            for (rank, beat) in self.beats()?.into_iter().enumerate() {
                if seen.get(rank) != Some(&beat) {
                    (seen[rank], changed[rank]) = (beat, Instant::now());
                }
            }
            let here = |beat: &Option<Beat>| beat.as_ref().is_some_and(|beat| beat.state == State::Here);
            let needs = |rank: usize| rank != self.rank && here(&seen[rank]) && changed[rank].elapsed() < WINDOW;
            if !(0..self.count).any(needs) {
                break;
            }
            thread::sleep(LOOK / 5);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_store_is_its_holders_fault() {
        assert_eq!(lost(Some(0), "Connection reset by peer").culprits[0].fate, Fate::Dead);
        assert_eq!(lost(Some(0), "it does not answer").culprits[0].fate, Fate::Silent);
        assert!(lost(None, "Broken pipe").to_string().contains("which the launcher keeps"));
    }
}
