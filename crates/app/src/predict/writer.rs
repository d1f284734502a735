//! Writing beside predicting: a thread takes what was predicted and makes files of it.

use super::find::{Picture, Pictures};
use super::outputs::{Outputs, Plan, Rows};
use crate::report;
use anyhow::{Result, anyhow};
use data::Passed;
use serde_json::{Value, json};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Work that may wait: more would only take memory.
const QUEUE: usize = 2;

/// What becomes of images, in their order.
pub enum Work {
    /// An image begins; the rows that follow are its.
    Image(Image),
    /// The next rows of the image.
    Rows(Rows),
    /// An image cannot be read, perhaps the one that has begun.
    Broken(Passed),
}

/// An image.
pub struct Image {
    /// What its files are called.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
    /// Height and width.
    pub size: [u32; 2],
}

impl Image {
    /// The image of this name.
    pub fn of(name: &str, picture: &Picture) -> Self {
        Self { name: name.into(), file: picture.file.clone(), size: picture.size }
    }
}

/// To the thread that writes.
pub struct Writer {
    sender: SyncSender<Work>,
}

impl Writer {
    /// Hands over; waits while too much is waiting.
    pub fn send(&self, work: Work) -> Result<()> {
        self.sender.send(work).map_err(|_| anyhow!("nothing can be written any more"))
    }
}

/// Lets `predict` hand over what it predicts to `consume`, which works beside it.
pub fn beside<T, C: Send>(
    consume: impl FnOnce(Receiver<Work>) -> Result<C> + Send,
    predict: impl FnOnce(&Writer) -> Result<T>,
) -> Result<(T, C)> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let consuming = scope.spawn(|| consume(receiver));
        let predicted = predict(&Writer { sender });
        // Where nothing can be taken any more, that is why nothing could be predicted.
        let consumed = consuming.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok((predicted?, consumed))
    })
}

/// Writes what was predicted of `pictures` into `folder` and, with `json`, tells it line by line.
pub fn write(
    work: Receiver<Work>,
    plan: &Plan,
    folder: &Path,
    pictures: &Pictures,
    json: Option<&[String]>,
) -> Result<()> {
    let mut image: Option<(Image, Outputs)> = None;
    let mut areas = Vec::new();
    let mut missing = 0;
    for work in work {
        match work {
            Work::Image(begun) => {
                let base = pictures.get(&begun.name).map_or(begun.name.as_ref(), |picture| &*picture.base);
                let outputs = Outputs::create(plan, &folder.join(base), &begun.file, begun.size)?;
                missing = begun.size[0] as usize * begun.size[1] as usize;
                areas = vec![0u64; 256];
                image = Some((begun, outputs));
            }
            Work::Rows(rows) => {
                let Some((_, outputs)) = &mut image else { continue };
                outputs.add(&rows)?;
                rows.ids.iter().for_each(|id| areas[usize::from(*id)] += 1);
                missing -= rows.ids.len();
                if missing == 0
                    && let Some((image, outputs)) = image.take()
                {
                    outputs.finish()?;
                    json.map_or(Ok(()), |classes| report::print(&told(&image, classes, &areas).to_string()))?;
                }
            }
            Work::Broken(passed) => {
                image = None;
                json.map_or(Ok(()), |_| report::broken(&passed))?;
            }
        }
    }
    Ok(())
}

/// An image with the areas of its classes.
fn told(image: &Image, classes: &[String], areas: &[u64]) -> Value {
    let [height, width] = image.size;
    let share = |pixels: u64| pixels as f64 / (f64::from(height) * f64::from(width));
    let class = |((id, name), pixels): ((usize, &String), &u64)| json!({ "id": id, "name": name, "pixels": pixels, "share": share(*pixels) });
    let classes: Vec<Value> = classes.iter().enumerate().zip(areas).map(class).collect();
    json!({ "name": image.name, "file": image.file.display().to_string(), "height": height, "width": width, "classes": classes })
}
