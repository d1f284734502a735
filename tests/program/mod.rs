//! The program from outside: its commands, its files, its exit status.

mod exact;
mod pets;
mod predict;
mod refusals;
mod support;
mod tensorboard;
mod terminal;
mod use_as_told;
