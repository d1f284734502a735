//! Writes predictions to files in threads of their own, while others are predicted.

use super::cleaned::Cleaned;
use super::find::Pictures;
use super::image::Image;
use super::outputs::{Outputs, Plan};
use super::part::{Part, Parts};
use super::predicted::{Predicted, Room, Rows};
use super::turns::{StopIfPanicking, Turns};
use crate::common::output;
use crate::common::postprocessing::Cleaning;
use anyhow::{Result, anyhow};
use data::Passed;
use serde_json::{Value, json};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, available_parallelism};

/// Maximum number of threads that encode files or compare them.
const MOST_THREADS: usize = 8;

/// Messages about images, in order.
pub enum Work {
    /// An image begins; the rows that follow belong to it.
    Image(Image),
    /// The next rows of the image.
    Rows(Predicted),
    /// An image cannot be read, perhaps the one that has begun.
    Broken(Passed),
}

/// Handle of the writing thread.
pub struct MapWriter {
    sender: Sender<Work>,
    room: Arc<Room>,
}

impl MapWriter {
    /// Sends work to the writing thread; blocks while rows of too many bytes are waiting.
    pub fn send(&self, work: Work) -> Result<()> {
        let work = if let Work::Rows(rows) = work { Work::Rows(rows.wait_for(&self.room)) } else { work };
        self.sender.send(work).map_err(|_| anyhow!("nothing can be written any more"))
    }
}

/// Runs `predict`, and `consume` in another thread, which receives what `predict` sends.
pub fn beside<T, C: Send>(
    consume: impl FnOnce(Receiver<Work>) -> Result<C> + Send,
    predict: impl FnOnce(&MapWriter) -> Result<T>,
) -> Result<(T, C)> {
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        let consuming = scope.spawn(|| consume(receiver));
        let predicted = predict(&MapWriter { sender, room: Arc::default() });
        // A failure of `consume` makes `predict` fail too, so its error comes first.
        let consumed = consuming.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok((predicted?, consumed))
    })
}

/// Writes predictions. Several threads encode files; they are published and the lines printed in the order of the
/// images, up to the first that fails.
pub fn write(work: Receiver<Work>, to: &Destination) -> Result<()> {
    shared(work, threads(), &|numbered, turns| to.write(numbered, turns))
}

/// Returns the number of threads for [`shared`] that leaves cores for the network.
pub fn threads() -> usize {
    (available_parallelism().map_or(1, NonZero::get) / 2).clamp(2, MOST_THREADS)
}

/// Work with the number of its image.
pub type Numbered = (u64, Work);

