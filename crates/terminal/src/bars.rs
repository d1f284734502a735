//! Progress bar, shown at a terminal only (a file gets log lines instead).

use crate::{
    clean::clean_line,
    look::{Look, Paint},
    output,
    pace::{Pace, Step},
    screen, words,
};
use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Number of bars so far, to give each a unique number.
static BARS: AtomicU64 = AtomicU64::new(0);

/// Width of the bar itself, and the minimum before words are omitted.
const BAR: [usize; 2] = [24, 8];
/// Minimum interval between redraws; people read no faster.
const FRESH: Duration = Duration::from_millis(100);

/// Progress of a stretch of work on samples.
pub struct Watch {
    /// Number of the bar, if one is shown.
    bar: Option<u64>,
    words: Words,
    pace: Pace,
    look: Look,
    last: Instant,
    told: Option<Instant>,
}

/// Words next to the bar.
#[derive(Debug, Clone, Default)]
struct Words {
    title: String,
    done: u64,
    samples: u64,
    loss: Option<f64>,
    score: Option<f64>,
    /// Training samples and seconds of other work after this stretch.
    then: Option<(u64, f64)>,
    /// Unit of what is counted, if it is not images.
    unit: Option<&'static str>,
    /// The share that is done is shown, too.
    in_percent: bool,
}

impl Watch {
    /// Starts with `done` of `samples` completed. Draws nothing if stderr is not a terminal, if log lines for every
    /// step would corrupt the bar, or while a dashboard covers the terminal.
    pub fn new(title: &str, done: u64, samples: u64) -> Self {
        let look = Look::of_environment();
        let quiet = log::max_level() <= log::LevelFilter::Info && !screen::is_open();
        let bar = (quiet && look.moves && stderr().is_terminal()).then(|| BARS.fetch_add(1, Ordering::Relaxed));
        let words = Words { title: clean_line(title), done, samples, ..Words::default() };
        let mut watch = Self { bar, words, pace: Pace::default(), look, last: Instant::now(), told: None };
        watch.tell();
        watch
    }

    /// Announces `samples` more training samples and `seconds` of other work after this stretch, so that the remaining
    /// time of the run is shown too.
    pub fn then(mut self, samples: u64, seconds: f64) -> Self {
        self.words.then = Some((samples, seconds));
        self
    }

    /// Counts in `unit`, such as MiB, instead of images.
    pub fn counting(mut self, unit: &'static str) -> Self {
        self.words.unit = Some(unit);
        self
    }

    /// Also shows the share that is done.
    pub fn in_percent(mut self) -> Self {
        self.words.in_percent = true;
        self
    }

    /// Records another step.
    pub fn step(&mut self, step: &Step) {
        let now = Instant::now();
        self.pace.step((now - self.last).as_secs_f64(), step);
        self.last = now;
        let words = &mut self.words;
        words.done += step.samples as u64;
        words.loss = step.loss.or(words.loss);
        words.score = step.score.or(words.score);
        let due = self.told.is_none_or(|told| now - told >= FRESH);
        if due || words.done >= words.samples {
            self.tell();
            self.told = Some(now);
        }
    }

    fn tell(&mut self) {
        let Some(bar) = self.bar.filter(|_| !screen::is_open()) else { return };
        // Some terminals wrap at the last column.
        let [width, _] = screen::size();
        output::bar(bar, Some(self.words.line(&self.pace, usize::from(width.saturating_sub(1)), self.look)));
    }

    /// Returns samples per second.
    pub fn rate(&self) -> f64 {
        self.pace.rate()
    }

    /// Returns the share of time spent waiting for data, from 0 to 1; NaN if it is not measured.
    pub fn waiting(&self) -> f64 {
        self.pace.waiting()
    }

