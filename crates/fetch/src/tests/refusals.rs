//! Answers that are not taken.

use super::*;

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let server = serving(|_, mut reply| {
        reply.body[123_456] ^= 1;
        reply
    });
    let mut place = Place::new();
    let error = place.fails(&server.url("/a.pth"));
    assert!(matches!(&error, Error::Hash { expected, .. } if *expected == HASH[..8]), "{error}");
    assert!(error.to_string().contains("nothing of it was kept"), "{error}");
    assert_eq!(place.names(), ["a.pth.lock"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn refusals_of_the_server_are_final() {
    for status in ["404 Not Found", "403 Forbidden", "401 Unauthorized", "410 Gone", "206 Partial Content", "204 None"]
    {
        let server = Server::new(move |_| Reply::new(status, b""));
        let error = Place::new().fails(&server.url("/a.pth"));
        assert!(error.to_string().contains(&format!("the server answers {}", &status[..3])), "{error}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn endless_redirects_are_not_followed() {
    let server = Server::new(|_| Reply::new("302 Found", b"").with("Location: /a.pth"));
    let error = Place::new().fails(&server.url("/a.pth"));
    assert!(error.to_string().ends_with("it redirects too often"), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_missing_server_is_named_with_its_reason() {
    let mut place = Place::new();
    let error = place.fails("http://127.0.0.1:9/a.pth");
    let said = error.to_string();
    assert!(said.starts_with("cannot fetch http://127.0.0.1:9/a.pth: ") && said.contains("refused"), "{said}");
    let error = place.fails("nonsense");
    assert!(matches!(error, Error::Request { .. } | Error::Unreachable { .. }), "{error}");
}

#[test]
fn a_length_that_is_wrong_is_noticed() {
    // Longer than the file: the end never comes.
    let longer = || {
        let body = file();
        Server::new(move |request| {
            let mut reply = Reply::of_file(request, &body, TAG);
            let of_more = |line: &mut String| *line = line.replace("300000", "300001").replace("299999", "300000");
            reply.head.iter_mut().for_each(of_more);
            reply
        })
    };
    let error = Place::new().fails(&longer().url("/a.pth"));
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    // Shorter: the rest is not read.
    let server = serving(|_, mut reply| {
        reply.head[0] = "Content-Length: 299999".into();
        reply
    });
    let error = Place::new().fails(&server.url("/a.pth"));
    assert!(matches!(error, Error::Hash { .. }), "{error}");
    // None at all, with the end of the connection as that of the file.
    let unsized_ = || {
        serving(|_, mut reply| {
            reply.head.remove(0);
            reply
        })
    };
    Place::new().arrives(&unsized_().url("/a.pth"));
    let mut place = Place::new();
    place.sha256.clear();
    let error = place.fails(&unsized_().url("/a.pth"));
    assert!(matches!(error, Error::Unsized { .. }), "{error}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let mut place = Place::new();
    place.most = 299_999;
    let server = serving(|_, reply| reply);
    assert!(matches!(place.fails(&server.url("/a.pth")), Error::Large { most: 299_999, .. }));
    assert_eq!(place.names(), ["a.pth.lock"]);
    let endless = serving(|_, mut reply| {
        reply.head.remove(0);
        reply
    });
    assert!(matches!(place.fails(&endless.url("/a.pth")), Error::Large { .. }));
    assert_eq!(place.names(), ["a.pth.lock"]);
}

#[test]
fn chunks_arrive_and_a_missing_end_is_noticed() {
    let chunked = |whole: bool| {
        Server::new(move |_| {
            let mut body = Vec::new();
            for piece in file().chunks(70_000) {
                body.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                body.extend(piece);
                body.extend(b"\r\n");
            }
            body.extend(if whole { &b"0\r\n\r\n"[..] } else { b"" });
            Reply { status: "200 OK".into(), head: vec!["Transfer-Encoding: chunked".into()], body, ..Reply::default() }
        })
    };
    let mut place = Place::new();
    place.sha256.clear();
    place.arrives(&chunked(true).url("/a.pth"));
    let mut place = Place::new();
    place.sha256.clear();
    assert!(matches!(place.fails(&chunked(false).url("/a.pth")), Error::Unreachable { .. }));
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let server = serving(|_, reply| reply);
    let mut place = Place::new();
    fs::create_dir(place.path("")).unwrap();
    fs::write(place.path("other"), "precious").unwrap();
    std::os::unix::fs::symlink("other", place.path("a.pth.partial")).unwrap();
    place.fetch(&server.url("/a.pth")).unwrap();
    assert_eq!(fs::read_to_string(place.path("other")).unwrap(), "precious");
    assert!(fs::symlink_metadata(place.path("a.pth")).unwrap().is_file());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let server = serving(|_, reply| reply);
    let mut place = Place::new();
    fs::write(place.folder.path().join("cache"), "a file").unwrap();
    let error = place.fetch(&server.url("/a.pth")).unwrap_err();
    assert!(matches!(&error, Error::Io { .. }) && error.to_string().contains("cache"), "{error}");
    assert!(server.requests().is_empty());
}
