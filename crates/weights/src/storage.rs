//! Storages of tensors, and their description in a pickle.

use crate::pickle::Value;
use tch::{Kind, Tensor};

/// Consecutive numbers of one kind, of which tensors are views.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Storage {
    /// Its key outside the pickle.
    pub(crate) key: String,
    /// Kind of its numbers.
    pub(crate) kind: Kind,
    /// Number of elements.
    pub(crate) count: usize,
}

/// A tensor as a pickle describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) storage: Storage,
    offset: i64,
    size: Vec<i64>,
    stride: Vec<i64>,
}

impl Storage {
    /// Parses a persistent id `('storage', torch.FloatStorage, key, place, count, …)`.
    fn parse(value: &Value) -> Option<Self> {
        let Value::Outside(id) = value else { return None };
        let Value::Tuple(id) = &**id else { return None };
        let [Value::Text(what), Value::Name(name), Value::Text(key), _, Value::Int(count), ..] = &**id else {
            return None;
        };
        let kind = match name.strip_prefix("torch.")? {
            "FloatStorage" => Kind::Float,
            "DoubleStorage" => Kind::Double,
            "HalfStorage" => Kind::Half,
            "BFloat16Storage" => Kind::BFloat16,
            "LongStorage" => Kind::Int64,
            "IntStorage" => Kind::Int,
            "ShortStorage" => Kind::Int16,
            "CharStorage" => Kind::Int8,
            "ByteStorage" => Kind::Uint8,
            "BoolStorage" => Kind::Bool,
            _ => return None,
        };
        let count = usize::try_from(*count).ok()?;
        (&**what == "storage").then(|| Self { key: key.to_string(), kind, count })
    }

    /// Returns its size in bytes, `None` on an overflow.
    pub(crate) fn bytes(&self) -> Option<usize> {
        self.count.checked_mul(self.kind.elt_size_in_bytes())
    }
}

impl View {
    /// Parses `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, also as a parameter's data.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let Value::Call(call) = value else { return None };
        let (Value::Name(name), Value::Tuple(arguments)) = &**call else { return None };
        match (&**name, &**arguments) {
            ("torch._utils._rebuild_parameter", [data, ..]) => Self::parse(data),
            (
                "torch._utils._rebuild_tensor_v2",
                [storage, Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..],
            ) => {
                let numbers = |values: &[Value]| {
                    let number = |value: &Value| match value {
                        Value::Int(number) => i64::try_from(*number).ok(),
                        _ => None,
                    };
                    values.iter().map(number).collect::<Option<Vec<i64>>>()
                };
                let offset = i64::try_from(*offset).ok()?;
                Some(Self { storage: Storage::parse(storage)?, offset, size: numbers(size)?, stride: numbers(stride)? })
            }
            _ => None,
        }
    }

    /// Returns the tensor as a view of `numbers`, its storage as one vector.
    pub(crate) fn of(&self, numbers: &Tensor) -> Result<Tensor, String> {
        let Self { storage, offset, size, stride } = self;
        let refused =
            || format!("{size:?} with the strides {stride:?} from {offset} on is not in {} numbers", storage.count);
        let sound =
            size.len() == stride.len() && [size, stride].iter().all(|sides| sides.iter().all(|side| *side >= 0));
        if !sound || *offset < 0 {
            return Err(refused());
        }
        // No more elements than numbers: strides of 0 must not make a tensor that no memory can hold.
        let count = size.iter().try_fold(1i64, |count, side| count.checked_mul(*side)).ok_or_else(refused)?;
        let last = size
            .iter()
            .zip(stride)
            .try_fold(*offset, |last, (side, stride)| last.checked_add((side - 1).max(0).checked_mul(*stride)?));
        let inside =
            count == 0 || last.and_then(|last| usize::try_from(last).ok()).is_some_and(|last| last < storage.count);
        if !inside || usize::try_from(count).map_or(true, |count| count > storage.count) {
            return Err(refused());
        }
        numbers.f_as_strided(size, stride, Some(*offset)).map_err(|_| refused())
    }
}
