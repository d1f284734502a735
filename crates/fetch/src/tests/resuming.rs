//! Downloads of several attempts.

use super::*;
use std::sync::mpsc;
use std::thread;

#[test]
fn a_cut_is_resumed_where_it_was() {
    let server = serving(|request, reply| match request.number {
        0 => reply.cut(100_000),
        1 => reply.cut(50_000),
        _ => reply,
    });
    let mut place = Place::new();
    place.arrives(&server.url("/a.pth"));
    let requests = server.requests();
    assert_eq!(requests.iter().map(Request::from).collect::<Vec<_>>(), [None, Some(100_000), Some(150_000)]);
    assert!(requests[1..].iter().all(|request| request.header("if-range") == Some(TAG)));
    let failed = place.events.iter().filter(|event| matches!(event, Event::Failed { .. })).count();
    assert_eq!(failed, 2);
    assert!(place.events.contains(&Event::Began { from: 150_000, total: Some(300_000) }));
}

#[test]
fn many_cuts_are_no_failure_as_long_as_there_is_progress() {
    let server = serving(|_, reply| reply.cut(20_000));
    let mut place = Place::new();
    // The last piece has 20,000 bytes too.
    place.arrives(&server.url("/a.pth"));
    assert_eq!(server.requests().len(), 15);
}

#[test]
fn without_progress_it_ends_and_a_later_process_goes_on() {
    let server = serving(|request, reply| match request.number {
        0 => reply.cut(100_000),
        1..4 => reply.cut(10),
        _ => reply,
    });
    let mut place = Place::new();
    let error = place.fails(&server.url("/a.pth"));
    assert!(matches!(error, Error::Unreachable { tries: 3, .. }), "{error}");
    assert!(error.to_string().contains("3 times in a row"), "{error}");
    assert_eq!(place.names(), ["a.pth.from", "a.pth.lock", "a.pth.partial"]);
    place.arrives(&server.url("/a.pth"));
    assert_eq!(server.requests().last().unwrap().from(), Some(100_030));
}

#[test]
fn what_another_address_or_version_left_is_not_gone_on_with() {
    let begun = |tag: &'static str| {
        let server = Server::new(move |request| {
            let reply = Reply::of_file(request, &file(), tag);
            if request.number < 4 { reply.cut(if request.number == 0 { 90_000 } else { 0 }) } else { reply }
        });
        let mut place = Place::new();
        place.fails(&server.url("/a.pth"));
        (server, place)
    };
    let (_, mut place) = begun(TAG);
    let other = serving(|_, reply| reply);
    place.arrives(&other.url("/a.pth"));
    assert_eq!(other.requests()[0].from(), None);
    // A weak tag names no bytes.
    let (server, mut place) = begun("W/\"v1\"");
    place.arrives(&server.url("/a.pth"));
    assert!(server.requests().iter().all(|request| request.from().is_none()));
}

