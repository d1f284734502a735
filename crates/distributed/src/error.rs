//! Errors of a group of processes.

use contract::TorchError;
use std::fmt;
use std::net::SocketAddr;

/// Failure of a group of processes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The launcher's variables are missing, malformed or contradict each other.
    #[error("environment: {0}")]
    Environment(String),
    /// No address of this machine can be used.
    #[error("the address of this machine for other ranks: {0}. Set the network interface (distributed.interface)")]
    Address(String),
    /// Rank 0 cannot listen where the ranks are to meet.
    #[error("rank 0 cannot listen on {address}: {source}. Set another MASTER_PORT, or end what listens there")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// NCCL was asked for and is not there.
    #[error("NCCL: {0}. Set distributed.backend to gloo or auto")]
    Nccl(&'static str),
    /// Another rank failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The ranks do not train the same network.
    #[error("rank {rank} has another network than rank 0: {problem}. Start all ranks with one configuration")]
    Different {
        /// The rank.
        rank: usize,
        /// Description of the first difference, with the tensor's name.
        problem: String,
    },
    /// An optimizer does not announce its updates.
    #[error("the optimizer accumulates gradients, but does not say so: implement Optimizer::updates_next for it")]
    Accumulates,
    /// A state that another rank sent cannot be read.
    #[error("the state that rank {0} sent cannot be read; do all ranks run the same program?")]
    Garbled(usize),
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// Returns true if the run can be resumed from its last checkpoint as it is: the failure was not one of
    /// configuration.
    pub fn can_resume(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}

/// State of a rank that made others fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Its process has ended without a farewell.
    Dead,
    /// It gives no sign of life: its process is stopped, or its machine or network is down.
    Silent,
    /// It left after an error of its own.
    Left,
    /// It never came.
    NeverStarted,
    /// It lives, and is this number of operations behind.
    Slow(u64),
}

/// A rank that made others fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Culprit {
    /// The rank.
    pub rank: usize,
    /// Its state.
    pub fate: Fate,
}

/// Failure of an operation of all ranks because of some of them. The group is of no use from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The ranks to blame, in order. Empty if all are alive and at the same point: the network between them failed.
    pub culprits: Vec<Culprit>,
    /// Error of the operation.
    pub cause: String,
}

impl std::error::Error for Fault {}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = self.rank;
        match self.fate {
            Fate::Dead => write!(f, "rank {rank} died (its process ended without a farewell)"),
            Fate::Silent => write!(f, "rank {rank} gives no sign of life (stopped, or its machine or network is down)"),
            Fate::Left => write!(f, "rank {rank} left after an error of its own (see its log)"),
            Fate::NeverStarted => write!(f, "rank {rank} never started"),
            Fate::Slow(behind) => write!(f, "rank {rank} is too slow ({behind} operations behind the first)"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.culprits.is_empty() {
            write!(f, "the connection of the ranks failed, though all of them are alive")?;
        } else {
            f.write_str(&contract::listed(&self.culprits, 8))?;
        }
        write!(f, "; the others cannot go on: {}. Start all ranks again to resume from the last checkpoint", self.cause)
    }
}

impl Fault {
    /// Makes a fault of one rank.
    pub(crate) fn of(rank: usize, fate: Fate, cause: impl Into<String>) -> Self {
        Self { culprits: vec![Culprit { rank, fate }], cause: cause.into() }
    }

    /// Writes the fault as one line for the store.
    pub(crate) fn encode(&self) -> String {
        let word = |culprit: &Culprit| match culprit.fate {
            Fate::Dead => format!("{}:dead", culprit.rank),
            Fate::Silent => format!("{}:silent", culprit.rank),
            Fate::Left => format!("{}:left", culprit.rank),
            Fate::NeverStarted => format!("{}:never", culprit.rank),
            Fate::Slow(behind) => format!("{}:slow{behind}", culprit.rank),
        };
        let words: Vec<_> = self.culprits.iter().map(word).collect();
        format!("{}|{}", words.join(","), self.cause.replace('\n', " "))
    }

    /// Reads a line that [`encode`](Self::encode) wrote.
    pub(crate) fn decode(line: &str) -> Option<Self> {
        let (words, cause) = line.split_once('|')?;
        let culprit = |word: &str| {
            let (rank, fate) = word.split_once(':')?;
            let fate = match fate {
                "dead" => Fate::Dead,
                "silent" => Fate::Silent,
                "left" => Fate::Left,
                "never" => Fate::NeverStarted,
                slow => Fate::Slow(slow.strip_prefix("slow")?.parse().ok()?),
            };
            Some(Culprit { rank: rank.parse().ok()?, fate })
        };
        let culprits = words.split(',').filter(|word| !word.is_empty()).map(culprit).collect::<Option<_>>()?;
        Some(Self { culprits, cause: cause.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_travels_as_a_line() {
        let fates = [Fate::Dead, Fate::Silent, Fate::Left, Fate::NeverStarted, Fate::Slow(7)];
        let culprits = fates.iter().enumerate().map(|(rank, fate)| Culprit { rank, fate: *fate }).collect();
        let fault = Fault { culprits, cause: "Timed out | 3:dead".into() };
        assert_eq!(Fault::decode(&fault.encode()), Some(fault));
        let nobody = Fault { culprits: Vec::new(), cause: "two\nlines".into() };
        assert_eq!(Fault::decode(&nobody.encode()).unwrap().cause, "two lines");
        assert_eq!(["-", "", "x:dead|", "1:alive|"].map(Fault::decode), [const { None }; 4]);
    }

    #[test]
    fn a_fault_names_the_rank_and_a_way_out() {
        let said = Error::from(Fault::of(2, Fate::Dead, "Connection closed by peer")).to_string();
        assert!(said.starts_with("rank 2 died") && said.contains("Start all ranks again to resume"), "{said}");
        assert!(Error::from(Fault::of(0, Fate::Silent, "")).can_resume());
        assert!(!Error::Environment("RANK is not set".into()).can_resume());
    }
}
