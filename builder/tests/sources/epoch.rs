//! `SOURCE_DATE_EPOCH` given as the name of what dates the build.

use std::os::unix::fs::MetadataExt;

use cooper_builder::request::{BuildRequest, ContextSource};

use crate::fixture::{Fixture, fixture, tar};
use crate::repository::{COMMIT_SECONDS, Repository, serve};
use crate::server::{Answer, Server};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_SECONDS: i64 = 784_111_777;

/// The value that RUN's ARG has in a build with `epoch`, in the words of the image: a file's time says it.
fn dated(fixture: &Fixture, request: BuildRequest, epoch: &str) -> (String, i64) {
    let build_args = vec![("SOURCE_DATE_EPOCH".to_owned(), epoch.to_owned())];
    let built = fixture.run(BuildRequest { build_args, ..request }).unwrap();
    let time = std::fs::symlink_metadata(built.out.join("value")).unwrap().mtime();
    (built.read("value"), time)
}

const SHOW: &str = "ARG SOURCE_DATE_EPOCH\nCOPY <<E /value\n[${SOURCE_DATE_EPOCH-unset}]\nE\n";

#[test]
fn a_repository_dates_the_build_by_its_commit() {
    let Some(fixture) = fixture() else { return };
    let repository = Repository::new(fixture.dir().join("git/app.git"));
    repository.commit(&[("Dockerfile", &format!("FROM scratch\nCOPY a /\n{SHOW}")), ("a", "x")]);
    let server = serve(&fixture.dir().join("git"), |_| None);
    let url = server.url("/app.git");
    let want = (format!("[{COMMIT_SECONDS}]\n"), COMMIT_SECONDS);
    let context = || BuildRequest { context: ContextSource::Git(url.clone()), ..BuildRequest::default() };
    assert_eq!(dated(&fixture, context(), "context"), want);
    assert_eq!(dated(&fixture, context(), "12"), ("[12]\n".to_owned(), 12));
    let stage = format!("FROM scratch AS source\nADD {url} /\nFROM scratch\n{SHOW}");
    assert_eq!(dated(&fixture, fixture.request(&stage), "Source"), want);
    let mut named = fixture.request(&format!("FROM scratch\n{SHOW}"));
    named.build_contexts = vec![("repo".to_owned(), url)];
    assert_eq!(dated(&fixture, named, "repo"), want);
    // A directory has no time of its own.
    let local = fixture.request(&format!("FROM scratch\n{SHOW}"));
    assert_eq!(dated(&fixture, local, "context").0, "[unset]\n");
}

#[test]
fn a_download_dates_the_build_by_its_server_or_its_newest_file() {
    let Some(fixture) = fixture() else { return };
    let dockerfile = format!("FROM scratch\n{SHOW}");
    let archive = {
        use cooper_oci::tar::{Entry, EntryKind, Writer};
        let mut writer = Writer::new(Vec::new());
        for (path, kind, mtime, text) in [
            ("Dockerfile", EntryKind::File, 100, dockerfile.as_str()),
            ("old", EntryKind::File, 50, ""),
            ("dir", EntryKind::Dir, 900, ""),
        ] {
            let size = text.len() as u64;
            let entry = Entry { path: path.into(), kind, mode: 0o755, mtime, size, ..Entry::default() };
            writer.append_with(&entry, &mut text.as_bytes()).unwrap();
        }
        writer.finish().unwrap()
    };
    let server = Server::start(move |request| match request.path.as_str() {
        "/dated.tar" => Answer::ok(tar(&[("x", "x")])).with("Last-Modified", DATE),
        "/plain.tar" => Answer::ok(archive.clone()),
        _ => Answer::ok("no archive"),
    });
    let of = |path: &str| {
        let stage = format!("FROM scratch AS source\nADD {} /\n{dockerfile}", server.url(path));
        dated(&fixture, fixture.request(&stage), "source").0
    };
    assert_eq!(of("/dated.tar"), format!("[{DATE_SECONDS}]\n"));
    assert_eq!(of("/plain.tar"), "[100]\n");
    assert_eq!(of("/text"), "[unset]\n");
    let context = ContextSource::Http(server.url("/plain.tar"));
    let request = BuildRequest { context, ..BuildRequest::default() };
    assert_eq!(dated(&fixture, request, "context"), ("[100]\n".to_owned(), 100));
}
