//! Offers measured class weights and normalisation as JSON to paste into a configuration.

use crate::common::config::Config;
use contract::listed;
use data::{Depth, Range, Statistics};

/// Smallest standard deviation that is offered: a quarter of a grey level of 8 bits, or of 20 bits. Division by less
/// leaves a network nothing to see but noise.
fn least_std(config: &Config) -> f64 {
    if config.data.layout().depth == Depth::U8 { 1e-3 } else { 2.5e-7 }
}

/// Maximum number of classes named in a note.
const NAMED: usize = 10;

/// Returns class weights and normalisation from the training data. A value that `config` would reject is replaced by
/// the reason.
pub fn offers(train: &Statistics, config: &Config) -> Vec<String> {
    if train.decoded == 0 {
        return vec!["  nothing: no training sample could be read".into()];
    }
    let least = least_std(config);
    let weights: Vec<f64> = train.classes.iter().map(|class| class.weight.unwrap_or(1.0)).collect();
    let std: Vec<f64> = train.std.iter().map(|std| if *std < least { 1.0 } else { *std }).collect();
    let (weights, mean, std) = (numbers(&weights), numbers(&train.mean), numbers(&std));
    let normalize = format!("{{ \"mean\": [{mean}], \"std\": [{std}] }}");
    let mut lines = Vec::new();
    let mut offer = |changes: &[String], line: String| match config.with(changes) {
        Ok(_) => lines.push(line),
        Err(error) => lines.push(format!("  ({error})")),
    };
    offer(&[format!("loss.class_weights=[{weights}]")], format!("  \"loss\": {{ \"class_weights\": [{weights}] }}"));
    if !config.data.layout().standardize {
        offer(&[format!("data.normalize={normalize}")], format!("  \"data\": {{ \"normalize\": {normalize} }}"));
    }
    // Ranges are of the numbers in the files, which ranges of each channel have changed already.
    if !train.ranges.is_empty() && config.data.layout().unit() == config.data.layout().range() && !is_scaled(config) {
        let range = serde_json::to_string(&train.ranges).unwrap_or_default();
        let keys = [("depth", "\"f32\""), ("range", &*range), ("clip", "true")];
        let changes = keys.map(|(key, value)| format!("data.{key}={value}"));
        let line = keys.map(|(key, value)| format!("\"{key}\": {value}")).join(", ");
        offer(&changes, format!("  \"data\": {{ {line} }} (then measure again for normalize)"));
    }
    let absent: Vec<&str> =
        train.classes.iter().filter(|class| class.weight.is_none()).map(|class| &*class.name).collect();
    if !absent.is_empty() {
        lines.push(format!("  (no mask shows {}, so 1 is written for its weight)", listed(absent, NAMED)));
    }
    if train.std.iter().any(|std| *std < least) {
        lines.push("  (a channel that is the same everywhere has 1 in the place of its standard deviation)".into());
    }
    lines
}

/// Returns whether numbers are brought to 0 to 1 as they are read.
fn is_scaled(config: &Config) -> bool {
    matches!(config.data.layout().range, Some(Range::Each(_)))
}

/// Formats numbers with four decimals, or as many as are needed where that would round them away.
fn numbers(values: &[f64]) -> String {
    let shown = |value: &f64| match value.abs() {
        size if size > 0.0 && size < 1e-3 => format!("{value:.3e}"),
        _ => format!("{value:.4}"),
    };
    values.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{ClassShare, Split};

    fn train(weights: [Option<f64>; 4], std: [f64; 3]) -> Statistics {
        let class = |(id, weight): (usize, &Option<f64>)| ClassShare {
            name: format!("class {id}"),
            pixels: 0,
            share: 0.0,
            samples: 0,
            weight: *weight,
        };
        Statistics {
            ranges: Vec::new(),
            split: Split::Train,
            samples: 9,
            decoded: 9,
            classes: weights.iter().enumerate().map(class).collect(),
            ignored: 0.0,
            sizes: None,
            mean: vec![0.0, 0.25, 1.0],
            std: std.to_vec(),
        }
    }

    #[test]
    fn what_is_offered_is_taken() {
        let (weights, std) = ([Some(1.5), None, Some(2e-7), Some(1e6)], [0.0, 1e-5, 0.25]);
        let config = Config::default();
        let lines = offers(&train(weights, std), &config);
        assert_eq!(lines[0], r#"  "loss": { "class_weights": [1.5000, 1.0000, 2.000e-7, 1000000.0000] }"#);
        assert_eq!(
            lines[1],
            r#"  "data": { "normalize": { "mean": [0.0000, 0.2500, 1.0000], "std": [1.0000, 1.0000, 0.2500] } }"#
        );
        assert!(lines[2].contains("no mask shows class 1,") && lines[3].contains("the same everywhere"), "{lines:?}");
        let value: serde_json::Value = serde_json::from_str(&format!("{{{},{}}}", lines[0], lines[1])).unwrap();
        let weights = format!("loss.class_weights={}", value["loss"]["class_weights"]);
        config.with(&[weights, format!("data.normalize={}", value["data"]["normalize"])]).unwrap();
    }

    #[test]
    fn what_would_not_be_taken_is_not_offered() {
        let dice = Config::default().with(&["loss.dice=1".into(), "loss.cross_entropy=0".into()]).unwrap();
        let lines = offers(&train([Some(1.0); 4], [0.25; 3]), &dice);
        assert!(lines[0].contains("weigh the losses of single pixels only") && lines.len() == 2, "{lines:?}");
        let nothing = Statistics { decoded: 0, ..train([None; 4], [0.0; 3]) };
        assert_eq!(offers(&nothing, &dice), ["  nothing: no training sample could be read"]);
    }
}
