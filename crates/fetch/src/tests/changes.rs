//! Files that are others than at the first fetch.

use super::*;

#[test]
fn a_source_that_changed_is_refused_with_both_hashes() {
    // Nothing is published of its hash, so only the pin tells.
    let server = serving(|request, mut reply| {
        reply.body[0] ^= u8::from(request.number > 0);
        reply
    });
    let mut place = Place::new();
    place.sha256.clear();
    place.arrives(&server.url("/a.pth"));
    fs::remove_file(place.path("a.pth")).unwrap();
    let error = place.fails(&server.url("/a.pth"));
    let Error::Changed { pinned, found, .. } = &error else { panic!("{error}") };
    assert!(pinned == HASH && found != HASH);
    let said = error.to_string();
    assert!(said.contains(HASH) && said.contains(found) && said.contains("remove "), "{said}");
    assert_eq!(place.names(), ["a.pth.lock", "a.pth.sha256"]);
    // The way out that it names.
    fs::remove_file(place.path("a.pth.sha256")).unwrap();
    assert_ne!(place.fetch(&server.url("/a.pth")).unwrap().sha256, HASH);
}

#[test]
fn a_file_that_changed_in_the_cache_is_refused() {
    let server = serving(|_, reply| reply);
    for published in [true, false] {
        let mut place = Place::new();
        place.sha256.truncate(if published { 8 } else { 0 });
        place.arrives(&server.url("/a.pth"));
        fs::write(place.path("a.pth"), "other").unwrap();
        let error = place.fetch(&server.url("/a.pth")).unwrap_err();
        assert!(matches!(&error, Error::Foreign { pin, .. } if pin.is_none() == published), "{error}");
        assert!(error.to_string().contains("Remove it to have it fetched again"), "{error}");
        assert_eq!(fs::read_to_string(place.path("a.pth")).unwrap(), "other", "it may be somebody's");
        fs::remove_file(place.path("a.pth")).unwrap();
        place.arrives(&server.url("/a.pth"));
    }
}

#[test]
fn a_pin_that_is_none_is_named() {
    let server = serving(|_, reply| reply);
    let mut place = Place::new();
    place.arrives(&server.url("/a.pth"));
    fs::write(place.path("a.pth.sha256"), "nonsense").unwrap();
    let said = place.fetch(&server.url("/a.pth")).unwrap_err().to_string();
    assert!(said.contains("a.pth.sha256") && said.contains("it holds no SHA-256"), "{said}");
}

#[test]
fn a_part_that_is_whole_already_is_only_verified() {
    // A process that was killed between the last byte and the name.
    let server = serving(|_, reply| reply);
    let mut place = Place::new();
    let url = server.url("/a.pth");
    fs::create_dir(place.path("")).unwrap();
    fs::write(place.path("a.pth.partial"), file()).unwrap();
    fs::write(place.path("a.pth.from"), format!("{url}\n{TAG}\n300000\n")).unwrap();
    place.arrives(&url);
    assert!(server.requests().is_empty());
}
