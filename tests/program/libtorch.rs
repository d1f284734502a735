//! `scripts/libtorch` and the configurations of cargo that it writes, as cargo understands them.

use super::support::{Place, Ran, root, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says which libtorch it was built for, and which flags of the compiler are in force.
const PROGRAM: &str = r#"
#![allow(unexpected_cfgs)]
fn main() {
    println!("{} {} {}", env!("LIBTORCH"), cfg!(theirs), cfg!(shadowed));
}
"#;

/// A package of nothing but [`PROGRAM`].
fn package(folder: &Path) {
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/main.rs"), PROGRAM).unwrap();
}

/// A command that nothing of this process's environment tells about libtorch or flags.
fn plain(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["LIBTORCH", "LIBTORCH_USE_PYTORCH", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command.env_remove("CARGO_TARGET_DIR").current_dir(folder);
    command
}

/// Builds the package in `folder`, and returns what it prints and whether it looks for libraries in `lib`.
fn built(folder: &Path, lib: &str) -> (String, bool) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let ran = Ran::new(plain(cargo, folder).args(["run", "--quiet", "--offline"]).output().unwrap()).ok();
    let program = fs::read(folder.join("target/debug/tiny")).unwrap();
    (ran.stdout.trim().into(), program.windows(lib.len()).any(|part| part == lib.as_bytes()))
}

/// Folder that `scripts/libtorch` takes for a libtorch.
fn libtorch(folder: PathBuf) -> String {
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::write(folder.join("lib/libtorch_cpu.so"), "").unwrap();
    fs::canonicalize(folder).unwrap().to_str().unwrap().into()
}

fn configure(project: &Path, libtorch: &str) -> Ran {
    let mut command = plain(root().join("scripts/libtorch"), project);
    Ran::new(command.args(["--for", "."]).env("LIBTORCH", libtorch).output().unwrap())
}

fn has_python() -> bool {
    let reads_toml = "import sys; sys.version_info >= (3, 11) or __import__('pip')";
    let has = Command::new("python3").args(["-c", reads_toml]).status().is_ok_and(|status| status.success());
    if !has {
        skip("scripts/libtorch --for without python3");
    }
    has
}

fn config(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join(".cargo/config.toml");
    fs::create_dir_all(folder.join(".cargo")).unwrap();
    fs::write(&file, text).unwrap();
    file
}

/// Returns true if all lines of `text` are in `of`, in order and as they were (an array may go on in the next line).
fn kept(text: &str, of: &str) -> bool {
    let mut rest = of;
    text.split_inclusive(['\n', '[']).all(|part| match rest.find(part.trim_end()) {
        Some(at) => {
            rest = &rest[at + part.trim_end().len()..];
            true
        }
        None => false,
    })
}

/// A case: the project's own configuration, that of the folder above, and what a built program says of the flags.
const CASES: [(&str, &str, &str); 8] = [
    ("", "", "false false"),
    ("# Ours.\n[env] # all of it\nOTHER = \"1\"\n\n[net]\nretry = 3", "", "false false"),
    ("[build]\njobs = 2 # two\nrustflags = [\"--cfg\", \"theirs\"] # flags\n[net]\nretry = 3\n", "", "true false"),
    ("[build]\r\nrustflags = [ # flags\r\n  \"--cfg\",\r\n  \"theirs\",\r\n]\r\n", "", "true false"),
    ("[build]\njobs = 2\n", "[build]\nrustflags = [\"--cfg\", \"theirs\"]\n", "true false"),
    ("[target.'cfg(unix)']\nrustflags = [\"--cfg\", \"theirs\"]\n", "", "true false"),
    ("[target.'cfg(all())']\nrustflags = \"--cfg theirs\"\n", "", "true false"),
    (
        "[target.\"cfg(all())\"]\nrustflags = [\"--cfg\", \"theirs\"]\n",
        "[build]\nrustflags = [\"--cfg\", \"shadowed\"]\n",
        "true false",
    ),
];

#[test]
fn a_project_is_told_where_libtorch_is_and_keeps_what_it_has() {
    if !has_python() {
        return;
    }
    for (own, above, flags) in CASES {
        let place = Place::new();
        let project = place.path("team/project");
        package(&project);
        let [first, second] = ["first", "second"].map(|name| libtorch(place.path(name)));
        let file = project.join(".cargo/config.toml");
        if !own.is_empty() {
            config(&project, own);
        }
        config(&place.path("team"), above);
        assert!(configure(&project, &first).ok().stderr.contains("libtorch: wrote "));
        let text = fs::read_to_string(&file).unwrap();
        assert!(kept(own, &text), "{own}\nbecame\n{text}");
        assert_eq!(built(&project, &format!("{first}/lib")), (format!("{first} {flags}"), true), "{text}");

        assert!(configure(&project, &first).ok().stderr.contains("is as it should be"));
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "a second run changes nothing");
        configure(&project, &second).ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), text.replace(&first, &second), "another libtorch replaces it");
        assert_eq!(fs::read_to_string(place.path("team/.cargo/config.toml")).unwrap(), above);
    }
}

