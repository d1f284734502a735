//! `app runs`: lists the runs of a folder, and their differences.

mod differences;
mod look;

use crate::cli;
use crate::common::output;
use crate::common::run::{RUNS, Run};
use crate::common::usage::usage;
use anyhow::{Context, Result};
use differences::{Differing, differing};
use look::{Looked, Problem, look};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Maximum depth of a run below the folder: `runs/group/a`.
const DEPTH: usize = 2;
/// Characters on a line of the last column, which wraps.
const WIDTH: usize = 72;

/// `app runs`
pub fn run(args: &cli::Runs) -> Result<()> {
    let folder = args.folder.as_deref().unwrap_or(Path::new(RUNS));
    if args.folder.is_some() && !folder.is_dir() {
        let problem = if folder.exists() { "is no folder" } else { "is not there" };
        return Err(usage(format!("{} {problem}: name a folder that holds runs", folder.display())));
    }
    if folder.is_dir() {
        fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    }
    let mut runs: Vec<Looked> = find(folder, DEPTH).iter().map(|run| look(run, name(folder, run))).collect();
    // Runs of the same age stay in the order of their names.
    runs.sort_by_key(|run| Reverse(run.written));
    let configs: Vec<Option<&Value>> = runs.iter().map(|run| run.config.as_ref()).collect();
    let differing = differing(&configs);
    if args.json {
        let now = SystemTime::now();
        return output::print(&runs.iter().zip(&differing).map(|of| object(of, now)).collect::<Value>().to_string());
    }
    if runs.is_empty() {
        let folder = folder.display();
        return output::print(&format!(
            "No runs in {folder}: train one (app train), or name another folder (app runs DIR)"
        ));
    }
    output::print(&table(&runs, &differing, SystemTime::now()))
}

/// Returns the folders that hold a `config.json`: those inside `folder`, or else `folder` itself. A folder of runs is
/// no run, whatever else it holds.
fn find(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut inside: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) if depth > 0 => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        _ => Vec::new(),
    };
    inside.sort();
    let found: Vec<PathBuf> = inside.iter().flat_map(|inside| find(inside, depth - 1)).collect();
    let run = Run { folder: folder.into() };
    if found.is_empty() && run.exists() { vec![run.folder] } else { found }
}

/// Returns the name of a run in the list: its path within `folder`.
fn name(folder: &Path, run: &Path) -> String {
    let inside = run.strip_prefix(folder).ok().filter(|path| *path != Path::new(""));
    inside.unwrap_or(run).display().to_string()
}

/// Returns everything known about a run, for programs.
fn object((run, differing): (&Looked, &Differing), now: SystemTime) -> Value {
    let best = run.best.as_ref().map(|best| {
        let mode = if best.greatest { "max" } else { "min" };
        json!({ "metric": best.metric, "mode": mode, "score": best.score, "epoch": best.epoch, "step": best.step })
    });
    json!({
        "name": run.name,
        "folder": run.folder.display().to_string(),
        "state": run.state.name(),
        "problem": run.problem.as_ref().map(ToString::to_string),
        "epoch": run.epoch,
        "epochs": run.epochs,
        "step": run.step,
        "best": best,
        "age_seconds": run.written.map(|written| since(written, now).as_secs()),
        "bytes": run.bytes,
        "differences": differing,
    })
}

/// Formats a row for each run, with further lines for many differences, and then the problems of the runs.
fn table(runs: &[Looked], differing: &[Differing], now: SystemTime) -> String {
    let mut rows = vec![["name", "state", "epoch", "best", "age", "size"].map(String::from)];
    let mut last = vec![vec!["differs in".to_string()]];
    for (run, differing) in runs.iter().zip(differing) {
        rows.push(row(run, now));
        last.push(differences::lines(differing, WIDTH));
    }
    if differing.iter().all(Differing::is_empty) {
        last = vec![Vec::new(); rows.len()];
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut lines = Vec::new();
    for (row, last) in rows.iter().zip(&last) {
        for line in 0..last.len().max(1) {
            // Further lines of a run hold only its differences.
            let cell = |(cell, width)| format!("{:<width$}  ", if line == 0 { cell } else { "" });
            let cells: String = row.iter().map(String::as_str).zip(widths).map(cell).collect();
            let last = last.get(line).map_or("", String::as_str);
            lines.push(terminal::clean_line(format!("{cells}{last}").trim_end()));
        }
    }
    let problem = |run: &Looked| Some((run.name.clone(), run.problem.as_ref().map(Problem::to_string)?));
    let problems: Vec<String> =
        runs.iter().filter_map(problem).map(|(name, why)| terminal::clean_line(&format!("{name}: {why}"))).collect();
    lines.extend(folds(runs));
    if !problems.is_empty() {
        lines.push(format!("\n{}", problems.join("\n")));
    }
    lines.join("\n")
}

/// Returns a line for each folder of folds: mean and standard deviation of their best scores.
fn folds(runs: &[Looked]) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<&::report::Best>> = BTreeMap::new();
    for run in runs {
        let Some((group, name)) = run.name.rsplit_once('/') else { continue };
        if let Some(best) = run.best.as_ref().filter(|_| name.starts_with(::report::FOLD)) {
            groups.entry(group).or_default().push(best);
        }
    }
    let line = |(group, best): (&str, Vec<&::report::Best>)| {
        let scores: Vec<f64> = best.iter().map(|best| best.score).collect();
        let first =
            best.first().filter(|first| best.len() > 1 && best.iter().all(|best| best.metric == first.metric))?;
        let (mean, deviation) = ::report::mean_and_deviation(&scores);
        let metric = &first.metric;
        let line = format!("{group}: {metric} {mean:.4} ± {deviation:.4} over {} folds", best.len());
        // Escaped without the line break, which is ours.
        Some(format!("\n{}", terminal::clean_line(&line)))
    };
    groups.into_iter().filter_map(line).collect()
}

fn row(run: &Looked, now: SystemTime) -> [String; 6] {
    let none = || "-".to_string();
    [
        terminal::clean_line(&run.name),
        run.state.name().into(),
        run.epochs.map_or_else(none, |epochs| format!("{}/{epochs}", run.epoch)),
        run.best.as_ref().map_or_else(none, |best| format!("{} {:.4} (epoch {})", best.metric, best.score, best.epoch)),
        run.written.map_or_else(none, |written| age(since(written, now))),
        checkpoint::readable(run.bytes),
    ]
}

/// Returns the time since `written`; zero if another computer's clock is ahead.
fn since(written: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(written).unwrap_or_default()
}

/// Formats a time in its greatest unit: `12 s`, `3 min`, `5 h`, `1 day`, `2 days`.
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (1, ..) => "1 day".into(),
        (days, ..) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests;
