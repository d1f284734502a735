//! Every way by which a source can name something is seen: each test here is a small crate with one of them.

use super::circles::{circles, edges};
use super::imports::{leaks, named};
use super::modules::Crate;
use std::path::Path;

/// Reads a crate of the files `(path, text)`; the first is its root.
fn read(files: &[(&str, &str)]) -> Crate {
    let text = |path: &Path| files.iter().find(|(name, _)| path == Path::new(name)).map(|(_, text)| (*text).to_owned());
    Crate::read(Path::new(files[0].0), &text)
}

/// Returns the edges of a crate of files beside each other as `from to`.
fn pairs(files: &[(&str, &str)]) -> Vec<String> {
    let krate = read(files);
    let name = |file: usize| krate.files[file].with_extension("").display().to_string();
    edges(&krate).keys().map(|(from, to)| format!("{} {}", name(*from), name(*to))).collect()
}

#[test]
fn each_way_to_input_and_output_is_seen() {
    for (source, path) in [
        ("use std::fs;", "std::fs"),
        ("use std::{fmt, fs};", "std::fs"),
        ("use std::{fmt, io::{self, Read}};", "std::io"),
        ("use std::{fmt, {io::Read}};", "std::io::Read"),
        ("pub use std::net::TcpStream as Stream;", "std::net::TcpStream"),
        ("use ::std::process::Command;", "std::process::Command"),
        ("use std as s; fn f() { s::fs::read(\"\"); }", "std::fs::read"),
        ("use std::{self as s}; fn f() { s::env::args(); }", "std::env::args"),
        ("extern crate std as s; fn f() { s::env::args(); }", "std::env::args"),
        ("use std::fs as f; fn g() { f::read(\"\"); }", "std::fs::read"),
        ("use std::fs::*;", "std::fs::*"),
        ("use std::*; fn f() { fs::read(\"\"); }", "std::*"),
        ("fn f() { std::fs::read(\"\"); }", "std::fs::read"),
        ("fn f() { ::std::env::var(\"\"); }", "std::env::var"),
        ("fn f() { use std::fs::read; read(\"\"); }", "std::fs::read"),
        ("fn f() { let g = || { use std::{fs as files}; files::read(\"\") }; }", "std::fs::read"),
        ("fn f(file: &std::fs::File) {}", "std::fs::File"),
        ("struct S(Vec<Option<std::fs::File>>);", "std::fs::File"),
        ("struct S<T: std::io::Read>(T);", "std::io::Read"),
        ("impl std::io::Write for S {}", "std::io::Write"),
        ("fn f(e: E) { match e { E::A(std::io::ErrorKind::Other) => {} } }", "std::io::ErrorKind::Other"),
        ("fn f() { <std::fs::File>::open(\"\"); }", "std::fs::File"),
        ("fn f() { <u8 as std::io::Read>::read(); }", "std::io::Read::read"),
        ("fn f() { let a = [0; std::env::consts::ARCH.len()]; }", "std::env::consts::ARCH"),
        ("fn f() { println!(\"\"); }", "println"),
        ("fn f() { std::eprintln!(\"\"); }", "std::eprintln"),
        ("use std::println as say;", "std::println"),
        ("fn f() { dbg!(1); }", "dbg"),
        ("fn f() { vec![print!(\"\")]; }", "print"),
        ("fn f() { assert!(std::fs::exists(\"\").unwrap(), \"{}\", 1); }", "std::fs::exists"),
        ("fn f() { format!(\"{}\", ::std::env::args().len()); }", "std::env::args"),
        ("fn f() { ours!(x => Vec::<std::fs::File>::new()); }", "std::fs::File"),
        ("macro_rules! m { () => { std::fs::read(\"\") }; }", "std::fs::read"),
        ("macro_rules! m { () => { use std::{fmt, fs::*}; }; }", "std::fs::*"),
        ("#[derive(Error)] #[error(\"{}\", std::env::consts::OS)] struct S;", "std::env::consts::OS"),
        ("#[serde(default = \"std::env::temp_dir\")] struct S;", "std::env::temp_dir"),
        ("fn f(path: &Path) { path.exists(); }", ".exists"),
        ("fn f(path: &Path) { assert!(path.is_file()); }", ".is_file"),
        ("mod inner { pub use std as s; } fn f() { inner::s::fs::read(\"\"); }", "std::fs::read"),
        ("mod inner { pub use std as s; } use inner::*; fn f() { s::fs::read(\"\"); }", "std::fs::read"),
        ("mod std {} use ::std::fs;", "std::fs"),
        ("mod std {} fn f() { vec![::std::fs::read(\"\")]; }", "std::fs::read"),
        ("#[cfg(not(test))] use std::fs;", "std::fs"),
        ("#[cfg(any(test, unix))] use std::fs;", "std::fs"),
        ("#[cfg(test)] mod tests { use std::io; } use std::fs;", "std::fs"),
    ] {
        let leaks = leaks(&read(&[("lib.rs", source)]));
        assert!(leaks.contains(&format!("lib.rs: {path}")), "{source}: {leaks:?}");
    }
}

