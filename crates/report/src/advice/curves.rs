//! Checks of the curves of loss and score.

use super::finding::{Finding, Warning, mean, warn};
use crate::text::{count, number, percent};
use crate::{Run, Stage, Status};

/// Checks that the validation loss does not rise while the training loss keeps falling.
///
/// Threshold: the smallest validation loss is at least 5 epochs old; the mean of the last 3 is at least 10 % above it;
/// and the mean of the last 3 training losses is at least 5 % below the training loss of that epoch.
pub fn overfitting(run: &Run) -> Finding {
    let train = run.history.scores(Stage::Train, "loss");
    let validation = run.history.scores(Stage::Validation, "loss");
    let least = validation.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let (Some((epoch, least)), Some((last, _))) = (least, validation.last().copied()) else {
        return Finding::Unknown("no validation loss".into());
    };
    let Some((_, then)) = train.iter().copied().find(|(at, _)| *at == epoch) else {
        return Finding::Unknown("no training loss".into());
    };
    let recent = |losses: &[(u64, f64)]| mean(losses.iter().rev().take(3).map(|(_, loss)| *loss));
    let (now_train, now) = (recent(&train), recent(&validation));
    let since = last - epoch;
    warn((since >= 5 && least > 0.0 && now >= 1.1 * least && now_train <= 0.95 * then).then(|| Warning {
        title: "The network over-fits".into(),
        evidence: format!(
            "The validation loss was smallest at epoch {epoch} ({}) and is now {} ({} higher, mean of the last 3 epochs), \
             while the training loss went from {} to {}. Gap between the two now: {}.",
            number(least),
            number(now),
            percent(now / least - 1.0),
            number(then),
            number(now_train),
            number(now - now_train),
        ),
        advice: format!(
            "Augment more (data.transforms), add weight decay (optimizer.weight_decay) or dropout (model.dropout), take more \
             data, or stop about epoch {epoch}: the checkpoint with the best score is kept anyway."
        ),
    }))
}

/// Checks that the loss is finite and does not jump.
///
/// Threshold: any training line whose loss is not finite; or an epoch whose training loss is at least 1.5 times the
/// smallest before it and exceeds that by at least a tenth of the first epoch's loss (doubling a loss near zero means
/// nothing).
pub fn learning_rate_too_high(run: &Run) -> Finding {
    let lines = || run.history.of(Stage::Train).chain(run.history.of(Stage::Step));
    let losses = run.history.scores(Stage::Train, "loss");
    let broken: Vec<u64> =
        lines().filter(|line| line.scalars.get("loss") == Some(&None)).map(|line| line.epoch).collect();
    let advice = || {
        let rate = run.history.lines.iter().find_map(|line| line.get("learning_rate"));
        let now = rate.map_or(String::new(), |rate| format!(", now {}", number(rate)));
        format!(
            "Lower the learning rate to a third or a tenth (optimizer.learning_rate{now}), warm it up (schedule.warmup), or \
             bound the gradient (optimizer.clip_norm)."
        )
    };
    if let Some(epoch) = broken.first() {
        let evidence = format!(
            "{} of {} training lines have a loss that is not finite, the first in epoch {epoch}.",
            count(broken.len() as u64),
            count(lines().count() as u64)
        );
        return Finding::Warning(Warning { title: "The loss is not finite".into(), evidence, advice: advice() });
    }
    let Some((_, first)) = losses.first() else { return Finding::Unknown("no training loss".into()) };
    let mut least = f64::INFINITY;
    let mut jumps = Vec::new();
    for (epoch, loss) in &losses {
        if *loss >= 1.5 * least && loss - least >= 0.1 * first.abs() {
            jumps.push((*epoch, least, *loss));
        }
        least = least.min(*loss);
    }
    warn(jumps.first().map(|(epoch, before, loss)| Warning {
        title: "The training loss jumps".into(),
        evidence: format!(
            "{} of {} epochs have a training loss of 1.5 times the smallest before it or more; the first is epoch {epoch}, \
             with {} after {}.",
            jumps.len(),
            losses.len(),
            number(*loss),
            number(*before)
        ),
        advice: advice(),
    }))
}

/// Checks that the score had stopped improving when the run ended.
///
/// Threshold, for runs of at least 4 epochs that are not running: the best epoch is among the last tenth (at least the
/// last 2), and the mean of the last quarter of the epochs is better than the mean of the quarter before by at least
/// 5 % of the total gain of the score.
pub fn undertrained(run: &Run) -> Finding {
    let (metric, greatest) = run.deciding();
    let scores = run.history.scores(Stage::Validation, metric);
    let Some(best) = run.best() else { return Finding::Unknown(format!("no validation {metric}")) };
    if run.status == Status::Running {
        return Finding::Unknown("the run is not at its end".into());
    }
    if scores.len() < 4 {
        return Finding::Unknown("fewer than 4 epochs".into());
    }
    let sign = if greatest { 1.0 } else { -1.0 };
    let quarter = scores.len() / 4;
    let (before, last) = scores[scores.len() - 2 * quarter..].split_at(quarter);
    let of = |part: &[(u64, f64)]| mean(part.iter().map(|(_, score)| *score));
    let (gain, whole) = (sign * (of(last) - of(before)), sign * (best.score - scores[0].1));
    let end = scores[scores.len() - 1].0;
    let late = best.epoch + (scores.len() as u64 / 10).max(2) > end;
    warn((late && whole > 0.0 && gain >= 0.05 * whole).then(|| Warning {
        title: "The run ended while it still improved".into(),
        evidence: format!(
            "The best {metric} is that of epoch {} of {end}; the mean of the last {quarter} epochs ({}) is {} better than that \
             of the {quarter} before, {} of all that was gained.",
            best.epoch,
            number(of(last)),
            number(gain),
            percent(gain / whole)
        ),
        advice: format!("Train longer: --set train.epochs={}; the run goes on where it stopped.", end + end.div_ceil(2)),
    }))
}
