//! Fetches from a server that cuts, lies and stalls.

#[path = "tests/server.rs"]
mod server;

#[path = "tests/changes.rs"]
mod changes;
#[path = "tests/refusals.rs"]
mod refusals;
#[path = "tests/resuming.rs"]
mod resuming;

use crate::{Error, Event, Fetched, Limits, Wanted, fetch};
use server::{Reply, Request, Server};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// SHA-256 of [`file`], by `python3 -c "import hashlib; print(hashlib.sha256(bytes(i * i // 251 % 256
/// for i in range(300_000))).hexdigest())"`.
const HASH: &str = "1453fcdb892ebdf5763faf635c037e23a4c85e83bc3853713df0c8e21d427c63";

const TAG: &str = "\"v1\"";

/// Returns the file that is served.
fn file() -> Vec<u8> {
    (0..300_000_u64).map(|i| (i * i / 251 % 256) as u8).collect()
}

/// Limits that let no test wait.
fn limits() -> Limits {
    Limits {
        answer: Duration::from_secs(20),
        body: Duration::from_secs(20),
        least: 1000,
        tries: 3,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        redirects: 3,
    }
}

/// Folder that a file is fetched into.
struct Place {
    folder: TempDir,
    limits: Limits,
    sha256: String,
    most: u64,
    events: Vec<Event>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, limits: limits(), sha256: HASH[..8].into(), most: 1 << 20, events: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("cache").join(name)
    }

    fn fetch(&mut self, url: &str) -> Result<Fetched, Error> {
        let to = self.path("a.pth");
        let wanted = Wanted { url, to: &to, sha256: &self.sha256, most: self.most };
        self.events.clear();
        fetch(&wanted, &self.limits, &mut |event| self.events.push(event))
    }

    /// Fetches, and asserts that all of it arrives.
    fn arrives(&mut self, url: &str) -> Fetched {
        let fetched = self.fetch(url).unwrap();
        assert_eq!((fetched.sha256.as_str(), fetched.bytes), (HASH, 300_000));
        assert!(fs::read(self.path("a.pth")).unwrap() == file());
        assert_eq!(self.names(), ["a.pth", "a.pth.lock", "a.pth.sha256"]);
        fetched
    }

    /// Fetches, and asserts that it fails and leaves no file.
    fn fails(&mut self, url: &str) -> Error {
        let error = self.fetch(url).unwrap_err();
        assert!(!self.path("a.pth").exists(), "{error}");
        error
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Starts a server of the file that can resume; `change` makes of its answers what a test needs.
fn serving(change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    Server::new(move |request| change(request, Reply::of_file(request, &file(), TAG)))
}

#[test]
fn a_file_is_fetched_once_and_pinned() {
    let server = serving(|_, reply| reply);
    let mut place = Place::new();
    assert!(place.arrives(&server.url("/a.pth")).fresh);
    assert_eq!(place.events[0], Event::Began { from: 0, total: Some(300_000) });
    assert_eq!(place.events.last(), Some(&Event::Received { bytes: 300_000 }));
    assert_eq!(fs::read_to_string(place.path("a.pth.sha256")).unwrap(), format!("{HASH}  a.pth\n"));
    let request = &server.requests()[0];
    assert_eq!((request.header("accept-encoding"), request.header("range")), (Some("identity"), None));
    assert!(!place.arrives(&server.url("/a.pth")).fresh);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_file_that_somebody_put_there_needs_no_network() {
    let mut place = Place::new();
    fs::create_dir(place.path("")).unwrap();
    fs::write(place.path("a.pth"), file()).unwrap();
    // Nobody listens there.
    let fetched = place.fetch("http://127.0.0.1:9/a.pth").unwrap();
    assert_eq!((fetched.fresh, fetched.sha256.as_str()), (false, HASH));
    assert_eq!(place.names(), ["a.pth", "a.pth.sha256"]);
}

#[test]
fn redirects_are_followed() {
    let server = Server::new(|request| match request.path.as_str() {
        "/a.pth" => Reply::new("302 Found", b"").with("Location: /b/c.pth"),
        "/b/c.pth" => Reply::new("307 Temporary Redirect", b"gone").with("Location: d.pth?token=1"),
        "/b/d.pth?token=1" => {
            Reply::of_file(request, &file(), TAG).cut(if request.from().is_none() { 70_000 } else { 230_000 })
        }
        other => Reply::new("404 Not Found", other.as_bytes()),
    });
    let mut place = Place::new();
    place.arrives(&server.url("/a.pth"));
    // The one that resumes asks the first address again.
    let requests = server.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/a.pth", "/b/c.pth", "/b/d.pth?token=1"].repeat(2));
    assert_eq!(requests[5].from(), Some(70_000));
}
