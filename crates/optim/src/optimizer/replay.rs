//! An update in three parts, the middle one of which a device can replay.

use super::Optim;
use contract::{BoxError, Replayable};
use tch::Tensor;

impl Replayable for Optim {
    fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    fn operators(&mut self) -> u64 {
        // Groups only ever thaw, so their number says which of them are trained.
        self.active().count() as u64
    }

    fn refusal(&mut self) -> Option<&'static str> {
        if self.config.accumulate > 1 || self.accumulated > 0 {
            return Some("gradients are accumulated");
        }
        self.asked.are_asked().then_some("histograms of its gradients are wanted")
    }

    fn prepare(&mut self) -> Result<(), BoxError> {
        (self.changing, self.unchanged) = (false, true);
        self.write_rates()?;
        self.unchanged = false;
        Ok(())
    }

    fn update(&mut self, loss: &Tensor) -> Result<[Tensor; 2], BoxError> {
        self.backward(loss, None)?;
        Ok(self.change()?)
    }

    fn finish(&mut self) -> Result<f64, BoxError> {
        Ok(self.count()?)
    }

    fn abandon(&mut self, ran: bool) {
        self.changing &= ran;
        self.unchanged = self.take_back(0).unwrap_or(false);
    }
}
