//! The configuration, its differences from the compared runs, and the environment.

use super::cell::{NONE, color};
use crate::flat::{Row, beside};
use crate::{Report, Run};
use maud::{Markup, html};

pub(super) fn config(report: &Report) -> Markup {
    let configs: Vec<_> = report.runs().map(|run| &run.config).collect();
    let rows = beside(&configs);
    let (differing, same): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::differs);
    html! {
        @if !report.compare.is_empty() {
            h3 { "What differs" }
            @if differing.is_empty() {
                p.note { "The runs have the same configuration." }
            } @else {
                div.scroll { table.diff {
                    thead { tr {
                        th scope="col" { "Key" }
                        @for (index, run) in report.runs().enumerate() { th scope="col" { i.swatch style=(color(index)) {} (run.name) } }
                    } }
                    tbody { @for row in &differing { tr {
                        th scope="row" { code { (row.key) } }
                        @for value in &row.values { td.differs[*value != row.values[0]] { (value.as_deref().unwrap_or(NONE)) } }
                    } } }
                } }
            }
            h3 { "What is the same" }
        }
        div.keys { @for group in same.chunk_by(|a, b| first(&a.key) == first(&b.key)) { (section(group)) } }
        (environment(report))
    }
}

/// Returns the keys of one section of the configuration.
fn section(rows: &[Row]) -> Markup {
    let name = rows.first().map_or("", |row| first(&row.key));
    html! {
        details open {
            summary { (name) small { (rows.len()) } }
            table { tbody { @for row in rows { tr {
                th scope="row" { (row.key.split_once('.').map_or(row.key.as_str(), |(_, rest)| rest)) }
                td { (row.values[0].as_deref().unwrap_or(NONE)) }
            } } }
        } }
    }
}

fn first(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

fn environment(report: &Report) -> Markup {
    let known: Vec<&Run> = report.runs().filter(|run| !run.environment.is_empty()).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in known.iter().flat_map(|run| &run.environment) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let value = |run: &Run, name: &str| {
        let found = run.environment.iter().find(|(known, _)| known == name);
        found.map_or_else(|| NONE.to_string(), |(_, value)| value.clone())
    };
    html! {
        h3 { "Environment" }
        @if known.is_empty() {
            p.note { "The environment of this run is unknown." }
        } @else {
            div.scroll { table.environment {
                @if known.len() > 1 {
                    thead { tr { th scope="col" { "" } @for run in &known { th scope="col" { (run.name) } } } }
                }
                tbody { @for name in names { tr { th scope="row" { (name) } @for run in &known { td { (value(run, name)) } } } } }
            } }
        }
    }
}
