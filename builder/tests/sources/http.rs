//! ADD of a URL.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cooper_oci::Digest;

use crate::fixture::{fixture, told};
use crate::server::{Answer, Server};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const SECONDS: i64 = 784_111_777;

#[test]
fn a_file_is_added_and_asked_for_again_with_conditions() {
    let Some(fixture) = fixture() else { return };
    let version = Arc::new(AtomicUsize::new(1));
    let server = Server::start({
        let version = version.clone();
        move |request| {
            let tag = format!("\"v{}\"", version.load(Ordering::SeqCst));
            if request.header("if-none-match") == tag {
                return Answer::new(304);
            }
            Answer::ok(format!("body {tag}")).with("ETag", &tag).with("Last-Modified", DATE)
        }
    });
    let dockerfile = format!("FROM scratch\nADD {} /d/\n", server.url("/a/file.txt?x=/y"));

    let first = fixture.build(&dockerfile).unwrap();
    assert_eq!(first.read("d/file.txt"), "body \"v1\"");
    let meta = std::fs::metadata(first.out.join("d/file.txt")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime()), (0o600, 0, 0, SECONDS));
    assert!(!first.cached("ADD"));
    assert_eq!(server.statuses(), [200]);

    let second = fixture.build(&dockerfile).unwrap();
    assert!(second.cached("ADD"), "{:?}", second.steps);
    assert_eq!(second.read("d/file.txt"), "body \"v1\"");
    assert_eq!(server.statuses(), [304]);

    version.store(2, Ordering::SeqCst);
    let third = fixture.build(&dockerfile).unwrap();
    assert!(!third.cached("ADD"));
    assert_eq!(third.read("d/file.txt"), "body \"v2\"");
    assert_eq!(server.statuses(), [200]);
}

#[test]
fn a_date_serves_as_condition_too() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|request| {
        if request.header("if-modified-since") == DATE {
            Answer::new(304)
        } else {
            Answer::ok("x").with("Last-Modified", DATE)
        }
    });
    let dockerfile = format!("FROM scratch\nADD {} /\n", server.url("/f"));
    fixture.build(&dockerfile).unwrap();
    assert!(fixture.build(&dockerfile).unwrap().cached("ADD"));
    assert_eq!(server.statuses(), [200, 304]);
}

#[test]
fn equal_bytes_of_a_server_without_validators_keep_the_layer() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|_| Answer::ok("same"));
    let dockerfile = format!("FROM scratch\nADD {} /f\nCOPY <<E /g\nx\nE\n", server.url("/f"));
    fixture.build(&dockerfile).unwrap();
    let second = fixture.build(&dockerfile).unwrap();
    assert!(second.steps.iter().any(|(name, hit)| name.contains("COPY") && *hit), "{:?}", second.steps);
    let meta = std::fs::metadata(second.out.join("f")).unwrap();
    assert_eq!(meta.mtime(), 0);
}

#[test]
fn with_a_checksum_a_known_file_needs_no_server() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|_| Answer::ok("content"));
    let digest = Digest::sha256_of(b"content");
    let dockerfile = format!("FROM scratch\nADD --checksum={digest} {} /f\n", server.url("/f"));
    assert_eq!(fixture.build(&dockerfile).unwrap().read("f"), "content");
    assert_eq!(server.statuses(), [200]);
    assert!(fixture.build(&dockerfile).unwrap().cached("ADD"));
    // Another layer from the same bytes.
    let other = format!("FROM scratch\nADD --checksum={digest} {} /elsewhere\n", server.url("/f"));
    assert_eq!(fixture.build(&other).unwrap().read("elsewhere"), "content");
    assert_eq!(server.statuses(), [0; 0]);
}

