//! ADD of git repositories, and named contexts that are some.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::fixture::{Fixture, fixture, told};
use crate::repository::{COMMIT_SECONDS, Daemon, Repository, fetches, serve};
use crate::server::Answer;

/// A repository `app.git` with two commits, a branch, two tags and a pull request.
fn sample(fixture: &Fixture) -> (Repository, [String; 3]) {
    let repository = Repository::new(fixture.dir().join("git/app.git"));
    let first = repository.commit(&[("a.txt", "one"), ("sub/b.txt", "below"), ("run.sh", "#!/bin/sh\n")]);
    repository.git(&["tag", "v1"]);
    std::fs::set_permissions(repository.0.join("run.sh"), std::fs::Permissions::from_mode(0o775)).unwrap();
    std::os::unix::fs::symlink("a.txt", repository.0.join("link")).unwrap();
    let second = repository.commit(&[("a.txt", "two")]);
    repository.git(&["tag", "-a", "-m", "x", "v2"]);
    repository.git(&["checkout", "-q", "-b", "side", "v1"]);
    let third = repository.commit(&[("a.txt", "side")]);
    repository.git(&["update-ref", "refs/pull/7/head", &third]);
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "false"]);
    (repository, [first, second, third])
}

#[test]
fn a_tree_is_added_with_git_modes_and_no_git_directory() {
    let Some(fixture) = fixture() else { return };
    let (repository, _) = sample(&fixture);
    let server = serve(&fixture.dir().join("git"), |_| None);
    let url = server.url("/app.git");
    let dockerfile = format!("FROM scratch\nADD {url} /d/\n");
    let built = fixture.build(&dockerfile).unwrap();
    assert_eq!(built.read("d/a.txt"), "two");
    assert!(!built.out.join("d/.git").exists());
    let mode = |name: &str| {
        let meta = std::fs::symlink_metadata(built.out.join(name)).unwrap();
        (meta.mode() & 0o777, meta.uid(), meta.gid())
    };
    assert_eq!(mode("d/a.txt"), (0o644, 0, 0));
    assert_eq!(mode("d/run.sh"), (0o755, 0, 0));
    assert_eq!(mode("d/sub"), (0o755, 0, 0));
    assert_eq!(std::fs::read_link(built.out.join("d/link")).unwrap().to_str(), Some("a.txt"));
    assert_eq!(fetches(&server), 1);

    // An unchanged branch costs a question and no download; a changed one is fetched.
    let again = fixture.build(&dockerfile).unwrap();
    assert!(again.cached("ADD"), "{:?}", again.steps);
    assert_eq!(fetches(&server), 0);
    repository.commit(&[("a.txt", "three")]);
    assert_eq!(fixture.build(&dockerfile).unwrap().read("d/a.txt"), "three");
    assert_eq!(fetches(&server), 1);
}

#[test]
fn refs_of_all_kinds_are_found() {
    let Some(fixture) = fixture() else { return };
    let (_, [first, second, third]) = sample(&fixture);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let url = daemon.url("app.git");
    let mut dockerfile = String::from("FROM scratch\n");
    let cases = [
        ("#side", "side"),
        ("#v1", "one"),
        ("#v2", "two"),
        ("#refs/tags/v1", "one"),
        ("#refs/pull/7/head", "side"),
        ("#pull/7/head", "side"),
        ("?branch=side", "side"),
        ("?tag=v1", "one"),
        ("?ref=v2", "two"),
        (&format!("#{first}"), "one"),
        (&format!("?ref={second}"), "two"),
        (&format!("?branch=side&commit={third}"), "side"),
        (&format!("?tag=v2&checksum={}", &second[..12]), "two"),
    ];
    for (index, (suffix, _)) in cases.iter().enumerate() {
        writeln!(dockerfile, "ADD {url}{suffix} /{index}/").unwrap();
    }
    let built = fixture.build(&dockerfile).unwrap();
    for (index, (suffix, want)) in cases.iter().enumerate() {
        assert_eq!(built.read(&format!("{index}/a.txt")), *want, "{suffix}");
    }
}

#[test]
fn a_pinned_commit_needs_no_server_again() {
    let Some(fixture) = fixture() else { return };
    let (_, [first, ..]) = sample(&fixture);
    let server = serve(&fixture.dir().join("git"), |_| None);
    let dockerfile = format!("FROM scratch\nADD {}#{first} /d/\n", server.url("/app.git"));
    assert_eq!(fixture.build(&dockerfile).unwrap().read("d/a.txt"), "one");
    server.take();
    assert!(fixture.build(&dockerfile).unwrap().cached("ADD"));
    assert_eq!(server.statuses(), [0; 0]);
}

