//! Check of the times of an epoch.

use super::finding::{Finding, Warning, warn};
use crate::Run;
use crate::budget::{self, PARTS, Slice};
use crate::text::{duration, percent};

/// Checks that training does not wait for data.
///
/// Threshold: at least 20 % of the time in training steps (data, transfer and compute) in the last 10 timed epochs is
/// waiting for data. The first epoch is excluded if there are others: it fills caches.
pub fn data_bound(run: &Run) -> Finding {
    let slices = budget::epochs(&run.history);
    let warm = if slices.len() > 1 { &slices[1..] } else { &slices[..] };
    let Some(sum) = Slice::sum(&warm[warm.len().saturating_sub(10)..]) else {
        return Finding::Unknown("no times of the epochs".into());
    };
    let of =
        |name: &str| PARTS.iter().zip(sum.seconds).find(|(part, _)| **part == name).map_or(0.0, |(_, seconds)| seconds);
    let (data, steps) = (of("data"), of("data") + of("transfer") + of("compute"));
    warn((steps > 0.0 && data >= 0.2 * steps).then(|| Warning {
        title: "Training waits for data".into(),
        evidence: format!(
            "In epochs {} to {}, {} of {} in training steps went by waiting for the next batch: {}.",
            sum.epochs.0,
            sum.epochs.1,
            duration(data),
            duration(steps),
            percent(data / steps)
        ),
        advice: "Use more threads (data.loader.workers), a longer queue (data.loader.prefetch), a cache (data.loader.cache), \
                 or images that are stored near the size at which they are trained."
            .into(),
    }))
}