#[test]
fn a_wrong_checksum_names_both_digests_and_leaves_nothing() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|_| Answer::ok("evil"));
    let want = Digest::sha256_of(b"good");
    let url = server.url("/f").replace("http://", "http://user:passw0rd@");
    let error = fixture.build(&format!("FROM scratch\nADD --checksum={want} {url} /f\n")).unwrap_err();
    let text = told(&error);
    let got = Digest::sha256_of(b"evil");
    assert!(
        text.contains(&format!("digest mismatch for {}: {got} (expected: {want})", server.url("/f"))),
        "{text}"
    );
    assert!(!text.contains("passw0rd"), "{text}");
    assert!(!fixture.store().join("blobs/sha256").join(got.hex()).exists());
}

#[test]
fn names_come_from_the_header_or_are_missing() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|request| match request.path.as_str() {
        "/" => Answer::ok("named").with("Content-Disposition", "attachment; filename=\"../n.txt\""),
        _ => Answer::ok("unnamed"),
    });
    let built = fixture
        .build(&format!("FROM scratch\nADD {} /d/\nADD {} /e/\n", server.url("/"), server.url("/?q")))
        .unwrap();
    assert_eq!(built.read("d/n.txt"), "named");
    assert_eq!(built.read("e/__unnamed__"), "unnamed");
}

#[test]
fn credentials_stay_with_their_server() {
    let Some(fixture) = fixture() else { return };
    let other = Server::start(|_| Answer::ok("far"));
    let far = other.url("/far");
    let server = Server::start(move |request| match request.path.as_str() {
        _ if request.header("authorization") != "Bearer t0ken" => Answer::new(401),
        "/here" => Answer::new(302).with("Location", "/there"),
        "/there" => Answer::new(307).with("Location", &far),
        _ => Answer::ok("near"),
    });
    let dockerfile = format!("FROM scratch\nADD {} /f\n", server.url("/here"));
    let error = fixture.build(&dockerfile).unwrap_err();
    let text = told(&error);
    assert!(
        text.contains("invalid response status 401") && text.contains("HTTP_AUTH_TOKEN_127.0.0.1"),
        "{text}"
    );
    server.take();

    let mut request = fixture.request(&dockerfile);
    request.secrets = fixture.secrets(&[(&format!("HTTP_AUTH_TOKEN_{}", server.host()), "t0ken\n")]);
    assert_eq!(fixture.run(request.clone()).unwrap().read("f"), "far");
    assert_eq!(server.statuses(), [302, 307]);
    let foreign = other.take();
    assert_eq!(foreign.len(), 1);
    assert_eq!(foreign[0].0.header("authorization"), "");

    // The same secret under the name of the other server is not taken.
    request.secrets = fixture.secrets(&[(&format!("HTTP_AUTH_TOKEN_{}", other.host()), "t0ken")]);
    assert!(fixture.run(request).is_err());
}

#[test]
fn a_header_secret_is_sent_as_it_is() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|request| {
        if request.header("authorization") == "Basic abc" { Answer::ok("x") } else { Answer::new(403) }
    });
    let mut request = fixture.request(&format!("FROM scratch\nADD {} /f\n", server.url("/f")));
    request.secrets = fixture.secrets(&[("HTTP_AUTH_HEADER_127.0.0.1", "Basic abc")]);
    assert_eq!(fixture.run(request).unwrap().read("f"), "x");
}

#[test]
fn a_passing_failure_is_tried_again_and_a_lasting_one_is_told() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start({
        let count = AtomicUsize::new(0);
        move |request| match (request.path.as_str(), count.fetch_add(1, Ordering::SeqCst)) {
            ("/gone", _) => Answer::new(404),
            ("/loop", _) => Answer::new(302).with("Location", "/loop"),
            ("/down", _) => Answer::new(302).with("Location", "file:///etc/passwd"),
            (_, 0) => Answer::new(503),
            _ => Answer::ok("x"),
        }
    });
    let build = |path: &str| fixture.build(&format!("FROM scratch\nADD {} /f\n", server.url(path)));
    assert_eq!(build("/f").unwrap().read("f"), "x");
    assert_eq!(server.statuses(), [503, 200]);
    for (path, want) in [
        ("/gone", "invalid response status 404"),
        ("/loop", "redirects"),
        ("/down", "redirect to file refused"),
    ] {
        let text = told(&build(path).unwrap_err());
        assert!(text.contains(want) && text.contains(&server.url(path)), "{text}");
    }
}

