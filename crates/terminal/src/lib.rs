//! Terminal output of a training: a progress bar, a table, or a full-screen dashboard.
//!
//! - [`Watch`] is a progress bar; [`Lines`] a log whose lines do not corrupt it.
//! - [`Table`] formats a row per epoch.
//! - [`Dashboard`] covers the terminal with curves, scores, load and log, and returns commands from the keyboard.
//!
//! All output passes a bounded queue and a thread that writes it: [`say`], [`show`], [`Stderr`]. A terminal that stalls
//! or disappears blocks nothing; a program ends with [`flush`]. [`clean`] sanitises text from elsewhere.
//!
//! The crate does not depend on tensors: the training loop passes it numbers. It draws on stderr, which is for people,
//! and never on stdout, which is for programs ([`print()`]). [`Look`] describes the capabilities of the terminal.

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
