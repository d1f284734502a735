//! Published weights by name: fetched from a mirror into the cache, which is what is tested where the public addresses
//! cannot be reached.

#[path = "../../crates/fetch/src/tests/server.rs"]
mod server;

use super::support::{Place, Ran};
use server::{Reply, Request, Server};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Name of the published file, which has the first digits of its SHA-256.
const FILE: &str = "resnet18-f37072fd.pth";

/// Last eight bytes of [`WEIGHTS`], in the bias of the classifier, which no encoder has. They were searched for, so
/// that the SHA-256 of the file begins with the published digits: 32 bits protect from accidents, not from people.
const NONCE: u64 = 6811891859;

/// Learns next to nothing, so a run saves the weights that it began with.
const STILL: &str = "--set train.epochs=1 --set optimizer.rule.kind=sgd --set optimizer.learning_rate=1e-30";

const RESNET: &str =
    "--set model.kind=resnet_unet --set model.layers=18 --set model.weights=imagenet --set data.size=[32,32]";

/// File with the names and shapes of torchvision's ResNet-18, as safetensors: a format that is written in a few
/// lines, and read whatever the file's name is.
static WEIGHTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let listing = super::support::root().join("tests/reference/published.json");
    let mut listing: serde_json::Value = serde_json::from_str(&fs::read_to_string(listing).unwrap()).unwrap();
    let shapes = listing["tensors"]["resnet18"].take();
    let mut shapes: Vec<(String, Vec<usize>)> =
        serde_json::from_value::<BTreeMap<_, _>>(shapes).unwrap().into_iter().collect();
    shapes.sort_by_key(|(name, _)| (name == "fc.bias", name.clone()));
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (number, (name, shape)) in shapes.iter().enumerate() {
        let (begin, count) = (data.len(), shape.iter().product::<usize>());
        for place in 0..count {
            let value = ((place * 31 + number * 17) % 97) as f32;
            let value = if shape.len() == 4 { (value - 48.0) / 4096.0 } else { value / 512.0 + 0.125 };
            data.extend(value.to_le_bytes());
        }
        let (shape, end) = (serde_json::to_string(shape).unwrap(), data.len());
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#));
    }
    let mut header = format!("{{{}}}", entries.join(","));
    // Blanks are allowed at its end. The last block of the hash has 32 bytes of the file.
    while (8 + header.len() + data.len()) % 64 != 32 {
        header.push(' ');
    }
    let end = data.len() - 8;
    data[end..].copy_from_slice(&NONCE.to_be_bytes());
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
});

fn answer(request: &Request) -> Reply {
    match request.path.strip_prefix("/mirror/") {
        Some(FILE) => Reply::of_file(request, &WEIGHTS, "\"v1\""),
        _ => Reply::new("404 Not Found", b""),
    }
}

/// Returns the program with `server` as the mirror, and a cache of its own.
fn command(place: &Place, server: &Server, arguments: &str) -> Command {
    let mut command = place.command(&format!("train --config tiny.json {RESNET} {arguments}"));
    command.env("XDG_CACHE_HOME", place.path("cache")).env("OXISEG_WEIGHTS_URL", server.url("/mirror/"));
    command.env("NO_PROXY", "127.0.0.1");
    command
}

fn train(place: &Place, server: &Server, arguments: &str) -> Ran {
    Ran::new(command(place, server, arguments).output().unwrap())
}