#[test]
fn a_libtorch_of_the_projects_own_is_kept() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let (own, other) = (libtorch(place.path("own")), libtorch(place.path("other")));
    let string = format!("[env]\nLIBTORCH = \"{own}\"\n");
    let table = "[env]\nLIBTORCH = { value = \"own\", relative = true }\n".to_owned();
    for (name, in_project, text) in [("a", true, &string), ("b", false, &string), ("c", false, &table)] {
        let project = place.path(name);
        package(&project);
        let file = config(if in_project { &project } else { project.parent().unwrap() }, text);
        let ran = configure(&project, &other).ok();
        assert!(ran.stderr.contains(&format!("kept LIBTORCH of {}", file.display())), "{}", ran.stderr);
        assert!(ran.stderr.contains("the LIBTORCH of your environment goes before it"), "{}", ran.stderr);
        assert!(fs::read_to_string(&file).unwrap().starts_with(text.as_str()));
        assert_eq!(built(&project, &format!("{own}/lib")), (format!("{own} false false"), true));
    }
}

#[test]
fn a_configuration_that_cannot_be_joined_is_left_as_it_is() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let libtorch = libtorch(place.path("libtorch"));
    let string = "[build]\nrustflags = \"--cfg theirs\"\n";
    for (name, own, above, says) in [
        ("a", string, "", "Write it as an array, then run this again:\n  rustflags = [\"--cfg\", \"theirs\"]"),
        ("b", "[net]\n", string, "Write it as an array, then run this again:\n  rustflags = [\"--cfg\", \"theirs\"]"),
        ("c", "env = { OTHER = \"1\" }\n", "", "was left as it is. Add to it:\n  [env]\n  LIBTORCH = { value = "),
        ("d", "target.'cfg(unix)'.linker = \"cc\"\n", "", "was left as it is. Add to it:\n  [env]\n  LIBTORCH = "),
        ("e", "[build\n", "", "config.toml is not valid TOML"),
    ] {
        let project = place.path(name).join("project");
        package(&project);
        let file = config(&project, own);
        config(project.parent().unwrap(), above);
        let ran = configure(&project, &libtorch);
        assert!(ran.status != 0 && ran.stderr.contains(says), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(file).unwrap(), own);
    }
    let nowhere = plain(root().join("scripts/libtorch"), &place.path("a")).args(["--for", "nowhere"]).output();
    Ran::new(nowhere.unwrap()).refused(1, "nowhere");
}

#[test]
fn flags_in_the_environment_and_a_member_of_a_workspace_are_told() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let libtorch = libtorch(place.path("libtorch"));
    let project = place.path("member");
    package(&project);
    fs::write(place.path("Cargo.toml"), "[workspace]\nmembers = [\"member\"]\n").unwrap();
    fs::write(project.join("Cargo.toml"), "[package]\nname = \"member\"\n").unwrap();
    let mut command = plain(root().join("scripts/libtorch"), &project);
    command.args(["--for", "."]).env("LIBTORCH", &libtorch).env("RUSTFLAGS", "-Cdebuginfo=0");
    let said = Ran::new(command.output().unwrap()).ok().stderr;
    assert!(said.contains("warning: RUSTFLAGS is set here and replaces all rustflags of configurations"), "{said}");
    assert!(said.contains(&format!("add -Clink-arg=-Wl,-rpath,{libtorch}/lib to it")), "{said}");
    let above = fs::canonicalize(project.parent().unwrap()).unwrap();
    assert!(said.contains(&format!("for the whole workspace, give --for {}", above.display())), "{said}");
}

#[test]
fn this_repository_is_built_below_a_folder_with_a_libtorch_of_its_own() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let theirs = libtorch(place.path("theirs"));
    let clone = place.path("team/oxiseg");
    package(&clone);
    fs::create_dir(clone.join("scripts")).unwrap();
    for name in ["libtorch", "cargo_config.py"] {
        fs::copy(root().join("scripts").join(name), clone.join("scripts").join(name)).unwrap();
    }
    let run =
        || Ran::new(plain(clone.join("scripts/libtorch"), &clone).env("XDG_CACHE_HOME", &clone).output().unwrap());
    let cached = libtorch(clone.join("oxiseg/libtorch-2.11.0-cpu/torch"));
    assert!(run().ok().stderr.contains(&format!("using {cached}")));
    assert_eq!(built(&clone, "tiny").0, format!("{}/.libtorch false false", clone.display()));

    // A table in our file beside a string in theirs would be an error of cargo.
    config(&place.path("team"), &format!("[env]\nLIBTORCH = \"{theirs}\"\n"));
    assert!(run().ok().stderr.contains(&format!("using {theirs}")));
    assert_eq!(built(&clone, "tiny").0, format!("{theirs} false false"));
    assert!(fs::read_to_string(clone.join(".cargo/config.toml")).unwrap().contains("\napp = \"run --release"));
}
