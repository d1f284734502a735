//! Layout of TensorBoard's Custom Scalars: the scalars of each chart.
//!
//! The plugin draws a line for every tag of every run. Training and validation are two runs with the same tags, so a
//! chart of one tag has a line for each.

use protobuf::{Message, ProtobufError};
use tensorboard_proto::layout::{Category, Chart, Layout};

/// Number of classes from which on their charts are collapsed at first.
const MANY: usize = 12;
const SCORES: [&str; 4] = ["loss", "accuracy", "mean_iou", "mean_dice"];

/// Returns a serialised `Layout`.
pub fn bytes(classes: &[String]) -> Result<Vec<u8>, ProtobufError> {
    let scores = SCORES.iter().map(|name| chart(name, &[name]));
    let mut categories = vec![category("Scores", scores, false)];
    if !classes.is_empty() {
        let tags: Vec<String> = classes.iter().map(|class| format!("iou/{class}")).collect();
        let together = chart("all classes", &tags);
        let each = classes.iter().zip(&tags).map(|(class, tag)| chart(class, &[tag]));
        categories.push(category("IoU", [together].into_iter().chain(each), classes.len() >= MANY));
    }
    let mut layout = Layout::new();
    layout.set_category(categories.into());
    layout.write_to_bytes()
}

fn category(title: &str, charts: impl Iterator<Item = Chart>, closed: bool) -> Category {
    let mut category = Category::new();
    category.set_title(title.into());
    category.set_chart(charts.collect());
    category.set_closed(closed);
    category
}

fn chart(title: &str, tags: &[impl AsRef<str>]) -> Chart {
    let mut chart = Chart::new();
    chart.set_title(title.into());
    chart.mut_multiline().set_tag(tags.iter().map(|tag| exactly(tag.as_ref())).collect());
    chart
}

/// Returns a regular expression, valid in Python and JavaScript, that matches this tag only.
fn exactly(tag: &str) -> String {
    let mut expression = String::from("^");
    for c in tag.chars() {
        // Before a letter or digit a backslash would have a meaning of its own; before punctuation it makes the
        // character literal.
        if c.is_ascii_punctuation() && !"_-/".contains(c) {
            expression.push('\\');
        }
        expression.push(c);
    }
    expression + "$"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_matched_as_it_is() {
        assert_eq!(exactly("iou/traffic light (old)"), r"^iou/traffic light \(old\)$");
        assert_eq!(exactly("iou/c++.größe_1"), r"^iou/c\+\+\.größe_1$");
    }
}
