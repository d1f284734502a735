//! A loaded snapshot equals the saved one, bit for bit.

use super::{assert_same, names, same, snapshot, store};
use crate::{Config, Error, Snapshot, load};
use contract::{Progress, StateDict};
use proptest::prelude::*;
use std::fs;
use tch::{Device, Kind, Tensor};

const KINDS: [Kind; 10] = [
    Kind::Float,
    Kind::Double,
    Kind::Half,
    Kind::BFloat16,
    Kind::Int64,
    Kind::Int,
    Kind::Int16,
    Kind::Int8,
    Kind::Uint8,
    Kind::Bool,
];

/// Generates tensors of any kind and shape, scalars and empty ones included, with any bits: NaN and infinity too.
fn any_tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop::collection::vec(0..4i64, 0..5);
    (prop::sample::select(&KINDS[..]), shape).prop_flat_map(|(kind, shape)| {
        let bytes = shape.iter().product::<i64>() as usize * kind.elt_size_in_bytes();
        prop::collection::vec(any::<u8>(), bytes).prop_map(move |mut bytes| {
            if kind == Kind::Bool {
                bytes.iter_mut().for_each(|byte| *byte &= 1);
            }
            Tensor::f_from_data_size(&bytes, &shape, kind).unwrap()
        })
    })
}

fn holding(state: &str, tensors: StateDict) -> Snapshot {
    Snapshot { states: [(state.into(), tensors)].into(), ..snapshot(1, 0.5) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_kind_and_shape_comes_back(tensors in prop::collection::btree_map(".{0,12}", any_tensor(), 0..6)) {
        let (_folder, store) = store(&Config::default());
        let saved = holding("metric", tensors);
        let path = store.save(&saved).unwrap();
        assert_same(&saved, &load(&path).unwrap());
    }
}

#[test]
fn parts_are_added_by_name_and_restored_whole_or_not_at_all() {
    let (_folder, store) = store(&Config::default());
    let variables = |value: f64, rows: i64| {
        let variables = tch::nn::VarStore::new(Device::Cpu);
        let _ = variables.root().var("w", &[rows], tch::nn::Init::Const(value));
        variables
    };
    let saved = Snapshot::new(Progress { step: 7, ..Progress::default() }).with("student", &variables(3.0, 2));
    let loaded = load(&store.save(&saved).unwrap()).unwrap();
    let mut student = variables(0.0, 2);
    loaded.restore("student", &mut student).unwrap();
    assert_eq!(Vec::<f32>::try_from(&student.variables()["w"]).unwrap(), [3.0; 2]);

    let mut other = variables(1.0, 5);
    let error = loaded.restore("student", &mut other).unwrap_err().to_string();
    assert!(error.starts_with("the state 'student': tensor 'w': expected [5]"), "{error}");
    let error = loaded.restore("teacher", &mut other).unwrap_err().to_string();
    assert_eq!(error, "the checkpoint holds no teacher.safetensors");
    assert_eq!(Vec::<f32>::try_from(&other.variables()["w"]).unwrap(), [1.0; 5]);
}

#[test]
fn a_whole_snapshot_comes_back() {
    let (_folder, store) = store(&Config::default());
    let saved = snapshot(120, 0.1 + 0.2);
    let path = store.save(&saved).unwrap();
    assert_eq!(names(&path), ["manifest.json", "model.safetensors", "optimizer.safetensors"]);
    assert!(path.ends_with("step-0000000120"));
    assert_same(&saved, &load(&path).unwrap());
    let (found, damaged) = store.newest().unwrap();
    assert!(damaged.is_empty());
    let (newest, loaded) = found.unwrap();
    assert_eq!(newest, path);
    assert_same(&saved, &loaded);
}

#[test]
fn bf16_and_i64_keep_every_bit() {
    let (_folder, store) = store(&Config::default());
    let all_bits: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let bf16 = Tensor::f_from_data_size(&all_bits, &[256, 256], Kind::BFloat16).unwrap();
    let i64s = Tensor::from_slice(&[i64::MIN, -1, 0, (1 << 53) + 1, i64::MAX]);
    let saved = holding("generator", StateDict::from([("bf16".into(), bf16), ("i64".into(), i64s)]));
    assert_same(&saved, &load(&store.save(&saved).unwrap()).unwrap());
}

#[test]
fn channels_last_tensors_keep_their_values() {
    let (_folder, store) = store(&Config::default());
    let nhwc = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).reshape([2, 4, 5, 3]);
    let nchw = nhwc.permute([0, 3, 1, 2]);
    assert!(!nchw.is_contiguous());
    let loaded = load(&store.save(&holding("model", StateDict::from([("w".into(), nchw.copy())]))).unwrap()).unwrap();
    assert!(same(&loaded.states["model"]["w"], &nchw));
    let strided = holding("model", StateDict::from([("w".into(), nchw.shallow_clone())]));
    let (_folder, store) = super::store(&Config::default());
    assert!(same(&load(&store.save(&strided).unwrap()).unwrap().states["model"]["w"], &nchw.contiguous()));
}

#[test]
fn weights_that_require_gradients_are_saved_and_loaded_without() {
    let (_folder, store) = store(&Config::default());
    let weight = Tensor::ones([2, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loaded = load(&store.save(&holding("model", StateDict::from([("w".into(), weight)]))).unwrap()).unwrap();
    let weight = &loaded.states["model"]["w"];
    assert!(!weight.requires_grad() && weight.device() == Device::Cpu);
}

#[test]
fn a_file_is_what_the_safetensors_crate_writes() {
    let (_folder, store) = store(&Config::default());
    let saved = snapshot(3, 0.5);
    let bytes = fs::read(store.save(&saved).unwrap().join("optimizer.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(safetensors::serialize(file.iter(), None).unwrap(), bytes);
    assert_eq!(file.tensor("step").unwrap().data(), 3i64.to_le_bytes());
}

#[test]
fn scores_that_are_not_finite_come_back_as_nan() {
    let (_folder, store) = store(&Config::default());
    let loaded = load(&store.save(&snapshot(1, f64::INFINITY)).unwrap()).unwrap();
    assert!(loaded.scores["mean_iou"].is_nan());
    assert!(store.best().unwrap().0.is_none());
}

#[test]
fn what_the_format_cannot_hold_is_refused_by_name_and_leaves_nothing_behind() {
    let (folder, store) = store(&Config::default());
    let one = |name: &str, tensor: Tensor| StateDict::from([(name.to_owned(), tensor)]);
    let complex = Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu));
    let cases = [
        (holding("metric", one("spectrum", complex)), "state 'metric', tensor 'spectrum': it is of kind ComplexFloat"),
        (holding("metric", one("nothing", Tensor::new())), "state 'metric', tensor 'nothing': it is undefined"),
        (holding("metric", one("__metadata__", Tensor::from(1))), "its name is reserved"),
        (holding("../model", one("w", Tensor::from(1))), "state '../model': a name may have"),
    ];
    for (snapshot, message) in cases {
        let error = store.save(&snapshot).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(names(&folder.path().join("checkpoints")).is_empty());
    }
    let mut deep = serde_json::Value::Null;
    for _ in 0..200 {
        deep = serde_json::Value::Array(vec![deep]);
    }
    let error = store.save(&Snapshot { about: deep, ..snapshot(7, 0.5) }).unwrap_err();
    assert!(matches!(error, Error::About { step: 7, .. }), "{error}");
}