#[test]
fn what_is_no_input_or_output_is_none() {
    for source in [
        "use std::fmt; // std::fs",
        "/// Reads with [`std::fs::read`].\nfn f() { let text = \"std::fs::read\"; }",
        "mod fs { pub fn read() {} } fn f() { fs::read(); }",
        "mod std { pub mod fs { pub fn read() {} } } fn f() { crate::std::fs::read(); }",
        "fn f(exists: bool, print: u8) { vec![exists, print != 1]; }",
        "macro_rules! println { () => {} } mod inner { fn f() { println!(); } }",
        "#[cfg(test)] use std::fs;",
        "#[cfg(all(test, unix))] mod tests { use std::fs; }",
        "#[test] fn f() { println!(\"\"); }",
        "struct S; impl S { #[cfg(test)] fn f() { println!(\"\"); } }",
        "fn f() { #[cfg(test)] let x = std::fs::read(\"\"); }",
        "fn f() { #[cfg(test)] println!(\"\"); }",
        "#![cfg(test)] use std::fs;",
    ] {
        assert_eq!(leaks(&read(&[("lib.rs", source)])), [""; 0], "{source}");
    }
}

#[test]
fn modules_are_read_from_their_files() {
    let files = [
        ("src/lib.rs", "mod a; mod b; mod inner { mod c; } #[path = \"../other/d.rs\"] mod d; #[cfg(test)] mod tests;"),
        ("src/a.rs", "mod e;"),
        ("src/a/e.rs", "use std::env;"),
        ("src/b/mod.rs", "mod f;"),
        ("src/b/f.rs", "use std::fs;"),
        ("src/inner/c.rs", "use std::io;"),
        ("src/../other/d.rs", "use std::net;"),
    ];
    let mut leaks = leaks(&read(&files));
    leaks.sort();
    let expected =
        ["src/../other/d.rs: std::net", "src/a/e.rs: std::env", "src/b/f.rs: std::fs", "src/inner/c.rs: std::io"];
    assert_eq!(leaks, expected);
}

#[test]
fn crates_are_named_by_imports_and_by_paths_alone() {
    for source in [
        "use data::Sample;",
        "use {data::Sample, std::fmt};",
        "use data as d;",
        "extern crate data;",
        "fn f() -> ::data::Sample { todo!() }",
        "fn f() { data::open(); }",
        "fn f() { data::log!(); }",
        "fn f() { assert!(data::open()); }",
        "mod data {} mod inner { use ::data::Sample; }",
    ] {
        assert!(named(&read(&[("lib.rs", source)])).contains("data"), "{source}");
    }
    for source in [
        "fn f(data: u8) { g(data); vec![data]; data.len(); }",
        "fn f(x: u8) { matches!(x, data if data > 1); }",
        "macro_rules! m { ($data:ident) => { $data::open() }; }",
        "fn f() { vec![<Sample as Load>::data::open()]; }",
        "mod data { pub struct Sample; } use data::Sample;",
        "mod data; use crate::data::Sample;",
        "#[cfg(test)] mod tests { use data::Sample; }",
    ] {
        let files = [("lib.rs", source), ("data.rs", "pub struct Sample;")];
        assert!(!named(&read(&files)).contains("data"), "{source}");
    }
}

