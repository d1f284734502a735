//! Signs of life of ranks, and what two looks at them tell.

use crate::error::{Culprit, Fate};

/// Sign of life of a rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) number: u64,
    pub(crate) calls: u64,
    pub(crate) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Here,
    /// Left of its own accord.
    Left,
    /// Left because of another rank.
    Driven,
}

impl Beat {
    pub(crate) fn encode(&self) -> String {
        let state = match self.state {
            State::Here => "here",
            State::Left => "left",
            State::Driven => "driven",
        };
        format!("{} {} {state}", self.number, self.calls)
    }

    pub(crate) fn decode(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (number, calls) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let state = match words.next()? {
            "here" => State::Here,
            "left" => State::Left,
            "driven" => State::Driven,
            _ => return None,
        };
        Some(Self { number, calls, state })
    }
}

/// Returns the ranks to blame, by two looks at the signs of life, as rank `own` sees them. `closed` says that a
/// connection was closed, as by the end of a process.
pub(crate) fn culprits(before: &[Option<Beat>], after: &[Option<Beat>], own: usize, closed: bool) -> Vec<Culprit> {
    let fate_of = |(rank, (before, after)): (usize, (&Option<Beat>, &Option<Beat>))| {
        let fate = match (before, after) {
            _ if rank == own => return None,
            (_, Some(Beat { state: State::Driven, .. })) => return None,
            (_, Some(Beat { state: State::Left, .. })) => Fate::Left,
            (Some(before), Some(after)) if before.number != after.number => return None,
            _ if closed => Fate::Dead,
            _ => Fate::Silent,
        };
        Some(Culprit { rank, fate })
    };
    let gone: Vec<Culprit> = before.iter().zip(after).enumerate().filter_map(fate_of).collect();
    if !gone.is_empty() {
        return gone;
    }
    let calls = |beat: &Option<Beat>| beat.as_ref().map_or(0, |beat| beat.calls);
    let most = after.iter().map(calls).max().unwrap_or(0);
    let slow = after.iter().map(calls).enumerate().filter(|(_, calls)| *calls < most);
    slow.map(|(rank, calls)| Culprit { rank, fate: Fate::Slow(most - calls) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(text: &str) -> Vec<Option<Beat>> {
        text.split(',').map(Beat::decode).collect()
    }

    fn found(before: &str, after: &str, closed: bool) -> Vec<(usize, Fate)> {
        let found = culprits(&beats(before), &beats(after), 0, closed);
        found.iter().map(|culprit| (culprit.rank, culprit.fate)).collect()
    }

    #[test]
    fn who_is_to_blame() {
        let before = "5 9 here,5 9 here,5 9 here";
        let cases = [
            ("8 9 here,8 9 here,5 9 here", true, vec![(2, Fate::Dead)]),
            ("8 9 here,8 9 here,5 9 here", false, vec![(2, Fate::Silent)]),
            ("8 9 here,5 9 driven,5 9 here", true, vec![(2, Fate::Dead)]),
            ("8 9 here,8 9 here,6 9 left", true, vec![(2, Fate::Left)]),
            ("8 9 here,8 9 here,8 7 here", false, vec![(2, Fate::Slow(2))]),
            ("5 9 here,8 9 here,8 9 here", false, vec![]),
            ("8 8 here,8 9 here,8 9 here", false, vec![(0, Fate::Slow(1))]),
            ("8 9 here,8 9 here,", false, vec![(2, Fate::Silent)]),
        ];
        for (after, closed, expected) in cases {
            assert_eq!(found(before, after, closed), expected, "{after}");
        }
    }
}
