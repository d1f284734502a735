//! Writes predictions to files in a thread of its own, while others are predicted.

use super::find::{Picture, Pictures};
use super::outputs::{Outputs, Plan, Rows};
use crate::common::output;
use anyhow::{Result, anyhow};
use data::Passed;
use serde_json::{Value, json};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Maximum number of messages that wait: more would only take memory.
const QUEUE: usize = 2;

/// Messages about images, in order.
pub enum Work {
    /// An image begins; the rows that follow belong to it.
    Image(Image),
    /// The next rows of the image.
    Rows(Rows),
    /// An image cannot be read, perhaps the one that has begun.
    Broken(Passed),
}

/// An image that is predicted.
pub struct Image {
    /// Name of the image.
    pub name: String,
    /// Path of the image.
    pub file: PathBuf,
    /// Height and width.
    pub size: [u32; 2],
}

impl Image {
    /// Describes `picture`, of this name.
    pub fn of(name: &str, picture: &Picture) -> Self {
        Self { name: name.into(), file: picture.file.clone(), size: picture.size }
    }
}

/// Handle of the writing thread.
pub struct MapWriter {
    sender: SyncSender<Work>,
}

impl MapWriter {
    /// Sends work to the writing thread; blocks while too much is waiting.
    pub fn send(&self, work: Work) -> Result<()> {
        self.sender.send(work).map_err(|_| anyhow!("nothing can be written any more"))
    }
}

/// Runs `predict`, and `consume` in another thread, which receives what `predict` sends.
pub fn beside<T, C: Send>(
    consume: impl FnOnce(Receiver<Work>) -> Result<C> + Send,
    predict: impl FnOnce(&MapWriter) -> Result<T>,
) -> Result<(T, C)> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let consuming = scope.spawn(|| consume(receiver));
        let predicted = predict(&MapWriter { sender });
        // A failure of `consume` makes `predict` fail too, so its error comes first.
        let consumed = consuming.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok((predicted?, consumed))
    })
}

/// Writes the predictions for `pictures` into `folder` and, with `json`, prints a line for each.
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
                    json.map_or(Ok(()), |classes| output::print(&told(&image, classes, &areas).to_string()))?;
                }
            }
            Work::Broken(passed) => {
                image = None;
                json.map_or(Ok(()), |_| output::broken(&passed))?;
            }
        }
    }
    Ok(())
}

/// Returns an image with the areas of its classes as JSON.
fn told(image: &Image, classes: &[String], areas: &[u64]) -> Value {
    let [height, width] = image.size;
    let share = |pixels: u64| pixels as f64 / (f64::from(height) * f64::from(width));
    let class = |((id, name), pixels): ((usize, &String), &u64)| json!({ "id": id, "name": name, "pixels": pixels, "share": share(*pixels) });
    let classes: Vec<Value> = classes.iter().enumerate().zip(areas).map(class).collect();
    json!({ "name": image.name, "file": image.file.display().to_string(), "height": height, "width": width, "classes": classes })
}
