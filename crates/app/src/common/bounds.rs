//! Bounds messages to the length of a screen, however long the names, values and lines in the data are.
//! Also explains running out of memory, and names the keys that make a batch smaller.

use crate::cli::Command;
use crate::common::config::Config;
use contract::OUT_OF_MEMORY;
use log::{Log, Metadata, Record};
use std::sync::{Mutex, PoisonError};
use tch::Device;

/// Characters kept from the beginning of a message, which say what happened and where.
const HEAD: usize = 4000;

/// Characters kept from its end, which say what to do.
const TAIL: usize = 1000;

/// Returns the message, with its middle cut out if it is longer than a person reads.
pub fn bounded(message: &str) -> String {
    // A string has at least as many bytes as characters, and its bytes need no counting.
    if message.len() <= HEAD + TAIL {
        return message.into();
    }
    let characters = message.chars().count();
    if characters <= HEAD + TAIL {
        return message.into();
    }
    let at = |place: usize| message.char_indices().nth(place).map_or(message.len(), |(at, _)| at);
    let (head, tail) = (&message[..at(HEAD)], &message[at(characters - TAIL)..]);
    format!("{head} … ({} characters left out) … {tail}", characters - HEAD - TAIL)
}

/// Logger that passes on [`bounded`] lines.
pub struct Bounded<L>(pub L);

impl<L: Log> Log for Bounded<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let text = bounded(&record.args().to_string());
            let mut builder = Record::builder();
            builder.metadata(record.metadata().clone()).module_path(record.module_path());
            self.0.log(&builder.file(record.file()).line(record.line()).args(format_args!("{text}")).build());
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Size of the last built network's batches and the keys that lower it, for messages about a lack of memory.
static BATCHES: Mutex<Option<String>> = Mutex::new(None);

/// Remembers the size of batches and the keys that lower it, for [`explained`].
pub fn remember(config: &Config, device: Device) {
    *BATCHES.lock().unwrap_or_else(PoisonError::into_inner) = Some(batches(config, device));
}

/// Describes the size of batches and the keys that lower it.
fn batches(config: &Config, device: Device) -> String {
    let ([height, width], batch) = (config.data.size(), config.data.loader().batch_size);
    let recompute = match config.model.common().recompute {
        true => "",
        false => ", or, for training, set model.recompute to true, which takes time instead",
    };
    let share = match config.train.memory_fraction.filter(|_| device.is_cuda()) {
        Some(fraction) => {
            format!("; train.memory_fraction is {fraction}, and a larger one leaves more to this process")
        }
        None => String::new(),
    };
    format!(
        "a batch has up to {batch} images of {height}x{width} pixels: lower data.loader.batch_size or \
         data.size{recompute}{share}"
    )
}

/// Returns an error message with advice appended if it reports a lack of memory.
pub fn explained(said: String, command: &Command) -> String {
    if !said.contains(OUT_OF_MEMORY) {
        return said;
    }
    let batches = BATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    match (command, &*batches) {
        (Command::Predict(_), _) => {
            format!("{said}; --tile PIXELS predicts in tiles, and smaller tiles need less memory")
        }
        (_, Some(batches)) => format!("{said}; {batches}"),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        assert_eq!(bounded("short"), "short");
        let long = format!("what happened {} what to do", "é".repeat(3_000_000));
        let said = bounded(&long);
        assert!(said.starts_with("what happened é") && said.ends_with("é what to do"), "{said}");
        assert!(said.contains(" … (2995025 characters left out) … "), "{said}");
        assert_eq!(said.chars().count(), HEAD + TAIL + " … (2995025 characters left out) … ".chars().count());
        let fits = "é".repeat(HEAD + TAIL);
        assert_eq!(bounded(&fits), fits);
    }

    #[test]
    fn a_lack_of_memory_names_the_batch_and_the_keys_that_make_it_smaller() {
        let changes = ["train.memory_fraction=0.25", "data.loader.batch_size=7", "data.size=[64,48]"];
        let config = Config::default().with(&changes.map(String::from)).unwrap();
        let [cpu, gpu] = [Device::Cpu, Device::Cuda(0)].map(|device| batches(&config, device));
        assert!(cpu.starts_with("a batch has up to 7 images of 64x48 pixels: lower data.loader.batch_size"), "{cpu}");
        assert!(cpu.ends_with("set model.recompute to true, which takes time instead"), "{cpu}");
        assert!(gpu.starts_with(&cpu) && gpu.contains("train.memory_fraction is 0.25"), "{gpu}");
    }

    #[test]
    fn lines_of_the_log_are_bounded_wherever_they_come_from() {
        struct Kept(Mutex<Vec<String>>);
        impl Log for Kept {
            fn enabled(&self, _: &Metadata) -> bool {
                true
            }
            fn log(&self, record: &Record) {
                self.0.lock().unwrap().push(format!("{} {}", record.target(), record.args()));
            }
            fn flush(&self) {}
        }
        let log = Bounded(Kept(Mutex::default()));
        let long = "x".repeat(1_000_000);
        log.log(&Record::builder().level(Level::Warn).target("here").args(format_args!("{long}")).build());
        let kept = log.0.0.into_inner().unwrap();
        assert!(kept[0].starts_with("here xx") && kept[0].len() < 2 * (HEAD + TAIL));
    }
}
