//! Opens the data of a split, verified.

use crate::common::config::Config;
use crate::common::output;
use crate::common::ranked;
use crate::common::usage::usage;
use anyhow::{Context, Result, ensure};
use data::{Loader, Order, Split, Tell, Told};
use std::sync::{Arc, Mutex, PoisonError};
use tch::Device;
use terminal::{Step, Watch};

/// Opens the validation data.
pub fn input_of_validation(config: &Config, device: Device) -> Result<Loader> {
    input(config, Split::Validation, device)
}

/// Opens the data of a split and verifies it: every mask, and the beginning and end of every image.
pub fn input(config: &Config, split: Split, device: Device) -> Result<Loader> {
    judged(config, split, device).map(|(input, _)| input)
}

/// Does the same as [`input`]. Also returns, after warning of it, the doubt that labels leave too little of the data.
pub fn judged(config: &Config, split: Split, device: Device) -> Result<(Loader, Option<String>)> {
    let dataset = config.data.open_cached(split, ranked::local_count() as u64, &tell())?;
    let (loader, seed) = (config.data.loader(), config.train.seed);
    let classes = config.data.classes().len() as u64;
    let verified = data::verify_all_but(loader.max_skipped, dataset.as_ref(), classes, loader.workers);
    let verified = verified.with_context(|| format!("the {split} data"))?;
    // The other ranks of this machine read the same files.
    let says = ranked::local_rank().is_none_or(|rank| rank == 0);
    if says {
        output::skipped_of(split, verified.passed.iter().map(|(_, passed)| passed));
    }
    ensure!(
        (verified.passed.len() as u64) < dataset.len(),
        "none of the {} samples of the {split} data can be loaded, so data.loader.max_skipped leaves nothing",
        dataset.len()
    );
    let shown = |id| verified.shown[usize::from(id)];
    let doubt = config.data.check_shown(split, dataset.as_ref(), shown);
    let doubt = doubt.map_err(|invalid| usage(format!("data.{invalid}")))?;
    if says {
        doubt.iter().for_each(|doubt| log::warn!("{doubt}"));
        output::noted(&verified.noted);
        output::left_out(dataset.left_out());
    }
    let order = match split {
        Split::Train => Order::Shuffled,
        Split::Validation => Order::Sequential,
    };
    let input = Loader::new(dataset, config.data.pipeline(split), loader, order, seed, device);
    let input = input.map_err(|invalid| usage(format!("data.{invalid}")))?;
    input.skipped().remember(verified.passed);
    Ok((input, doubt))
}

/// Returns a callback that shows the state of a cache on disk: a bar while it is made, lines for the rest.
fn tell() -> Tell {
    let watch = Mutex::new(None::<Watch>);
    Arc::new(move |told| {
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        let making = match told {
            Told::Building { done, total } => Some(("Cache", done, total)),
            Told::Indexing { done, total } => Some(("Class index", done, total)),
            _ => None,
        };
        if let Some((what, done, total)) = making {
            watch
                .get_or_insert_with(|| Watch::new(what, done - 1, total))
                .step(&Step { samples: 1, ..Step::default() });
            return;
        }
        *watch = None;
        match told {
            Told::Waiting(path) => log::info!("Another process is making the cache {}: waiting", path.display()),
            Told::Unfit { path, reason } => log::info!("Making the cache {} anew: {reason}", path.display()),
            Told::Ready(path) => log::info!("Samples come from the cache {}", path.display()),
            Told::Damaged { path, name } => log::warn!(
                "Sample '{name}' is damaged in the cache {}: it is loaded from its source, and the next run makes the \
                 cache anew",
                path.display()
            ),
            Told::Indexed(path) => log::info!("Where classes are comes from the index {}", path.display()),
            Told::Unkept { path, reason } => log::warn!(
                "The index {} of where classes are is made anew by each run: {reason}; data.loader.cache_folder may \
                 name another folder",
                path.display()
            ),
            Told::Building { .. } | Told::Indexing { .. } => {}
        }
    })
}
