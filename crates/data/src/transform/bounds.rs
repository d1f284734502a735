//! Checks of a transform's numbers.

use contract::Invalid;
use std::ops::RangeInclusive;

pub(super) fn share(key: &str, value: f32) -> Result<(), Invalid> {
    within(key, value, 0.0..=1.0)
}

pub(super) fn within(key: &str, value: f32, range: RangeInclusive<f32>) -> Result<(), Invalid> {
    Invalid::unless(range.contains(&value), key, || format!("must be {} to {}, is {value}", range.start(), range.end()))
}

/// Refuses two numbers that are no interval within `range`.
pub(super) fn interval(key: &str, [low, high]: [f32; 2], range: RangeInclusive<f32>) -> Result<(), Invalid> {
    Invalid::unless(range.contains(&low) && range.contains(&high) && low <= high, key, || {
        let (least, most) = (range.start(), range.end());
        format!("must hold two numbers from {least} to {most}, the smaller one first, is [{low}, {high}]")
    })
}
