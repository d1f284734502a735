//! Warnings, with evidence and advice.

use crate::Run;
use crate::advice::{Finding, examine};
use maud::{Markup, html};

pub(super) fn warnings(run: &Run) -> Markup {
    let checks = examine(run);
    let named = |wanted: fn(&Finding) -> bool| {
        checks.iter().filter(|check| wanted(&check.finding)).map(|check| check.name).collect::<Vec<_>>().join(", ")
    };
    let fine = named(|finding| *finding == Finding::Fine);
    let unknown: Vec<String> = checks
        .iter()
        .filter_map(|check| match &check.finding {
            Finding::Unknown(reason) => Some(format!("{} ({reason})", check.name)),
            _ => None,
        })
        .collect();
    let warned = checks.iter().any(|check| matches!(check.finding, Finding::Warning(_)));
    html! {
        @if !warned { p.fine { "Nothing stands out." } }
        @for check in &checks {
            @if let Finding::Warning(warning) = &check.finding {
                article.warning data-check=(check.name) {
                    h3 { (warning.title) }
                    p { (warning.evidence) }
                    p.advice { (warning.advice) }
                }
            }
        }
        p.note {
            @if !fine.is_empty() { "Looked for and not found: " (fine) ". " }
            @if !unknown.is_empty() { "Could not be checked: " (unknown.join(", ")) "." }
        }
    }
}
