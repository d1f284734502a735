//! Seeds of the fuzzer: small valid files of every kind, and invalid ones of every kind that somebody thought of.
//! `tests/corpus.rs` writes them to `corpus/` and checks which of them load.

use super::check::{MODEL, PREFIX, framed, manifest_of, sealed};

/// A file of the corpus.
pub struct Seed {
    pub name: String,
    pub bytes: Vec<u8>,
    /// True if it loads unchanged.
    pub whole: bool,
}

fn seed(name: impl Into<String>, bytes: impl Into<Vec<u8>>, whole: bool) -> Seed {
    Seed { name: name.into(), bytes: bytes.into(), whole }
}

/// Returns the seeds of the target `manifest`.
pub fn manifests() -> Vec<Seed> {
    let good = manifest_of(&[("model", MODEL)]);
    let changed = |name: &str, from: &str, to: &str, whole| {
        assert!(good.contains(from), "{from}");
        seed(name, sealed(good.replacen(from, to, 1).as_bytes()), whole)
    };
    let nested =
        |open: &str, close: &str, depth: usize| format!("\"about\": {}1{}", open.repeat(depth), close.repeat(depth));
    let scores = (0..20).map(|i| format!("\"score {i}\": 1e-{i}")).collect::<Vec<_>>().join(",");
    vec![
        seed("good", sealed(good.as_bytes()), true),
        seed("unsealed", good.as_bytes(), false),
        seed("empty", "", false),
        seed("prefix", PREFIX, false),
        seed("no_files", sealed(manifest_of(&[]).as_bytes()), true),
        seed("missing_file", sealed(manifest_of(&[("other", MODEL)]).as_bytes()), false),
        seed("cut", &sealed(&good.as_bytes()[..good.len() - 20])[..], false),
        changed("other_format", "\"format\": 1", "\"format\": 2", false),
        changed("format_is_text", "\"format\": 1", "\"format\": \"1\"", false),
        changed("large_numbers", "\"step\": 7", "\"step\": 18446744073709551615", true),
        changed("too_large_numbers", "\"step\": 7", "\"step\": 18446744073709551616", false),
        changed("negative", "\"batch\": 2", "\"batch\": -2", false),
        changed("many_bytes", &format!("\"bytes\": {}", MODEL.len()), "\"bytes\": 18446744073709551615", false),
        changed("twice", "\"created\": 1", "\"created\": 1, \"created\": 2", false),
        changed("unknown_key", "\"created\": 1", "\"created\": 1, \"unknown\": 2", true),
        changed("path", "model.safetensors", "../any/model.safetensors", false),
        changed("absolute", "model.safetensors", "/etc/hostname.safetensors", false),
        changed("itself", "model.safetensors", "manifest.json", false),
        changed("long_name", "model.safetensors", &format!("{}.safetensors", "m".repeat(65)), false),
        changed("many_scores", "\"mean_iou\": 0.5", &scores, true),
        changed("large_score", "0.5", "1e308", true),
        changed("endless_score", "0.5", "1e309", false),
        changed("deep", "\"about\": null", &nested("[", "]", 100), true),
        changed("deeper", "\"about\": null", &nested("{\"a\":", "}", 200), false),
        changed(
            "kinds",
            "\"about\": null",
            r#""about": [true, -1, 0.1, 1e-320, "\u00e9\n\ud83d\ude00", {"": {}}]"#,
            true,
        ),
        changed("half_a_character", "\"about\": null", r#""about": "\ud83d""#, false),
        changed("not_text", "\"about\": null", "\"about\": \"\u{fffd}\"", true),
    ]
}

/// Returns the seeds of the target `tensors`.
pub fn tensors() -> Vec<Seed> {
    let one = |dtype: &str, shape: &str, bytes: usize| {
        format!("{{\"t\":{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[0,{bytes}]}}}}")
    };
    let file = |name: &str, header: &str, values: &[u8], whole| {
        seed(name, framed(&[&[0; 8], header.as_bytes(), values].concat()), whole)
    };
    let kinds = [
        ("F64", 8),
        ("F32", 4),
        ("F16", 2),
        ("BF16", 2),
        ("I64", 8),
        ("I32", 4),
        ("I16", 2),
        ("I8", 1),
        ("U8", 1),
        ("BOOL", 1),
    ];
    let mut seeds: Vec<Seed> = kinds
        .iter()
        .map(|(dtype, width)| {
            file(&format!("kind_{dtype}"), &one(dtype, "1,2", 2 * width), &[1, 0].repeat(*width), true)
        })
        .collect();
    let large = "4611686018427387904";
    let offsets = |offsets: &str| format!("{{\"t\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":{offsets}}}}}");
    let two = |a: &str, b: &str| {
        format!(
            "{{\"a\":{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":{a}}},\
             \"b\":{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":{b}}}}}"
        )
    };
    seeds.extend([
        seed("model", MODEL, true),
        seed("empty", "", false),
        seed("endless_header", [&u64::MAX.to_le_bytes(), MODEL].concat(), false),
        file("no_tensors", "{}", b"", true),
        file("metadata", r#"{"__metadata__":{"format":"pt"}}"#, b"", true),
        file("not_finite", &one("F32", "2", 8), &[0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0x7f], true),
        file("scalar", &one("F32", "", 4), &[0; 4], true),
        file("no_elements", &one("F32", "0,3", 0), b"", true),
        file("no_elements_of_many", &one("F64", &format!("0,{large},4"), 0), b"", false),
        file("large_shape", &one("F32", &format!("{large},4"), 4), &[0; 4], false),
        file("shape_that_overflows", &one("U8", &format!("{large},{large}"), 0), b"", false),
        file("dimensions_64", &one("U8", &["1"; 64].join(","), 1), b"x", true),
        file("dimensions_65", &one("U8", &["1"; 65].join(","), 1), b"x", false),
        file("no_truth", &one("BOOL", "2", 2), &[1, 2], false),
        file("unknown_kind", &one("F8_E4M3", "1", 1), b"x", false),
        file("long_name", &one("U8", "1", 1).replace("\"t\"", &format!("\"{}\"", "n".repeat(2000))), b"x", true),
        file("odd_names", &one("U8", "1", 1).replace("\"t\"", r#""\u0000/\ud83d\ude00""#), b"x", true),
        file("deep", &format!("{{\"t\":{}{}}}", "[".repeat(500), "]".repeat(500)), b"", false),
        file("offsets_beyond", &offsets("[0,5]"), &[0; 4], false),
        file("offsets_backward", &offsets("[4,0]"), &[0; 4], false),
        file("offsets_negative", &offsets("[-4,0]"), &[0; 4], false),
        file("offsets_large", &offsets("[18446744073709551612,18446744073709551615]"), &[0; 4], false),
        file("offsets_behind", &offsets("[4,8]"), &[0; 8], false),
        file("apart", &two("[0,2]", "[2,4]"), &[0; 4], true),
        file("together", &two("[0,2]", "[1,3]"), &[0; 3], false),
        file("gap", &two("[0,2]", "[3,5]"), &[0; 5], false),
        file("rest", &two("[0,2]", "[2,4]"), &[0; 5], false),
    ]);
    seeds
}
