//! `app tune-postprocessing`: chooses the post-processing of class maps on the validation images.

mod components;
mod kept;
mod score;
mod spool;
mod weights;

use crate::cli::{self, How};
use crate::common::files::{folder, publish};
use crate::common::network::Trained;
use crate::common::networks::networks;
use crate::common::output;
use crate::common::postprocessing::{ChosenOn, Postprocessing, is_ours, own_file};
use crate::common::usage::usage;
use crate::predict::{self, Begun, Progress, Wanted};
use crate::validate::Masked;
use anyhow::{Context, Result, ensure};
use contract::Scores;
use kept::{Kept, keep};
use score::Tried;
use serde_json::{Value, json};
use spool::Spool;
use std::fs;
use std::path::{Path, PathBuf};
use terminal::{Step, Watch};

/// `app tune-postprocessing`
pub fn run(args: &cli::TunePostprocessing) -> Result<()> {
    args.how.check()?;
    let networks = networks(&args.networks, &args.set)?;
    let first = networks.first().context("no network is named")?;
    let (data, classes) = (first.config.data.clone(), first.network.classes.clone());
    let output = match &args.output {
        Some(output) => output.clone(),
        None => own_file(first).map_err(|error| usage(format!("{error} with --output")))?,
    };
    let masked = Masked::open(&data, classes.len() as u64)?;
    let masked =
        masked.ok_or_else(|| usage("the validation data are drawn and not files: there is nothing to tune on"))?;
    check(&output, &networks, &masked, args.overwrite)?;

    let chosen_on = ChosenOn::of(&networks, &args.how, 0);
    let spool = Spool::new()?;
    let kept = predicted(networks, &masked, &args.how, &spool)?;
    ensure!(!kept.is_empty(), "no validation image could be predicted");
    let chosen_on = ChosenOn { images: kept.len() as u64, ..chosen_on };
    let mut chosen = Postprocessing::plain(&classes, args.connectivity, chosen_on);
    let (tried, [before, after]) = choose(&spool, &kept, &mut chosen, &classes)?;
    chosen.before = output::object(&before);
    chosen.after = output::object(&after);
    publish(&output, chosen.text()?.as_bytes())?;
    log::info!("Wrote {}", output.display());

    if args.json {
        let step = |tried: &Tried| {
            let Tried { step, class, value, before, after, kept } = tried;
            let class = &classes[usize::from(*class)];
            json!({"step": step, "class": class, "value": value, "before": before, "after": after, "kept": kept})
        };
        let steps: Vec<Value> = tried.iter().map(step).collect();
        let file = output.display().to_string();
        let object = json!({"file": file, "steps": steps, "before": chosen.before, "after": chosen.after});
        output::show(&object.to_string());
    } else {
        output::show(&table(&tried, &classes, &before, &after));
    }
    Ok(())
}

/// Predicts the validation images once, and keeps what is needed of them.
fn predicted(networks: Vec<Trained>, masked: &Masked, how: &How, spool: &Spool) -> Result<Vec<Kept>> {
    let pictures = &masked.pictures;
    let begun = Begun::new();
    let mut progress = Progress::new("Prediction", pictures, &begun);
    let told = |told| progress.add(told);
    let wanted = Wanted { pictures, how, weights: None, probabilities: true, begun: &begun };
    let (broken, kept) =
        predict::beside(|work| keep(work, masked, spool), |writer| predict::each(networks, &wanted, writer, told))?;
    let (count, rate) = (kept.len(), progress.rate());
    drop(progress);
    log::info!("{count} images{}", output::at_rate(rate, 1));
    masked.report(&broken)?;
    Ok(kept)
}

/// Tries all steps. Returns them, and the scores without and with those that are kept.
fn choose(
    spool: &Spool,
    kept: &[Kept],
    chosen: &mut Postprocessing,
    classes: &[String],
) -> Result<(Vec<Tried>, [Scores; 2])> {
    let neighbours = chosen.neighbours();
    let mut all = Vec::new();
    let mut watch = Watch::new("Tuning", 0, 4 * classes.len() as u64);
    let mut tried = |tried: Tried| {
        watch.step(&Step { samples: 1, ..Step::default() });
        all.push(tried);
    };
    let before = weights::counts(spool, kept, classes.len())?;
    let (weights, counts) = weights::choose_weights(spool, kept, &before, &mut tried)?;
    for (class, weight) in chosen.classes.iter_mut().zip(weights) {
        class.weight = weight;
    }
    let after = components::choose_steps(spool, kept, neighbours, counts, &mut chosen.classes, &mut tried)?;
    drop(watch);
    Ok((all, [before, after].map(|counts| counts.scores(classes))))
}

/// Formats a row for each step that was tried, and the scores.
fn table(tried: &[Tried], classes: &[String], before: &Scores, after: &Scores) -> String {
    let mut lines = vec![format!("{:<18} {:<16} {:<9} {:<7} {:<7} kept", "step", "class", "value", "before", "after")];
    for Tried { step, class, value, before, after, kept } in tried {
        let class = terminal::clean_line(&classes[usize::from(*class)]);
        let value = match value {
            None => String::new(),
            Some(value) if *step == weights::STEP => format!("{value:.3}"),
            Some(value) => format!("{value} px"),
        };
        let kept = if *kept { "yes" } else { "no" };
        lines.push(format!("{step:<18} {class:<16} {value:<9} {before:<7.4} {after:<7.4} {kept}"));
    }
    lines.push(format!("\n{:<35} {:<9} {:<7} {:<7}", "", "", "before", "after"));
    let both = |name: &str| [before, after].map(|scores| output::score(scores, name));
    for (name, key) in std::iter::once(("mean_iou".to_string(), "mean_iou".to_string()))
        .chain(classes.iter().map(|class| (format!("iou of {}", terminal::clean_line(class)), format!("iou/{class}"))))
    {
        let [before, after] =
            both(&key).map(|value| if value.is_nan() { "absent".into() } else { format!("{value:.4}") });
        lines.push(format!("{name:<45} {before:<7} {after:<7}"));
    }
    lines.join("\n")
}

/// Checks that the file may be written: its place is free or holds one of ours, or `overwrite` allows to replace what
/// is there. Images, masks and other files of a run are never replaced.
fn check(output: &Path, networks: &[Trained], masked: &Masked, overwrite: bool) -> Result<()> {
    let shown = output.display();
    if !folder(output).is_dir() {
        return Err(usage(format!("--output {shown}: there is no folder {}", folder(output).display())));
    }
    masked.refuse_to_replace(output)?;
    if fs::symlink_metadata(output).is_err() || is_ours(output) {
        return Ok(());
    }
    let place = folder(output).canonicalize().with_context(|| shown.to_string())?;
    let own: Vec<PathBuf> = networks.iter().filter_map(|trained| own_file(trained).ok()).collect();
    let is_in = |own: &PathBuf| folder(own).canonicalize().is_ok_and(|run| place.starts_with(run));
    if own.iter().any(is_in) && !own.iter().any(|own| own.file_name() == output.file_name()) {
        return Err(usage(format!("--output {shown} is another file of a run: name another one")));
    }
    if !overwrite {
        return Err(usage(format!(
            "{shown} is there, and is no post-processing of this program, or was changed since: name another --output, \
             or add --overwrite to replace it"
        )));
    }
    Ok(())
}
