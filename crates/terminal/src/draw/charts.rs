//! Charts of the curves.

use super::Scene;
use crate::{curve::Curve, look::Paint, view::Focus, words};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Chart, Dataset, GraphType, Widget},
};

/// Curve of a chart.
struct Series<'a> {
    name: &'static str,
    short: &'static str,
    curve: &'a Curve,
    style: Style,
    marker: Marker,
    graph: GraphType,
}

impl Scene<'_> {
    /// Draws the chart of `which`; nothing for the overview and the classes.
    pub(super) fn chart(&self, which: Focus, area: Rect, buffer: &mut Buffer) {
        let state = self.state;
        let heading = state.setup.columns.heading_of_score();
        let (title, series, show): (&str, _, fn(f64) -> String) = match which {
            Focus::Loss => {
                let steps = self.line("step", &state.losses, self.look.faint());
                let steps = Series { graph: GraphType::Scatter, ..steps };
                let epochs = [self.training(&state.training_loss), self.validation(&state.validation_loss)];
                ("Loss", [steps].into_iter().chain(epochs).collect(), words::number)
            }
            Focus::Score => {
                let epochs = [self.training(&state.training_score), self.validation(&state.validation_score)];
                (&heading, Vec::from(epochs), words::number)
            }
            Focus::LearningRate => {
                let steps = self.line("", &state.learning_rates, self.look.ink(Color::Magenta));
                ("Learning rate", vec![steps], words::small)
            }
            Focus::Rate => ("Images/s", vec![self.line("", &state.rates, self.look.ink(Color::Green))], words::rate),
            Focus::Overview | Focus::Classes => return,
        };
        let room = usize::from(area.width).saturating_sub(title.len() + 1);
        let area = self.panel(title, legend(&series, show, room), area, buffer);
        // Start rates at zero, so that the size of a change is visible.
        let from_zero = matches!(which, Focus::LearningRate | Focus::Rate);
        let points: Vec<Vec<(f64, f64)>> = series.iter().map(points).collect();
        match bounds(&points, state.position(), from_zero) {
            Some(bounds) => plot(&series, &points, bounds, show, self.look.faint(), area, buffer),
            None => Line::styled("nothing yet", self.look.faint()).render(area, buffer),
        }
    }

    fn line<'a>(&self, name: &'static str, curve: &'a Curve, style: Style) -> Series<'a> {
        Series { name, short: name, curve, style, marker: Marker::Braille, graph: GraphType::Line }
    }

    fn training<'a>(&self, curve: &'a Curve) -> Series<'a> {
        Series { short: "train", ..self.line("training", curve, self.look.ink(Color::Cyan)) }
    }

    fn validation<'a>(&self, curve: &'a Curve) -> Series<'a> {
        let series = Series { short: "val", ..self.line("validation", curve, self.look.ink(Color::Yellow)) };
        // Without colours, different markers distinguish the two curves.
        match self.look.paint {
            Paint::None => Series {
                name: "validation •",
                short: "val •",
                marker: Marker::Dot,
                graph: GraphType::Scatter,
                ..series
            },
            Paint::Palette | Paint::Full => series,
        }
    }
}

/// Returns name and last value of each curve. With little room, names are short, and the first curves are omitted.
fn legend(series: &[Series], show: fn(f64) -> String, width: usize) -> Vec<Span<'static>> {
    let known: Vec<(&Series, f64)> = series.iter().filter_map(|series| Some((series, series.curve.last()?))).collect();
    let spans = |short: bool| -> Vec<Span<'static>> {
        let span = |(series, last): &(&Series, f64)| {
            let name = if short { series.short } else { series.name };
            let last = if last.is_nan() { "NaN".to_string() } else { show(*last) };
            Span::styled(format!("{name} {last}").trim_start().to_string(), series.style)
        };
        known.iter().map(span).collect()
    };
    let fits = |spans: &[Span]| spans.iter().map(|span| span.width() + 1).sum::<usize>() <= width;
    let long = spans(false);
    if fits(&long) {
        return long;
    }
    let mut short = spans(true);
    while !fits(&short) {
        short.remove(0);
    }
    short
}

/// Limits of the axes: `[[left, right], [bottom, top]]`.
type Bounds = [[f64; 2]; 2];