    /// Removes the bar from the terminal, so that lines can be written.
    pub fn finish(&self) {
        if let Some(bar) = self.bar {
            output::bar(bar, None);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Words {
    /// Returns the whole line, in `width` columns.
    fn line(&self, pace: &Pace, width: usize, look: Look) -> String {
        let (length, said) = self.fit(pace, width);
        let filled = (self.part() * length as f64) as usize;
        let [full, empty] = if look.unicode { ['█', '░'] } else { ['#', ' '] };
        let [full, empty] =
            [(full, filled), (empty, length - filled)].map(|(sign, count)| String::from(sign).repeat(count));
        // Cyan, and grey of the 256-colour palette.
        let bar = match look.paint {
            Paint::None => format!("{full}{empty}"),
            _ => format!("\x1b[36m{full}\x1b[38;5;8m{empty}\x1b[0m"),
        };
        format!("{} {bar} {said}", self.title)
    }

    /// Returns the share that is done.
    fn part(&self) -> f64 {
        self.done.min(self.samples) as f64 / self.samples.max(1) as f64
    }

    /// Returns the length of the bar and the words after it, in `width` columns: the bar is shortened first, then the
    /// least important words are omitted.
    fn fit(&self, pace: &Pace, width: usize) -> (usize, String) {
        let left = pace.left(self.samples.saturating_sub(self.done));
        let known = |value: f64| (!value.is_nan()).then_some(value);
        let unit = self.unit.unwrap_or("images");
        let counted = self.unit.map_or(String::new(), |unit| format!(" {unit}"));
        // In display order, each with its importance.
        let mut parts: Vec<(u8, String)> = [
            self.loss
                .map(|loss| (7, format!("loss {}", if loss.is_nan() { "NaN".into() } else { words::number(loss) }))),
            self.score.map(|score| (3, format!("score {}", words::number(score)))),
            known(pace.rate()).map(|_| (5, format!("{} {unit}/s", words::rate(pace.recent_rate())))),
            known(pace.waiting()).map(|waiting| (2, format!("data {}", words::share(waiting)))),
            known(left).map(|left| (6, format!("{} left", words::time(left)))),
            self.then
                .and_then(|(samples, seconds)| known(left + pace.left(samples) + seconds))
                .map(|left| (4, format!("run {}", words::time(left)))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let percent = if self.in_percent { format!("{:.0} % ", (100.0 * self.part()).floor()) } else { String::new() };
        let fixed = self.title.chars().count() + 2;
        loop {
            let said: Vec<&str> = parts.iter().map(|(_, part)| part.as_str()).collect();
            let said = format!("{percent}{}/{}{counted} {}", self.done, self.samples, said.join(", "));
            let room = width.saturating_sub(fixed + said.chars().count());
            let least = parts.iter().map(|(weight, _)| *weight).min();
            match least {
                Some(least) if room < BAR[1] => parts.retain(|(weight, _)| *weight != least),
                _ => return (room.clamp(1, BAR[0]), said.trim_end().to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace() -> Pace {
        let mut pace = Pace::default();
        let step = Step { samples: 50, waited: Some(Duration::from_millis(150)), ..Step::default() };
        pace.step(5.0, &step);
        pace
    }

    fn words() -> Words {
        let (loss, score, then) = (Some(0.43214), Some(0.7), Some((2000, 30.0)));
        Words { title: "Epoch 3/20".into(), done: 200, samples: 800, loss, score, then, unit: None, in_percent: false }
    }

    #[test]
    fn a_wide_terminal_has_it_all() {
        let said = "200/800 loss 0.4321, score 0.7000, 10 images/s, data 3 %, 1 min 00 s left, run 4 min 50 s";
        assert_eq!(words().fit(&pace(), 160), (24, said.to_string()));
    }

    #[test]
    fn a_narrow_terminal_has_what_matters() {
        assert_eq!(words().fit(&pace(), 80), (19, "200/800 loss 0.4321, 10 images/s, 1 min 00 s left".into()));
        assert_eq!(words().fit(&pace(), 40), (9, "200/800 loss 0.4321".into()));
        assert_eq!(words().fit(&pace(), 1), (1, "200/800".into()));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let unknown = Words { loss: None, score: None, ..words() };
        assert_eq!(unknown.fit(&Pace::default(), 160), (24, "200/800".into()));
        let broken = Words { loss: Some(f64::NAN), ..unknown };
        assert_eq!(broken.fit(&Pace::default(), 160).1, "200/800 loss NaN");
    }

    #[test]
    fn other_things_are_counted_in_their_unit() {
        let words = Words { title: "a.pth".into(), done: 200, samples: 800, unit: Some("MiB"), ..Words::default() };
        assert_eq!(words.fit(&pace(), 160).1, "200/800 MiB 10 MiB/s, data 3 %, 1 min 00 s left");
    }

    #[test]
    fn the_share_that_is_done_is_shown_where_it_is_wanted() {
        let words = Words { title: "Prediction".into(), unit: Some("Mpx"), in_percent: true, ..words() };
        let words = Words { loss: None, score: None, then: None, samples: 799, ..words };
        assert_eq!(words.fit(&pace(), 160).1, "25 % 200/799 Mpx 10 Mpx/s, data 3 %, 1 min 00 s left");
        assert_eq!(words.fit(&pace(), 30).1, "25 % 200/799 Mpx");
    }

    #[test]
    fn without_a_terminal_it_only_counts() {
        let mut watch = Watch::new("Epoch 1/2", 0, 100).then(100, 0.0);
        assert!(watch.rate().is_nan());
        watch.step(&Step { samples: 8, waited: Some(Duration::ZERO), ..Step::default() });
        assert!(watch.rate() > 0.0 && watch.waiting() == 0.0);
        watch.finish();
    }

    #[test]
    fn a_line_shows_how_much_is_done() {
        let words = Words { loss: None, score: None, then: None, ..words() };
        let ascii = Look { paint: Paint::None, unicode: false, moves: true };
        assert_eq!(
            words.line(&Pace::default(), 80, ascii),
            format!("Epoch 3/20 {}{} 200/800", "#".repeat(6), " ".repeat(18))
        );
        let colored = words.line(&Pace::default(), 80, Look { paint: Paint::Palette, unicode: true, ..ascii });
        assert_eq!(
            colored,
            format!("Epoch 3/20 \x1b[36m{}\x1b[38;5;8m{}\x1b[0m 200/800", "█".repeat(6), "░".repeat(18))
        );
        assert!(Words { done: 9, samples: 0, ..words }.line(&Pace::default(), 80, ascii).ends_with(" 9/0"));
    }

    proptest! {
        #[test]
        fn a_line_never_wraps(width in 40usize..300, done in 0u64..10_000_000, loss in -1e12..1e12f64) {
            let words = Words { done, samples: 10_000_000, loss: Some(loss), ..words() };
            let (bar, said) = words.fit(&pace(), width);
            prop_assert!(words.title.len() + 2 + bar + said.len() <= width);
        }
    }
}
