//! Agreement with PyTorch and NumPy on recorded cases. `reference/make.py` made them and says how to make them again.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its recorded cases has failed")]

mod accumulated;
mod losses;
mod measures;
mod networks;
mod optimizers;
mod published;
mod scores;
mod segmenters;
mod terms;
mod transformers;
mod unet;

use contract::StateDict;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::{Kind, Tensor};

/// Relative tolerance, as a share of the largest magnitude in the expected tensor.
const RELATIVE: f64 = 1e-5;
/// Absolute tolerance, for tensors that are close to zero.
const ABSOLUTE: f64 = 1e-8;

fn reference(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reference").join(file)
}

/// Tensors of a recorded file.
struct Recorded(StateDict);

impl Recorded {
    fn open(name: &str) -> Self {
        let tensors = Tensor::read_safetensors(reference(&format!("{name}.safetensors"))).unwrap();
        Self(tensors.into_iter().collect())
    }

    fn get(&self, name: &str) -> Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name} was recorded")).copy()
    }

    /// Returns the tensors whose names start with `prefix`, without it.
    fn under(&self, prefix: &str) -> StateDict {
        let tensors = self.0.iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.into(), t.copy())));
        tensors.collect()
    }
}

/// Returns the options of the recorded cases of one kind, by name.
fn cases<T: DeserializeOwned>(kind: &str) -> BTreeMap<String, T> {
    let text = std::fs::read_to_string(reference("cases.json")).unwrap();
    let mut kinds: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    serde_json::from_value(kinds.remove(kind).unwrap()).unwrap()
}

/// Returns the greatest difference and the greatest magnitude of the expected values. NaN in both does not differ.
fn difference(found: &Tensor, expected: &Tensor) -> (f64, f64) {
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let both_nan = found.isnan().logical_and(&expected.isnan());
    let difference = (&found - &expected).abs().masked_fill(&both_nan, 0.0);
    (difference.max().double_value(&[]), expected.abs().nan_to_num(0.0, None, None).max().double_value(&[]))
}

/// Asserts that `found` is `expected` within [`RELATIVE`] and [`ABSOLUTE`].
#[track_caller]
fn assert_close(name: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.size(), expected.size(), "the shape of {name}");
    let (difference, magnitude) = difference(found, expected);
    let allowed = RELATIVE * magnitude + ABSOLUTE;
    // With --nocapture this lists all differences.
    println!("{name}: off by {difference:.2e}, {allowed:.2e} allowed");
    assert!(difference <= allowed, "{name} is off by {difference:.2e}, {allowed:.2e} allowed");
}

#[test]
fn a_difference_of_two_parts_in_a_hundred_thousand_is_seen() {
    let expected = Tensor::from_slice(&[0.5f32, -100.0, 3.0]);
    let off = |by: f64| std::panic::catch_unwind(|| assert_close("it", &(expected.copy() + by), &expected)).is_err();
    assert!(!off(0.5e-3));
    assert!(off(2e-3) && off(f64::NAN));
}
