//! Main contexts that are no directory of the client.

use std::io::Write;

use cooper_builder::request::{ArchiveStream, BuildRequest, ContextSource, DockerfileSource};

use crate::fixture::{fixture, tar, told};
use crate::repository::{Repository, fetches, serve};
use crate::server::{Answer, Server};

const FILES: [(&str, &str); 4] = [
    ("Dockerfile", "FROM scratch\nCOPY . /\n"),
    ("other/Dockerfile.two", "FROM scratch\nCOPY a.txt /two\n"),
    ("a.txt", "content"),
    (".dockerignore", "a.txt\n"),
];

fn with(context: ContextSource) -> BuildRequest {
    BuildRequest { context, ..BuildRequest::default() }
}

#[test]
fn a_tar_on_standard_input_is_a_context() {
    let Some(fixture) = fixture() else { return };
    let plain = tar(&FILES);
    let mut gzip = Vec::new();
    {
        let mut encoder =
            cooper_oci::compress::encoder(&mut gzip, cooper_oci::compress::Compression::Gzip, None, 1)
                .unwrap();
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap();
    }
    for bytes in [plain, gzip] {
        let stream = ArchiveStream::new(std::io::Cursor::new(bytes));
        let mut request = with(ContextSource::Tar(stream));
        request.dockerfile = Some(DockerfileSource::Path("other/Dockerfile.two".into()));
        assert_eq!(fixture.run(request).unwrap().read("two"), "content");
    }
    let stream = ArchiveStream::new(std::io::Cursor::new(tar(&FILES)));
    let built = fixture.run(with(ContextSource::Tar(stream))).unwrap();
    // Ignore files are for directories of the client.
    assert_eq!(built.read("a.txt"), "content");
    let left = std::fs::read_dir(fixture.store().join("contexts")).unwrap().count();
    assert_eq!(left, 0, "an index of files that are gone");
}

#[test]
fn a_broken_or_empty_tar_is_told() {
    let Some(fixture) = fixture() else { return };
    let mut bytes = tar(&FILES);
    bytes.truncate(700);
    let context = ContextSource::Tar(ArchiveStream::new(std::io::Cursor::new(bytes)));
    let error = told(&fixture.run(with(context)).unwrap_err());
    assert!(error.contains("standard input"), "{error}");
    let context = ContextSource::Tar(ArchiveStream::new(std::io::Cursor::new(tar(&FILES[2..]))));
    let error = told(&fixture.run(with(context)).unwrap_err());
    assert!(error.contains("has no file Dockerfile"), "{error}");
}

#[test]
fn a_url_is_an_archive_or_a_dockerfile() {
    let Some(fixture) = fixture() else { return };
    let server = Server::start(|request| {
        if request.header("if-none-match") == "\"1\"" {
            return Answer::new(304);
        }
        match request.path.as_str() {
            "/context.tar" => Answer::ok(tar(&FILES)).with("ETag", "\"1\""),
            _ => Answer::ok("FROM scratch\nCOPY <<E /x\nhere\nE\n"),
        }
    });
    let archive = || with(ContextSource::remote(&server.url("/context.tar")).unwrap());
    assert_eq!(fixture.run(archive()).unwrap().read("a.txt"), "content");
    let again = fixture.run(archive()).unwrap();
    assert!(again.cached("COPY") && again.cached("load remote build context"));
    assert_eq!(server.statuses(), [200, 304]);
    let built = fixture.run(with(ContextSource::remote(&server.url("/Dockerfile")).unwrap())).unwrap();
    assert_eq!(built.read("x"), "here\n");
    let mut request = fixture.request("");
    request.dockerfile = Some(DockerfileSource::Url(server.url("/Dockerfile")));
    assert_eq!(fixture.run(request).unwrap().read("x"), "here\n");
}

#[test]
fn a_repository_is_a_context() {
    let Some(fixture) = fixture() else { return };
    let repository = Repository::new(fixture.dir().join("git/app.git"));
    repository.commit(&FILES);
    std::os::unix::fs::symlink("/proc/self/environ", repository.0.join("Dockerfile.out")).unwrap();
    repository.commit(&[("deep/Dockerfile", "FROM scratch\nCOPY . /\n"), ("deep/b", "deep")]);
    let server = serve(&fixture.dir().join("git"), |_| None);
    for url in [server.url("/app.git"), repository.file_url()] {
        let built = fixture.run(with(ContextSource::Git(url.clone()))).unwrap();
        assert_eq!(built.read("a.txt"), "content");
        assert!(!built.out.join(".git").exists());
        assert!(!built.cached("load git source") || url.starts_with("file:"), "{:?}", built.steps);
        let again = fixture.run(with(ContextSource::Git(url))).unwrap();
        assert!(again.cached("load git source") && again.cached("COPY"));
    }
    assert_eq!(fetches(&server), 1);
    let deep = fixture.run(with(ContextSource::Git(server.url("/app.git#main:deep")))).unwrap();
    assert_eq!(deep.read("b"), "deep");
    let mut keep = with(ContextSource::Git(server.url("/app.git")));
    keep.build_args = vec![("BUILDKIT_CONTEXT_KEEP_GIT_DIR".into(), "1".into())];
    assert!(fixture.run(keep).unwrap().out.join(".git/HEAD").is_file());
    let mut outside = with(ContextSource::Git(server.url("/app.git")));
    outside.dockerfile = Some(DockerfileSource::Path("Dockerfile.out".into()));
    let error = told(&fixture.run(outside).unwrap_err());
    assert!(error.contains("has no file Dockerfile.out"), "{error}");
}

#[test]
fn arguments_are_told_apart() {
    let git = |text: &str| Some(ContextSource::Git(text.into()));
    assert_eq!(ContextSource::remote("github.com/a/b#x"), git("github.com/a/b#x"));
    assert_eq!(ContextSource::remote("https://h.test/a.git"), git("https://h.test/a.git"));
    assert_eq!(ContextSource::remote("git@h.test:a/b"), git("git@h.test:a/b"));
    let http = ContextSource::Http("https://h.test/a.tar".into());
    assert_eq!(ContextSource::remote("https://h.test/a.tar"), Some(http));
    assert_eq!(ContextSource::remote("./dir"), None);
}
