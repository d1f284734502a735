//! The mean of several predictions for the same images.

use super::image::Image;
use super::source::{Said, Source};
use anyhow::{Result, bail};
use data::Passed;
use std::collections::{BTreeSet, VecDeque};
use tch::{TchError, Tensor};

/// Mean of the probabilities of several sources, row by row. Each holds the rows that another one has not come to yet:
/// those of one row of tiles, or of one resizing.
///
/// An image that one source cannot read is left out.
pub struct Mean<'a> {
    parts: Vec<Part<'a>>,
    /// The image whose rows are being averaged.
    current: Option<String>,
    /// Images that were said to be broken.
    broken: BTreeSet<String>,
    out: VecDeque<Said>,
}

/// One of the sources.
struct Part<'a> {
    source: Box<dyn Source + 'a>,
    /// The image that it has begun.
    image: Option<Image>,
    /// Rows of that image that are not averaged yet.
    rows: VecDeque<Tensor>,
    /// All rows of that image came.
    is_done: bool,
    is_ended: bool,
}

impl<'a> Mean<'a> {
    /// Averages `sources`, each of which predicts the same images in the order of their names.
    pub fn of(sources: Vec<Box<dyn Source + 'a>>) -> Self {
        let part = |source| Part { source, image: None, rows: VecDeque::new(), is_done: false, is_ended: false };
        let parts = sources.into_iter().map(part).collect();
        Self { parts, current: None, broken: BTreeSet::new(), out: VecDeque::new() }
    }

    /// Brings all sources to their next image. Returns false at the end.
    fn begin(&mut self) -> Result<bool> {
        for part in &mut self.parts {
            while part.image.is_none() && !part.is_ended {
                part.pull(&mut self.broken, &mut self.out)?;
            }
        }
        // A source that is ahead could not read the image that another one has begun. Images are ordered by name.
        let names: Vec<Option<String>> =
            self.parts.iter().map(|part| part.image.as_ref().map(|image| image.name.clone())).collect();
        if names.iter().all(Option::is_none) {
            return Ok(false);
        }
        let last = names.iter().max_by_key(|name| (name.is_none(), *name)).cloned().flatten();
        let is_broken = last.as_ref().is_some_and(|last| self.broken.contains(last));
        if is_broken || names.iter().any(|name| *name != last) {
            for (part, name) in self.parts.iter_mut().zip(&names) {
                if is_broken || *name != last {
                    part.skip(&mut self.broken, &mut self.out)?;
                }
            }
            return Ok(true);
        }
        let images: Vec<&Image> = self.parts.iter().filter_map(|part| part.image.as_ref()).collect();
        let [image, others @ ..] = &images[..] else { return Ok(false) };
        if others.iter().any(|other| other.size != image.size) {
            bail!("{} was changed while it was predicted", image.file.display());
        }
        let Image { name, file, size } = image;
        self.out.push_back(Said::Image(Image { name: name.clone(), file: file.clone(), size: *size }));
        self.current = last;
        Ok(true)
    }

    /// Averages the rows that all sources have, or gets more.
    fn advance(&mut self, name: &str) -> Result<()> {
        let ready = self.parts.iter().map(Part::ready).min().unwrap_or_default();
        if ready > 0 {
            let mean = self.mean(ready)?;
            self.out.push_back(Said::Rows(mean));
            return Ok(());
        }
        if self.parts.iter().any(|part| part.is_done && part.ready() == 0)
            && self.parts.iter().any(|part| part.ready() > 0)
        {
            bail!("predicting {name}: the networks made different numbers of rows");
        }
        if self.parts.iter().all(|part| part.is_done) {
            self.parts.iter_mut().for_each(Part::leave);
            self.current = None;
            self.out.push_back(Said::Done);
            return Ok(());
        }
        for part in self.parts.iter_mut().filter(|part| part.ready() == 0 && !part.is_done) {
            part.pull(&mut self.broken, &mut self.out)?;
        }
        if self.broken.contains(name) {
            for part in &mut self.parts {
                part.skip(&mut self.broken, &mut self.out)?;
            }
            self.current = None;
        }
        Ok(())
    }

    /// Returns the mean of the next `count` rows, on the device of the first source.
    fn mean(&mut self, count: i64) -> Result<Tensor, TchError> {
        let number = self.parts.len() as f64;
        let mut sum: Option<Tensor> = None;
        for part in &mut self.parts {
            let rows = part.take(count)?;
            sum = Some(match sum {
                None => rows,
                Some(sum) => sum.f_add(&rows.f_to_device(sum.device())?)?,
            });
        }
        sum.unwrap_or_default().f_div_scalar(number)
    }
}

impl Source for Mean<'_> {
    fn next(&mut self) -> Result<Option<Said>> {
        loop {
            if let Some(said) = self.out.pop_front() {
                return Ok(Some(said));
            }
            if let Some(name) = self.current.clone() {
                self.advance(&name)?;
            } else if !self.begin()? && self.out.is_empty() {
                return Ok(None);
            }
        }
    }
}

impl Part<'_> {
    /// Takes the next message of the source. Reports an image that cannot be read, once for all sources.
    fn pull(&mut self, broken: &mut BTreeSet<String>, out: &mut VecDeque<Said>) -> Result<()> {
        match self.source.next()? {
            None => self.is_ended = true,
            Some(Said::Image(image)) => self.image = Some(image),
            Some(Said::Rows(rows)) => self.rows.push_back(rows),
            Some(Said::Done) => self.is_done = true,
            Some(Said::Broken(passed)) => {
                // Nothing more comes of the image that has begun.
                self.is_done |= self.image.as_ref().is_some_and(|image| image.name == passed.name);
                tell(passed, broken, out);
            }
        }
        Ok(())
    }

    /// Leaves out the image that has begun, if any.
    fn skip(&mut self, broken: &mut BTreeSet<String>, out: &mut VecDeque<Said>) -> Result<()> {
        while self.image.is_some() && !self.is_done && !self.is_ended {
            self.pull(broken, out)?;
            self.rows.clear();
        }
        self.leave();
        Ok(())
    }

    fn leave(&mut self) {
        self.image = None;
        self.rows.clear();
        self.is_done = false;
    }

    /// Returns the number of rows that can be averaged.
    fn ready(&self) -> i64 {
        self.rows.iter().map(|rows| rows.size()[1]).sum()
    }

    /// Takes out the next `count` rows, which are there.
    fn take(&mut self, count: i64) -> Result<Tensor, TchError> {
        let (mut taken, mut missing) = (Vec::new(), count);
        while missing > 0
            && let Some(rows) = self.rows.pop_front()
        {
            let there = rows.size()[1];
            let used = there.min(missing);
            if used < there {
                self.rows.push_front(rows.f_narrow(1, used, there - used)?);
            }
            taken.push(rows.f_narrow(1, 0, used)?);
            missing -= used;
        }
        if taken.len() == 1 { Ok(taken.remove(0)) } else { Tensor::f_cat(&taken, 1) }
    }
}

/// Reports an image that cannot be read, unless it was reported.
fn tell(passed: Passed, broken: &mut BTreeSet<String>, out: &mut VecDeque<Said>) {
    if broken.insert(passed.name.clone()) {
        out.push_back(Said::Broken(passed));
    }
}

#[cfg(test)]
mod tests;