/// Returns the names in the cache.
fn cached(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("cache/oxiseg/weights")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn file_of_cache(extension: &str) -> String {
    format!("{FILE}{extension}")
}

#[test]
fn a_run_starts_from_published_weights_and_goes_on_without_them() {
    let (place, server) = (Place::new(), Server::new(answer));
    let ran = train(&place, &server, &format!("--run first {STILL}")).ok();
    for said in [
        &*format!("Fetching {}", server.url(&format!("/mirror/{FILE}"))),
        "45 MiB of torchvision; licence: BSD-3-Clause",
        "SHA-256 f37072fd",
        "Starting from ",
        "Normalising with mean [0.485, 0.456, 0.406]",
    ] {
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
    }
    assert_eq!(cached(&place), ["", ".lock", ".sha256"].map(file_of_cache));
    let published = weights::parse(FILE.as_ref(), &WEIGHTS).unwrap();
    let model = |run: &str| {
        let mut states = checkpoint::load(place.checkpoints(run).last().unwrap()).unwrap().states;
        states.remove("model").unwrap()
    };
    let learnt = model("first");
    let mut compared = 0;
    for (name, tensor) in published.iter().filter(|(name, _)| !name.starts_with("fc.") && !name.contains("running")) {
        // A weight of 0 shows even this learning rate.
        assert!(learnt[&format!("encoder.{name}")].allclose(tensor, 0.0, 1e-20, false), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 60, "20 convolutions, each with a BatchNorm");
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("first/config.json")).unwrap()).unwrap();
    assert_eq!(config["model"]["weights"], "imagenet");
    assert_eq!(config["data"]["normalize"]["std"], serde_json::json!([0.229, 0.224, 0.225]));

    // The cache is enough for another run, and none of it is needed to go on.
    train(&place, &server, &format!("--run second {STILL}")).ok();
    assert_eq!(server.requests().len(), 1);
    fs::remove_dir_all(place.path("cache")).unwrap();
    let longer = STILL.replace("epochs=1", "epochs=2");
    let ran = train(&place, &server, &format!("--run first {longer}")).ok();
    assert!(ran.stderr.contains("Continuing from") && !ran.stderr.contains("Starting from"), "{}", ran.stderr);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn another_normalisation_is_warned_of_once() {
    let (place, server) = (Place::new(), Server::new(answer));
    let halves = r#"--set data.normalize={"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}"#;
    let ran = train(&place, &server, &format!("--run run {halves} {STILL}")).ok();
    let warned = "data.normalize: the weights 'imagenet' of resnet18 were trained with mean [0.485";
    assert_eq!(ran.stderr.matches(warned).count(), 1, "{}", ran.stderr);
}

#[test]
fn a_killed_download_is_gone_on_with() {
    static GOES_ON: AtomicBool = AtomicBool::new(false);
    let (place, part) = (Place::new(), 20_000_000);
    let server = Server::new(move |request| match (answer(request), request.number) {
        (reply, 0) => reply.cut(part),
        (reply, _) if !GOES_ON.load(Ordering::Relaxed) => reply.cut(0),
        (reply, _) => reply,
    });
    let mut first = command(&place, &server, &format!("--run run {STILL}")).spawn().unwrap();
    let partial = place.path("cache/oxiseg/weights").join(file_of_cache(".partial"));
    while fs::metadata(&partial).map_or(0, |about| about.len()) < part as u64 {
        assert!(first.try_wait().unwrap().is_none(), "it ended");
        thread::sleep(Duration::from_millis(20));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    GOES_ON.store(true, Ordering::Relaxed);
    train(&place, &server, &format!("--run run {STILL}")).ok();
    assert_eq!(server.requests().last().unwrap().from(), Some(part));
    assert_eq!(cached(&place), ["", ".lock", ".sha256"].map(file_of_cache));
}

#[test]
fn processes_and_ranks_fetch_once() {
    let (place, server) = (Place::new(), Server::new(answer));
    let runs = ["a", "b"].map(|run| command(&place, &server, &format!("--run {run} {STILL}")).spawn().unwrap());
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(server.requests().len(), 1);

    let (place, server) = (Place::new(), Server::new(answer));
    let ran = train(&place, &server, &format!("--run run --nproc 2 {STILL}")).ok();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(ran.stderr.matches("Fetching ").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_file_that_cannot_be_had_ends_the_run_before_it_begins() {
    let place = Place::new();
    let none = Server::new(|_| Reply::new("404 Not Found", b""));
    let ran = train(&place, &none, "--run run").refused(1, "the server answers 404");
    let file = place.path("cache/oxiseg/weights").join(FILE);
    for said in [&*format!("put the file at {}", file.display()), "set model.weights.path", "OXISEG_WEIGHTS_URL"] {
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
    }
    let wrong = Server::new(|request| {
        let mut reply = answer(request);
        reply.body[30_000_000] ^= 1;
        reply
    });
    train(&place, &wrong, "--run run").refused(1, "that of the published file begins with f37072fd");
    assert_eq!(cached(&place), [file_of_cache(".lock")]);
    let mut trusting = command(&place, &none, "--run run");
    let trusting = trusting.env("SSL_CERT_FILE", place.path("tiny.json")).output().unwrap();
    Ran::new(trusting).refused(1, "it holds no certificate in the PEM format");
    let ranks = train(&place, &none, "--run run --nproc 2");
    assert_ne!(ranks.status, 0);
    assert!(ranks.stderr.contains("the server answers 404"), "{}", ranks.stderr);
    // A file that somebody put there, and nobody to ask.
    fs::write(&file, &*WEIGHTS).unwrap();
    train(&place, &none, &format!("--run run {STILL}")).ok();
    fs::write(&file, b"short").unwrap();
    train(&place, &none, "--run other").refused(1, "Remove it to have it fetched again");
    assert!(!place.path("other").exists());
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_part() {
    let (place, server) = (Place::new(), Server::new(answer));
    let train = command(&place, &server, "--run run");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 20000; exec \"$@\"", "sh"]).arg(train.get_program()).args(train.get_args());
    limited.envs(train.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::new(limited.current_dir(place.path("")).output().unwrap());
    let ran = ran.refused(1, ".pth.partial: File too large");
    assert!(ran.stderr.contains("cannot write "), "{}", ran.stderr);
    assert_eq!(cached(&place), [file_of_cache(".lock")]);
    assert!(!place.path("run").exists());
}

#[test]
fn weights_that_are_not_published_are_a_wrong_configuration() {
    let place = Place::new();
    let refused = |settings: &str, says: &str| {
        place.train(&format!("--run run {settings}")).refused(2, says);
    };
    refused("--set model.weights=imagenet", "model.weights: 'imagenet' is for networks with an encoder");
    let resnet = "--set model.kind=resnet_unet --set model.layers=18 --set model.weights=";
    refused(&format!("{resnet}imagenet_v2"), "'imagenet_v2' is not published for resnet18, but 'imagenet'");
    refused(&format!("{resnet}coco"), "model.weights: expected a name (imagenet, imagenet_v2,");
    refused(&format!("{resnet}5"), "model.weights: expected a name (imagenet, imagenet_v2,");
    let mobile = "--set model.kind=mobilenet_v2_unet --set model.width_multiplier=0.5 --set model.weights=imagenet";
    refused(mobile, "'imagenet' is published for width_multiplier 1 alone");
    let mut command = place.command(&format!("train --config tiny.json {RESNET}"));
    command.env("OXISEG_WEIGHTS_URL", "ftp://mirror").env("XDG_CACHE_HOME", place.path("cache"));
    Ran::new(command.output().unwrap()).refused(1, "OXISEG_WEIGHTS_URL must be an address that begins with https://");
    assert!(!place.path("run").exists() && !place.path("cache").exists());
}