/// Deals `work` to `threads` threads that run `consume`, each image to one of them. Those that use [`Turns`] take that
/// of every image.
pub fn shared(
    work: Receiver<Work>,
    threads: usize,
    consume: &(dyn Fn(Receiver<Numbered>, &Turns) -> Result<()> + Sync),
) -> Result<()> {
    let turns = &Turns::default();
    thread::scope(|scope| {
        let start = |_| {
            let (sender, receiver) = channel();
            let consuming = scope.spawn(move || {
                let _stop = StopIfPanicking(turns);
                consume(receiver, turns)
            });
            (sender, consuming)
        };
        let (senders, consuming): (Vec<_>, Vec<_>) = (0..threads).map(start).unzip();
        deal(work, &senders);
        drop(senders);
        // Only one of them has an error: the others stop when their turn would come.
        let consumed = consuming.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        consumed.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Sends each image to the next thread, until all are sent or one thread has ended.
fn deal(work: Receiver<Work>, senders: &[Sender<Numbered>]) {
    let (mut images, mut threads) = (0.., senders.iter().cycle());
    let Some(mut sender) = threads.next() else { return };
    let mut number = 0;
    for work in work {
        match work {
            Work::Rows(_) => {}
            Work::Image(_) => (number, sender) = (images.next().unwrap_or_default(), threads.next().unwrap_or(sender)),
            // To the same thread, since the image may be the one that it has begun.
            Work::Broken(_) => number = images.next().unwrap_or_default(),
        }
        if sender.send((number, work)).is_err() {
            break;
        }
    }
}

/// Place and form of the files.
pub struct Destination<'a> {
    pub plan: &'a Plan,
    pub folder: &'a Path,
    /// The images that are predicted.
    pub pictures: &'a Pictures,
    /// Names of the classes, if a line of JSON is printed for each image.
    pub json: Option<&'a [String]>,
    /// Rules for components, if they are examined.
    pub cleaning: Option<&'a Cleaning>,
    /// Rows of large images that are kept.
    pub parts: &'a Parts,
}

/// An image whose files are being written.
struct Begun<'p> {
    number: u64,
    image: Image,
    outputs: Outputs<'p>,
    /// Keeps the rows until the image is complete, if it is large.
    part: Option<Part>,
    cleaned: Cleaned<'p>,
    /// Number of pixels of each class.
    areas: Vec<u64>,
}

impl<'a> Destination<'a> {
    /// Writes the images of one thread.
    fn write(&self, work: Receiver<Numbered>, turns: &Turns) -> Result<()> {
        let mut begun: Option<Begun> = None;
        for (number, work) in work {
            let done = match work {
                Work::Rows(rows) => match begun.take() {
                    Some(image) => match self.add(image, &rows) {
                        Ok(image) if !image.cleaned.is_complete() => {
                            begun = Some(image);
                            continue;
                        }
                        added => turns.take(number, || self.finish(added?))?,
                    },
                    None => continue,
                },
                Work::Image(image) => {
                    let incomplete = begun.take().map_or(Ok(ControlFlow::Continue(())), |it| skip(it, turns))?;
                    match self.begin(number, image) {
                        Ok(image) if !image.cleaned.is_complete() => {
                            begun = Some(image);
                            incomplete
                        }
                        // All its rows were predicted before, or it cannot begin.
                        image => turns.take(number, || self.finish(image?))?,
                    }
                }
                Work::Broken(passed) => {
                    let incomplete = begun.take().map_or(Ok(ControlFlow::Continue(())), |it| skip(it, turns))?;
                    let said = || self.json.map_or(Ok(()), |_| output::broken(&passed));
                    if incomplete.is_continue() { turns.take(number, said)? } else { incomplete }
                }
            };
            if done.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn begin(&self, number: u64, image: Image) -> Result<Begun<'a>> {
        let base = self.pictures.get(&image.name).map_or(image.name.as_ref(), |picture| &*picture.base);
        let base = self.folder.join(base);
        let outputs = Outputs::create(self.plan, &base, &image.file, image.size)?;
        let cleaned = Cleaned::new(self.cleaning, image.size);
        let part = self.parts.open(&image, &base)?;
        let mut begun = Begun { number, image, outputs, part: None, cleaned, areas: vec![0; 256] };
        if let Some(mut part) = part {
            part.replay(|rows| begun.add(rows))?;
            begun.part = Some(part);
        }
        Ok(begun)
    }

    fn add(&self, mut begun: Begun<'a>, rows: &Predicted) -> Result<Begun<'a>> {
        let rows = rows.read()?;
        if let Some(part) = &mut begun.part {
            part.add(&rows);
        }
        begun.add(&rows)?;
        Ok(begun)
    }

    fn finish(&self, Begun { image, outputs, part, areas, .. }: Begun) -> Result<()> {
        outputs.finish()?;
        if let Some(part) = part {
            part.remove();
        }
        self.json.map_or(Ok(()), |classes| output::print(&told(&image, classes, &areas).to_string()))
    }
}

impl Begun<'_> {
    /// Adds the next rows to the outputs.
    fn add(&mut self, rows: &Rows) -> Result<()> {
        let Self { image, outputs, cleaned, areas, .. } = self;
        outputs.add_probabilities(rows)?;
        cleaned.add(&rows.ids, &image.name, |ids| {
            ids.iter().for_each(|id| areas[usize::from(*id)] += 1);
            outputs.add_ids(ids)
        })
    }
}

/// Takes the turn of an image that cannot be read to its end.
fn skip(image: Begun, turns: &Turns) -> Result<ControlFlow<()>> {
    if let Some(part) = image.part {
        part.remove();
    }
    turns.take(image.number, || Ok(()))
}

/// Returns an image with the areas of its classes as JSON.
fn told(image: &Image, classes: &[String], areas: &[u64]) -> Value {
    let [height, width] = image.size;
    let share = |pixels: u64| pixels as f64 / (f64::from(height) * f64::from(width));
    let class = |((id, name), pixels): ((usize, &String), &u64)| json!({ "id": id, "name": name, "pixels": pixels, "share": share(*pixels) });
    let classes: Vec<Value> = classes.iter().enumerate().zip(areas).map(class).collect();
    json!({ "name": image.name, "file": image.file.display().to_string(), "height": height, "width": width, "classes": classes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::files::Replace;
    use data::{Color, Orientation};
    use std::fs;
    use std::sync::mpsc::sync_channel;
    use tch::{Device, Tensor};
    use torch_ext::Downloads;

    const SIZE: [u32; 2] = [6, 5];

    fn plan() -> Plan {
        let colors = vec![Color([0, 0, 0]), Color([9, 9, 9])];
        Plan {
            also: Vec::new(),
            names: Vec::new(),
            colors,
            orientation: Orientation::Ignore,
            layout: 3.into(),
            replace: Replace::Ours,
        }
    }

    /// Returns the rows of an image whose pixels all have class 1, in two messages.
    fn rows(name: &str) -> Vec<Work> {
        let image = Image { name: name.into(), file: "none".into(), size: SIZE };
        let probabilities = Tensor::from_slice(&[0f32, 1.0]).view([2, 1, 1]).expand([2, 3, 5], false);
        let mut downloads = Downloads::new(Device::Cpu).unwrap();
        let mut part = || Work::Rows(Predicted::of(&probabilities, None, false, &mut downloads).unwrap());
        vec![Work::Image(image), part(), part()]
    }

    fn broken(name: &str) -> Work {
        Work::Broken(Passed { name: name.into(), reason: "torn".into() })
    }

    fn written(folder: &Path, work: Vec<Work>) -> Result<()> {
        let (plan, pictures) = (plan(), Pictures::new());
        let predict = |writer: &MapWriter| work.into_iter().try_for_each(|work| writer.send(work));
        let parts = Parts::default();
        let to = Destination { plan: &plan, folder, pictures: &pictures, json: None, cleaning: None, parts: &parts };
        beside(|work| write(work, &to), predict).map(drop)
    }

    #[test]
    fn complete_images_are_published_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
        let mut work = vec![broken("first")];
        for (number, name) in names.iter().enumerate() {
            work.extend(rows(name));
            if number % 3 == 0 {
                work.push(broken("between"));
            }
            if number % 4 == 0 {
                // Its last rows never come.
                work.extend(rows("torn").into_iter().take(2));
                work.push(broken("torn"));
            }
        }
        written(folder.path(), work).unwrap();
        let mut found: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, names.iter().map(|name| format!("{name}.png").into()).collect::<Vec<std::ffi::OsString>>());
        let map = image::open(folder.path().join("07.png")).unwrap().into_bytes();
        assert_eq!(map, [1; 30]);
    }

    #[test]
    fn nothing_is_published_after_an_image_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        // Somebody else's file.
        fs::write(folder.path().join("03.png"), "mine").unwrap();
        let names: Vec<String> = (0..12).map(|number| format!("{number:02}")).collect();
        let error = written(folder.path(), names.iter().flat_map(|name| rows(name)).collect()).unwrap_err();
        assert!(format!("{error:#}").contains("03.png"), "{error:#}");
        let is_there = |name: &&String| folder.path().join(format!("{name}.png")).exists();
        assert_eq!(names.iter().filter(is_there).collect::<Vec<_>>(), ["00", "01", "02", "03"]);
        assert_eq!(fs::read(folder.path().join("03.png")).unwrap(), b"mine");
    }

    #[test]
    fn a_panic_ends_all_threads() {
        let (sender, receiver) = sync_channel(100);
        (0..9).flat_map(|number| rows(&number.to_string())).for_each(|work| sender.send(work).unwrap());
        drop(sender);
        let consume = |work: Receiver<Numbered>, turns: &Turns| {
            for (number, _) in work {
                assert!(number != 1, "planted");
                if turns.take(number, || Ok(()))?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shared(receiver, 3, &consume)));
        assert!(panic.is_err());
    }
}
