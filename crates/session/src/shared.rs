//! Gives what one rank has to all: texts, and checkpoints, since machines may not share a disk.

use crate::error::{Error, Result};
use checkpoint::Snapshot;
use contract::{BoxError, Progress, Ranks, StateDict, TorchError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

/// Name of a text among tensors.
const TEXT: &str = "text";
/// Kinds of tensors that can be shared.
const KINDS: [Kind; 10] = [
    Kind::Uint8,
    Kind::Int8,
    Kind::Int16,
    Kind::Int,
    Kind::Int64,
    Kind::Half,
    Kind::BFloat16,
    Kind::Float,
    Kind::Double,
    Kind::Bool,
];

/// All of a checkpoint but the values of its tensors.
#[derive(Serialize, Deserialize)]
struct Head {
    path: PathBuf,
    /// Epoch, batch, step, samples.
    progress: [u64; 4],
    /// None for a score that is not finite.
    scores: BTreeMap<String, Option<f64>>,
    about: Value,
    states: BTreeMap<String, BTreeMap<String, Form>>,
}

/// Place in [`KINDS`] and shape of a tensor.
type Form = (usize, Vec<i64>);

/// Returns the text that `say` returns on the first rank, on all of them. One process just calls `say`.
///
/// # Errors
///
/// Fails on all ranks if `say` does, or if a rank is lost.
pub fn from_first<E: From<Error> + Display>(
    ranks: &dyn Ranks,
    say: impl FnOnce() -> std::result::Result<String, E>,
) -> std::result::Result<String, E> {
    let said = on_first(ranks, say)?;
    if ranks.count() == 1 {
        return Ok(said.unwrap_or_default());
    }
    Ok(text_of_first(ranks, said.as_deref())?)
}

/// Runs `run` on the first rank and waits for it. Its error is an error of all; the others return None.
pub fn on_first<T, E: From<Error> + Display>(
    ranks: &dyn Ranks,
    run: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<Option<T>, E> {
    let own = (ranks.rank() == 0).then(run).transpose();
    if ranks.count() == 1 {
        return own;
    }
    // An error of anyhow has its causes in the alternate form only.
    let failed = failure(ranks, own.as_ref().err().map(|error| format!("{error:#}")));
    let own = own?;
    match failed? {
        Some((rank, said)) => Err(Error::OfRank { rank, said }.into()),
        None => Ok(own),
    }
}

/// Returns the first rank that failed and what it said, the same on all ranks; `own` is what this one says.
pub fn failure(ranks: &dyn Ranks, own: Option<String>) -> Result<Option<(usize, String)>> {
    let own = own.map(|said| Ok((TEXT.to_string(), text(&said)?))).into_iter().collect::<Result<_>>()?;
    let all = ranks.gather(&own).map_err(Error::Ranks)?;
    let failed = all.iter().enumerate().find_map(|(rank, state)| Some((rank, state.get(TEXT)?)));
    failed.map(|(rank, said)| Ok((rank, read(said)?))).transpose()
}

/// Returns the first rank's text.
fn text_of_first(ranks: &dyn Ranks, own: Option<&str>) -> Result<String> {
    let own = own.map(|said| Ok((TEXT.to_string(), text(said)?))).into_iter().collect::<Result<_>>()?;
    let all = ranks.gather(&own).map_err(Error::Ranks)?;
    all.first().and_then(|state| state.get(TEXT)).map_or_else(|| Ok(String::new()), read)
}

/// Writes a text into a tensor.
pub fn text(text: &str) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(text.as_bytes()).map_err(TorchError::from)?)
}

/// Reads what [`text`] wrote.
pub fn read(tensor: &Tensor) -> Result<String> {
    let bytes = tensor.f_to_device(Device::Cpu).and_then(|bytes| Vec::<u8>::try_from(&bytes));
    Ok(String::from_utf8_lossy(&bytes.map_err(TorchError::from)?).into_owned())
}

/// Returns the first rank's checkpoint, if it has one, on all ranks. What the others give does not count.
pub fn snapshot(ranks: &dyn Ranks, own: Option<(PathBuf, Snapshot)>) -> Result<Option<(PathBuf, Snapshot)>> {
    let is_first = ranks.rank() == 0;
    let head = own.as_ref().map(|(path, snapshot)| Head::of(path.clone(), snapshot)).transpose()?;
    let said = serde_json::to_string(&head).map_err(caller)?;
    let said = text_of_first(ranks, is_first.then_some(said.as_str()))?;
    let shared = match serde_json::from_str::<Option<Head>>(&said).map_err(caller)? {
        Some(_) if is_first => own,
        Some(head) => Some(head.empty()?),
        None => return Ok(None),
    };
    let tensors = shared.iter().flat_map(|(_, snapshot)| snapshot.states.values().flat_map(StateDict::values));
    let tensors = tensors.filter(|tensor| tensor.numel() > 0).map(bytes).collect::<Result<Vec<_>>>()?;
    ranks.broadcast(&tensors, 0).map_err(Error::Ranks)?;
    Ok(shared)
}

