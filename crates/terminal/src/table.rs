//! Table with a row per epoch.

use crate::{look::Look, words};

/// Number of rows after which the header is repeated.
const ROWS: usize = 20;

/// Scores of an epoch; NaN if not measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean loss.
    pub loss: f64,
    /// Share of correct pixels, from 0 to 1.
    pub accuracy: f64,
    /// Mean intersection over union of the classes, from 0 to 1.
    pub mean_iou: f64,
}

impl Default for Measured {
    fn default() -> Self {
        Self { loss: f64::NAN, accuracy: f64::NAN, mean_iou: f64::NAN }
    }
}

/// Finished epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Number, from 1.
    pub epoch: u64,
    /// Scores on the training data, during training.
    pub training: Measured,
    /// Scores on the validation data, at the end.
    pub validation: Measured,
    /// Duration of training and validation in seconds.
    pub seconds: f64,
    /// Training images per second.
    pub rate: f64,
    /// Share of the training time spent waiting for data, from 0 to 1.
    pub waiting: f64,
}

/// Rows with a header every 20 of them; the best epoch so far, by mean IoU on the validation data, is marked.
#[derive(Debug, Clone)]
pub struct Table {
    epochs: u64,
    look: Look,
    rows: usize,
    best: f64,
}

impl Table {
    /// Returns the table of a run of `epochs` epochs. `best` is the best mean IoU before; NaN if there is none.
    pub fn new(epochs: u64, best: f64, look: Look) -> Self {
        Self { epochs, look, rows: 0, best }
    }

    /// Returns the row of another epoch, after a header if one is due. Lines are separated by `\n`, without one at the
    /// end.
    pub fn row(&mut self, epoch: &Epoch) -> String {
        let value = epoch.validation.mean_iou;
        let best = value > self.best || self.best.is_nan() && !value.is_nan();
        if best {
            self.best = value;
        }
        let row = row(epoch, self.epochs, best.then(|| self.look.star()));
        let due = self.rows.is_multiple_of(ROWS);
        self.rows += 1;
        if due { format!("{}\n{row}", header(self.epochs, self.look)) } else { row }
    }
}

/// Returns the names of the columns, on two lines.
pub fn header(epochs: u64, look: Look) -> String {
    let width = width(epochs);
    let rule = if look.unicode { '─' } else { '-' };
    let group = |name: &str| {
        let rest = 24 - name.len();
        let [before, after] = [rest / 2, rest - rest / 2].map(|count| String::from(rule).repeat(count));
        format!("{before} {name} {after}")
    };
    let names = format!("{:>8} {:>8} {:>8}", "loss", "accuracy", "mean IoU");
    let over = format!("{:width$}  {}   {}", "", group("training"), group("validation"));
    let under = format!("{:>width$}  {names}   {names}   {:>11} {:>8} {:>5}", "epoch", "time", "images/s", "data");
    format!("{}\n{under}", over.trim_end())
}

/// Returns the row of an epoch, with `mark` if it is the best so far.
pub fn row(epoch: &Epoch, epochs: u64, mark: Option<char>) -> String {
    let width = width(epochs);
    let cells = |measured: &Measured| {
        let [loss, accuracy, iou] = [measured.loss, measured.accuracy, measured.mean_iou].map(words::number);
        format!("{loss:>8} {accuracy:>8} {iou:>8}")
    };
    format!(
        "{:>width$}  {}   {} {} {:>11} {:>8} {:>5}",
        format!("{}/{epochs}", epoch.epoch),
        cells(&epoch.training),
        cells(&epoch.validation),
        mark.unwrap_or(' '),
        words::time(epoch.seconds),
        words::rate(epoch.rate),
        words::share(epoch.waiting),
    )
}

/// Returns the width of the first column.
fn width(epochs: u64) -> usize {
    (2 * epochs.to_string().len() + 1).max("epoch".len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::Paint;
    use proptest::prelude::*;

    const LOOK: Look = Look { paint: Paint::None, unicode: true, moves: true };
    const ASCII: Look = Look { unicode: false, ..LOOK };

    fn epoch(epoch: u64, mean_iou: f64) -> Epoch {
        let training = Measured { loss: 0.43214, accuracy: 0.9, mean_iou: 0.71 };
        let validation = Measured { loss: 0.5, accuracy: 0.88, mean_iou };
        Epoch { epoch, training, validation, seconds: 75.2, rate: 34.4, waiting: 0.034 }
    }

    #[test]
    fn a_row_stands_under_its_header() {
        let shown = Table::new(20, f64::NAN, LOOK).row(&epoch(3, 0.7));
        let expected = "       ──────── training ────────   ─────── validation ───────
epoch      loss accuracy mean IoU       loss accuracy mean IoU          time images/s  data
 3/20    0.4321   0.9000   0.7100     0.5000   0.8800   0.7000 ★  1 min 15 s       34   3 %";
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_what_is_better_than_all_before_has_a_mark() {
        let mut table = Table::new(9, f64::NAN, ASCII);
        let marked = |row: String| row.contains('*');
        let shown = [0.5, 0.5, f64::NAN, 0.4, 0.6].map(|iou| marked(table.row(&epoch(1, iou))));
        assert_eq!(shown, [true, false, false, false, true]);
        assert!(!marked(Table::new(9, 0.7, ASCII).row(&epoch(1, 0.6))));
    }

    #[test]
    fn the_header_comes_again_every_20_rows() {
        let mut table = Table::new(100, f64::NAN, ASCII);
        let headers: Vec<usize> = (0..45).filter(|_| table.row(&epoch(1, 0.1)).contains("accuracy")).collect();
        assert_eq!(headers, [0, 20, 40]);
        let ascii = Table::new(100, f64::NAN, ASCII).row(&epoch(1, 0.1));
        assert!(ascii.is_ascii(), "{ascii}");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let nothing = Measured::default();
        let (rate, waiting) = (f64::NAN, f64::NAN);
        let shown =
            row(&Epoch { epoch: 1, training: nothing, validation: nothing, seconds: 1.0, rate, waiting }, 5, None);
        let cells: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(cells, ["1/5", "-", "-", "-", "-", "-", "-", "1", "s", "-", "-"]);
    }

    proptest! {
        #[test]
        fn columns_never_shift(loss in 0.0..1e9f64, iou in 0.0..1.0, seconds in 0.0..1e8, at in 1u64..1000) {
            let mut odd = epoch(at, iou);
            (odd.training.loss, odd.seconds) = (loss, seconds);
            let length = |text: &str| text.chars().count();
            let header = header(1000, LOOK);
            let last = header.lines().last().map(length);
            prop_assert_eq!(Some(length(&row(&odd, 1000, Some('★')))), last);
        }
    }
}
