//! COPY and ADD.

use super::*;
use crate::graph::{Chmod, GitOp, HttpOp, SourceKind};

fn copy_of(text: &str) -> CopyOp {
    let graph = planned(text);
    copies(&graph).last().copied().unwrap().clone()
}

#[test]
fn destinations_are_joined_and_keep_their_slash() {
    for (workdir, written, want) in [
        ("/", "/a/../b/", "/b/"),
        ("/", "x", "/x"),
        ("/", ".", "/"),
        ("/", "/", "/"),
        ("/", "/.", "/."),
        ("/w", "x", "/w/x"),
        ("/w", "./", "/w/"),
        ("/w", ".", "/w/"),
        ("/w", "$NOPE", "/w/"),
        ("/w", "d/.", "/w/d/."),
        ("/w", "../../up", "/up"),
        ("/w", "/abs", "/abs"),
    ] {
        let copy = copy_of(&format!("FROM busybox\nWORKDIR {workdir}\nCOPY a {written}\n"));
        assert_eq!(copy.dest, want, "{workdir} {written}");
    }
}

#[test]
fn words_and_flags_are_expanded() {
    let text = "FROM busybox\nARG N=one\nARG U=app:staff\nARG M=640\nENV F=\"a b.txt\"\n\
                COPY --chown=$U --chmod=$M ${N}.txt $F d-$N/\n";
    let graph = planned(text);
    let copy = copies(&graph)[0];
    let paths: Vec<&str> = copy.sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["one.txt", "a b.txt"]);
    assert_eq!(copy.dest, "/d-one/");
    assert_eq!(copy.chown.as_deref(), Some("app:staff"));
    assert_eq!(copy.chmod, Some(Chmod::Octal(0o640)));
    assert_eq!(
        history(&graph).last().unwrap(),
        "COPY --chown=app:staff --chmod=640 one.txt a b.txt d-one/ # buildkit"
    );
    let span = copy.sources[0].span.unwrap();
    assert_eq!(&text[span.start..span.end], "${N}.txt");
}

#[test]
fn history_leaves_out_flags_that_do_not_show() {
    let graph = planned(
        "FROM busybox AS s\nFROM busybox\nCOPY --from=s --link --parents --exclude=x a b\nADD --chmod=7 f g\n",
    );
    assert_eq!(history(&graph), ["COPY --parents a b # buildkit", "ADD --chmod=7 f g # buildkit"]);
    let copy = copies(&graph)[0];
    assert!(copy.link && copy.parents && !copy.add);
    assert_eq!(copy.excludes, ["x"]);
}

#[test]
fn link_gives_way_to_chmod() {
    assert!(copy_of("FROM busybox\nCOPY --link a b\n").link);
    assert!(!copy_of("FROM busybox\nCOPY --link --chmod=600 a b\n").link);
    assert!(copy_of("FROM busybox\nCOPY --link --chmod=$NOPE a b\n").link);
}

#[test]
fn chmod_is_octal_or_symbolic() {
    let chmod = |mode: &str| {
        try_plan(&format!("FROM busybox\nCOPY --chmod={mode} a b\n"), &options(), &Images::new())
            .map(|graph| copies(&graph)[0].chmod.clone().unwrap())
            .map_err(|error| error.message)
    };
    assert_eq!(chmod("0"), Ok(Chmod::Octal(0)));
    assert_eq!(chmod("07777"), Ok(Chmod::Octal(0o7777)));
    for symbolic in ["u=rwX,go=rX", "+x", "a-w+t", "u=g", "go=", "ug+rs,o-rwx"] {
        assert_eq!(chmod(symbolic), Ok(Chmod::Symbolic(symbolic.into())));
    }
    assert_eq!(
        chmod("0999"),
        Err("invalid chmod parameter: '0999'. it should be octal string and between 0 and 07777".into())
    );
    for bad in ["17777", "789", "u+z", "rwxr-xr-x", "u", "=r,", "-1"] {
        assert!(chmod(bad).is_err(), "{bad}");
    }
}

#[test]
fn heredocs_become_files_after_the_paths() {
    let text =
        "FROM busybox\nENV A=val\nCOPY <<'raw' a.txt <<one.txt /dest/\n$A\nraw\n\"$A\" \\$A\none.txt\n";
    let graph = planned(text);
    let copy = copies(&graph)[0];
    let sources: Vec<(&str, SourceKind)> =
        copy.sources.iter().map(|source| (source.path.as_str(), source.kind)).collect();
    assert_eq!(
        sources,
        [
            ("a.txt", SourceKind::Files { preserve_owner: false }),
            ("raw", SourceKind::Inline),
            ("one.txt", SourceKind::Inline)
        ]
    );
    let Op::Inline(files) = op(&graph, copy.sources[1].input) else { panic!() };
    let files: Vec<(&str, &[u8], u32)> =
        files.iter().map(|file| (&*file.name, &*file.content, file.mode)).collect();
    assert_eq!(files, [("raw", &b"$A\n"[..], 0o644), ("one.txt", &b"\"val\" $A\n"[..], 0o644)]);
    assert_eq!(history(&graph).last().unwrap(), "COPY a.txt <<raw <<one.txt /dest/ # buildkit");
}

