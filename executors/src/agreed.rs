//! Decisions that all ranks of a training must make alike, since each step waits for those of the others.

use contract::{BoxError, Ranks, TorchError};
use tch::{Device, Kind, Tensor};

/// The ranks of a training; None for a process that trains alone, which asks nobody.
pub(crate) struct Agreed<'r>(Option<&'r dyn Ranks>);

impl<'r> Agreed<'r> {
    pub fn new(ranks: Option<&'r dyn Ranks>) -> Self {
        Self(ranks.filter(|ranks| ranks.count() > 1))
    }

    /// Returns true for a process that trains alone.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the first rank that has an `own` problem, the same one on all of them. Waits for all ranks.
    pub fn first_with(&self, own: bool) -> Result<Option<usize>, BoxError> {
        let Some(ranks) = self.0 else { return Ok(own.then_some(0)) };
        let (rank, count) = (ranks.rank() as i64, ranks.count() as i64);
        let all = Tensor::f_zeros([count], (Kind::Int, Device::Cpu)).map_err(TorchError::from)?;
        let _ = all.f_get(rank).and_then(|mut place| place.f_fill_(i64::from(own))).map_err(TorchError::from)?;
        ranks.sum(&[all.shallow_clone()])?;
        let all = Vec::<i32>::try_from(all).map_err(TorchError::from)?;
        Ok(all.iter().position(|problem| *problem > 0))
    }

    /// Returns `own` if all ranks have one, else a reason: this rank's, or that another rank has none.
    pub fn all<T>(&self, own: Result<T, String>) -> Result<Result<T, String>, BoxError> {
        Ok(match (self.first_with(own.is_err())?, own) {
            (Some(rank), Ok(_)) => Err(format!("rank {rank} could not")),
            (_, own) => own,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_one_rank_is_known_to_all() {
        let found = testing::together(3, |ranks| {
            let agreed = Agreed::new(Some(ranks));
            let own = |rank: usize| if ranks.rank() == rank { Err("no room".to_owned()) } else { Ok(7) };
            assert_eq!(agreed.all(own(9)).unwrap(), Ok(7));
            assert_eq!(agreed.first_with(ranks.rank() > 0).unwrap(), Some(1));
            agreed.all(own(1)).unwrap().unwrap_err()
        });
        assert_eq!(found, ["rank 1 could not", "no room", "rank 1 could not"]);
        let one = contract::Alone::default();
        let alone = Agreed::new(Some(&one));
        assert!(alone.is_alone() && alone.first_with(true).unwrap() == Some(0));
        assert_eq!(alone.all::<()>(Err("no room".into())).unwrap(), Err("no room".into()));
    }
}
