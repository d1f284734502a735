//! Building of an optimizer from its configuration.

use crate::{Config, Error, Length, Optim, Schedule};
use contract::{Invalid, StateDict};

impl Config {
    /// Builds an optimizer of those of the named `parameters` that require a gradient; `contract::parameters` gives
    /// those of a `VarStore`. Others (running statistics, what somebody froze) are left alone. Parameters of a group
    /// that is frozen at first require none until their time has come.
    ///
    /// # Errors
    ///
    /// Fails where the configuration cannot work, or not with these parameters.
    pub fn build(&self, parameters: StateDict, schedule: Schedule, length: Length) -> Result<Optim, Error> {
        self.check()?;
        schedule
            .check(self.learning_rate)
            .map_err(|invalid| Invalid { key: format!("schedule.{}", invalid.key), ..invalid })?;
        let trained: Vec<_> = parameters.into_iter().filter(|(_, parameter)| parameter.requires_grad()).collect();
        if trained.is_empty() {
            return Err(Error::Nothing);
        }
        if let Some(swa) = &self.swa {
            Invalid::unless(swa.start_epoch < length.epochs, "swa.start_epoch", || {
                format!("must be below train.epochs, {}, is {}", length.epochs, swa.start_epoch)
            })?;
        }
        self.check_groups(trained.iter().map(|(name, _)| name.as_str()))?;
        Ok(Optim::new(self.clone(), schedule, length, trained)?)
    }
}
