//! One download of several attempts, each of which goes on where the one before ended.

use crate::http::{self, Answer, Ended};
use crate::partial::Partial;
use crate::{Error, Event, Limits, Wanted};
use std::io::{ErrorKind, Read};
use std::thread;
use std::time::Duration;
use ureq::Agent;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Factor on the time for a body, after a server that cannot resume needed more.
const LONGER: u32 = 4;

/// Completes the file.
///
/// # Errors
///
/// Fails after too many attempts in a row that added too little; then the part that is there remains. Other failures
/// remove it if it is of no use any more.
pub(crate) fn download(
    wanted: &Wanted,
    limits: &Limits,
    partial: &mut Partial,
    report: &mut dyn FnMut(Event),
) -> Result<(), Error> {
    let agent = http::agent(wanted.url, limits)?;
    // Bytes that were ever reached: a server that begins anew each time does not get on.
    let (mut furthest, mut fails, mut patience) = (partial.len(), 0, limits.body);
    while !partial.is_whole() {
        let ended = match attempt(&agent, wanted, partial, patience, report) {
            Ok(()) => return Ok(()),
            Err(ended) => ended,
        };
        let (said, late, after) = match ended {
            Ended::This { said, late, after } => (said, late, after),
            Ended::Always(error) => {
                let useless = matches!(error, Error::Io { .. } | Error::Large { .. } | Error::Unsized { .. });
                if useless || partial.len() == 0 {
                    partial.remove();
                }
                return Err(error);
            }
        };
        let resumes = partial.version().validator.is_some();
        if late && !resumes {
            patience *= LONGER;
        }
        if partial.len() >= furthest.saturating_add(limits.least) {
            (furthest, fails) = (partial.len(), 0);
            if late && resumes {
                continue;
            }
        } else {
            fails += 1;
        }
        if fails >= limits.tries {
            return Err(Error::Unreachable { url: wanted.url.into(), said, tries: fails });
        }
        let pause = limits.pause.saturating_mul(2u32.saturating_pow(fails.saturating_sub(1)));
        let pause = pause.max(after.unwrap_or_default()).min(limits.longest_pause);
        report(Event::Failed { said, pause });
        thread::sleep(pause);
    }
    Ok(())
}

/// Makes one request and reads its answer, to the end of the file.
fn attempt(
    agent: &Agent,
    wanted: &Wanted,
    partial: &mut Partial,
    patience: Duration,
    report: &mut dyn FnMut(Event),
) -> Result<(), Ended> {
    let validator = partial.version().validator.clone();
    let known = validator.as_deref().filter(|_| partial.len() > 0).map(|validator| (partial.len(), validator));
    let Answer { mut body, from, version, delimited } = http::ask(agent, wanted.url, known, patience)?;
    match from {
        None => partial.restart(version)?,
        Some(from) => {
            let total = partial.version().total;
            if from != partial.len() || version.total.is_some() && total.is_some() && version.total != total {
                partial.restart(Default::default())?;
                return Err(Ended::early("the file changed at its source meanwhile"));
            }
        }
    }
    let total = partial.version().total;
    if total.is_some_and(|total| total > wanted.most) {
        return Err(Error::Large { url: wanted.url.into(), most: wanted.most }.into());
    }
    if !delimited && wanted.sha256.is_empty() {
        return Err(Error::Unsized { url: wanted.url.into() }.into());
    }
    report(Event::Began { from: partial.len(), total });
    let mut piece = vec![0; PIECE];
    let mut reader = body.as_reader();
    loop {
        let count = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                let said = match http::is_late(&error) {
                    true => format!("it took longer than {patience:?}"),
                    false => format!("the connection was lost ({error})"),
                };
                return Err(Ended::This { said, late: http::is_late(&error), after: None });
            }
        };
        if partial.len() + count as u64 > wanted.most {
            return Err(Error::Large { url: wanted.url.into(), most: wanted.most }.into());
        }
        partial.append(&piece[..count])?;
        report(Event::Received { bytes: partial.len() });
    }
    match total {
        Some(total) if partial.len() < total => {
            Err(Ended::early(format!("the answer ended after {} of {total} bytes", partial.len())))
        }
        _ => Ok(()),
    }
}
