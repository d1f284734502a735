use super::*;
use crate::columns::Columns;
use crate::state::{Class, Phase, Setup};
use crate::table::Epoch;
use crate::{load::Gpu, load::Load, look::Paint, pace::Step, view::Command};
use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend};
use std::time::{Duration, UNIX_EPOCH};

const LOOK: Look = Look { paint: Paint::None, unicode: true, moves: true };
const ASCII: Look = Look { unicode: false, ..LOOK };
const COLOR: Look = Look { paint: Paint::Full, ..LOOK };
const GIB: u64 = 1 << 30;

/// Returns a run in the middle of its third epoch of four.
fn state(classes: usize) -> State {
    let class = |at: usize| Class { name: format!("class {at}"), color: [200, at as u8, 0] };
    let classes: Vec<Class> = (0..classes).map(class).collect();
    let ious: Vec<f64> = (0..classes.len()).map(|at| at as f64 / 10.0).collect();
    let (title, about) = ("runs/shapes".into(), "unet".into());
    let columns = Columns::new(["loss", "accuracy", "mean_iou"].map(String::from), "mean_iou", true);
    let setup = Setup { title, about, epochs: 4, samples: 80, validation_samples: 16, columns, classes };
    let mut state = State::new(setup);
    let mut now = 0.0;
    for epoch in 1..=3 {
        state.train(epoch, 0, now);
        for step in 0..if epoch == 3 { 5 } else { 10 } {
            now += 1.0;
            let loss = Some(1.0 / (epoch as f64 + f64::from(step) / 10.0));
            let waited = Some(Duration::from_millis(30));
            state.step(&Step { samples: 8, loss, learning_rate: Some(1e-3), waited, ..Step::default() }, now);
        }
        if epoch < 3 {
            state.validate(now);
            now += 2.0;
            state.step(&Step { samples: 16, ..Step::default() }, now);
            let training = vec![1.0 / epoch as f64, 0.8, 0.3 * epoch as f64];
            let row = Epoch { epoch, validation: training.clone(), training, seconds: 12.0, rate: 8.0, waiting: 0.03 };
            state.epoch(&row, &ious, now);
        }
    }
    state.load = Load { cpu: 0.5, memory_used: 2 * GIB, memory: 8 * GIB, process: GIB };
    state
}

fn log(count: usize) -> Vec<Logged> {
    let line = |at| Logged { at: UNIX_EPOCH, level: Level::Info, text: format!("line {at}") };
    (0..count).map(line).collect()
}

fn buffer(state: &State, view: &View, look: Look, [width, height]: [u16; 2]) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let scene = Scene { state, view, log: &log(log_rows(width, height).min(3)), look, now: 29.0 };
    terminal.draw(|frame| frame.render_widget(&scene, frame.area())).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(row).map(|row| row.trim_end().to_string()).collect()
}

#[test]
fn the_top_says_how_far_epoch_and_run_are() {
    let mut state = state(2);
    let rows_of = |state: &State| rows(&buffer(state, &View::default(), LOOK, [100, 30]));
    let shown = rows_of(&state);
    // 8 samples per second: 40 of this epoch and 80 of the next one, and two validations of 2 seconds.
    let expected = [
        "runs/shapes  unet                                                                               29 s",
        "Epoch 3/4     ━━━━━━━━━━───────────  40/80         8.0 images/s   data 3 %                    5 s left",
        "Run           ━━━━━━━━━━━━━────────  2.5/4         best mean IoU 0.6000 in epoch 2           19 s left",
        "",
    ];
    let words =
        |row: &str| row.split_whitespace().filter(|word| !word.contains('━')).map(String::from).collect::<Vec<_>>();
    for (row, expected) in shown.iter().zip(expected) {
        assert_eq!(words(row), words(expected));
    }
    assert_eq!(shown[1].chars().filter(|sign| "━─".contains(*sign)).count(), 20);
    assert_eq!(shown[1].chars().filter(|sign| *sign == '━').count(), 10);
    state.validate(29.0);
    state.step(&Step { samples: 4, ..Step::default() }, 30.0);
    let shown = rows_of(&state);
    assert!(shown[1].starts_with("Validation    ━━━━━─") && shown[1].contains("4/16"), "{}", shown[1]);
}

