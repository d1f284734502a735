//! Valid and invalid settings for masks, and their effect.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, from_value, json, to_value};

fn classes() -> Vec<Class> {
    from_value(json!(["background", {"name": "road", "color": "#010203"}, "tree"])).unwrap()
}

fn labels(value: Value) -> Labels {
    from_value(value).unwrap()
}

#[test]
fn every_key_is_read_and_written_again() {
    let value = json!({
        "map": {"7": 0, "8": "road", "65535": 2},
        "colors": {"#800000": "tree", "#ffffff": 1},
        "ignore": [255, "#00ff00"],
        "unlisted": "ignore"
    });
    let read = labels(value.clone());
    assert_eq!(read.map[&8], ClassRef::Name("road".into()));
    assert_eq!(read.colors[&Color([128, 0, 0])], ClassRef::Name("tree".into()));
    assert_eq!(read.ignore, [Label::Value(255), Label::Color(Color([0, 255, 0]))]);
    assert_eq!(to_value(&read).unwrap(), value);
    assert_eq!(labels(json!({})), Labels::default());
}

#[test]
fn a_section_with_a_kind_can_hold_labels() {
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Tagged {
        Folders { labels: Labels },
    }
    let Tagged::Folders { labels } =
        from_value(json!({"kind": "folders", "labels": {"map": {"7": 1}, "colors": {}, "ignore": [3]}})).unwrap();
    assert_eq!(labels.map[&7], ClassRef::Id(1));
}

#[test]
fn what_cannot_be_read_says_why() {
    for (value, says) in [
        (json!({"mapping": {}}), "`mapping`"),
        (json!({"map": {"x": 0}}), "not \"x\""),
        (json!({"map": {"70000": 0}}), "not \"70000\""),
        (json!({"map": {"07": 0}}), "not \"07\""),
        (json!({"map": {"7": -1}}), "the id or the name of a class"),
        (json!({"map": {"7": null}}), "the id or the name of a class"),
        (json!({"colors": {"red": 0}}), "not \"red\""),
        (json!({"ignore": [-1]}), "a value from 0 to 65535, or a colour"),
        (json!({"ignore": ["white"]}), "a value from 0 to 65535, or a colour"),
        (json!({"unlisted": "skip"}), "`skip`"),
    ] {
        let error = from_value::<Labels>(value).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn what_cannot_work_names_its_key() {
    for (value, key, says) in [
        (json!({"map": {"1": 1}, "colors": {"#000000": 0}}), "colors", "only one of them"),
        (json!({"map": {"1": 1, "7": 3}}), "map.7", "no class 3: the ids are 0 to 2"),
        (json!({"map": {"7": "rode"}}), "map.7", "no class 'rode', only background, road, tree"),
        (json!({"colors": {"#800000": 300}}), "colors.#800000", "no class 300"),
        (json!({"map": {"7": 1}, "ignore": [8, 7]}), "ignore[1]", "listed under map too"),
        (json!({"colors": {"#800000": 1}, "ignore": ["#800000"]}), "ignore[0]", "listed under colors too"),
        (json!({"ignore": [0]}), "ignore[0]", "0 is the class 'background'"),
        (json!({"ignore": ["#ffffff"]}), "ignore[0]", "the masks hold numbers"),
        (json!({"colors": {"#800000": 1}, "ignore": [255]}), "ignore[0]", "a grey of 255 is \"#ffffff\""),
    ] {
        let labels = labels(value);
        let invalid = labels.check(&classes()).unwrap_err();
        assert!(invalid.key == key && invalid.problem.contains(says), "{invalid}");
        assert_eq!(labels.table(&classes()).unwrap_err(), invalid);
    }
}

#[test]
fn without_a_word_255_is_ignored_and_that_can_be_told() {
    assert!(Labels::default().assumes_255());
    assert!(labels(json!({"map": {"0": 0, "1": 1}})).assumes_255());
    for told in [
        json!({"map": {"0": 0, "255": 1}}),
        json!({"ignore": [255]}),
        json!({"ignore": [9]}),
        json!({"colors": {"#ffffff": 1}}),
    ] {
        assert!(!labels(told).assumes_255());
    }
}

#[test]
fn a_class_is_drawn_in_its_own_colour_or_its_masks_or_the_palettes() {
    let drawn = |value| labels(value).colors_of(&classes());
    let own = Color([1, 2, 3]);
    assert_eq!(drawn(json!({})), [Color::of_class(0), own, Color::of_class(2)]);
    let colors = json!({"colors": {"#800000": "tree", "#000080": 2, "#ffffff": "road"}});
    assert_eq!(drawn(colors), [Color::of_class(0), own, Color([0, 0, 128])]);
}

#[test]
fn the_schema_knows_the_keys() {
    let schema = to_value(schemars::schema_for!(Labels)).unwrap();
    for word in ["\"map\"", "\"colors\"", "\"ignore\"", "\"unlisted\"", "^#[0-9a-fA-F]{6}$"] {
        assert!(schema.to_string().contains(word), "{word} is missing in {schema}");
    }
}

proptest! {
    #[test]
    fn what_was_read_is_read_again_the_same(map: BTreeMap<u16, u64>, ignore: Vec<u16>) {
        let map = map.into_iter().map(|(value, id)| (value, ClassRef::Id(id))).collect();
        let ignore = ignore.into_iter().map(Label::Value).collect();
        let labels = Labels { map, ignore, ..Labels::default() };
        prop_assert_eq!(from_value::<Labels>(to_value(&labels).unwrap()).unwrap(), labels);
    }
}
