//! Finds comments in the text of Rust and C++ sources.

/// A line of a source that holds a comment, or a part of one.
#[derive(Debug, PartialEq)]
pub struct Comment<'t> {
    /// Counted from 1.
    pub line: usize,
    /// The comment from its `//` or `/*` on, or, within a block comment, the line from its start.
    pub text: &'t str,
    /// Columns of the whole line.
    pub columns: usize,
}

/// Returns the comments of Rust or C++ sources, line by line. What stands in strings is none.
pub fn comments(source: &str) -> Vec<Comment<'_>> {
    let mut found = Vec::new();
    let mut state = State::Code;
    for (at, line) in source.lines().enumerate() {
        let mut start = matches!(state, State::Block(_)).then_some(0);
        let mut rest = line;
        while !rest.is_empty() {
            let here = line.len() - rest.len();
            let length = match &mut state {
                State::Code => {
                    if rest.starts_with("//") {
                        start.get_or_insert(here);
                        break;
                    }
                    let (next, length) = code(&line[..here], rest);
                    if matches!(next, State::Block(_)) {
                        start.get_or_insert(here);
                    }
                    state = next;
                    length
                }
                State::Block(depth) => {
                    let (change, length) = match rest {
                        _ if rest.starts_with("/*") => (1, 2),
                        _ if rest.starts_with("*/") => (-1, 2),
                        _ => (0, first(rest)),
                    };
                    *depth += change;
                    if *depth == 0 {
                        state = State::Code;
                    }
                    length
                }
                State::Text { end, escapes } => {
                    if *escapes && rest.starts_with('\\') {
                        1 + rest[1..].chars().next().map_or(0, char::len_utf8)
                    } else if rest.starts_with(end.as_str()) {
                        let length = end.len();
                        state = State::Code;
                        length
                    } else {
                        first(rest)
                    }
                }
            };
            rest = &rest[length..];
        }
        let columns = line.chars().count();
        found.extend(start.map(|start| Comment { line: at + 1, text: &line[start..], columns }));
    }
    found
}

#[derive(Debug)]
enum State {
    Code,
    /// Depth of a block comment. Those of Rust nest; those of C++ here hold no opening.
    Block(i32),
    Text {
        end: String,
        escapes: bool,
    },
}

/// Length of the first character in bytes.
fn first(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Reads one token of code, `before` which the line's beginning stands, and returns what follows it and its length.
fn code(before: &str, rest: &str) -> (State, usize) {
    if rest.starts_with("/*") {
        return (State::Block(1), 2);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        // `r#"…"#` of Rust, `R"x(…)x"` of C++.
        let opening = before.trim_end_matches('#');
        let hashes = &before[opening.len()..];
        let word = opening.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
        if ["r", "br", "cr"].contains(&word) {
            return (State::Text { end: format!("\"{hashes}"), escapes: false }, 1);
        }
        if let Some((fence, _)) = inside.split_once('(').filter(|_| before.ends_with('R')) {
            return (State::Text { end: format!("){fence}\""), escapes: false }, 2 + fence.len());
        }
        return (State::Text { end: "\"".to_owned(), escapes: true }, 1);
    }
    // A character, and neither a lifetime nor the mark between digits of C++.
    if let Some(inside) = rest.strip_prefix('\'') {
        if inside.starts_with('\\') {
            return (State::Text { end: "'".to_owned(), escapes: true }, 1);
        }
        let length = first(inside);
        if inside[length..].starts_with('\'') {
            return (State::Code, length + 2);
        }
    }
    (State::Code, first(rest))
}

#[test]
fn comments_are_told_from_strings_and_characters() {
    let source = r###"// one
let url = "https://x"; // two \
let a = 'a'; let quote = '"'; let slash = '\''; // three
let raw = r#"// no " //"#; /* four
 five */ let life: &'static str = "\" // no"; /* six */
let n = 1'000'000; // seven
let text = "\" // no"; let b = b'"'; let s = R"x(// no)" )x"; // eight
let s = "two
// lines"; /* nine /* ten */ still */ let x = 1;
"###;
    let found: Vec<(usize, &str)> = comments(source).iter().map(|comment| (comment.line, comment.text)).collect();
    assert_eq!(
        found,
        [
            (1, "// one"),
            (2, r"// two \"),
            (3, "// three"),
            (4, "/* four"),
            (5, r#" five */ let life: &'static str = "\" // no"; /* six */"#),
            (6, "// seven"),
            (7, "// eight"),
            (9, "/* nine /* ten */ still */ let x = 1;"),
        ]
    );
    assert_eq!(comments("let é = 1; // ü")[0].columns, 15);
}