#[test]
fn classes_have_bars_in_their_colours() {
    let buffer = buffer(&state(2), &View { focus: Focus::Classes, ..View::default() }, COLOR, [60, 16]);
    let shown = rows(&buffer);
    assert!(shown[4].starts_with("IoU of the last validation ─"), "{}", shown[4]);
    assert_eq!(shown[5], format!("class 0 {} 0.0000", "─".repeat(45)));
    assert_eq!(shown[6], format!("class 1 {}{} 0.1000", "━".repeat(5), "─".repeat(40)));
    assert_eq!(buffer[(8, 6)].fg, Color::Rgb(200, 1, 0));
}

#[test]
fn of_150_classes_the_best_and_the_worst_are_seen() {
    let mut state = state(150);
    state.ious = (0..150).map(|at| f64::from(at) / 150.0).collect();
    let shown = rows(&buffer(&state, &View::default(), LOOK, [120, 40])).join("\n");
    for part in ["class 149", "class 148", "classes between", "class 1 ", "class 0 "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("class 75"));
}

#[test]
fn the_load_is_in_words_and_a_graphics_card_where_there_is_one() {
    let mut state = state(2);
    let rows_of = |state: &State| rows(&buffer(state, &View::default(), LOOK, [100, 40])).join("\n");
    let shown = rows_of(&state);
    assert!(shown.contains("2.0 of 8.0 GiB") && shown.contains("50 %") && !shown.contains("GPU"), "{shown}");
    state.gpu = Some(Gpu { busy: Some(0.91), memory_used: Some(4 * GIB), memory: Some(80 * GIB) });
    let shown = rows_of(&state);
    assert!(shown.contains("91 %") && shown.contains("4.0 of 80.0 GiB"), "{shown}");
}

#[test]
fn the_log_stands_at_the_bottom_and_the_keys_below() {
    let shown = rows(&buffer(&state(2), &View { scroll: 7, ..View::default() }, LOOK, [100, 30]));
    assert!(shown[23].starts_with("Log UTC, 7 lines below ─"), "{}", shown[23]);
    assert_eq!(shown[28], "00:00:00 line 2");
    assert!(shown[29].starts_with("s save   v validate   e stop after epoch   q stop   ? help"), "{}", shown[29]);
    let asked = View { asked: Some((Command::Save, 27.0)), ..View::default() };
    assert_eq!(rows(&buffer(&state(2), &asked, LOOK, [100, 30]))[29], "Saving after this step …");
    let long_ago = View { asked: Some((Command::Save, 20.0)), ..View::default() };
    assert!(rows(&buffer(&state(2), &long_ago, LOOK, [100, 30]))[29].starts_with("s save"));
    let stopping = View { asked: Some((Command::StopNow, 2.0)), stopping: true, ..View::default() };
    assert_eq!(rows(&buffer(&state(2), &stopping, LOOK, [100, 30]))[29], "Stopping after this step …");
}

#[test]
fn every_view_has_its_chart() {
    let title = |focus| rows(&buffer(&state(2), &View { focus, ..View::default() }, LOOK, [80, 24]))[4].clone();
    assert!(title(Focus::Loss).starts_with("Loss step 0.2941 training 0.5000 validation • 0.5000 ──"));
    assert!(title(Focus::Score).starts_with("Mean IoU training 0.6000 validation • 0.6000 ──"));
    assert!(title(Focus::LearningRate).starts_with("Learning rate 1.00e-3 ──"));
    assert!(title(Focus::Rate).starts_with("Images/s 8.0 ──"));
    let narrow = title(Focus::Overview);
    assert!(narrow.starts_with("Loss train 0.5000 val • 0.5000 ──") && narrow.contains("  Mean IoU train"), "{narrow}");
}

