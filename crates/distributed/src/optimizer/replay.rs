//! An update of several ranks in parts, of which a device can replay its own.

use super::Reduced;
use contract::{BoxError, Optimizer, Replayable};
use tch::Tensor;

impl<O: Optimizer> Reduced<'_, O> {
    /// Returns the parts of the inner optimizer's update.
    fn parts(&mut self) -> Result<&mut dyn Replayable, BoxError> {
        self.inner.replayable().ok_or_else(|| "the optimizer has no update that can be replayed any more".into())
    }
}

impl<O: Optimizer> Replayable for Reduced<'_, O> {
    fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    fn operators(&mut self) -> u64 {
        self.inner.replayable().map_or(0, |parts| parts.operators())
    }

    fn refusal(&mut self) -> Option<&'static str> {
        match self.inner.replayable() {
            Some(parts) => parts.refusal(),
            None => Some("optimizer has no update that can be replayed"),
        }
    }

    /// Fails if the group is broken: a replay would wait for a rank that is lost.
    fn prepare(&mut self) -> Result<(), BoxError> {
        self.untouched = true;
        self.group.begin()?;
        self.untouched = false;
        self.parts()?.prepare()
    }

    fn update(&mut self, loss: &Tensor) -> Result<[Tensor; 2], BoxError> {
        if let Some(processes) = self.processes() {
            self.untouched = true;
            self.prepare_sums(&processes, loss).map_err(|error| self.group.explained(error))?;
            self.untouched = false;
        }
        let updated = self.parts()?.update(loss);
        updated.map_err(|error| self.group.explained(error))
    }

    fn finish(&mut self) -> Result<f64, BoxError> {
        self.parts()?.finish()
    }

    fn abandon(&mut self, ran: bool) {
        self.untouched = false;
        self.inner.replayable().into_iter().for_each(|parts| parts.abandon(ran));
    }

    fn dismiss(&mut self) {
        (self.capturable, self.reducer) = (false, None);
        self.inner.replayable().into_iter().for_each(|parts| parts.dismiss());
    }
}