#[test]
fn heredoc_names_are_file_names() {
    let graph = planned("FROM busybox\nCOPY <</x /f\nbody\n/x\n");
    assert_eq!(copies(&graph)[0].sources[0].path, "x");
    assert_eq!(history(&graph)[0], "COPY <</x /f # buildkit");
    for text in ["COPY <<a/b /f\n1\na/b\n", "RUN <<../a/b\n#!/bin/sh\n../a/b\n"] {
        let error = message(&format!("FROM busybox\n{text}"));
        assert!(error.ends_with("cannot be the name of a file"), "{error}");
    }
}

#[test]
fn add_unpacks_local_archives_unless_told_otherwise() {
    let kind = |flags: &str| copy_of(&format!("FROM busybox\nADD {flags} a b\n")).sources[0].kind;
    assert_eq!(kind(""), SourceKind::UnpackIfArchive);
    assert_eq!(kind("--unpack"), SourceKind::UnpackIfArchive);
    assert_eq!(kind("--unpack=false"), SourceKind::Files { preserve_owner: false });
}

#[test]
fn add_fetches_urls() {
    let hex = "a".repeat(64);
    let text = format!(
        "FROM busybox\nADD --checksum=sha256:{hex} https://h.invalid/x/f.tar?y /o/\nADD --unpack http://h.invalid/ /p\n"
    );
    let graph = planned(&text);
    let found: Vec<(&HttpOp, &str, SourceKind)> = copies(&graph)
        .iter()
        .map(|copy| match op(&graph, copy.sources[0].input) {
            Op::Http(http) => (http, copy.sources[0].path.as_str(), copy.sources[0].kind),
            other => panic!("{other:?}"),
        })
        .collect();
    let checksum = Some(format!("sha256:{hex}").parse().unwrap());
    let url = "https://h.invalid/x/f.tar?y".to_owned();
    assert_eq!(*found[0].0, HttpOp { url, checksum, filename: Some("f.tar".into()) });
    assert_eq!((found[0].1, found[0].2), ("f.tar", SourceKind::Http { unpack: false }));
    assert_eq!(found[1].0.filename, None);
    assert_eq!(found[1].2, SourceKind::Http { unpack: true });
}

#[test]
fn add_checks_out_git() {
    let git = |flags: &str, url: &str| {
        let graph = try_plan(&format!("FROM busybox\nADD {flags} {url} /o\n"), &options(), &Images::new());
        graph.map_err(|error| error.message).map(|graph| {
            match op(&graph, copies(&graph)[0].sources[0].input) {
                Op::Git(git) => git.clone(),
                other => panic!("{other:?}"),
            }
        })
    };
    let want = |url: &str, keep_git_dir, checksum: Option<&str>| {
        Ok(GitOp { url: url.into(), keep_git_dir, checksum: checksum.map(str::to_owned) })
    };
    let plain = "https://h.invalid/r.git#main:sub";
    assert_eq!(git("", plain), want(plain, false, None));
    assert_eq!(git("--keep-git-dir --checksum=abc", plain), want(plain, true, Some("abc")));
    assert_eq!(git("--keep-git-dir", "https://h.invalid/r"), want("https://h.invalid/r", true, None));
    let query = "git://h.invalid/r?keep-git-dir=1&checksum=abc";
    assert_eq!(git("", query), want(query, true, Some("abc")));
    assert_eq!(git("--keep-git-dir=false", query), Err("inconsistent keep-git-dir configuration".into()));
    assert_eq!(git("--checksum=def", query), Err("checksum mismatch \"def\" != \"abc\"".into()));
}

#[test]
fn equal_sources_are_one_step() {
    let text = "FROM busybox\nADD http://h.invalid/f /a\nADD http://h.invalid/f /b\nCOPY a /\nCOPY b /\n";
    let graph = planned(text);
    assert_eq!(steps(&graph).len(), 1 + 1 + 1 + 4);
    let copies = copies(&graph);
    assert_eq!(copies[0].sources[0].input, copies[1].sources[0].input);
    assert_eq!(copies[2].sources[0].input, copies[3].sources[0].input);
}

#[test]
fn ignored_sources_are_reported() {
    let ignore =
        |text: &str| PlanOptions { dockerignore: Some((text.into(), ".dockerignore".into())), ..options() };
    let text = "FROM busybox AS s\nFROM busybox\nCOPY a/b x /o/\nCOPY --from=s a /p\nCOPY . /q\n";
    let graph = planned_with(text, &ignore("a\n"));
    assert_eq!(rules(&graph), ["CopyIgnoredFile"]);
    assert_eq!(
        graph.warnings[0].message,
        "Attempting to Copy file \"a/b\" that is excluded by .dockerignore"
    );
    assert!(rules(&planned_with(text, &ignore("a\n!a/b\n"))).is_empty());
    assert_eq!(rules(&planned_with("FROM busybox\nADD . /q\n", &ignore("*\n"))), ["CopyIgnoredFile"]);
    assert!(message_with(text, &ignore("[a\n")).starts_with("failed parsing .dockerignore: "));
}

#[test]
fn parts_of_the_name_are_expanded_for_people() {
    let graph = planned("FROM busybox\nENV V=val\ncopy --chown=$V $V '$V' ${NOPE}x\n");
    assert_eq!(*names(&graph).last().unwrap(), "[2/2] COPY --chown=val val '$V' ${NOPE}x");
}
