//! The look of comments: lines that fit, doc comments that open with a verb or a thing.

use super::files;
use super::lexer::{Comment, comments};
use std::fs;

/// Columns of a line, as rustfmt has them for code.
const COLUMNS: usize = 120;

/// Share of doc comments under which those stay that open with one of [`CLAUSES`].
const SHARE: f64 = 0.06;

/// Words that open a clause where a verb should stand.
const CLAUSES: [&str; 5] = ["How", "What", "Where", "Whether", "Which"];

/// Returns the first word of each doc comment. Lines of one kind that follow each other are one doc comment.
fn openings<'t>(comments: &[Comment<'t>]) -> Vec<&'t str> {
    let marker = |comment: &Comment<'t>| {
        let outer = comment.text.strip_prefix("///").filter(|text| !text.starts_with('/'));
        outer.map(|text| ('/', text)).or(comment.text.strip_prefix("//!").map(|text| ('!', text)))
    };
    let mut found = Vec::new();
    let mut last = None;
    for comment in comments {
        let Some((kind, text)) = marker(comment) else { continue };
        if last != Some((kind, comment.line - 1)) {
            found.push(text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or(""));
        }
        last = Some((kind, comment.line));
    }
    found
}

#[test]
fn comment_lines_fit() {
    let mut long = Vec::new();
    for file in files(&["rs", "c", "cpp", "cu", "h"]) {
        let text = fs::read_to_string(&file).unwrap();
        let wide = comments(&text).into_iter().filter(|comment| comment.columns > COLUMNS);
        long.extend(wide.map(|comment| format!("{}:{}: {} columns", file.display(), comment.line, comment.columns)));
    }
    let text = long.join("\n");
    assert!(long.is_empty(), "{} comment lines are over {COLUMNS} columns:\n{text}", long.len());
}

#[test]
fn doc_comments_open_with_a_verb_or_a_thing() {
    let (mut all, mut clauses, mut list) = (0, 0, String::new());
    for file in files(&["rs"]) {
        let text = fs::read_to_string(&file).unwrap();
        let openings = openings(&comments(&text));
        let odd = openings.iter().filter(|word| CLAUSES.contains(word)).count();
        (all, clauses) = (all + openings.len(), clauses + odd);
        if odd > 0 {
            list += &format!("{}: {odd} of {}\n", file.display(), openings.len());
        }
    }
    let share = clauses as f64 / all as f64;
    assert!(
        share < SHARE,
        "{clauses} of {all} doc comments ({:.1} %) open with {CLAUSES:?}; it is to be under {:.0} %:\n{list}",
        share * 100.0,
        SHARE * 100.0
    );
}

#[test]
fn a_doc_comment_is_counted_once() {
    let source = "//! Which of it.\n//! What of it.\n\n/// [`Whether`] it\n/// How it\nfn f() {}\n\
                  /// Text.\n// No.\n//// No.\n/// `a`\n";
    assert_eq!(openings(&comments(source)), ["Which", "Whether", "Text", "a"]);
}
