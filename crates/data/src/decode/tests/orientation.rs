//! Orientation tags against Pillow's `exif_transpose` (`reference/orientation.py`).

use super::*;
use crate::{Pixels, Remark, Strips, remarks};

#[derive(Deserialize)]
struct Reference {
    images: BTreeMap<String, Turned>,
    masks: BTreeMap<String, Turned>,
}

#[derive(Deserialize)]
struct Turned {
    file: String,
    size: [u32; 2],
    #[serde(alias = "rgb", alias = "ids")]
    pixels: String,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../reference/orientation.json")).unwrap()
}

#[test]
fn an_image_is_seen_as_every_viewer_shows_it_by_every_way_into_it() {
    let (_folder, path) = place();
    let mut decoder = Decoder::default();
    for (name, expected) in reference().images {
        fs::write(&path, unhex(&expected.file)).unwrap();
        let (rgb, size) = (unhex(&expected.pixels), expected.size);
        let tolerance = if name.ends_with(".jpg") { 2 } else { 0 };
        for orientation in [Orientation::Apply, Orientation::Ignore] {
            let mut found = vec![77; 1000];
            let decoded = decoder.image(&path, 3, orientation, &mut found).unwrap();
            assert_eq!(dimensions(&path, &3.into(), orientation).unwrap(), decoded, "{name}");
            if orientation == Orientation::Apply {
                assert_eq!(decoded, size, "{name}");
                assert!(found.iter().zip(&rgb).all(|(a, b)| a.abs_diff(*b) <= tolerance), "{name}");
            }
            let mut strips = Strips::open(&path, 3, orientation).unwrap();
            let mut rows = Pixels::default();
            (0..decoded[0]).for_each(|_| strips.read(1, &mut rows).unwrap());
            assert!(strips.size() == decoded && rows.bytes() == found, "{name}");
            let mut grey = Vec::new();
            assert_eq!(decoder.image(&path, 1, orientation, &mut grey).unwrap(), decoded);
            let shade = |rgb: &[u8]| grey::of([rgb[0], rgb[1], rgb[2]]);
            assert!(grey.iter().zip(found.chunks(3)).all(|(grey, rgb)| *grey == shade(rgb)), "{name}");
        }
        let turned = remarks(&path, Orientation::Apply).contains(&Remark::Turned);
        assert_eq!(turned, !name.starts_with('1') && name != "nonsense.jpg", "{name}");
        assert!(!remarks(&path, Orientation::Ignore).contains(&Remark::Turned));
    }
}

#[test]
fn a_mask_is_turned_by_its_own_note_alone() {
    let (_folder, path) = place();
    let table = labels(json!({}), 255);
    let stored = reference().masks["1.png"].pixels.clone();
    for (name, expected) in reference().masks {
        fs::write(&path, unhex(&expected.file)).unwrap();
        let mut ids = Vec::new();
        let size = Decoder::default().mask(&path, &table, Orientation::Apply, &mut ids).unwrap();
        assert_eq!((size, ids.clone()), (expected.size, unhex(&expected.pixels)), "{name}");
        Decoder::default().mask(&path, &table, Orientation::Ignore, &mut ids).unwrap();
        assert_eq!(ids, unhex(&stored), "{name}");
    }
}

#[test]
fn a_note_is_found_behind_fill_bytes_and_not_in_the_pixels_of_a_png() {
    let (_folder, path) = place();
    let all = reference().images;
    let size = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        dimensions(&path, &3.into(), Orientation::Apply).unwrap()
    };
    let jpeg = unhex(&all["6.jpg"].file);
    assert_eq!(size(&[&jpeg[..2], &[0xff; 3], &jpeg[2..]].concat()), [16, 8]);
    // A chunk that contains another one's bytes: its content is no chunk.
    let (plain, noted) = (unhex(&all["1_before.png"].file), unhex(&all["6_behind.png"].file));
    let at = noted.windows(4).position(|bytes| bytes == b"eXIf").unwrap() - 4;
    let hidden = &noted[at..noted.len() - 12];
    let chunk = [&(hidden.len() as u32 + 1).to_be_bytes()[..], b"prIv", hidden, &[0; 5]].concat();
    let end = plain.len() - 12;
    assert_eq!(size(&[&plain[..end], &chunk, &plain[end..]].concat()), [8, 16]);
    assert_eq!(size(&[&noted[..], b"trailing"].concat()), [16, 8]);
}

#[test]
fn an_image_that_is_turned_and_too_large_for_memory_is_refused_with_the_way_out() {
    let (_folder, path) = place();
    // The header of a PNG of 20000x20000 pixels, with an orientation tag.
    let noted = unhex(&reference().images["6_before.png"].file);
    let at = noted.windows(4).position(|bytes| bytes == b"eXIf").unwrap() - 4;
    let length = 12 + u32::from_be_bytes(*noted[at..].first_chunk().unwrap()) as usize;
    let png = png_header(20_000);
    let start = png.len() - 8;
    fs::write(&path, [&png[..start], &noted[at..at + length], &png[start..]].concat()).unwrap();
    let error = Strips::open(&path, 3, Orientation::Apply).err().unwrap().to_string();
    let says = ["20000x20000 pixels", "1.20 GB", "turns it", "data.orientation to \"ignore\""];
    assert!(says.iter().all(|says| error.contains(says)), "{error}");
    assert!(Strips::open(&path, 3, Orientation::Ignore).is_ok());
}
