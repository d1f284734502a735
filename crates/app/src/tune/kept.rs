//! Predictions of the validation images, kept with their masks.

use super::spool::{Place, Spool};
use crate::predict::{self, Numbered, Rows, Work};
use crate::validate::Masked;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, available_parallelism};

/// Largest ratio of two weights. A class whose probability is this much smaller than the largest can never win.
const RATIO: f32 = 16.0;

/// Predictions for an image, and its mask.
#[derive(Debug)]
pub struct Kept {
    /// Number of columns.
    pub width: u32,
    /// Consecutive rows.
    pub parts: Vec<Part>,
}

/// Some rows of an image.
#[derive(Debug)]
pub struct Part {
    /// [`Contenders`] of each pixel.
    pub contenders: Place,
    /// Class id of each pixel of the mask.
    pub mask: Place,
    /// Predicted class id of each pixel.
    pub map: Place,
}

/// Receives the predictions for the validation images and keeps them, ordered by name. Images that break off are left
/// out.
pub fn keep(work: Receiver<Work>, masked: &Masked, spool: &Spool) -> Result<Vec<Kept>> {
    let all = Mutex::new(BTreeMap::new());
    let add = |name: String, kept: Kept| {
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(name, kept);
    };
    predict::shared(work, predict::threads(), &|work, _| keep_some(work, masked, spool, &add))?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

/// Keeps the predictions of one thread.
fn keep_some(
    work: Receiver<Numbered>,
    masked: &Masked,
    spool: &Spool,
    add: &(dyn Fn(String, Kept) + Sync),
) -> Result<()> {
    let mut current: Option<(String, Vec<u8>, usize, Kept)> = None;
    for (_, work) in work {
        match work {
            Work::Image(image) => {
                let mask = masked.mask(&image.name, &image.file, image.size)?;
                current = Some((image.name, mask, 0, Kept { width: image.size[1], parts: Vec::new() }));
            }
            Work::Rows(rows) => {
                let Some((name, mask, done, kept)) = &mut current else { continue };
                let rows = rows.read()?;
                let of_mask =
                    mask.get(*done..*done + rows.ids.len()).context("an image has more rows than its mask")?;
                let encoded = encode(&rows);
                let [contenders, of_mask, map] =
                    [&encoded[..], of_mask, &rows.ids[..]].map(|bytes: &[u8]| spool.append(bytes));
                kept.parts.push(Part { contenders: contenders?, mask: of_mask?, map: map? });
                *done += rows.ids.len();
                if *done == mask.len() {
                    let (name, kept) =
                        (std::mem::take(name), Kept { width: kept.width, parts: std::mem::take(&mut kept.parts) });
                    add(name, kept);
                    current = None;
                }
            }
            Work::Broken(_) => {}
        }
    }
    Ok(())
}

/// Encodes which classes may win in each pixel: their number, their ids in order, and, of several, their probabilities.
fn encode(rows: &Rows) -> Vec<u8> {
    let pixels = rows.ids.len();
    let classes = rows.probabilities.len() / pixels.max(1);
    let mut bytes = Vec::with_capacity(2 * pixels);
    let mut values = Vec::new();
    for (pixel, top) in rows.ids.iter().enumerate() {
        let probability = |class: usize| rows.probabilities[class * pixels + pixel];
        let largest = probability((*top).into());
        let count = bytes.len();
        bytes.push(0);
        values.clear();
        for (class, id) in (0..classes).zip(0..=u8::MAX) {
            let value = probability(class);
            if id == *top || value * RATIO >= largest {
                bytes.push(id);
                values.extend(value.to_le_bytes());
            }
        }
        bytes[count] = (values.len() / 4) as u8;
        if values.len() > 4 {
            bytes.extend(&values);
        }
    }
    bytes
}

/// Pixels with the classes that may win in them.
pub struct Contenders<'b>(pub &'b [u8]);

