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
        layout: 3.into(),
        names: vec!["a".into(), "b".into()],
        colors: vec![Color([200, 0, 0]), Color([0, 200, 0]), Color([0, 0, 200])],
        orientation: Orientation::Apply,
        replace: Replace::Ours,
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
            outputs.add_probabilities(&rows).unwrap();
            outputs.add_ids(&rows.ids).unwrap();
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
    let plan = plan(&[Also::Color, Also::Png16, Also::Npy], Replace::Ours);
    let mut outputs = Outputs::create(&plan, &folder.path().join("a"), Path::new("none"), [4, 3]).unwrap();
    outputs.add_probabilities(&Rows { ids: vec![1; 6], probabilities: vec![0.5; 12] }).unwrap();
    outputs.add_ids(&[1; 6]).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    drop(outputs);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn plan(also: &[Also], replace: Replace) -> Plan {
    Plan {
        also: also.to_vec(),
        layout: 3.into(),
        names: vec!["a".into(), "b".into()],
        colors: vec![Color([1, 2, 3]); 2],
        orientation: Orientation::Apply,
        replace,
    }
}

/// Writes the files of an image all of whose pixels are of the class `id`.
fn written(folder: &Path, also: &[Also], id: u8, replace: Replace) -> Result<()> {
    let plan = plan(also, replace);
    let mut outputs = Outputs::create(&plan, &folder.join("a"), Path::new("none"), [4, 3])?;
    outputs.add_probabilities(&Rows { ids: vec![id; 12], probabilities: vec![f32::from(id) / 2.0; 24] })?;
    outputs.add_ids(&[id; 12])?;
    outputs.finish()
}

#[test]
fn predictions_may_be_replaced_until_somebody_changes_them() {
    let folder = tempfile::tempdir().unwrap();
    let all = [Also::Color, Also::Png16, Also::Npy];
    let path = |name: &str| folder.path().join(name);
    // Probabilities that are not rewritten stay ours, even next to another class map.
    for (also, id) in [(&all[..], 1), (&[], 0), (&all, 1), (&all, 0)] {
        written(folder.path(), also, id, Replace::Ours).unwrap();
    }
    let plan = plan(&all, Replace::Ours);
    let paths = plan.paths(&path("a"));
    assert_eq!(paths.len(), fs::read_dir(folder.path()).unwrap().count());
    for changed in paths {
        let bytes = fs::read(&changed).unwrap();
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        fs::write(&changed, &other).unwrap();
        let error = written(folder.path(), &all, 1, Replace::Ours).unwrap_err().to_string();
        assert!(error.contains("was made or changed by somebody else"), "{error}");
        assert_eq!(fs::read(&changed).unwrap(), other, "{}", changed.display());
        fs::write(&changed, bytes).unwrap();
    }
    written(folder.path(), &all, 1, Replace::Ours).unwrap();
    fs::write(path("a.png"), "by hand").unwrap();
    written(folder.path(), &all, 1, Replace::All).unwrap();
    assert_eq!(image::open(path("a.png")).unwrap().into_luma8().into_raw(), [1; 12]);
}
