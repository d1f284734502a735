//! Explains problems in a configuration in plain words: what is wrong, where, and what to write instead.

use super::{Config, edit, strict::Problem};
use serde_json::Value;

/// Types as serde names them, and their JSON equivalents.
const WANTED: [(&str, &str); 12] = [
    ("path string", "text in quotes"),
    ("a string", "text in quotes"),
    ("string", "text in quotes"),
    ("str", "text in quotes"),
    ("a boolean", "true or false"),
    ("bool", "true or false"),
    ("a map", "a section in braces"),
    ("map", "a section in braces"),
    ("a sequence", "a list in brackets"),
    ("an array", "a list"),
    ("f64", "a number"),
    ("f32", "a number"),
];

/// Literals of other languages, and their JSON equivalents.
const FOREIGN: [(&str, &str); 11] = [
    ("true", "true"),
    ("yes", "true"),
    ("on", "true"),
    ("1", "true"),
    ("false", "false"),
    ("no", "false"),
    ("off", "false"),
    ("0", "false"),
    ("none", "null"),
    ("nil", "null"),
    ("undefined", "null"),
];

/// Least similarity, from 0 to 1, at which one name counts as a misspelling of another.
const ALIKE: f64 = 0.8;

/// Formats the problem with its key, and with the right value where that can be guessed. `config` is the whole
/// configuration.
pub fn plain(problem: &Problem, config: &Value) -> String {
    let Problem { path, said } = problem;
    let key = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let Some((found, wanted)) = said.strip_prefix("invalid ").and_then(|_| said.split_once(", expected ")) else {
        return format!(
            "{key}{said}{}",
            nearest_of(path, said).map_or(String::new(), |name| format!("; did you mean {name}?"))
        );
    };
    let value = config.pointer(&format!("/{}", path.replace(['.', '['], "/").replace(']', "")));
    let advice = value.and_then(|value| instead(value, wanted)).map_or(String::new(), |json| format!("; write {json}"));
    format!("{key}{found}, expected {}{advice}", in_json(wanted))
}

/// Returns whether serde `said` that it expected text and found another type, such as a number.
pub fn wants_text(said: &str) -> bool {
    said.starts_with("invalid type: ")
        && ["path string", "a string", "string"].iter().any(|text| said.ends_with(&format!("expected {text}")))
}

fn in_json(wanted: &str) -> String {
    if let Some((_, json)) = WANTED.iter().find(|(serde, _)| *serde == wanted) {
        return (*json).into();
    }
    if let Some(rest) = wanted.strip_prefix("an array of length ") {
        return format!("a list of {rest}");
    }
    let whole = wanted.strip_prefix(['u', 'i']).is_some_and(|bits| bits == "size" || bits.parse::<u8>().is_ok());
    match wanted.split(' ').next() {
        _ if whole => "a whole number".into(),
        Some("struct" | "internally" | "adjacently") => "a section in braces".into(),
        Some("enum") => "a name in quotes".into(),
        _ => wanted.into(),
    }
}

/// Returns `value` as JSON of the type that serde `wanted`, if it can be guessed.
fn instead(value: &Value, wanted: &str) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_string(),
        other => other.to_string(),
    };
    match in_json(wanted).as_str() {
        "true or false" => foreign(&text).filter(|json| *json != "null").map(String::from),
        "a whole number" => number(&text)
            .filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
            .map(|number| format!("{number:.0}")),
        "a number" => number(&text).map(|number| number.to_string()),
        "a list of 2" if value.is_number() => Some(format!("[{text}, {text}]")),
        _ => None,
    }
}

/// Parses a number as people write it: with a decimal comma, or without the digit before the point.
fn number(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    let point = if text.contains('.') { text } else { text.replacen(',', ".", 1) };
    point.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn foreign(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    FOREIGN.iter().find(|(foreign, _)| *foreign == word).map(|(_, json)| *json)
}

/// Returns the known name that is most like the one serde rejected: the last part of `path`, or the value there.
fn nearest_of(path: &str, said: &str) -> Option<String> {
    let (what, known) = said.split_once(", expected ")?;
    let field = what.strip_prefix("unknown field `");
    let given = field.or_else(|| what.strip_prefix("unknown variant `"))?.trim_end_matches('`');
    let sibling = nearest(given, known.split('`').skip(1).step_by(2)).map(String::from);
    sibling.or_else(|| field.and_then(|_| nearest_key(path, &edit::keys(&Config::default()))))
}

/// Returns the key that `given` probably means: a similar one in the same section, or one of the same name elsewhere.
pub fn nearest_key(given: &str, keys: &[String]) -> Option<String> {
    let apart =
        |key: &str| key.rsplit_once('.').map_or((String::new(), key.to_string()), |(a, b)| (a.into(), b.into()));
    let (section, name) = apart(given);
    let beside: Vec<(String, &String)> =
        keys.iter().filter(|key| apart(key).0 == section).map(|key| (apart(key).1, key)).collect();
    let near = nearest(&name, beside.iter().map(|(name, _)| name.as_str()));
    let near = near.and_then(|near| beside.iter().find(|(name, _)| name == near)).map(|(_, key)| *key);
    near.or_else(|| keys.iter().find(|key| apart(key).1 == name)).cloned()
}

/// Returns the name most similar to `given`, if it is similar enough, or has its letters for initials.
pub fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let given = given.to_lowercase();
    let score = |name: &str| {
        let initials: String = name.split(['_', '-']).filter_map(|word| word.chars().next()).collect();
        if initials.len() > 1 && initials == given { 1.0 } else { strsim::jaro_winkler(&given, name) }
    };
    let scored = names.map(|name| (score(name), name)).filter(|(score, _)| *score >= ALIKE);
    scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

/// Explains a JSON syntax error in `text`: the line, the problem and the remedy.
pub fn syntax(text: &str, error: &serde_json::Error) -> String {
    let place = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let rest: String = place.chars().skip(error.column().saturating_sub(1)).collect();
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    let advice = if text.trim().is_empty() {
        "the file is empty".into()
    } else if error.is_eof() {
        "the file ends too early, or a bracket or a quote is not closed".into()
    } else if rest.starts_with(['/', '#']) {
        "JSON has no comments: remove them".into()
    } else if rest.starts_with('\'') {
        "JSON has double quotes only".into()
    } else if let Some(json) = foreign(&word) {
        format!("JSON writes {json}")
    } else if ["nan", "inf", "infinity"].contains(&&*word.to_lowercase()) {
        format!("JSON has no {word}")
    } else if error.to_string().starts_with("trailing comma") {
        "remove the comma before it".into()
    } else {
        return error.to_string();
    };
    format!("{error}; {advice}")
}