#[test]
fn a_loss_that_is_nan_is_said() {
    let mut state = state(2);
    state.step(&Step { samples: 8, loss: Some(f64::NAN), ..Step::default() }, 30.0);
    let shown = rows(&buffer(&state, &View::default(), LOOK, [160, 45]));
    assert!(shown[4].starts_with("Loss step NaN training"), "{}", shown[4]);
}

#[test]
fn without_colours_there_is_none_and_without_unicode_all_is_ascii() {
    let view = View { help: true, ..View::default() };
    for size in [[50, 12], [60, 16], [100, 30], [160, 45]] {
        let [shown, ascii] = [LOOK, ASCII].map(|look| buffer(&state(30), &view, look, size));
        for cell in shown.content.iter().chain(&ascii.content) {
            assert!(cell.fg == Color::Reset && cell.bg == Color::Reset);
        }
        let signs = |buffer: &Buffer| rows(buffer).concat();
        assert!(!signs(&shown).is_ascii() && signs(&ascii).is_ascii());
        // A question mark would be a character without a replacement.
        let unknown = |buffer: &Buffer| signs(buffer).matches('?').count();
        assert_eq!(unknown(&ascii), unknown(&shown));
        let colored = buffer(&state(30), &view, COLOR, size).content.iter().any(|cell| cell.fg == Color::Cyan);
        assert_eq!(colored, size[0] >= 60);
    }
}

#[test]
fn too_small_a_terminal_is_told_so() {
    let shown = rows(&buffer(&state(2), &View::default(), LOOK, [59, 16])).join(" ");
    assert!(shown.contains("60 × 16") && shown.contains("59 × 16"), "{shown}");
    assert!(!rows(&buffer(&state(2), &View::default(), LOOK, [60, 16])).join(" ").contains("cells"));
}

#[test]
fn text_is_cut_to_its_columns() {
    assert_eq!([fit("road", 6), fit("road", 4), fit("roads", 4), fit("r", 0)], ["road  ", "road", "roa…", ""]);
    // Characters that are two columns wide.
    assert_eq!(fit("道路标志", 4), "道… ");
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..1.0, Just(f64::NAN), Just(f64::INFINITY), Just(0.0)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_size_and_no_state_panics(
        (width, height) in (1u16..210, 1u16..70), classes in 0usize..160, known in 0usize..170,
        numbers in prop::collection::vec((any_number(), any_number()), 0..60),
        (focus, help, scroll) in (0usize..6, any::<bool>(), any::<usize>()),
        (epochs, samples, at) in (any::<u64>(), any::<u64>(), any::<u64>()), ascii in any::<bool>(),
    ) {
        let mut state = state(classes);
        state.ious = numbers.iter().map(|(iou, _)| *iou).cycle().take(if numbers.is_empty() { 0 } else { known }).collect();
        (state.setup.epochs, state.setup.samples) = (epochs, samples);
        state.train(at, 0, 5.0);
        for (loss, rate) in &numbers {
            let step = Step { samples: 3, loss: Some(*loss), score: None, learning_rate: Some(*rate), waited: None };
            state.step(&step, loss.abs().min(1e6));
        }
        let measured = vec![f64::INFINITY, f64::NAN, f64::NAN];
        if help {
            let row = Epoch { epoch: at.saturating_sub(1), validation: measured.clone(), training: measured, seconds: 1.0, rate: 1.0, waiting: 0.0 };
            state.epoch(&row, &[], 9.0);
            state.phase = Phase::Validating;
        }
        let focus = [Focus::Overview, Focus::Loss, Focus::Score, Focus::LearningRate, Focus::Rate, Focus::Classes][focus];
        let view = View { focus, help, scroll, ..View::default() };
        let look = if ascii { ASCII } else { COLOR };
        let shown = rows(&buffer(&state, &view, look, [width, height]));
        prop_assert!(shown.iter().any(|row| !row.is_empty()));
    }
}
