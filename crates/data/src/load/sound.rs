//! Checks that samples are what their data set declares.

use crate::error::Error;
use crate::load::dataset::Dataset;
use crate::load::{Sample, Target, Targets, Values, pixels};

/// Checks size, image and target of a sample.
pub(crate) fn check_sample(dataset: &dyn Dataset, index: u64, sample: &Sample) -> Result<(), Error> {
    let size = dataset.size().unwrap_or(sample.size);
    if sample.size != size {
        return Err(Error::Size { name: dataset.name(index), found: sample.size, expected: size });
    }
    let (found, expected) = (sample.image.len(), pixels(size) * dataset.channels() as usize);
    if found != expected {
        return Err(Error::Shape { name: dataset.name(index), what: "image", expected, found });
    }
    let (found, expected) = (sample.image.depth(), dataset.layout().depth);
    if found != expected {
        return Err(Error::Depth { name: dataset.name(index), found, expected });
    }
    check_target(dataset, index, &sample.target, Some(size))
}

/// Checks form, number and values of a target; the number only where the `size` of its sample is known.
pub(crate) fn check_target(
    dataset: &dyn Dataset,
    index: u64,
    target: &Target,
    size: Option<[u32; 2]>,
) -> Result<(), Error> {
    let targets = dataset.targets();
    let problem = match (targets, target) {
        (Targets::Classes, Target::Classes(ids)) => {
            let (found, expected) = (ids.len(), size.map_or(ids.len(), pixels));
            if found != expected {
                return Err(Error::Shape { name: dataset.name(index), what: "mask", expected, found });
            }
            None
        }
        (Targets::Values(values), Target::Values(numbers)) => size
            .and_then(|size| miscounted(targets.planes(), numbers, size))
            .or_else(|| unusable(values, numbers, size)),
        (Targets::Classes, Target::Values(_)) => {
            Some("holds numbers, and the data set's `targets` declares class ids".into())
        }
        (Targets::Values(_), Target::Classes(_)) => {
            Some("holds class ids, and the data set's `targets` declares numbers".into())
        }
    };
    problem.map_or(Ok(()), |problem| Err(Error::Target { name: dataset.name(index), problem }))
}

/// Describes a wrong number of values.
fn miscounted(planes: usize, numbers: &[f32], size: [u32; 2]) -> Option<String> {
    let (found, expected, [height, width]) = (numbers.len(), planes * pixels(size), size);
    let noun = if planes == 1 { "channel" } else { "channels" };
    (found != expected).then(|| {
        format!("has {found} numbers, expected {expected}: {planes} {noun} of {height}x{width} pixels (height x width)")
    })
}

/// Describes the first number that no map, or not one with this `fill`, may hold.
fn unusable(values: Values, numbers: &[f32], size: Option<[u32; 2]>) -> Option<String> {
    let nan_is_unknown = values.fill.is_nan();
    let wrong = |number: f32| number.is_infinite() || number.is_nan() && !nan_is_unknown;
    // Without an exit the loop is fast: only after an error is its place searched.
    if !numbers.iter().fold(false, |any, number| any | wrong(*number)) {
        return None;
    }
    let place = numbers.iter().position(|number| wrong(*number))?;
    let [area, width] = size.map_or([1, 1], |size| [pixels(size), size[1] as usize].map(|length| length.max(1)));
    let found = match size {
        Some(_) => format!("channel {}, row {}, column {}", place / area, place % area / width, place % width),
        None => format!("place {place}"),
    };
    let number = numbers.get(place).copied().unwrap_or_default();
    let hint = match number.is_nan() {
        true => {
            format!("where numbers are unknown declare NaN as the `fill` of its `Values`, which is {}", values.fill)
        }
        false => "numbers must be finite".into(),
    };
    Some(format!("holds {number} at {found}; {hint}"))
}
