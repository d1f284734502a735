use super::*;
use data::Orientation;
use image::{Rgb, RgbImage};

#[test]
fn files_are_those_of_the_whole_image_however_its_rows_come() {
    let folder = tempfile::tempdir().unwrap();
    let (height, width) = (7, 5);
    let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9]));
    let file = folder.path().join("photograph.png");
    picture.save(&file).unwrap();
    let also = vec![Also::Overlay, Also::Contour, Also::Color, Also::Png16, Also::Npy];
    let plan = Plan {
        also,
        colors: vec![Color([200, 0, 0]), Color([0, 200, 0]), Color([0, 0, 200])],
        orientation: Orientation::Apply,
    };
    let pixels = (height * width) as usize;
    let probabilities: Vec<f32> = (0..3 * pixels).map(|place| place as f32 / (3 * pixels) as f32).collect();
    let ids: Vec<u8> = (0..pixels).map(|place| (place / 3 % 3) as u8).collect();
    let mut found = Vec::new();
    for count in [1, 3, 7] {
        let base = folder.path().join(format!("deep/{count}"));
        let mut outputs = Outputs::create(&plan, &base, &file, [height, width]).unwrap();
        for first in (0..height as usize).step_by(count) {
            let range = first * 5..(first + count).min(7) * 5;
            let of_class = |class: usize| &probabilities[class * pixels..][range.clone()];
            let rows =
                Rows { ids: ids[range.clone()].to_vec(), probabilities: (0..3).flat_map(of_class).copied().collect() };
            outputs.add(&rows).unwrap();
        }
        assert!(!base.with_extension("png").exists(), "not before it is complete");
        outputs.finish().unwrap();
        let names = ["", "_overlay", "_contour", "_color", "_probability_0", "_probability_2"];
        let read =
            |name: &str| image::open(folder.path().join(format!("deep/{count}{name}.png"))).unwrap().into_bytes();
        let npy = fs::read(folder.path().join(format!("deep/{count}_probabilities.npy"))).unwrap();
        found.push((names.map(read), npy));
    }
    assert!(found.iter().all(|files| *files == found[0]));
    let ([map, _, _, color, first, _], npy) = &found[0];
    assert_eq!(*map, ids);
    assert_eq!(color[..12], [200, 0, 0, 200, 0, 0, 200, 0, 0, 0, 200, 0]);
    let expected: Vec<u16> = probabilities[..pixels].iter().map(|share| (share * 65535.0).round() as u16).collect();
    assert_eq!(first.as_chunks().0.iter().map(|bytes| u16::from_ne_bytes(*bytes)).collect::<Vec<_>>(), expected);
    let values: Vec<f32> = npy[128..].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(values, probabilities);
    assert!(
        npy.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 7, 5), }")
    );
    assert_eq!(npy[127], b'\n');
}

#[test]
fn what_is_never_finished_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        also: vec![Also::Color, Also::Png16, Also::Npy],
        colors: vec![Color([1, 2, 3]); 2],
        orientation: Orientation::Apply,
    };
    let mut outputs = Outputs::create(&plan, &folder.path().join("a"), Path::new("none"), [4, 3]).unwrap();
    outputs.add(&Rows { ids: vec![1; 6], probabilities: vec![0.5; 12] }).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    drop(outputs);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
