//! Reports how the learning rate changes when a resumed run has another number of epochs.

use crate::common::config::Config;
use contract::Progress;

/// Logs the learning rate at which training resumes at `from`, if the new number of epochs changes it.
pub fn tell(before: &Config, after: &Config, from: Progress, batches: u64) {
    if let Some((last, next, words)) = change(before, after, from, batches) {
        if next > last { log::warn!("{words}") } else { log::info!("{words}") }
    }
}

/// Returns the last learning rate, the next one and a message, or None where the number of epochs changes nothing.
fn change(before: &Config, after: &Config, from: Progress, batches: u64) -> Option<(f64, f64, String)> {
    let per_epoch = after.optimizer.updates_per_epoch(batches);
    let begun = if from.batch == batches { per_epoch } else { from.batch / after.optimizer.accumulate.max(1) };
    let done = from.epoch * per_epoch + begun;
    let rate = |update: u64, epochs: u64| {
        after.schedule.rate(after.optimizer.learning_rate, update, per_epoch.saturating_mul(epochs))
    };
    let epochs = [before.train.epochs, after.train.epochs];
    let [planned, next] = epochs.map(|epochs| rate(done, epochs));
    if done == 0 || epochs[0] == epochs[1] || planned == next {
        return None;
    }
    let last = rate(done - 1, epochs[0]);
    let words = format!(
        "The learning rate was {last:.2e} and goes on at {next:.2e}: schedule.decay now runs over {} epochs, and ran over {}. \
         To keep it at {last:.2e}: --set 'schedule.decay={{\"kind\":\"constant\"}}' --set optimizer.learning_rate={last:.2e} \
         --allow schedule.decay --allow optimizer.learning_rate",
        epochs[1], epochs[0]
    );
    Some((last, next, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(epochs: u64, decay: &str) -> Config {
        let changes = [format!("train.epochs={epochs}"), format!("schedule.decay={decay}")];
        let rate = "optimizer.learning_rate=0.01".to_string();
        Config::default().with(&[changes.to_vec(), vec![rate]].concat()).unwrap()
    }

    /// After 10 epochs of 4 batches; PyTorch's PolynomialLR gives (1 - t / T) ^ 0.9 as well.
    #[test]
    fn a_schedule_that_is_stretched_says_from_where_to_where() {
        let poly = r#"{"kind":"polynomial"}"#;
        let from = Progress { epoch: 10, step: 40, ..Progress::default() };
        let (last, next, words) = change(&config(10, poly), &config(20, poly), from, 4).unwrap();
        assert!(
            (last - 0.01 * (1.0f64 / 40.0).powf(0.9)).abs() < 1e-12 && (next - 0.01 * 0.5f64.powf(0.9)).abs() < 1e-12
        );
        assert!(words.starts_with("The learning rate was 3.62e-4 and goes on at 5.36e-3: "), "{words}");
        assert!(words.contains("now runs over 20 epochs, and ran over 10"), "{words}");
        let shorter = Progress { epoch: 5, ..from };
        let (last, next, _) = change(&config(10, poly), &config(6, poly), shorter, 4).unwrap();
        assert!(next < last);
    }

    #[test]
    fn nothing_is_said_where_nothing_changes() {
        let from = Progress { epoch: 10, ..Progress::default() };
        for decay in [r#"{"kind":"constant"}"#, r#"{"kind":"step","every":10}"#] {
            assert_eq!(change(&config(10, decay), &config(20, decay), from, 4), None, "{decay}");
        }
        let cosine = config(10, r#"{"kind":"cosine"}"#);
        assert_eq!(change(&cosine, &cosine, from, 4), None);
        assert_eq!(change(&cosine, &config(20, r#"{"kind":"cosine"}"#), Progress::default(), 4), None);
    }
}
