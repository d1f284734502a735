//! Class names of YOLO data sets: the `names` of `data.yaml`, or a text with a name a line.

use crate::problem::Error;

/// Reads a text with one name a line (`classes.txt`). Empty lines at the end are passed over.
///
/// # Errors
///
/// [`Error::Names`] if a line is empty, or a name stands twice.
pub fn from_text(file: &str, text: &str) -> Result<Vec<String>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let names = text.trim_end().lines().map(str::trim);
    order(file, names.zip(1..).map(|(name, line)| Entry { key: None, name: name.to_owned(), line }).collect())
}

/// Reads the key `names` of a `data.yaml`, and of YAML no more than that: a list or a mapping from 0, 1, …, in lines or
/// in brackets, with plain or quoted names.
///
/// # Errors
///
/// [`Error::Names`] with the line, if there is no such key or it has another form.
pub fn from_yaml(file: &str, text: &str) -> Result<Vec<String>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let error = |line, reason: &str| Error::Names { file: file.to_owned(), line, reason: reason.to_owned() };
    let mut lines = text.lines().zip(1..).skip_while(|(line, _)| !line.starts_with("names:"));
    let Some((first, number)) = lines.next() else {
        return Err(error(text.lines().count().max(1), "there is no key `names` at the beginning of a line"));
    };
    let value = without_comment(first["names:".len()..].trim());
    if value.starts_with(['[', '{']) {
        let closing = if value.starts_with('[') { ']' } else { '}' };
        let mut flow: Vec<(&str, usize)> = vec![(value, number)];
        while !flow.last().is_some_and(|(text, _)| text.ends_with(closing)) {
            let (line, number) = lines.next().ok_or_else(|| error(number, "the bracket is not closed"))?;
            flow.push((without_comment(line).trim(), number));
        }
        return order(file, brackets(file, &flow, closing == '}')?);
    }
    if !value.is_empty() {
        return Err(error(number, "`names` is neither a list nor a mapping from 0, 1, …"));
    }
    let mut entries = Vec::new();
    for (line, number) in lines {
        let text = without_comment(line).trim_end();
        let item = text.trim_start();
        let dash = item.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' '));
        match dash {
            _ if item.is_empty() => {}
            Some(name) => entries.push(Entry { key: None, name: scalar(file, name.trim(), number)?, line: number }),
            // The next key of the file.
            None if text.len() == item.len() => break,
            None => entries.push(keyed(file, item, number)?),
        }
    }
    order(file, entries)
}

struct Entry {
    /// Key of a mapping.
    key: Option<usize>,
    name: String,
    line: usize,
}

/// Checks that keys are 0, 1, … and that names differ, and puts them in order.
fn order(file: &str, mut entries: Vec<Entry>) -> Result<Vec<String>, Error> {
    entries.sort_by_key(|entry| entry.key);
    let error = |line, reason| Err(Error::Names { file: file.to_owned(), line, reason });
    let mut seen = std::collections::HashSet::new();
    for (index, Entry { key, name, line }) in entries.iter().enumerate() {
        if let Some(key) = key.filter(|key| *key != index) {
            return error(*line, format!("the key {key} stands where {index} is due: keys must be 0, 1, …"));
        }
        if name.is_empty() {
            return error(*line, "the name is empty".to_owned());
        }
        if !seen.insert(name) {
            return error(*line, format!("the name \"{name}\" stands twice"));
        }
    }
    if entries.is_empty() {
        return error(1, "there are no names".to_owned());
    }
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

/// Reads the entries between brackets, which may run over several lines.
fn brackets(file: &str, flow: &[(&str, usize)], mapping: bool) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (index, &(text, line)) in flow.iter().enumerate() {
        let text = if index == 0 { &text[1..] } else { text };
        let text = if index + 1 == flow.len() { &text[..text.len() - 1] } else { text };
        for item in split(text).into_iter().map(str::trim).filter(|item| !item.is_empty()) {
            entries.push(match mapping {
                true => keyed(file, item, line)?,
                false => Entry { key: None, name: scalar(file, item, line)?, line },
            });
        }
    }
    Ok(entries)
}

/// Splits at commas outside quotes.
fn split(text: &str) -> Vec<&str> {
    let mut quote = None;
    let at_comma = |letter| {
        quote = within(quote, letter);
        quote.is_none() && letter == ','
    };
    text.split(at_comma).collect()
}

/// Returns the quote that is open behind a letter.
fn within(quote: Option<char>, letter: char) -> Option<char> {
    match quote {
        Some(open) => (letter != open).then_some(open),
        None => Some(letter).filter(|letter| ['"', '\''].contains(letter)),
    }
}

/// Reads `0: name`.
fn keyed(file: &str, text: &str, line: usize) -> Result<Entry, Error> {
    let parts = text.split_once(':').and_then(|(key, name)| Some((key.trim().parse().ok()?, name)));
    let Some((key, name)) = parts else {
        let reason = format!("\"{text}\" is neither `- name` nor `0: name`");
        return Err(Error::Names { file: file.to_owned(), line, reason });
    };
    Ok(Entry { key: Some(key), name: scalar(file, name.trim(), line)?, line })
}

/// Reads a plain or quoted name.
fn scalar(file: &str, text: &str, line: usize) -> Result<String, Error> {
    let error = |reason: String| Err(Error::Names { file: file.to_owned(), line, reason });
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(name) if !name.contains([quote, '\\']) => Ok(name.to_owned()),
                _ => error(format!("the quoted name {text} is not closed, or has escapes: write it without")),
            };
        }
    }
    if text.starts_with(['&', '*', '!', '|', '>', '[', '{', '@', '`', '%', '-']) || text.contains(": ") {
        return error(format!("\"{text}\" is no plain name: put it in quotes"));
    }
    Ok(text.to_owned())
}

/// Cuts a comment off, which begins with `#` at the beginning or behind a space.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (index, letter) in line.char_indices() {
        quote = within(quote, letter);
        if quote.is_none() && letter == '#' && before.is_whitespace() {
            return line[..index].trim_end();
        }
        before = letter;
    }
    line
}
