//! Table with a row per epoch.

use crate::{columns::Columns, look::Look, words};

/// Number of rows after which the header is repeated.
const ROWS: usize = 20;
/// Minimum width of a score's column: that of a number.
const CELL: usize = 8;

/// Finished epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Number, from 1.
    pub epoch: u64,
    /// Scores on the training data, during training: one for each of the [`Columns`], NaN if not measured.
    pub training: Vec<f64>,
    /// Scores on the validation data, at the end, in the same form.
    pub validation: Vec<f64>,
    /// Duration of training and validation in seconds.
    pub seconds: f64,
    /// Training images per second.
    pub rate: f64,
    /// Share of the training time spent waiting for data, from 0 to 1.
    pub waiting: f64,
}

/// Rows with a header every 20 of them; the best epoch so far, by its validation, is marked.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Columns,
    epochs: u64,
    look: Look,
    rows: usize,
    best: f64,
}

impl Table {
    /// Returns the table of a run of `epochs` epochs. `best` is the best score of those before; NaN if there is none.
    pub fn new(columns: Columns, epochs: u64, best: f64, look: Look) -> Self {
        Self { columns, epochs, look, rows: 0, best }
    }

    /// Returns the row of another epoch, after a header if one is due. Lines are separated by `\n`, without one at the
    /// end.
    pub fn row(&mut self, epoch: &Epoch) -> String {
        let value = self.columns.best_of(&epoch.validation);
        let best = self.columns.is_better(value, self.best);
        if best {
            self.best = value;
        }
        let row = row(&self.columns, epoch, self.epochs, best.then(|| self.look.star()));
        let due = self.rows.is_multiple_of(ROWS);
        self.rows += 1;
        if due { format!("{}\n{row}", header(&self.columns, self.epochs, self.look)) } else { row }
    }
}

/// Returns the names of the columns, on two lines.
pub fn header(columns: &Columns, epochs: u64, look: Look) -> String {
    let width = width(epochs);
    let rule = if look.unicode { '─' } else { '-' };
    let names: Vec<String> = columns.titles().map(|title| format!("{title:>CELL$}")).collect();
    let names = names.join(" ");
    let group = |name: &str| {
        let rest = names.chars().count().saturating_sub(name.len() + 2);
        let [before, after] = [rest / 2, rest - rest / 2].map(|count| String::from(rule).repeat(count));
        format!("{:<1$}", format!("{before} {name} {after}"), names.chars().count())
    };
    let over = format!("{:width$}  {}   {}", "", group("training"), group("validation"));
    let under = format!("{:>width$}  {names}   {names}   {:>11} {:>8} {:>5}", "epoch", "time", "images/s", "data");
    format!("{}\n{under}", over.trim_end())
}

/// Returns the row of an epoch, with `mark` if it is the best so far.
pub fn row(columns: &Columns, epoch: &Epoch, epochs: u64, mark: Option<char>) -> String {
    let width = width(epochs);
    let cells = |values: &[f64]| {
        let cell = |(place, title): (usize, String)| {
            let value = words::number(values.get(place).copied().unwrap_or(f64::NAN));
            format!("{value:>0$}", title.chars().count().max(CELL))
        };
        columns.titles().enumerate().map(cell).collect::<Vec<_>>().join(" ")
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

    fn columns() -> Columns {
        Columns::new(["loss", "accuracy", "mean_iou"].map(String::from), "mean_iou", true)
    }

    fn table(epochs: u64, best: f64, look: Look) -> Table {
        Table::new(columns(), epochs, best, look)
    }

    fn epoch(epoch: u64, mean_iou: f64) -> Epoch {
        let (training, validation) = (vec![0.43214, 0.9, 0.71], vec![0.5, 0.88, mean_iou]);
        Epoch { epoch, training, validation, seconds: 75.2, rate: 34.4, waiting: 0.034 }
    }

    #[test]
    fn a_row_stands_under_its_header() {
        let shown = table(20, f64::NAN, LOOK).row(&epoch(3, 0.7));
        let expected = "       ──────── training ────────   ─────── validation ───────
epoch      loss accuracy mean IoU       loss accuracy mean IoU          time images/s  data
 3/20    0.4321   0.9000   0.7100     0.5000   0.8800   0.7000 ★  1 min 15 s       34   3 %";
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_what_is_better_than_all_before_has_a_mark() {
        let mut shown = table(9, f64::NAN, ASCII);
        let marked = |row: String| row.contains('*');
        let marks = [0.5, 0.5, f64::NAN, 0.4, 0.6].map(|iou| marked(shown.row(&epoch(1, iou))));
        assert_eq!(marks, [true, false, false, false, true]);
        assert!(!marked(table(9, 0.7, ASCII).row(&epoch(1, 0.6))));
    }

    #[test]
    fn a_regression_has_its_own_columns() {
        let columns = Columns::new(["loss", "mean_absolute_error"].map(String::from), "mean_absolute_error", false);
        let mut table = Table::new(columns, 5, f64::NAN, ASCII);
        let epoch = |error: f64| Epoch {
            epoch: 1,
            training: vec![0.5, 2.0],
            validation: vec![0.25, error],
            seconds: 1.0,
            rate: 10.0,
            waiting: 0.0,
        };
        let expected = "       --------- training ---------   -------- validation --------
epoch      loss mean absolute error       loss mean absolute error          time images/s  data
  1/5    0.5000              2.0000     0.2500              1.5000 *         1 s       10   0 %";
        assert_eq!(table.row(&epoch(1.5)), expected);
        assert!(!table.row(&epoch(1.6)).contains('*') && table.row(&epoch(1.4)).contains('*'));
    }

    #[test]
    fn the_header_comes_again_every_20_rows() {
        let mut shown = table(100, f64::NAN, ASCII);
        let headers: Vec<usize> = (0..45).filter(|_| shown.row(&epoch(1, 0.1)).contains("accuracy")).collect();
        assert_eq!(headers, [0, 20, 40]);
        let ascii = table(100, f64::NAN, ASCII).row(&epoch(1, 0.1));
        assert!(ascii.is_ascii(), "{ascii}");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let (training, validation) = (vec![f64::NAN; 3], Vec::new());
        let (rate, waiting) = (f64::NAN, f64::NAN);
        let shown = row(&columns(), &Epoch { epoch: 1, training, validation, seconds: 1.0, rate, waiting }, 5, None);
        let cells: Vec<&str> = shown.split_whitespace().collect();
        assert_eq!(cells, ["1/5", "-", "-", "-", "-", "-", "-", "1", "s", "-", "-"]);
    }

    proptest! {
        #[test]
        fn columns_never_shift(loss in 0.0..1e9f64, iou in 0.0..1.0, seconds in 0.0..1e8, at in 1u64..1000) {
            let mut odd = epoch(at, iou);
            (odd.training[0], odd.seconds) = (loss, seconds);
            let length = |text: &str| text.chars().count();
            let header = header(&columns(), 1000, LOOK);
            let last = header.lines().last().map(length);
            prop_assert_eq!(Some(length(&row(&columns(), &odd, 1000, Some('★')))), last);
        }
    }
}