#[test]
fn a_file_that_changes_meanwhile_is_fetched_anew() {
    // The first version is longer, and the second is the one that is meant.
    let server = Server::new(|request| match request.number {
        0 => Reply::of_file(request, &[7; 400_000], "\"v0\"").cut(350_000),
        _ => Reply::of_file(request, &file(), TAG),
    });
    Place::new().arrives(&server.url("/a.pth"));
    assert_eq!(server.requests().iter().map(Request::from).collect::<Vec<_>>(), [None, Some(350_000)]);

    // A server that ignores `If-Range` says so by the size.
    let server = Server::new(|request| match request.number {
        0 => Reply::new("200 OK", &[7; 400_000]).with("ETag: \"v0\"").cut(350_000),
        1 => Reply::new("416 Range Not Satisfiable", b"").with("Content-Range: bytes */300000"),
        _ => Reply::of_file(request, &file(), TAG),
    });
    Place::new().arrives(&server.url("/a.pth"));
    assert_eq!(server.requests().iter().map(Request::from).collect::<Vec<_>>(), [None, Some(350_000), None]);

    let server = Server::new(|request| match request.number {
        0 => Reply::new("200 OK", &[7; 400_000]).with("ETag: \"v0\"").cut(50_000),
        1 => Reply::new("206 Partial Content", &file()[50_000..]).with("Content-Range: bytes 50000-299999/300000"),
        _ => Reply::of_file(request, &file(), TAG),
    });
    Place::new().arrives(&server.url("/a.pth"));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_ignores_ranges_begins_anew() {
    let server = Server::new(|request| {
        let whole = Reply::new("200 OK", &file()).with("ETag: \"v1\"");
        if request.number < 2 { whole.cut(200_000) } else { whole }
    });
    let mut place = Place::new();
    place.arrives(&server.url("/a.pth"));
    assert!(place.events.contains(&Event::Began { from: 0, total: Some(300_000) }));
    assert_eq!(server.requests()[1].from(), Some(200_000));

    // One that always ends at the same place does not get on.
    let server = Server::new(|_| Reply::new("200 OK", &file()).cut(200_000));
    let error = Place::new().fails(&server.url("/a.pth"));
    assert!(matches!(error, Error::Unreachable { tries: 3, .. }), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn errors_that_pass_are_waited_for() {
    let server = serving(|request, reply| match request.number {
        0 => Reply::new("503 Service Unavailable", b"later").with("Retry-After: 1"),
        1 => Reply::new("500 Internal Server Error", b""),
        _ => reply,
    });
    let mut place = Place::new();
    place.limits.longest_pause = Duration::from_secs(20);
    place.arrives(&server.url("/a.pth"));
    let failed: Vec<_> = place.events.iter().take(2).collect();
    let said = "the server answers 503 Service Unavailable".to_string();
    assert_eq!(failed[0], &Event::Failed { said, pause: Duration::from_secs(1) });
    let said = "the server answers 500 Internal Server Error".to_string();
    assert_eq!(failed[1], &Event::Failed { said, pause: Duration::from_millis(2) });
}

#[test]
fn an_answer_that_takes_too_long_is_continued_by_the_next() {
    let server = serving(|request, reply| match request.number {
        0 => Reply { drip: Some(Duration::from_millis(1)), ..reply },
        _ => reply,
    });
    let mut place = Place::new();
    place.limits.body = Duration::from_millis(400);
    place.limits.least = 1;
    place.arrives(&server.url("/a.pth"));
    assert!(server.requests()[1].from().unwrap() > 0);
    assert!(!place.events.iter().any(|event| matches!(event, Event::Failed { .. })), "it was no failure");
}

#[test]
fn a_drip_is_given_up() {
    let server = serving(|_, reply| Reply { drip: Some(Duration::from_millis(20)), ..reply });
    let mut place = Place::new();
    place.limits.body = Duration::from_millis(100);
    let error = place.fails(&server.url("/a.pth"));
    assert!(error.to_string().contains("it took longer than 100ms, 3 times in a row"), "{error}");
}

#[test]
fn of_several_one_fetches_and_the_others_wait() {
    let (sender, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let server = serving(move |_, reply| {
        gate.lock().unwrap().recv().unwrap();
        reply
    });
    let mut place = Place::new();
    let (url, to) = (server.url("/a.pth"), place.path("a.pth"));
    thread::scope(|scope| {
        let (told, waiting) = mpsc::channel();
        let others: Vec<_> = (0..3)
            .map(|_| {
                let (url, to, told) = (&url, &to, told.clone());
                scope.spawn(move || {
                    let wanted = Wanted { url, to, sha256: &HASH[..8], most: 1 << 20 };
                    fetch(&wanted, &limits(), &mut |event| {
                        if event == Event::Waiting {
                            told.send(()).unwrap();
                        }
                    })
                    .unwrap()
                })
            })
            .collect();
        // Two of the three wait for the one that holds the lock.
        waiting.recv().unwrap();
        waiting.recv().unwrap();
        sender.send(()).unwrap();
        let fresh = others.into_iter().map(|other| other.join().unwrap().fresh).filter(|fresh| *fresh).count();
        assert_eq!(fresh, 1);
    });
    assert_eq!(server.requests().len(), 1);
    place.arrives(&url);
}
