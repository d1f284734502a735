//! The program from outside: its commands, its files, its exit status.

mod data;
mod exact;
mod export;
mod faults;
mod identity;
mod kill;
mod life;
mod machine;
mod pets;
mod predict;
mod preempt;
mod refusals;
mod replay;
mod runs;
mod saving;
mod seeing;
mod support;
mod tensorboard;
mod terminal;
mod use_as_told;
mod weights;
