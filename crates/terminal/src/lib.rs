//! What a person at a terminal sees of a training: a bar, a table, or a dashboard over the whole screen.
//!
//! - [`Watch`] is a progress bar; [`Lines`] a log whose lines do not tear it.
//! - [`Table`] makes a row of each epoch.
//! - [`Dashboard`] covers the terminal with curves, scores, load and log, and passes on what keys ask for.
//!
//! Whatever is shown passes a bounded queue and a thread that writes it: [`say`], [`show`], [`Stderr`]. A terminal that
//! stalls or goes away stops nobody; a program ends with [`flush`]. [`clean`] is for text that comes from elsewhere.
//!
//! The crate knows no tensors: whoever trains hands it numbers. It draws on stderr, which belongs to people, and never on
//! stdout, which belongs to programs ([`print()`]). [`Look`] is what the terminal can show.

mod bars;
mod clean;
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
pub use table::{Epoch, Measured, Table, header, row};
pub use view::{Command, Focus, View};
