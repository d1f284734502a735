//! A state as a flat tensor of bytes: names, kinds and shapes, then the values. It is data and no more.

use contract::{StateDict, TorchError};
use tch::{Device, Kind, Tensor};

/// Kinds that may be in a state, by their number in the bytes.
const KINDS: [Kind; 9] =
    [Kind::Uint8, Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64, Kind::Half, Kind::Float, Kind::Double, Kind::Bool];
/// More kinds, after [`KINDS`].
const BFLOAT16: u64 = KINDS.len() as u64;

pub(crate) fn code(kind: Kind) -> Option<u64> {
    if kind == Kind::BFloat16 {
        return Some(BFLOAT16);
    }
    KINDS.iter().position(|known| *known == kind).map(|place| place as u64)
}

pub(crate) fn kind(code: u64) -> Option<Kind> {
    if code == BFLOAT16 { Some(Kind::BFloat16) } else { KINDS.get(usize::try_from(code).ok()?).copied() }
}

/// Returns `state` as bytes on the CPU, after the length of what describes it.
pub(crate) fn pack(state: &StateDict) -> Result<(usize, Tensor), TorchError> {
    let _no_grad = tch::no_grad_guard();
    let mut head = Vec::new();
    let mut parts = Vec::new();
    for (name, tensor) in state {
        let unknown = || TorchError::new(&format!("tensor '{name}' is {:?}, which cannot be sent", tensor.kind()));
        let code = code(tensor.kind()).ok_or_else(unknown)?;
        let size = tensor.size();
        for number in [name.len() as u64, code, size.len() as u64] {
            head.extend(number.to_le_bytes());
        }
        head.extend(name.as_bytes());
        head.extend(size.iter().flat_map(|side| side.to_le_bytes()));
        let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
        parts.push(flat.f_view_dtype(Kind::Uint8)?);
    }
    let length = head.len();
    parts.insert(0, Tensor::f_from_slice(&head)?);
    Ok((length, Tensor::f_cat(&parts, 0)?))
}

/// Returns the state that [`pack`] made `bytes` of, or None if they are something else.
pub(crate) fn unpack(length: usize, bytes: &Tensor) -> Option<StateDict> {
    let length = i64::try_from(length).ok()?;
    let head = Vec::<u8>::try_from(bytes.f_narrow(0, 0, length).ok()?).ok()?;
    let (mut rest, mut from) = (&head[..], length);
    let mut state = StateDict::new();
    while !rest.is_empty() {
        let [named, code, dimensions] = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
        let (kind, name) = (kind(code)?, taken(&mut rest, named)?);
        let name = String::from_utf8(name.to_vec()).ok()?;
        let side = |_| number(&mut rest).and_then(|side| i64::try_from(side).ok());
        let size: Vec<i64> = (0..dimensions).map(side).collect::<Option<_>>()?;
        let values = size.iter().try_fold(1i64, |all, side| all.checked_mul(*side))?;
        let many = values.checked_mul(i64::try_from(kind.elt_size_in_bytes()).ok()?)?;
        // A copy starts where values of its kind may start.
        let own = bytes.f_narrow(0, from, many).ok()?.copy();
        state.insert(name, own.f_view_dtype(kind).ok()?.f_view(&size[..]).ok()?);
        from = from.checked_add(many)?;
    }
    (bytes.numel() as i64 >= from).then_some(state)
}

fn taken<'b>(bytes: &mut &'b [u8], count: u64) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    taken(bytes, 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_every_kind_comes_back() {
        let mut state = StateDict::new();
        for kind in KINDS.into_iter().chain([Kind::BFloat16]) {
            let values = Tensor::arange(6, (Kind::Int64, Device::Cpu)).reshape([2, 3]).to_kind(kind);
            state.insert(format!("of {kind:?}"), values);
        }
        state.insert(String::new(), Tensor::from(7f32));
        state.insert("empty".into(), Tensor::zeros([0, 4], (Kind::Float, Device::Cpu)));
        state.insert("turned".into(), Tensor::rand([3, 5], (Kind::Float, Device::Cpu)).tr());
        let (length, bytes) = pack(&state).unwrap();
        let back = unpack(length, &bytes).unwrap();
        assert_eq!(back.len(), state.len());
        for ((name, a), (other, b)) in state.iter().zip(&back) {
            assert_eq!((name, a.size(), a.kind()), (other, b.size(), b.kind()));
            assert!(a.equal(b), "{name}");
        }
        let padded = Tensor::cat(&[bytes.shallow_clone(), Tensor::zeros([9], (Kind::Uint8, Device::Cpu))], 0);
        assert_eq!(unpack(length, &padded).unwrap().len(), state.len(), "rows of a gather are as long as the longest");
        assert!(unpack(0, &bytes).unwrap().is_empty());
    }

    #[test]
    fn bytes_that_are_no_state_are_none() {
        let (length, bytes) = pack(&[("a".to_string(), Tensor::from_slice(&[1f32, 2.0]))].into()).unwrap();
        assert!(unpack(length + 1, &bytes).is_none() && unpack(length - 1, &bytes).is_none());
        assert!(unpack(length, &bytes.narrow(0, 0, bytes.numel() as i64 - 1)).is_none());
        assert!(unpack(usize::MAX, &bytes).is_none());
        for place in 0..length as i64 {
            let broken = bytes.copy();
            let _ = broken.narrow(0, place, 1).fill_(255);
            let _ = unpack(length, &broken);
        }
    }
}
