//! Panel with the load of the machine.

use super::Scene;
use crate::words::{gib, share};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Color,
    text::{Line, Span},
    widgets::{Paragraph, Widget},
};

impl Scene<'_> {
    /// Returns name, share and text of each meter.
    fn meters(&self) -> Vec<(&'static str, f64, String)> {
        let part = |used: u64, all: u64| if all > 0 { used as f64 / all as f64 } else { f64::NAN };
        let (load, mut rows) = (&self.state.load, Vec::new());
        rows.push(("CPU", load.cpu, share(load.cpu)));
        let of = |used: u64, all: u64| format!("{} of {} GiB", gib(used), gib(all));
        rows.push(("Memory", part(load.memory_used, load.memory), of(load.memory_used, load.memory)));
        rows.push(("Process", part(load.process, load.memory), format!("{} GiB", gib(load.process))));
        if let Some(gpu) = &self.state.gpu {
            rows.extend(gpu.busy.map(|busy| ("GPU", busy, share(busy))));
            rows.extend(gpu.memory_used.zip(gpu.memory).map(|(used, all)| ("GPU mem", part(used, all), of(used, all))));
        }
        rows
    }

    /// Returns the number of rows of the panel, with its title and a blank row before it.
    pub(super) fn system_rows(&self) -> u16 {
        self.meters().len() as u16 + 2
    }

    /// Draws the load of processors, memory and GPU.
    pub(super) fn system(&self, area: Rect, buffer: &mut Buffer) {
        let area = self.panel("System", Vec::new(), area, buffer);
        let bar = usize::from(area.width).saturating_sub(8 + 18);
        let line = |(name, part, words): (&str, f64, String)| {
            let style = self.look.ink(if part > 0.9 { Color::Red } else { Color::Blue });
            let [filled, rest] = self.bar(bar, part, style);
            Line::from(vec![Span::raw(format!("{name:<8}")), filled, rest, Span::raw(format!(" {words:>17}"))])
        };
        Paragraph::new(self.meters().into_iter().map(line).collect::<Vec<_>>()).render(area, buffer);
    }
}
