//! Published weights on this machine: fetched into the cache, once.

use anyhow::{Context, Result, ensure};
use fetch::{Event, Fetched, Limits, Wanted};
use model::Published;
use std::env;
use std::path::PathBuf;
use terminal::{Step, Watch};

/// Variable with the address of a folder that has all published files, for machines without access to their own.
const MIRROR: &str = "OXISEG_WEIGHTS_URL";

/// Bytes of a MiB, in which progress is counted.
const MIB: u64 = 1 << 20;

/// Returns the file of published weights in the cache: fetches it unless it is there, and verifies it. With `show`,
/// the terminal shows the progress.
///
/// # Errors
///
/// Fails if the file cannot be had or is another one than it should be. The error says how to go on without network.
pub fn cached(published: &Published, show: bool) -> Result<PathBuf> {
    let (to, url) = (folder()?.join(published.file), address(published)?);
    // Published sizes are rounded, and those of some files are computed.
    let most = (published.mib * 2.0) as u64 * MIB + MIB;
    let wanted = Wanted { url: &url, to: &to, sha256: published.sha256(), most };
    let mut shown = Shown { published, url: &url, watch: None, counted: 0, show };
    let fetched = fetch::fetch(&wanted, &Limits::default(), &mut |event| shown.event(event));
    shown.watch = None;
    let Fetched { sha256, bytes, fresh } = fetched.with_context(|| {
        let Published { encoder, name, .. } = published;
        format!(
            "the weights '{name}' of {encoder} (without network: put the file at {}, or at an address that {MIRROR} \
             names the folder of, or set model.weights.path)",
            to.display()
        )
    })?;
    if fresh && show {
        log::info!("Fetched {} ({bytes} bytes, SHA-256 {sha256})", to.display());
    }
    Ok(to)
}

/// Returns the folder of fetched weights.
fn folder() -> Result<PathBuf> {
    // A relative path in these variables is invalid by the XDG specification.
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let cache =
        cache.context("model.weights: neither XDG_CACHE_HOME nor HOME names a folder to fetch the file into")?;
    Ok(cache.join("oxiseg/weights"))
}

/// Returns the address of the file: that of its publisher, or the one at the mirror.
fn address(published: &Published) -> Result<String> {
    match env::var(MIRROR).ok().filter(|mirror| !mirror.trim().is_empty()) {
        Some(mirror) => {
            let mirror = mirror.trim().trim_end_matches('/');
            let is_http = mirror.starts_with("http://") || mirror.starts_with("https://");
            ensure!(is_http, "{MIRROR} must be an address that begins with https:// or http://, is '{mirror}'");
            Ok(format!("{mirror}/{}", published.file))
        }
        None => published.url().context("a file that is given on request only"),
    }
}

/// Progress in the terminal and the log.
struct Shown<'p> {
    published: &'p Published,
    url: &'p str,
    watch: Option<Watch>,
    /// Whole MiB that the bar has.
    counted: u64,
    show: bool,
}

impl Shown<'_> {
    fn event(&mut self, event: Event) {
        if !self.show {
            return;
        }
        let file = self.published.file;
        match event {
            Event::Waiting => log::info!("Waiting for another process that fetches {file}"),
            Event::Began { from, total } => {
                let Published { licence, source, mib, .. } = self.published;
                log::info!("Fetching {} ({mib:.0} MiB of {source}; licence: {licence})", self.url);
                self.counted = from / MIB;
                let total = total.map_or(mib.ceil() as u64, |total| total.div_ceil(MIB));
                self.watch = Some(Watch::new(file, self.counted, total).counting("MiB"));
            }
            Event::Received { bytes } => {
                let more = (bytes / MIB).saturating_sub(self.counted);
                if let Some(watch) = self.watch.as_mut().filter(|_| more > 0) {
                    watch.step(&Step { samples: usize::try_from(more).unwrap_or_default(), ..Step::default() });
                    self.counted += more;
                }
            }
            Event::Failed { said, pause } => {
                self.watch = None;
                log::warn!("{file}: {said}; another attempt in {:.0} s", pause.as_secs_f64());
            }
        }
    }
}
