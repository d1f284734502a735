//! Panel with the IoU of each class.

use super::{Scene, fit};
use crate::{state::Class, words};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::{Paragraph, Widget},
};

impl Scene<'_> {
    /// Draws a bar for each class; if there are too many, only the best and the worst.
    pub(super) fn classes(&self, area: Rect, buffer: &mut Buffer) {
        let (classes, ious) = (&self.state.setup.classes, &self.state.ious);
        let note = if ious.is_empty() { "not validated yet" } else { "of the last validation" };
        let area = self.panel("IoU", vec![Span::styled(note, self.look.faint())], area, buffer);
        if area.is_empty() {
            return;
        }
        let iou = |class: usize| ious.get(class).copied().unwrap_or(f64::NAN);
        let widest = classes.iter().map(|class| Span::raw(class.name.as_str()).width()).max().unwrap_or(0);
        let name = widest.min(usize::from(area.width) / 3);
        let bar = usize::from(area.width).saturating_sub(name + " 0.0000 ".len());
        let line = |entry: &Entry| match *entry {
            Entry::Gap(between) => Line::styled(format!("… {between} classes between"), self.look.faint()),
            Entry::Class(at) => {
                let Class { name: text, color } = &classes[at];
                let [filled, rest] = self.bar(bar, iou(at), self.look.rgb(*color));
                let value = format!(" {:>6}", words::number(iou(at)));
                Line::from(vec![Span::raw(fit(text, name)), Span::raw(" "), filled, rest, Span::raw(value)])
            }
        };
        let values: Vec<f64> = (0..classes.len()).map(iou).collect();
        let shown = choose(&values, usize::from(area.height));
        Paragraph::new(shown.iter().map(line).collect::<Vec<_>>()).render(area, buffer);
    }
}

/// Line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Class(usize),
    Gap(usize),
}

/// Selects the classes for `rows` lines: all in their order, or else the best and the worst of those with a known IoU.
fn choose(ious: &[f64], rows: usize) -> Vec<Entry> {
    if ious.len() <= rows {
        return (0..ious.len()).map(Entry::Class).collect();
    }
    // Sort the best first, with unknown classes in the middle, where they are omitted.
    let (mut order, absent): (Vec<usize>, Vec<usize>) = (0..ious.len()).partition(|class| !ious[*class].is_nan());
    order.sort_by(|a, b| ious[*b].total_cmp(&ious[*a]));
    let (best, worst) = (rows.saturating_sub(1).div_ceil(2), rows.saturating_sub(1) / 2);
    let known = order.len();
    order.splice(known.min(best)..known.min(best), absent);
    let last = order.len() - worst;
    let ends = [&order[..best], &order[last..]].map(|end| end.iter().map(|class| Entry::Class(*class)));
    let [first, second] = ends;
    first.chain([Entry::Gap(last - best)]).chain(second).take(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_many_classes_are_the_best_and_the_worst() {
        let ious = [0.3, f64::NAN, 0.9, 0.1, 0.5, f64::NAN, 0.7];
        use Entry::{Class, Gap};
        assert_eq!(choose(&ious, 5), [Class(2), Class(6), Gap(3), Class(0), Class(3)]);
        assert_eq!(choose(&ious, 4), [Class(2), Class(6), Gap(4), Class(3)]);
        assert_eq!(choose(&ious, 7), (0..7).map(Class).collect::<Vec<_>>());
        assert_eq!(choose(&ious, 1), [Gap(7)]);
        assert_eq!(choose(&[], 3), []);
        assert_eq!(choose(&[0.5], 0), []);
    }

    proptest! {
        #[test]
        fn every_class_is_shown_or_counted(ious in prop::collection::vec(prop_oneof![Just(f64::NAN), 0.0..1.0], 0..200), rows in 1usize..60) {
            let entries = choose(&ious, rows);
            prop_assert!(entries.len() <= rows);
            let count = |entry: &Entry| if let Entry::Gap(between) = entry { *between } else { 1 };
            prop_assert_eq!(entries.iter().map(count).sum::<usize>(), ious.len());
        }
    }
}