#[test]
fn archives_are_unpacked_only_when_asked() {
    let Some(fixture) = fixture() else { return };
    let tar = crate::fixture::tar(&[("in/a.txt", "inside")]);
    let server = Server::start(move |_| Answer::ok(tar.clone()));
    let url = server.url("/x.tar");
    let built =
        fixture.build(&format!("FROM scratch\nADD {url} /kept/\nADD --unpack {url} /open/\n")).unwrap();
    assert!(built.out.join("kept/x.tar").is_file());
    assert_eq!(built.read("open/in/a.txt"), "inside");
}

/// Serves `0123456789` in parts of four bytes: whole bodies break off, ranges are continued while the tag fits.
fn breaking(
    tag: impl Fn(usize) -> &'static str + Send + Sync + 'static,
    head: (&'static str, &'static str),
) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| {
        let tag = tag(asked.fetch_add(1, Ordering::SeqCst));
        let body = if tag == "\"new\"" { "abcdefghij" } else { "0123456789" };
        let with = |answer: Answer| {
            let answer = if tag.is_empty() { answer } else { answer.with("ETag", tag) };
            answer.with(head.0, head.1).with("Date", "Mon, 07 Nov 1994 08:49:37 GMT")
        };
        let start = request.header("range").strip_prefix("bytes=").and_then(|r| r.strip_suffix('-'));
        let condition = [tag, head.1].contains(&request.header("if-range"));
        let Some(start) = start.and_then(|s| s.parse::<usize>().ok()).filter(|_| condition) else {
            return with(Answer::ok(body).cut(4));
        };
        let mut part = with(Answer::ok(&body.as_bytes()[start..]));
        part.status = 206;
        let cut = if body.len() - start > 4 { part.cut(4) } else { part };
        cut.with("Content-Range", &format!("bytes {start}-9/10"))
    })
}

#[test]
fn a_transfer_that_breaks_off_is_continued_where_it_was() {
    let Some(fixture) = fixture() else { return };
    let ranges = |server: &Server| -> Vec<String> {
        server
            .take()
            .iter()
            .map(|(request, status)| format!("{status} {}", request.header("range")))
            .collect()
    };
    let build = |server: &Server, name: &str| {
        let url = server.url("/f");
        fixture.build(&format!("FROM scratch\nADD {url} /{name}\n")).map(|built| built.read(name))
    };
    let server = breaking(|_| "\"a\"", ("X-Other", "x"));
    assert_eq!(build(&server, "tagged").unwrap(), "0123456789");
    assert_eq!(ranges(&server), ["200 ", "206 bytes=4-", "206 bytes=8-"]);
    // A date does as well, if the file was at rest for long enough.
    let dated = breaking(|_| "", ("Last-Modified", DATE));
    assert_eq!(build(&dated, "dated").unwrap(), "0123456789");
    assert_eq!(ranges(&dated), ["200 ", "206 bytes=4-", "206 bytes=8-"]);
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_from_its_start() {
    let Some(fixture) = fixture() else { return };
    let server = breaking(|n| if n == 0 { "\"old\"" } else { "\"new\"" }, ("X-Other", "x"));
    let built = fixture.build(&format!("FROM scratch\nADD {} /f\n", server.url("/f"))).unwrap();
    assert_eq!(built.read("f"), "abcdefghij");
    // What has only a weak tag is never continued.
    let weak = breaking(|_| "W/\"a\"", ("X-Other", "x"));
    let error = told(&fixture.build(&format!("FROM scratch\nADD {} /f\n", weak.url("/f"))).unwrap_err());
    assert!(error.contains("the transfer broke off"), "{error}");
    assert_eq!(weak.statuses(), [200; 4]);
}
