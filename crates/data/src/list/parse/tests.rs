//! Lists as they occur in data sets, and invalid ones.

use super::*;
use crate::list::parse_list;
use proptest::prelude::*;

const WHOLE: [&str; 3] = ["", "{}", "{}"];
const VOC: [&str; 3] = ["", "JPEGImages/{}.jpg", "SegmentationClass/{}.png"];

/// Returns name, image and mask of all samples, one after the other.
fn parsed(file: &str, text: &str, how: [&str; 3]) -> Vec<String> {
    parse_list(Path::new(file), text.into(), how).unwrap()
}

fn refused(file: &str, bytes: &[u8], how: [&str; 3]) -> String {
    parse_list(Path::new(file), bytes.into(), how).unwrap_err().to_string()
}

#[test]
fn two_columns_are_image_and_mask() {
    let expected = ["t/1", "t/1.png", "ta/1.png", "t/2.x", "t/2.x.png", "ta/2.png"];
    for text in [
        "t/1.png ta/1.png\nt/2.x.png ta/2.png\n",
        "\u{feff}t/1.png \t ta/1.png\r\n\r\n  # comment\n  t/2.x.png   ta/2.png  ",
        "./t/1.png ./ta/1.png\n./t/2.x.png ./ta/2.png",
    ] {
        assert_eq!(parsed("a.txt", text, WHOLE), expected);
    }
    let foreign = "/SegNet/CamVid/t/1.png /SegNet/CamVid/ta/1.png\nt/2.x.png ta/2.png";
    assert_eq!(parsed("a.txt", foreign, ["/SegNet/CamVid/", "{}", "{}"]), expected);
    assert_eq!(parsed("a.txt", foreign, ["/SegNet/CamVid", "{}", "{}"]), expected);
    assert_eq!(parsed("a.txt", "/abs/1.png m/1.png", WHOLE), ["/abs/1", "/abs/1.png", "m/1.png"]);
    assert_eq!(parsed("a.txt", "1.jpg 2.png", ["", "i/{}", "m/{}"]), ["1", "i/1.jpg", "m/2.png"]);
    assert_eq!(parsed("a.txt", "a b.jpg\ta b.png", WHOLE), ["a b", "a b.jpg", "a b.png"]);
    // A dot in a folder, and a file name that is only an extension.
    assert_eq!(parsed("a.txt", "v1.0/1 v1.0/.png", WHOLE), ["v1.0/1", "v1.0/1", "v1.0/.png"]);
    assert_eq!(parsed("a.txt", "v1.0/.png m", WHOLE)[0], "v1.0/.png");
}

#[test]
fn one_column_is_a_name_for_both_patterns() {
    let expected = ["2007_000032", "JPEGImages/2007_000032.jpg", "SegmentationClass/2007_000032.png"];
    for file in ["train.txt", "train", "train.csv"] {
        assert_eq!(parsed(file, "2007_000032\n", VOC), expected);
    }
}