#[test]
fn subdirectories_are_taken_by_themselves() {
    let Some(fixture) = fixture() else { return };
    let (repository, _) = sample(&fixture);
    std::os::unix::fs::symlink("/etc", repository.0.join("etc")).unwrap();
    repository.commit(&[]);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let url = daemon.url("app.git");
    let built = fixture
        .build(&format!("FROM scratch\nADD {url}#main:sub /d/\nADD {url}?subdir=/sub/ /e/\n"))
        .unwrap();
    assert_eq!(built.read("d/b.txt"), "below");
    assert_eq!(built.read("e/b.txt"), "below");
    for bad in ["#:none", "#:a.txt", "#:etc"] {
        let error = fixture.build(&format!("FROM scratch\nADD {url}{bad} /d/\n")).unwrap_err();
        assert!(error.to_string().contains("has no directory"), "{bad}: {error}");
    }
}

#[test]
fn the_git_directory_is_kept_when_asked_and_holds_no_credential() {
    let Some(fixture) = fixture() else { return };
    let (_, [_, second, _]) = sample(&fixture);
    let server = serve(&fixture.dir().join("git"), |request| {
        // user:s3cret
        (request.header("authorization") != "Basic dXNlcjpzM2NyZXQ=")
            .then(|| Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""))
    });
    let url = server.url("/app.git").replace("http://", "http://user:s3cret@");
    let built = fixture.build(&format!("FROM scratch\nADD --keep-git-dir=true {url}#v2 /d/\n")).unwrap();
    assert!(built.read("d/.git/HEAD").contains(&second));
    let config = built.read("d/.git/config");
    assert!(config.contains(&server.url("/app.git")) && !config.contains("s3cret"), "{config}");
    let without = fixture.build(&format!("FROM scratch\nADD {url}#v2 /d/\n")).unwrap();
    assert!(!without.out.join("d/.git").exists());
}

#[test]
fn tokens_go_to_their_server_only() {
    let Some(fixture) = fixture() else { return };
    sample(&fixture);
    let base = fixture.dir().join("git");
    // x-access-token:t0ken
    const WANT: &str = "Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=";
    let far = serve(&base, |_| None);
    let target = far.url("");
    let server = serve(&base, move |request| {
        let login = request.header("authorization") == WANT;
        let moved = request.path.strip_prefix("/moved.git").or(request.path.strip_prefix("/private.git"));
        if !login && !request.path.starts_with("/moved.git") {
            return Some(Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        Some(Answer::new(302).with("Location", &format!("{target}/app.git{}", moved?)))
    });
    let dockerfile = format!("FROM scratch\nADD {} /d/\n", server.url("/app.git"));
    let error = fixture.build(&dockerfile).unwrap_err();
    let text = told(&error);
    assert!(text.contains(&server.url("/app.git")) && text.contains("GIT_AUTH_TOKEN"), "{text}");

    for id in ["GIT_AUTH_TOKEN", &format!("GIT_AUTH_TOKEN.{}", server.host()), "GIT_AUTH_TOKEN.127.0.0.1"] {
        let mut request = fixture.request(&dockerfile);
        request.secrets = fixture.secrets(&[(id, "t0ken\n")]);
        assert_eq!(fixture.run(request).unwrap().read("d/a.txt"), "two", "{id}");
    }
    let mut request = fixture.request(&format!("FROM scratch\nADD {}#side /d/\n", server.url("/moved.git")));
    request.secrets = fixture.secrets(&[("GIT_AUTH_TOKEN", "t0ken")]);
    assert_eq!(fixture.run(request.clone()).unwrap().read("d/a.txt"), "side");
    let foreign = far.take();
    assert!(!foreign.is_empty());
    assert!(foreign.iter().all(|(request, _)| request.header("authorization").is_empty()));

    // Git itself does not get over a redirect behind a login.
    request = fixture.request(&format!("FROM scratch\nADD {}#v2 /d/\n", server.url("/private.git")));
    request.secrets = fixture.secrets(&[("GIT_AUTH_TOKEN", "t0ken")]);
    let text = told(&fixture.run(request).unwrap_err());
    assert!(text.contains("name the URL that the server redirects to"), "{text}");
    assert!(far.take().iter().all(|(request, _)| request.header("authorization").is_empty()));

    // A header would follow the redirect: then none is followed.
    request = fixture.request(&format!("FROM scratch\nADD {}#v1 /d/\n", server.url("/moved.git")));
    request.secrets = fixture.secrets(&[("GIT_AUTH_HEADER", WANT)]);
    assert!(fixture.run(request).is_err());
    assert!(far.take().is_empty());
    request = fixture.request(&format!("FROM scratch\nADD {}#v1 /d/\n", server.url("/app.git")));
    request.secrets = fixture.secrets(&[("GIT_AUTH_HEADER", WANT), ("GIT_AUTH_TOKEN", "wrong")]);
    assert_eq!(fixture.run(request).unwrap().read("d/a.txt"), "one");
}

#[test]
fn checksums_are_checked() {
    let Some(fixture) = fixture() else { return };
    let (repository, [first, second, _]) = sample(&fixture);
    let tag = repository.git(&["rev-parse", "v2"]);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let url = daemon.url("app.git");
    let add =
        |checksum: &str| fixture.build(&format!("FROM scratch\nADD --checksum={checksum} {url}#v2 /d/\n"));
    for good in [&second, &tag, &second[..10]] {
        assert_eq!(add(good).unwrap().read("d/a.txt"), "two");
    }
    let error = told(&add(&first).unwrap_err());
    assert!(error.contains(&format!("expected checksum to match {first}, got {tag} or {second}")), "{error}");
    let error = told(&add("foobar").unwrap_err());
    assert!(error.contains("invalid checksum") && error.contains("expected hex commit hash"), "{error}");
}

#[test]
fn submodules_come_along_unless_refused() {
    let Some(fixture) = fixture() else { return };
    let (repository, _) = sample(&fixture);
    let library = Repository::new(fixture.dir().join("git/library.git"));
    library.commit(&[("lib.txt", "library")]);
    repository.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &library.file_url(),
        "lib",
    ]);
    repository.git(&["config", "-f", ".gitmodules", "submodule.lib.url", "../library.git"]);
    repository.commit(&[]);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let url = daemon.url("app.git");
    let built =
        fixture.build(&format!("FROM scratch\nADD {url} /d/\nADD {url}?submodules=false /e/\n")).unwrap();
    assert_eq!(built.read("d/lib/lib.txt"), "library");
    assert!(!built.out.join("d/lib/.git").exists());
    assert!(!built.out.join("e/lib/lib.txt").exists());
    // A remote repository does not reach files of this machine.
    repository.git(&["config", "-f", ".gitmodules", "submodule.lib.url", &library.file_url()]);
    repository.commit(&[]);
    let error = told(&fixture.build(&format!("FROM scratch\nADD {url} /d/\n")).unwrap_err());
    assert!(error.contains("transport 'file' not allowed"), "{error}");
}