/// The classes that may win in a pixel, in the order of their ids.
#[derive(Clone, Copy)]
pub struct Contest<'b> {
    ids: &'b [u8],
    /// Probabilities as bytes; empty if there is only one class.
    values: &'b [u8],
}

impl<'b> Iterator for Contenders<'b> {
    type Item = Contest<'b>;

    fn next(&mut self) -> Option<Contest<'b>> {
        let (count, rest) = self.0.split_first()?;
        let (ids, rest) = rest.split_at_checked((*count).into())?;
        let (values, rest) = rest.split_at_checked(if ids.len() > 1 { 4 * ids.len() } else { 0 })?;
        self.0 = rest;
        Some(Contest { ids, values })
    }
}

impl<'b> Contest<'b> {
    /// Returns the classes with their probabilities; none if there is only one class.
    pub fn all(self) -> impl Iterator<Item = (u8, f32)> + 'b {
        let values = self.values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        self.ids.iter().copied().zip(values)
    }

    /// Returns the class whose weighted probability is largest; of several, the first.
    pub fn winner(self, weights: &[f32]) -> u8 {
        best(self.all().map(|(id, value)| (id, value * weights[usize::from(id)])))
            .map_or_else(|| self.ids.first().copied().unwrap_or_default(), |(id, _)| id)
    }
}

/// Returns the largest of these values, the first of several.
pub fn best(all: impl Iterator<Item = (u8, f32)>) -> Option<(u8, f32)> {
    all.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Runs `work` for each image, in several threads. Returns the results in order.
pub fn each<T: Send>(all: &[Kept], work: impl Fn(&Kept) -> Result<T> + Sync) -> Result<Vec<T>> {
    let threads = available_parallelism().map_or(1, NonZero::get).min(all.len()).max(1);
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(kept) = all.get(number) else { return Ok(done) };
            done.push((number, work(kept)?));
        }
    };
    let mut done = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let joined = started.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.collect::<Vec<Result<Vec<(usize, T)>>>>()
    })
    .into_iter()
    .collect::<Result<Vec<_>>>()?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, done)| done).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_decide_as_all_classes_do() {
        // Four classes, of which one is far behind, nowhere, or as likely as another one.
        let pixels = [
            [0.7f32, 0.2, 0.06, 0.04],
            [0.97, 0.01, 0.01, 0.01],
            [0.25, 0.25, 0.25, 0.25],
            [0.0, 0.0, 1.0, 0.0],
            [0.05, 0.45, 0.45, 0.05],
        ];
        let probabilities: Vec<f32> = (0..4).flat_map(|class| pixels.map(|pixel| pixel[class])).collect();
        let top = |pixel: &[f32; 4], weights: &[f32]| {
            best((0..4).zip(pixel.iter().zip(weights).map(|(value, weight)| value * weight))).unwrap().0
        };
        let ids = pixels.iter().map(|pixel| top(pixel, &[1.0; 4])).collect();
        let bytes = encode(&Rows { ids, probabilities });
        assert_eq!(Contenders(&bytes).map(|contest| contest.ids.len()).collect::<Vec<_>>(), [3, 1, 4, 1, 4]);
        for weights in [[1.0; 4], [0.25, 1.0, 4.0, 4.0], [4.0, 0.25, 0.25, 0.25], [1.0, 2.0, 0.5, 4.0]] {
            let found: Vec<u8> = Contenders(&bytes).map(|contest| contest.winner(&weights)).collect();
            assert_eq!(found, pixels.iter().map(|pixel| top(pixel, &weights)).collect::<Vec<_>>(), "{weights:?}");
        }
    }

    #[test]
    fn images_are_done_in_any_order_and_come_back_in_theirs() {
        let all: Vec<Kept> = (0..50).map(|width| Kept { width, parts: Vec::new() }).collect();
        let widths = each(&all, |kept| Ok(kept.width)).unwrap();
        assert_eq!(widths, (0..50).collect::<Vec<u32>>());
        assert!(each(&all, |kept| if kept.width == 7 { anyhow::bail!("planted") } else { Ok(()) }).is_err());
    }
}
