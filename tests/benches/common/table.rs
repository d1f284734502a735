//! Measured values as a table in `BENCHMARKS.md` and as JSON.

use super::{Outcome, load, median, processor};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Values of each contestant (a row) for each task (a column), one per round.
pub struct Table {
    /// Name of the benchmark, and of its place in `BENCHMARKS.md`.
    name: &'static str,
    unit: &'static str,
    /// True if smaller is better.
    lower: bool,
    tasks: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    name: String,
    /// Row that this one, a peer, is compared with.
    against: Option<usize>,
    /// Values of each task's rounds.
    rounds: Vec<Vec<f64>>,
}

impl Table {
    pub fn new(name: &'static str, unit: &'static str, lower: bool, tasks: &[&str]) -> Self {
        let tasks = tasks.iter().map(|task| (*task).into()).collect();
        Self { name, unit, lower, tasks, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row for a contestant. If it is a peer, `against` is the row that it is compared with.
    pub fn row(&mut self, name: &str, against: Option<usize>) -> usize {
        self.rows.push(Row { name: name.into(), against, rounds: vec![Vec::new(); self.tasks.len()] });
        self.rows.len() - 1
    }

    pub fn add(&mut self, row: usize, task: usize, value: f64) {
        self.rows[row].rounds[task].push(value);
    }

    /// Adds a line below the table.
    pub fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// Clears the values: the first round warms up.
    pub fn clear(&mut self) {
        self.rows.iter_mut().flat_map(|row| &mut row.rounds).for_each(Vec::clear);
    }

    pub fn median(&self, row: usize, task: usize) -> f64 {
        median(&self.rows[row].rounds[task])
    }

    /// Returns how many times better the compared row is than this one, round by round: a disturbance of a round
    /// affects both.
    fn ratios(&self, row: &Row, task: usize) -> Option<Vec<f64>> {
        let own = &self.rows[row.against?].rounds[task];
        let pairs = own.iter().zip(&row.rounds[task]);
        Some(pairs.map(|(own, peer)| if self.lower { peer / own } else { own / peer }).collect())
    }

    fn markdown(&self) -> String {
        let digits = |value: f64| if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        let rounds = self.rows.iter().flat_map(|row| &row.rounds).map(Vec::len).max().unwrap_or(0);
        let mut text =
            format!("{}, {rounds} rounds, load {}: medians (range). {}.\n\n| |", self.unit, load(), processor());
        for task in &self.tasks {
            let _ = write!(text, " {task} | oxiseg is better by |");
        }
        text += &format!("\n| --- |{}\n", " ---: | ---: |".repeat(self.tasks.len()));
        for row in &self.rows {
            let name = if row.against.is_none() { format!("**{}**", row.name) } else { row.name.clone() };
            let _ = write!(text, "| {name} |");
            for (task, rounds) in row.rounds.iter().enumerate() {
                if rounds.is_empty() {
                    text += " – | |";
                    continue;
                }
                let middle = median(rounds);
                let (low, high) = range(rounds);
                let digits = digits(middle);
                let _ = write!(text, " {middle:.digits$} ({low:.digits$}–{high:.digits$}) |");
                match self.ratios(row, task) {
                    Some(ratios) => {
                        let (low, high) = range(&ratios);
                        let _ = write!(text, " {:.2} × ({low:.2}–{high:.2}) |", median(&ratios));
                    }
                    None => text += " |",
                }
            }
            text += "\n";
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}");
        }
        text.trim_end().to_owned() + "\n"
    }

    fn json(&self) -> Value {
        let cells = |row: &Row| -> Vec<Value> {
            let cell = |(task, rounds): (usize, &Vec<f64>)| json!({ "task": self.tasks[task], "rounds": rounds, "ratios": self.ratios(row, task) });
            row.rounds.iter().enumerate().map(cell).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(|row| json!({ "contestant": row.name, "tasks": cells(row) })).collect();
        let (name, unit, notes) = (self.name, self.unit, &self.notes);
        json!({
            "benchmark": name, "unit": unit, "processor": processor(), "load": load(), "rows": rows, "notes": notes,
        })
    }

    /// Prints the table, writes it to its place in `BENCHMARKS.md` and all rounds to `NAME.json` in `folder`.
    pub fn publish(&self, folder: &Path) -> Outcome<()> {
        let text = self.markdown();
        println!("{text}");
        std::fs::write(folder.join(format!("{}.json", self.name)), serde_json::to_string_pretty(&self.json())?)?;
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../BENCHMARKS.md");
        let document = std::fs::read_to_string(&path)?;
        let [begin, end] = ["", "/"].map(|what| format!("<!-- {what}{} -->\n", self.name));
        let (before, rest) = document.split_once(&begin).ok_or(format!("no {begin:?} in BENCHMARKS.md"))?;
        let (_, after) = rest.split_once(&end).ok_or(format!("no {end:?} in BENCHMARKS.md"))?;
        Ok(std::fs::write(&path, format!("{before}{begin}{text}{end}{after}"))?)
    }
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(low, high), &value| (low.min(value), high.max(value)))
}