#[test]
fn nothing_in_a_repository_runs() {
    let Some(fixture) = fixture() else { return };
    let (repository, _) = sample(&fixture);
    let library = Repository::new(fixture.dir().join("git/library.git"));
    let pinned = library.commit(&[("lib.txt", "library")]);
    let canary = fixture.dir().join("canary");
    let module = format!(
        "[submodule \"lib\"]\n\tpath = lib\n\turl = ../library.git\n\tupdate = !touch {}\n",
        canary.display()
    );
    repository.commit(&[(".gitattributes", "*.txt filter=evil\n"), ("b.txt", "raw")]);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let dockerfile = format!("FROM scratch\nADD {} /d/\n", daemon.url("app.git"));
    assert_eq!(fixture.build(&dockerfile).unwrap().read("d/b.txt"), "raw");
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{pinned},lib")]);
    std::fs::create_dir(repository.0.join("lib")).unwrap();
    repository.commit(&[(".gitmodules", &module)]);
    let refused = told(&fixture.build(&dockerfile).unwrap_err());
    assert!(refused.contains("submodule.lib.update"), "{refused}");
    assert!(!canary.exists());
}

#[test]
fn times_may_be_the_commits() {
    let Some(fixture) = fixture() else { return };
    sample(&fixture);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let built =
        fixture.build(&format!("FROM scratch\nADD {}?mtime=commit /d/\n", daemon.url("app.git"))).unwrap();
    for name in ["d/a.txt", "d/sub"] {
        assert_eq!(std::fs::metadata(built.out.join(name)).unwrap().mtime(), COMMIT_SECONDS, "{name}");
    }
}

#[test]
fn named_contexts_are_repositories_and_files() {
    let Some(fixture) = fixture() else { return };
    sample(&fixture);
    let server = serve(&fixture.dir().join("git"), |request| {
        (request.path == "/file.txt").then(|| Answer::ok("a file").with("ETag", "\"1\""))
    });
    let mut request =
        fixture.request("FROM scratch\nCOPY --from=app /sub/b.txt /\nCOPY --from=file /context /file.txt\n");
    request.build_contexts =
        vec![("app".into(), server.url("/app.git#main")), ("file".into(), server.url("/file.txt"))];
    let built = fixture.run(request.clone()).unwrap();
    assert_eq!(built.read("b.txt"), "below");
    assert_eq!(built.read("file.txt"), "a file");
    let again = fixture.run(request).unwrap();
    assert!(again.cached("COPY"), "{:?}", again.steps);
}

#[test]
fn what_is_missing_is_named() {
    let Some(fixture) = fixture() else { return };
    let (_, [first, ..]) = sample(&fixture);
    let daemon = Daemon::start(&fixture.dir().join("git"));
    let url = daemon.url("app.git");
    let absent = "0".repeat(40);
    for (source, want) in [
        (format!("{url}#nope"), "does not contain ref nope"),
        (format!("{url}#{}", &first[..8]), "full id"),
        (format!("{url}#{absent}"), "does not contain commit"),
        (daemon.url("none.git"), "cannot fetch git://"),
    ] {
        let error = fixture.build(&format!("FROM scratch\nADD {source} /d/\n")).unwrap_err();
        assert!(told(&error).contains(want), "{source}: {}", told(&error));
        assert_eq!(error.span().map(|span| span.start_line), Some(2));
    }
}