/// Returns the bytes of a contiguous tensor, in its own memory: not every kind can travel.
fn bytes(tensor: &Tensor) -> Result<Tensor> {
    let bytes = || {
        let tensor = tensor.f_detach()?.f_contiguous()?.f_view([-1])?;
        // A view of one byte more is none where they are bytes already.
        if tensor.f_kind()? == Kind::Uint8 { Ok(tensor) } else { tensor.f_view_dtype(Kind::Uint8) }
    };
    Ok(bytes().map_err(TorchError::from)?)
}

fn caller(error: impl Into<BoxError>) -> Error {
    Error::Caller(error.into())
}

impl Head {
    /// Returns a checkpoint of this form whose tensors are not received yet.
    fn empty(self) -> Result<(PathBuf, Snapshot)> {
        let empty = |(name, (kind, shape)): (String, Form)| {
            let kind = KINDS.get(kind).ok_or_else(|| caller("a tensor of an unknown kind came from rank 0"))?;
            Ok((name, Tensor::f_zeros(shape, (*kind, Device::Cpu)).map_err(TorchError::from)?))
        };
        let states = self.states.into_iter();
        let states = states.map(|(part, forms)| Ok((part, forms.into_iter().map(empty).collect::<Result<_>>()?)));
        let [epoch, batch, step, samples] = self.progress;
        let progress = Progress { epoch, batch, step, samples };
        let scores = self.scores.into_iter().map(|(name, score)| (name, score.unwrap_or(f64::NAN))).collect();
        Ok((self.path, Snapshot { progress, states: states.collect::<Result<_>>()?, scores, about: self.about }))
    }

    fn of(path: PathBuf, snapshot: &Snapshot) -> Result<Self> {
        let form = |(name, tensor): (&String, &Tensor)| -> Result<(String, Form)> {
            let kind = tensor.f_kind().map_err(TorchError::from)?;
            let place = KINDS.iter().position(|known| *known == kind);
            let place =
                place.ok_or_else(|| caller(format!("'{name}' of kind {kind:?} cannot be sent to the others")))?;
            Ok((name.clone(), (place, tensor.size())))
        };
        let forms = |state: &StateDict| state.iter().map(form).collect::<Result<BTreeMap<_, _>>>();
        let states = snapshot.states.iter().map(|(part, state)| Ok((part.clone(), forms(state)?)));
        let Progress { epoch, batch, step, samples } = snapshot.progress;
        Ok(Self {
            path,
            progress: [epoch, batch, step, samples],
            scores: snapshot.scores.iter().map(|(name, score)| (name.clone(), Some(*score))).collect(),
            about: snapshot.about.clone(),
            states: states.collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot_of_first() -> Snapshot {
        let kinds = KINDS.iter().enumerate().map(|(place, kind)| {
            let values = Tensor::from_slice(&[1.0, 0.0, 3.0, 2.0]).reshape([2, 2]).to_kind(*kind);
            (place.to_string(), values)
        });
        let mut snapshot = Snapshot::new(Progress { epoch: 1, batch: 2, step: 3, samples: 4 });
        snapshot.states.insert("kinds".into(), kinds.collect());
        let odd = [("none", Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))), ("scalar", Tensor::from(7i64))];
        snapshot.states.insert("odd".into(), odd.map(|(name, tensor)| (name.to_string(), tensor)).into());
        snapshot.scores.extend([("bad".to_string(), f64::NAN), ("iou".to_string(), 0.1 + 0.2)]);
        snapshot.about = serde_json::json!({ "seed": 0.1 });
        snapshot
    }

    #[test]
    fn a_checkpoint_reaches_all_ranks_to_the_bit() {
        testing::together(3, |ranks| {
            let own = (ranks.rank() == 0).then(|| ("runs/x/step".into(), snapshot_of_first()));
            let (path, got) = snapshot(ranks, own).unwrap().unwrap();
            let sent = snapshot_of_first();
            assert_eq!((path, got.progress, &got.about), ("runs/x/step".into(), sent.progress, &sent.about));
            assert!(got.scores["bad"].is_nan() && got.scores["iou"] == sent.scores["iou"]);
            for (part, state) in &sent.states {
                for (name, tensor) in state {
                    let got = &got.states[part][name];
                    assert_eq!((got.kind(), got.size()), (tensor.kind(), tensor.size()), "{part} {name}");
                    assert!(got.equal(tensor), "{part} {name}");
                }
            }
        });
    }

    #[test]
    fn no_checkpoint_is_none_everywhere_and_texts_travel() {
        let said = testing::together(2, |ranks| {
            assert!(snapshot(ranks, None).unwrap().is_none());
            let text = from_first(ranks, || Ok::<_, Error>("größer".into())).unwrap();
            let failed = from_first(ranks, || Err(Error::Folder("no configuration".into()))).unwrap_err();
            (text, failed.to_string())
        });
        assert_eq!(said[0], ("größer".into(), "no configuration".into()));
        assert_eq!(said[1], ("größer".into(), "rank 0: no configuration".into()));
    }
}