#[test]
fn an_edge_leads_to_the_file_that_defines_the_item() {
    let b = "pub struct Thing; pub enum Kind { One } pub fn make() {} pub mod part { pub const SIZE: u8 = 1; }";
    for a in [
        "use crate::b::Thing;",
        "use crate::Thing;",
        "use crate::Other;",
        "use super::b::{self, Kind};",
        "use super::b; fn f() { b::make(); }",
        "use crate::b as c; fn f() { c::part::SIZE; }",
        "fn f() { crate::b::make(); }",
        "fn f() -> super::Thing { todo!() }",
        "fn f() { use super::b; if let b::Kind::One = x {} }",
        "fn f() { assert_eq!(crate::b::part::SIZE, 1); }",
        "use super::*; fn f() -> Thing { todo!() }",
        "use crate::b::Kind::*;",
        "use crate::b::*;",
        "use crate::b::made_by_a_macro;",
        "mod inner { use super::super::b::Thing; }",
        "impl crate::Thing { }",
        "pub use crate::Thing; fn f(thing: &Thing) {}",
    ] {
        let files = [("lib.rs", "mod a; mod b; pub use b::{Thing, Thing as Other};"), ("a.rs", a), ("b.rs", b)];
        // A glob of the root counts for the root's file too.
        let expected = if a.contains("super::*") { vec!["a lib", "a b"] } else { vec!["a b"] };
        assert_eq!(pairs(&files), expected, "{a}");
    }
}

#[test]
fn what_uses_nothing_makes_no_edge() {
    for a in [
        "use crate::b;",
        "pub use crate::b::Thing;",
        "pub(crate) use crate::b::Thing;",
        "pub use crate::b::make; fn f(make: u8) { g(make); vec![make]; }",
        "pub use crate::b::make; fn f() { fn make() {} make(); }",
        "pub(in crate::b) struct Other;",
        "mod b { pub fn make() {} } fn f() { b::make(); self::b::make(); }",
        "#[cfg(test)] mod tests { use crate::b::Thing; }",
        "/// [`crate::b::Thing`]\nstruct Other;",
    ] {
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "pub struct Thing; pub fn make() {}")];
        assert_eq!(pairs(&files), [""; 0], "{a}");
    }
}

#[test]
fn before_colons_a_name_is_the_module() {
    let files = [
        ("lib.rs", "mod a; mod b; mod train; pub use b::train;"),
        ("a.rs", "fn f() { crate::train::step(); }"),
        ("b.rs", "pub fn train() {}"),
        ("train.rs", "pub fn step() {}"),
    ];
    assert_eq!(pairs(&files), ["a train"]);
    let other = [files[0], ("a.rs", "fn f() { crate::train(); }"), files[2], files[3]];
    assert_eq!(pairs(&other), ["a b"]);
}

#[test]
fn imports_that_refer_to_each_other_end() {
    let files = [
        ("lib.rs", "mod train; mod a; pub use train::train; pub use a::*; use lost::lost;"),
        ("train.rs", "pub fn train() {} pub use crate::a::*;"),
        ("a.rs", "pub use crate::train::*; fn f() { crate::train(); crate::train::train(); missing(); lost::x(); }"),
    ];
    assert_eq!(pairs(&files), ["a train"]);
}

#[test]
fn circles_are_counted_with_all_their_files() {
    let root = ("lib.rs", "mod a; mod b; mod c; mod d; mod e; pub struct Root; fn f() { d::D; }");
    let [b, c] = [("b.rs", "use crate::c::C; pub struct B;"), ("c.rs", "pub struct C(crate::a::A);")];
    let [d, e] = [("d.rs", "pub struct D; use crate::Root;"), ("e.rs", "use crate::b::B; mod f; pub struct E;")];
    let f = ("e/f.rs", "use super::E;");
    let sizes = |a: &'static str| -> Vec<usize> {
        let krate = read(&[root, ("a.rs", a), b, c, d, e, f]);
        circles(&edges(&krate)).iter().map(|circle| circle.len()).collect()
    };
    assert_eq!(sizes("use crate::b::B; pub struct A;"), [3, 2]);
    assert_eq!(sizes("pub struct A;"), [2]);
    assert_eq!(sizes("use crate::e::E; pub struct A;"), [4, 2]);
}
