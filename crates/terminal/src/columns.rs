//! Columns of scores, named by a metric.

use crate::clean::clean_line;

/// Name of the column that is drawn with the losses of steps.
const LOSS: &str = "loss";

/// Scores shown for each epoch, and the one that decides which epoch is the best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    names: Vec<String>,
    best: usize,
    higher: bool,
}

impl Default for Columns {
    fn default() -> Self {
        Self::new([LOSS.to_string()], LOSS, false)
    }
}

impl Columns {
    /// Makes columns of the scores `names`. `best` decides which epoch is the best, the one with the higher value or
    /// the lower one; it gets a column of its own if it is not among the names.
    pub fn new(names: impl IntoIterator<Item = String>, best: &str, higher: bool) -> Self {
        let mut names: Vec<String> = names.into_iter().collect();
        let found = names.iter().position(|name| name == best);
        let best = found.unwrap_or_else(|| {
            names.push(best.into());
            names.len() - 1
        });
        Self { names, best, higher }
    }

    /// Returns the names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns the name of the score drawn beside the loss: the one that decides, or, if that is the loss, the last
    /// other one.
    pub fn score(&self) -> &str {
        &self.names[self.of_score()]
    }

    /// Returns whether `value` is better than `other`; any value is better than NaN.
    pub fn is_better(&self, value: f64, other: f64) -> bool {
        let better = if self.higher { value > other } else { value < other };
        better || other.is_nan() && !value.is_nan()
    }

    /// Returns the value that decides which epoch is the best; NaN if there is none.
    pub(crate) fn best_of(&self, values: &[f64]) -> f64 {
        values.get(self.best).copied().unwrap_or(f64::NAN)
    }

    /// Returns the mean loss; NaN if the metric has none.
    pub(crate) fn loss_of(&self, values: &[f64]) -> f64 {
        let column = self.names.iter().position(|name| name == LOSS);
        column.and_then(|column| values.get(column)).copied().unwrap_or(f64::NAN)
    }

    /// Returns the value of the score beside the loss.
    pub(crate) fn score_of(&self, values: &[f64]) -> f64 {
        values.get(self.of_score()).copied().unwrap_or(f64::NAN)
    }

    /// Returns the column drawn as the score: the one that decides, or, if that is the loss, the last other one.
    fn of_score(&self) -> usize {
        let others = || self.names.iter().rposition(|name| name != LOSS);
        if self.names[self.best] == LOSS { others().unwrap_or(self.best) } else { self.best }
    }

    /// Returns the titles, in order.
    pub(crate) fn titles(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| title(name))
    }

    /// Returns the title of the column that decides.
    pub(crate) fn title_of_best(&self) -> String {
        title(&self.names[self.best])
    }

    /// Returns the title of the score beside the loss, as a heading.
    pub(crate) fn heading_of_score(&self) -> String {
        let title = title(self.score());
        let mut letters = title.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// Returns a score's name for people: `mean_iou` is `mean IoU`.
fn title(name: &str) -> String {
    let words = clean_line(name).replace('_', " ");
    words.replace("iou", "IoU")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_score_that_decides_has_a_column() {
        let columns = Columns::new(names(&["loss", "accuracy", "mean_iou"]), "mean_iou", true);
        assert_eq!(columns.titles().collect::<Vec<_>>(), ["loss", "accuracy", "mean IoU"]);
        assert_eq!((columns.score(), columns.heading_of_score().as_str()), ("mean_iou", "Mean IoU"));
        let columns = Columns::new(names(&["loss", "accuracy"]), "iou/pet", true);
        assert_eq!(columns.names().collect::<Vec<_>>(), ["loss", "accuracy", "iou/pet"]);
        assert_eq!(columns.best_of(&[0.1, 0.2, 0.3]), 0.3);
    }

    #[test]
    fn a_loss_that_decides_is_not_drawn_twice() {
        let columns = Columns::new(names(&["loss", "mean_absolute_error"]), "loss", false);
        assert_eq!((columns.score(), columns.score_of(&[1.0, 2.0])), ("mean_absolute_error", 2.0));
        assert_eq!((columns.best_of(&[1.0, 2.0]), columns.loss_of(&[1.0, 2.0])), (1.0, 1.0));
        assert_eq!(Columns::default().score_of(&[1.0]), 1.0);
        assert!(Columns::new(names(&["error"]), "error", false).loss_of(&[1.0]).is_nan());
    }

    #[test]
    fn lower_is_better_where_that_is_said() {
        let lower = Columns::new(names(&["error"]), "error", false);
        let higher = Columns::new(names(&["score"]), "score", true);
        assert!(lower.is_better(1.0, 2.0) && !lower.is_better(2.0, 1.0) && !lower.is_better(1.0, 1.0));
        assert!(higher.is_better(2.0, 1.0) && !higher.is_better(1.0, 2.0));
        assert!(lower.is_better(1.0, f64::NAN) && !lower.is_better(f64::NAN, f64::NAN));
    }
}