fn plot(
    series: &[Series],
    points: &[Vec<(f64, f64)>],
    [x, y]: Bounds,
    show: fn(f64) -> String,
    faint: Style,
    area: Rect,
    buffer: &mut Buffer,
) {
    let datasets = series.iter().zip(points).map(|(series, points)| {
        Dataset::default().marker(series.marker).graph_type(series.graph).style(series.style).data(points)
    });
    let middle = (y[0] + y[1]) / 2.0;
    // Labels have the same width, so that the charts of a column are aligned.
    let label = |value: f64| Line::from(format!("{:>8}", show(value))).style(faint);
    let labels = if area.height >= 7 { vec![y[0], middle, y[1]] } else { y.to_vec() };
    let mut across = Axis::default().bounds(x).style(faint);
    if area.height >= 6 {
        across = across.labels(x.map(|x| Line::styled(epochs(x), faint)));
    }
    let up = Axis::default().bounds(y).style(faint).labels(labels.into_iter().map(label));
    Chart::new(datasets.collect()).x_axis(across).y_axis(up).legend_position(None).render(area, buffer);
}

fn epochs(x: f64) -> String {
    if x == 0.0 { "epoch 0".to_string() } else { format!("{x:.1}").trim_end_matches(".0").to_string() }
}

/// Returns the points to draw: for merged values, the extremes in a scatter plot and the mean in a line.
fn points(series: &Series) -> Vec<(f64, f64)> {
    let dots = series.graph == GraphType::Scatter;
    let one = |point: &crate::curve::Point| match dots && point.count > 1 {
        true => vec![(point.x, point.min), (point.x, point.max)],
        false => vec![(point.x, point.mean)],
    };
    // Clamp, so that the length of the axis is finite.
    let drawn = |(x, value): (f64, f64)| (x, value.clamp(-1e100, 1e100));
    series.curve.points().iter().flat_map(one).map(drawn).collect()
}

/// Returns the limits of the axes, with x up to `until` or further; `None` if there are no points. Outliers of long
/// curves may lie outside.
fn bounds(curves: &[Vec<(f64, f64)>], until: f64, from_zero: bool) -> Option<Bounds> {
    let (mut x, mut y) = ([f64::INFINITY, f64::NEG_INFINITY], [f64::INFINITY, f64::NEG_INFINITY]);
    for points in curves.iter().filter(|points| !points.is_empty()) {
        let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        // Ignore one point in a hundred at either end: short curves are shown whole.
        let cut = values.len() / 100;
        let (first, last) = (points[0].0, points[points.len() - 1].0);
        x = [x[0].min(first), x[1].max(last)];
        y = [y[0].min(values[cut]), y[1].max(values[values.len() - 1 - cut])];
    }
    if x[0] > x[1] {
        return None;
    }
    // Start at a whole epoch, to the left of the first point.
    x[0] = (x[0] - 1e-9).floor().max(0.0);
    if from_zero {
        y[0] = y[0].min(0.0);
    }
    let pad = if y[1] > y[0] { (y[1] - y[0]) * 0.05 } else { y[0].abs().max(1e-6) * 0.5 };
    // No negative axis for values that are never negative.
    let least = if y[0] >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    // An axis of length 0 would yield lines of infinite length.
    let narrowest = x[0] + x[0].max(1.0) * 1e-3;
    Some([[x[0], x[1].max(until).max(narrowest)], [(y[0] - pad).max(least), y[1] + pad]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_but_the_outliers_of_long_curves() {
        let points = |count: u32| (0..count).map(|x| (f64::from(x), f64::from(x))).collect::<Vec<_>>();
        assert_eq!(bounds(&[points(0)], 3.0, false), None);
        assert_eq!(bounds(&[points(0), points(11)], 3.0, false), Some([[0.0, 10.0], [0.0, 10.5]]));
        let mut long = points(200);
        long[7].1 = 1e9;
        let [x, y] = bounds(&[long], 250.5, false).unwrap();
        assert!(x == [0.0, 250.5] && y[1] < 220.0, "{y:?}");
        assert_eq!(bounds(&[vec![(1.5, -1.0), (2.5, 1.0)]], 0.0, false), Some([[1.0, 2.5], [-1.1, 1.1]]));
        let [x, _] = bounds(&[vec![(1e19, 1.0)]], 1e19, false).unwrap();
        assert!(x[1] > x[0]);
        let from_zero = bounds(&[vec![(1.0, 90.0), (2.0, 100.0)]], 0.0, true);
        assert_eq!(from_zero, Some([[0.0, 2.0], [0.0, 105.0]]));
    }
}
