use super::*;
use crate::state::{Class, Setup};
use crate::table::{Epoch, Measured};
use crate::{look::Paint, pace::Step};

#[test]
fn look_at_it() {
    let classes = (0..8).map(|c| Class { name: format!("class {c}"), color: [c * 30; 3] }).collect();
    let mut state = State::new(Setup {
        title: "runs/shapes".into(),
        about: "unet".into(),
        epochs: 20,
        samples: 80,
        validation_samples: 16,
        classes,
    });
    for epoch in 1..=7 {
        state.train(epoch, 0, epoch as f64 * 10.0);
        for s in 0..9 {
            state.step(
                &Step {
                    samples: 8,
                    loss: Some(1.0 / (epoch as f64 + s as f64 / 10.0)),
                    learning_rate: Some(1e-3),
                    ..Step::default()
                },
                epoch as f64 * 10.0 + s as f64,
            );
        }
        let v = Measured { loss: 1.2 / epoch as f64, accuracy: 0.9, mean_iou: 1.0 - 0.8 / epoch as f64 };
        if epoch < 7 {
            state.epoch(
                &Epoch { epoch, training: v, validation: v, seconds: 1.0, rate: 1.0, waiting: 0.1 },
                &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, f64::NAN],
                epoch as f64 * 10.0 + 9.0,
            );
        }
    }
    let log: Vec<Logged> =
        (0..5).map(|i| Logged { at: std::time::UNIX_EPOCH, level: Level::Info, text: format!("line {i}") }).collect();
    for (w, h, u) in [(100, 30, true), (160, 45, true), (60, 16, true), (80, 24, false)] {
        let area = Rect::new(0, 0, w, h);
        let mut b = Buffer::empty(area);
        Scene {
            state: &state,
            view: &View::default(),
            log: &log,
            look: Look { paint: Paint::None, unicode: u, moves: true },
            now: 100.0,
        }
        .render(area, &mut b);
        for y in 0..h {
            eprintln!("{}", (0..w).map(|x| b[(x, y)].symbol()).collect::<String>());
        }
        eprintln!("=====");
    }
}
