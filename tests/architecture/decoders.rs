//! Decoding of protocol buffers. `protobuf` 2, which `tensorboard-proto` needs, only encodes: it is no longer
//! maintained, and what its decoder is given could come from anybody. Whoever reads such files takes `prost`.

use super::lexer::comments;
use super::{files, packages};
use cargo_metadata::Package;
use std::fs;

/// Packages whose messages bring the decoder.
const BRING_IT: [&str; 2] = ["protobuf", "tensorboard-proto"];

/// Beginnings of the names of its functions and types.
const NAMES: [&str; 4] = ["CodedInputStream", "merge_from", "parse_from", "parse_length_delimited"];

/// Returns the decoder's names in a source, with their lines; those in comments are none.
fn decoders(source: &str) -> Vec<(usize, &str)> {
    let comments = comments(source);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(source.lines()) {
        let comment = comments.iter().find(|comment| comment.line == number).map(|comment| comment.text);
        let code = comment.and_then(|text| line.find(text)).map_or(line, |at| &line[..at]);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        found.extend(words.filter(|word| NAMES.iter().any(|name| word.starts_with(name))).map(|word| (number, word)));
    }
    found
}

#[test]
fn no_source_calls_the_decoder_of_protobuf_2() {
    let has = |package: &&Package| package.dependencies.iter().any(|needed| BRING_IT.contains(&needed.name.as_str()));
    let packages: Vec<&Package> = packages().iter().filter(has).collect();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["summary"], "protobuf 2 is for writing TensorBoard's files alone");
    let folder = packages[0].manifest_path.parent().unwrap().as_std_path();
    let (mut seen, mut calls) = (0, Vec::new());
    for file in files(&["rs"]).into_iter().filter(|file| file.starts_with(folder)) {
        let text = fs::read_to_string(&file).unwrap();
        seen += usize::from(text.contains("protobuf::"));
        let lines = decoders(&text).into_iter().map(|(line, name)| format!("{}:{line}: {name}", file.display()));
        calls.extend(lines);
    }
    assert!(seen > 0, "no file of summary encodes with protobuf");
    assert!(calls.is_empty(), "decode with prost, which is maintained:\n{}", calls.join("\n"));
}

#[test]
fn every_way_to_the_decoder_is_seen() {
    for (source, names) in [
        ("let event = Event::parse_from_bytes(&bytes)?;", vec![(1, "parse_from_bytes")]),
        ("use protobuf::{\n    CodedInputStream, Message,\n};", vec![(2, "CodedInputStream")]),
        ("event.merge_from_bytes(&bytes)?; // merge_from", vec![(1, "merge_from_bytes")]),
        ("protobuf::parse_length_delimited_from_reader(file)", vec![(1, "parse_length_delimited_from_reader")]),
        ("// Event::parse_from_bytes\n/* CodedInputStream\n merge_from */", vec![]),
        ("event.write_to_bytes()?; numbers.parse::<u64>();", vec![]),
    ] {
        assert_eq!(decoders(source), names, "{source}");
    }
}
