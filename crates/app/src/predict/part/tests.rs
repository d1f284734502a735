use super::super::find::Picture;
use super::*;
use executors::Tiling;
use serde_json::json;

/// Two classes, tiles that begin at the rows 0 and 2048 of an image of 4096.
fn made(settings: &str) -> Made {
    let Value::Object(common) = json!({ "settings": settings }) else { panic!() };
    Made { common, tiling: Tiling { tile: 2048, overlap: 0.0 }, shares: 0 }
}

fn rows(count: usize, width: usize, seed: usize, shares: usize) -> Rows {
    let ids: Vec<u8> = (0..count * width).map(|at| ((at * 7 + seed) % 5) as u8).collect();
    let probabilities = (0..ids.len() * shares).map(|at| (at + seed) as f32 / 3.0).collect();
    Rows { ids, probabilities }
}

fn pictures(folder: &Path, size: [u32; 2]) -> Pictures {
    let file = folder.join("scene.tif");
    fs::write(&file, "pixels").unwrap();
    [("scene".to_string(), Picture { file, base: "scene".into(), size })].into()
}

#[test]
fn whole_portions_are_found_wherever_the_file_breaks_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    let stretch = Stretch { size: [9, 5], shares: 2 };
    let file = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
    let mut part = Part { file: file(), path: path.clone(), stretch, done: 0, is_written: true };
    let portions = [rows(2, 5, 1, 2), rows(3, 5, 2, 2), rows(4, 5, 3, 2)];
    portions.iter().for_each(|rows| part.add(rows));
    drop(part);
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = [2, 5, 9].iter().zip(1..).map(|(rows, heads)| 8 * heads + rows * 5 * (1 + 4 * 2)).collect();
    assert_eq!(whole.len(), ends[2]);
    let found = || stretch.portions(&mut file()).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let expected = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(found(), [2, 3, 4][..expected], "{length} bytes");
    }
    // A byte that is not what was written ends what is kept.
    for at in [ends[0], ends[0] + 5, ends[0] + 10, ends[1] - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&path, bytes).unwrap();
        assert_eq!(found(), [2], "byte {at}");
    }
    // What is kept comes again as it was, and takes the place of the rest.
    fs::write(&path, &whole[..ends[2] - 3]).unwrap();
    let mut part = Part { file: file(), path: path.clone(), stretch, done: 5, is_written: true };
    let mut again = Vec::new();
    let mut keep = |rows: &Rows| {
        again.push((rows.ids.clone(), rows.probabilities.clone()));
        Ok(())
    };
    part.replay(&mut keep).unwrap();
    let expected = portions[..2].iter().map(|rows| (rows.ids.clone(), rows.probabilities.clone()));
    assert_eq!(again, expected.collect::<Vec<_>>());
    part.add(&portions[2]);
    assert_eq!(fs::read(&path).unwrap(), whole);
    part.remove();
    assert!(!path.exists());
}

#[test]
fn only_rows_that_were_made_alike_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (size, base) = ([4096, 4096], folder.path().join("scene"));
    let pictures = pictures(folder.path(), size);
    let image = || Image::of("scene", &pictures["scene"]);
    let look = |settings: &str| Parts::look(made(settings), &pictures, folder.path());
    let parts = look("a").unwrap();
    assert!(parts.begun().is_empty());
    let mut part = parts.open(&image(), &base).unwrap().unwrap();
    let path = folder.path().join(".scene.oxiseg-part");
    part.add(&rows(2048, 4096, 1, 0));
    // Another process sees that it is in use.
    let error = look("a").err().unwrap().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(part);
    assert_eq!(look("a").unwrap().begun()["scene"], 2048);
    assert!(look("b").unwrap().begun().is_empty());
    let again = look("a").unwrap();
    let mut part = again.open(&image(), &base).unwrap().unwrap();
    let mut count = 0;
    part.replay(|rows| {
        count += rows.ids.len();
        Ok(())
    })
    .unwrap();
    assert_eq!(count, 2048 * 4096);
    drop(part);
    // A portion after which no row of tiles begins is made again.
    let mut part = again.open(&image(), &base).unwrap().unwrap();
    part.replay(|_| Ok(())).unwrap();
    part.add(&rows(100, 4096, 2, 0));
    drop(part);
    assert_eq!(look("a").unwrap().begun()["scene"], 2048);

    // The image was replaced, or the settings are others: the file begins anew.
    fs::write(&pictures["scene"].file, "other pixels").unwrap();
    let parts = look("a").unwrap();
    assert!(parts.begun().is_empty());
    let mut part = parts.open(&image(), &base).unwrap().unwrap();
    let mut count = 0;
    part.replay(|_| {
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(count, 0);
    assert!(fs::metadata(&path).unwrap().len() < 1000);
    part.remove();
    assert!(!path.exists());
    // Images that are small, or whose rows are not independent, have no such file.
    assert!(Parts::default().open(&image(), &base).unwrap().is_none());
    let small = Image { size: [4095, 4096], ..image() };
    assert!(parts.open(&small, &base).unwrap().is_none());
}

#[test]
fn a_file_that_is_none_of_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = pictures(folder.path(), [4096, 4096]);
    let path = folder.path().join(".scene.oxiseg-part");
    let look = || Parts::look(made("a"), &pictures, folder.path());
    for text in ["my notes", "{\"\":1}\n", "{}\n", "\n"] {
        fs::write(&path, text).unwrap();
        let error = look().err().unwrap();
        assert!(error.is::<crate::common::usage::Usage>() && error.to_string().contains("none of ours"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    // Killed as it began the file.
    for length in [0, 1, FORMAT.len(), FORMAT.len() + 3] {
        let begun = format!("{FORMAT}\"settings\"");
        fs::write(&path, &begun[..length]).unwrap();
        assert!(look().unwrap().begun().is_empty(), "{length}");
    }
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&pictures["scene"].file, &path).unwrap();
    assert!(look().err().unwrap().to_string().contains("none of ours"));
    assert_eq!(fs::read(&pictures["scene"].file).unwrap(), b"pixels");
}
