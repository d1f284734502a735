use super::*;
use crate::frame::unframe;

fn event(step: i64) -> Event {
    let mut event = Event::new();
    event.set_step(step);
    event
}

/// Returns the event files of `folder` in the order of their names.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut names = files(folder).unwrap();
    names.sort();
    names.iter().map(|name| folder.join(name)).collect()
}

#[test]
fn a_file_is_a_version_and_events() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs/train");
    let mut file = EventFile::new(logs.clone(), ".end");
    assert!(!logs.exists());
    file.push(&event(3), false).unwrap();
    file.hand_over().unwrap();
    file.hand_over().unwrap();
    let paths = paths(&logs);
    assert!(paths.len() == 1 && paths[0].to_str().unwrap().ends_with(".end"), "{paths:?}");
    let records = unframe(&fs::read(&paths[0]).unwrap());
    let [version, point] = records.as_slice() else { panic!("{} records", records.len()) };
    // By the field numbers of event.proto: wall_time is 1 and takes 9 bytes.
    assert_eq!((version[0], &version[9..]), (0x09, b"\x1a\x0dbrain.Event:2".as_slice()));
    let seconds = f64::from_le_bytes(version[1..9].try_into().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!((now.as_secs_f64() - seconds).abs() < 60.0);
    assert_eq!(point, b"\x10\x03");
}

#[test]
fn a_later_file_sorts_after_the_earlier_even_if_the_clock_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.out.tfevents.4000000000.h.1.0"), "").unwrap();
    fs::write(folder.path().join("events.out.tfevents.x"), "").unwrap();
    for seconds in 4_000_000_001u64..4_000_000_004 {
        let file = create(folder.path(), "").unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("events.out.tfevents.{seconds}.")), "{name}");
    }
}

#[test]
fn much_is_handed_over_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = EventFile::new(folder.path().into(), "");
    let mut large = event(1);
    file.push(&large, false).unwrap();
    assert!(paths(folder.path()).is_empty());
    large.set_file_version("x".repeat(ENOUGH));
    file.push(&large, false).unwrap();
    assert_eq!(unframe(&fs::read(&paths(folder.path())[0]).unwrap()).len(), 3);
}

#[test]
fn what_has_no_folder_waits_until_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::write(&logs, "").unwrap();
    let mut file = EventFile::new(logs.clone(), "");
    file.push(&event(1), false).unwrap();
    for _ in 0..2 {
        let error = file.hand_over().unwrap_err().to_string();
        assert!(error.contains(&logs.display().to_string()), "{error}");
    }
    fs::remove_file(&logs).unwrap();
    file.push(&event(2), false).unwrap();
    file.hand_over().unwrap();
    assert_eq!(unframe(&fs::read(&paths(&logs)[0]).unwrap())[1..], [b"\x10\x01", b"\x10\x02"]);
}

#[test]
fn what_a_full_disk_does_not_take_waits_too() {
    let folder = tempfile::tempdir().unwrap();
    let Some(full) = Growing::full() else { return };
    let mut file = EventFile::new(folder.path().into(), "");
    file.file = Some(full);
    file.push(&event(1), false).unwrap();
    assert!(file.hand_over().is_err());
    let mut large = event(2);
    large.set_file_version("x".repeat(ENOUGH));
    file.push(&large, false).expect("it is not tried again by itself");
    assert!(file.hand_over().is_err());
    file.file = None;
    drop(file);
    let records = unframe(&fs::read(&paths(folder.path())[0]).unwrap());
    assert_eq!((records.len(), records[1].as_slice()), (3, b"\x10\x01".as_slice()));
}