#[test]
fn csv_knows_headers_and_quotes() {
    let expected = ["a, b", "a, b.jpg", "m/a, b.png"];
    for text in [
        "\"a, b.jpg\",\"m/a, b.png\"",
        "\u{feff}Image,MASK\r\n\"a, b.jpg\",\"m/a, b.png\"\r\n",
        "id,mask,weather,image\n7,\"m/a, b.png\",rain,\"a, b.jpg\"\n,,,\n\n",
        "# made by hand\nimage,mask\n\n\"a, b.jpg\" , \"m/a, b.png\"",
    ] {
        let text = text.replace(" , \"", ",\"");
        assert_eq!(parsed("a.CSV", &text, WHOLE), expected, "{text}");
    }
    let two = parsed("a.csv", "d/1.jpg,d/1.png\nd/2.jpg,e/2.png", ["d/", "{}", "{}"]);
    assert_eq!(two, ["1", "1.jpg", "1.png", "2", "2.jpg", "e/2.png"]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let long = format!("a b\n{} {} {}", "x".repeat(60), "y".repeat(60), "z".repeat(60));
    let cut = format!("'{} {}…'", "x".repeat(60), "y".repeat(19));
    for (file, text, how, says) in [
        ("a.txt", "a b\n\n# c\na b c\n", WHOLE, "a.txt, line 4: expected one or two columns"),
        ("a.txt", &long, WHOLE, &cut),
        (
            "a.txt",
            "a b\nc\n",
            WHOLE,
            "a.txt, line 2: has 1 of the 2 columns that the list begins with; the line is 'c'",
        ),
        ("a.txt", "a\nb c\n", VOC, "a.txt, line 2: has 2 of the 1 columns"),
        ("a.txt", "a\n", WHOLE, "a.txt, line 1: has one column, and data.image and data.mask make the same path"),
        ("a.txt", "p/ p/b.png\n", ["p/", "{}", "{}"], "a.txt, line 1: has an empty path"),
        ("a.txt", "", WHOLE, "a.txt names no sample"),
        ("a.txt", "\u{feff}# nothing\r\n \n", WHOLE, "a.txt names no sample"),
        ("a.csv", "image,mask\n", WHOLE, "a.csv names no sample"),
        ("a.csv", "", WHOLE, "a.csv names no sample"),
        ("a.csv", "a,b\r\n\r\n# c\r\na,b,c\r\n", WHOLE, "a.csv, line 4: expected one or two columns"),
        (
            "a.csv",
            "image,mask\na,b\n\nc\n",
            WHOLE,
            "a.csv, line 4: has an empty path for the image or the mask; the line is 'c'",
        ),
        ("a.csv", "a,b\nc,\n", WHOLE, "a.csv, line 2: has an empty path"),
        ("a.csv", "a,b\n\"c,d\ne,f\n", WHOLE, "a.csv, line 2: has a quote that no quote closes; the line is '\"c,d'"),
    ] {
        let error = refused(file, text.as_bytes(), how);
        assert!(error.contains(says), "{text}\n  gave     {error}\n  expected {says}");
    }
    let utf16 = [&[0xff, 0xfe][..], &"a b\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat();
    assert!(refused("a.txt", &utf16, WHOLE).starts_with("a.txt, line 1: is UTF-16: save the list as UTF-8"));
    for file in ["a.txt", "a.csv"] {
        let error = refused(file, b"a b\nc d\n\xff e\n", WHOLE);
        assert!(error.starts_with(&format!("{file}, line 3: is not UTF-8")), "{error}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_write() {
    for (file, text, says) in [
        ("a.txt", "i\\1.png m\\1.png\n", "line 1: has backslashes between folders: write 'i/1.png'"),
        ("a.csv", "i/1.png,m\\1.png\n", "line 1: has backslashes between folders: write 'm/1.png'"),
        ("a.txt", "filename label\ni/1.png m/1.png\n", "line 1: names columns, which only .csv lists do: remove"),
        (
            "a.csv",
            "filename,label\ni/1.png,m/1.png\n",
            "line 1: names its columns differently: call the two that count image",
        ),
        ("a.csv", "ID,Image,Label\n1,i/1.png,m/1.png\n", "line 1: names its columns differently"),
        ("a.csv", "i/1.png;m/1.png\n", "line 1: has ';' between its columns: write commas"),
        ("a.csv", "i/1.png\tm/1.png\n", "line 1: has a tab between its columns: write commas"),
        ("a.txt", "i/1.png,m/1.png\n", "line 1: has no space between its columns: write one, or commas"),
        ("a.txt", "i/1.png, m/1.png\n", "line 1: has ',' between its columns: write a space or a tab"),
        ("a.txt", "\"i/1.png\" \"m/1.png\"\n", "line 1: has quotes, which only .csv lists have"),
        ("a.txt", "i/1.png\u{a0}m/1.png\n", "line 1: has a space of another kind (U+00A0)"),
        ("a.txt", "a b\rc d\r", "line 1: ends its lines as old Macs did"),
    ] {
        let error = refused(file, text.as_bytes(), WHOLE);
        assert!(error.contains(says), "{text}\n  gave     {error}\n  expected {says}");
    }
    // The prefix is removed before any check, and a sample may have the name of a column.
    let windows = parsed("a.txt", "D:\\data\\i/1.png D:\\data\\m/1.png", ["D:\\data\\", "{}", "{}"]);
    assert_eq!(windows, ["i/1", "i/1.png", "m/1.png"]);
    assert_eq!(parsed("a.txt", "image\nmask\n", VOC).len(), 6);
    assert_eq!(parsed("a.txt", "image.png mask.png\n", WHOLE)[0], "image");
}

proptest! {
    #[test]
    fn both_formats_say_the_same(rows in prop::collection::vec(["[a-z0-9_./]{1,12}", "[a-z0-9_./]{1,12}"], 1..20)) {
        let lines = |between: &str| rows.iter().map(|[image, mask]| format!("{image}{between}{mask}\n")).collect::<String>();
        let parse = |file: &str, text: String| {
            parse_list(Path::new(file), text.into(), ["a", "{}", "{}"]).map_err(|error| match error {
                Error::List { line, .. } => line,
                other => panic!("{other}"),
            })
        };
        let spaces = parse("list", lines(" "));
        prop_assert_eq!(&spaces, &parse("list", lines("\t")));
        // Spreadsheets write records without a value, so CSV skips a line of two empty paths; no list here has one.
        prop_assert_eq!(&spaces, &parse("list.csv", lines(",")));
        if let Ok(samples) = spaces {
            prop_assert_eq!(samples.len(), 3 * rows.len());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), csv: bool) {
        let _ = parse_list(Path::new(if csv { "a.csv" } else { "a.txt" }), bytes, ["a", "i/{}", "{}.png"]);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ab,\"#\t \r\n\u{feff}é./]{0,60}", csv: bool) {
        let _ = parse_list(Path::new(if csv { "a.csv" } else { "a.txt" }), text.into(), ["a", "i/{}", "{}.png"]);
    }
}
