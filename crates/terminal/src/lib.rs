//! Terminal output of a training: a progress bar, a table, or a full-screen dashboard.
//!
//! - [`Watch`] is a progress bar; [`Lines`] a log whose lines do not corrupt it.
//! - [`Table`] formats a row per epoch.
//! - [`Dashboard`] covers the terminal with curves, scores, load and log, and returns commands from the keyboard.
//!
//! ```
//! use terminal::{Columns, Epoch, Look, Table, Watch};
//!
//! let columns = Columns::new(["loss".to_string(), "accuracy".to_string()], "accuracy", true);
//! let mut table = Table::new(columns, 2, f64::NAN, Look::of_environment());
//! let bar = Watch::new("Epoch 1", 0, 100); // drawn in a terminal, and nowhere else
//! bar.finish();
//! let (training, validation) = (vec![0.4, 0.8], vec![0.5, 0.7]);
//! let epoch = Epoch { epoch: 1, training, validation, seconds: 75.0, rate: 34.0, waiting: 0.03 };
//! let row = table.row(&epoch);
//! assert!(row.contains("1/2") && row.contains("0.8000"), "{row}");
//! terminal::say(&row);
//! terminal::flush();
//! ```
//!
//! All output passes a bounded queue and a thread that writes it: [`say`], [`show`], [`Stderr`]. A terminal that stalls
//! or disappears blocks nothing; a program ends with [`flush`]. [`clean`] sanitises text from elsewhere. [`Look`]
//! describes the capabilities of the terminal.
//!
//! # What it does not do
//!
//! It knows no tensors: the training loop passes it numbers. It draws on stderr, which is for people, and never on
//! stdout, which is for programs ([`print()`]). It opens no files, and stops no training: a [`Command`] is the loop's
//! to obey.

mod bars;
mod clean;
mod columns;
mod curve;
mod dashboard;
mod draw;
mod error;
mod lines;
mod load;
mod look;
mod output;
mod pace;
mod screen;
mod signals;
mod state;
mod table;
mod view;
mod words;

pub use bars::Watch;
pub use clean::{clean, clean_line};
pub use columns::Columns;
pub use curve::{Curve, Point};
pub use dashboard::Dashboard;
pub use draw::Scene;
pub use error::Error;
pub use lines::{Line, Lines};
pub use load::{Gpu, Load};
pub use look::{Look, Paint};
pub use output::{Stderr, flush, print, say, show};
pub use pace::{Pace, Step};
pub use signals::is_ignored;
pub use state::{Class, Phase, Setup, State};
pub use table::{Epoch, Table, header, row};
pub use view::{Command, Focus, View};
