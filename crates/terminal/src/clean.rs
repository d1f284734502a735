//! Sanitising of text from data: names of files, classes, tensors, keys and runs may contain anything.

/// Escapes control characters except line breaks and tabs, and the marks that change the direction of writing, which a
/// terminal would obey instead of showing them. They become `\u001b` and the like, which is equivalent inside JSON
/// strings.
pub fn clean(text: &str) -> String {
    escaped(text, |sign| hidden(sign) && sign != '\n' && sign != '\t')
}

/// Like [`clean`], for text that must stay on one line: escapes line breaks and tabs too.
pub fn clean_line(text: &str) -> String {
    escaped(text, hidden)
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> String {
    let mut clean = String::with_capacity(text.len());
    for sign in text.chars() {
        if hidden(sign) {
            clean += &format!("\\u{:04x}", u32::from(sign));
        } else {
            clean.push(sign);
        }
    }
    clean
}

/// Returns true for C0, DEL, C1; separators of lines and paragraphs; marks, embeddings, overrides and isolates of
/// direction.
fn hidden(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        let cases = [
            ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
            ("\u{9b}2J\x7f\r", "\\u009b2J\\u007f\\u000d"),
            ("a\u{202e}gnp.exe\u{2066}\u{2028}", "a\\u202egnp.exe\\u2066\\u2028"),
            ("two\nlines\tand words", "two\nlines\tand words"),
            ("größer 日本語 👩‍🔬 ★", "größer 日本語 👩‍🔬 ★"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected);
            assert_eq!(clean(&clean(text)), expected);
        }
        assert_eq!(clean_line("two\nlines\tand words"), "two\\u000alines\\u0009and words");
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = Value::from("\u{9b}2J \u{7f} \u{202e}x \u{1b}[0m\n");
        let clean = clean(&value.to_string());
        assert!(!clean.chars().any(hidden), "{clean}");
        assert_eq!(serde_json::from_str::<Value>(&clean).unwrap(), value);
    }
}
