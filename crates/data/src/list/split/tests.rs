//! Every sample is in one split, stays there, and is where another BLAKE3 puts it.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;

fn parse(value: Value) -> SplitConfig {
    serde_json::from_value(value).unwrap()
}

fn rule(value: Value) -> Rule {
    match parse(value).check().unwrap() {
        Splitting::Hashed(hashing) => hashing.rule,
        named => panic!("{named:?}"),
    }
}

#[test]
fn the_parts_are_those_of_another_implementation() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../reference/split.json")).unwrap();
    let validation = |rule: Rule, name: &str| rule.split(name) == Split::Validation;
    let fifth = rule(json!({"validation_fraction": 0.2}));
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        assert_eq!(json!(validation(fifth, name)), case["validation_at_0.2"], "{name}");
        for of in [2, 5, 10] {
            let part = (1..=of).find(|part| validation(rule(json!({"fold": format!("{part}/{of}")})), name));
            assert_eq!(json!(part), case["fold"][of.to_string()], "{name} of {of}");
        }
    }
    assert_eq!(cases.len(), 106);
}

#[test]
fn a_share_is_about_that_share() {
    for fraction in [0.01, 0.2, 0.5, 0.9] {
        let rule = Rule::Fraction(fraction);
        let count = (0..20_000).filter(|i| rule.split(&format!("image_{i:06}")) == Split::Validation).count() as f64;
        // Four standard deviations of a binomial distribution.
        let (mean, spread) = (20_000.0 * fraction, (20_000.0 * fraction * (1.0 - fraction)).sqrt());
        assert!((count - mean).abs() < 4.0 * spread, "{fraction}: {count}");
    }
}

proptest! {
    #[test]
    fn folds_are_disjoint_and_complete(names in prop::collection::hash_set("[a-z0-9/_]{0,12}", 0..60), of in 2u64..12) {
        let mut seen = HashSet::new();
        for part in 0..of {
            let rule = Rule::Fold { part, of };
            for name in names.iter().filter(|name| rule.split(name) == Split::Validation) {
                prop_assert!(seen.insert(name), "{} is in two folds", name);
            }
        }
        prop_assert_eq!(seen.len(), names.len());
    }

    #[test]
    fn a_larger_fraction_only_adds(names in prop::collection::vec("[a-z0-9/_]{0,12}", 0..60), [a, b] in prop::array::uniform2(0.01f64..1.0)) {
        let (small, large) = (Rule::Fraction(a.min(b)), Rule::Fraction(a.max(b)));
        for name in names {
            prop_assert!(small.split(&name) == Split::Train || large.split(&name) == Split::Validation);
        }
    }
}

#[test]
fn exactly_one_way_is_given() {
    for (value, key, says) in [
        (json!({}), "split", "says nothing: give validation_fraction, or fold"),
        (json!({"validation_fraction": 0.2, "fold": "1/5"}), "split", "says validation_fraction, fold"),
        (json!({"fold": "1/5", "train": "a", "validation": "b"}), "split", "says fold, train, validation"),
        (json!({"train": "a"}), "split", "says train"),
        (json!({"validation": "a"}), "split", "says validation"),
        (json!({"train": "a", "validation": "a"}), "split.validation", "both are 'a'"),
        (json!({"validation_fraction": 0.0}), "split.validation_fraction", "is 0"),
        (json!({"validation_fraction": 1.0}), "split.validation_fraction", "is 1"),
        (json!({"validation_fraction": -0.5}), "split.validation_fraction", "is -0.5"),
        (json!({"fold": "0/5"}), "split.fold", "'0/5'"),
        (json!({"fold": "6/5"}), "split.fold", "'6/5'"),
        (json!({"fold": "1/1"}), "split.fold", "'1/1'"),
        (json!({"fold": "1/9999"}), "split.fold", "'1/9999'"),
        (json!({"fold": "x"}), "split.fold", "'x'"),
        (json!({"fold": "-1/5"}), "split.fold", "'-1/5'"),
        (json!({"fold": ""}), "split.fold", "''"),
    ] {
        let split = parse(value);
        let invalid = split.check().unwrap_err();
        assert!(invalid.key == key && invalid.problem.contains(says), "{invalid}");
    }
    assert!(SplitConfig { validation_fraction: Some(f64::NAN), ..SplitConfig::default() }.check().is_err());
    let named = parse(json!({"train": "a", "validation": "b"}));
    assert_eq!(named.check().unwrap(), Splitting::Named { train: "a", validation: "b" });
    assert_eq!(rule(json!({"fold": "5/5"})), Rule::Fold { part: 4, of: 5 });
    SplitConfig::default().check().unwrap();
}

#[test]
fn a_group_is_the_first_and_shortest_part_that_fits() {
    let cases = [
        ("{}_*", "p12_3_4", Some("p12")),
        ("film-{}-*", "film-a7-0001", Some("a7")),
        ("*/{}/*", "2020/case 4/z17", Some("case 4")),
        ("*_{}", "a_b_c", Some("b_c")),
        ("{}", "whole", Some("whole")),
        ("é{}é*", "éüéx", Some("ü")),
        ("{}_*", "_3", None),
        ("{}_*", "p12", None),
        ("film-{}-*", "tape-a7-1", None),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(group(pattern, name), expected, "{pattern}, {name}");
    }
}

#[test]
fn a_group_is_in_one_split_and_decides_it_alone() {
    let by = |pattern: Option<&'static str>| Hashing { rule: Rule::Fold { part: 1, of: 3 }, group: pattern };
    let names: Vec<String> = (0..60).map(|number| format!("p{}_{}", number / 4, number % 4)).collect();
    let splits = by(Some("{}_*")).splits(names.iter().map(String::as_str)).unwrap();
    let patients: Vec<String> = (0..15).map(|patient| format!("p{patient}")).collect();
    let of_patients = by(None).splits(patients.iter().map(String::as_str)).unwrap();
    assert!(splits.chunks(4).zip(&of_patients).all(|(own, of)| own.iter().all(|split| split == of)));
    assert!(of_patients.contains(&Split::Train) && of_patients.contains(&Split::Validation));
    let error = by(Some("x{}")).splits(["xa", "b"].into_iter()).unwrap_err();
    assert_eq!(error.to_string(), "data.split.group: 'x{}' finds no group in the name 'b'");
}
