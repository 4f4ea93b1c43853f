//! What a source names.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use cooper_frontend::graph::{InlineFile, SourceKind};

use super::{Bed, chmod, dirs, file, is_root, link, mtime, touch};
use crate::copy::{CopyError, CopyOptions, SourceTree, copy, select};

fn names(bed: &Bed) -> Vec<String> {
    bed.result().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn sources_are_cleaned_and_clamped_to_the_root() {
    for source in
        ["a", "/a", "./a", "../a", "../../a", "d/../a", "nodir/../a", "//a", "a/", "/./a", "d/./../a"]
    {
        let mut bed = Bed::new();
        file(&bed.src("a"), "a");
        dirs(&bed.src("d"));
        bed.copy(&[source], "/o/").unwrap();
        assert_eq!(names(&bed), ["/o/", "/o/a"], "{source}");
    }
}

#[test]
fn wildcards() {
    let all =
        ["a.txt", ".h.txt", "f1.md", "f2.md", "f12.md", "fx.md", "g.md", "d/b.txt", "x/c/a.ini", "y/c/b.ini"];
    for (pattern, want) in [
        ("*.txt", vec![".h.txt", "a.txt"]),
        ("f?.md", vec!["f1.md", "f2.md", "fx.md"]),
        ("f[1-2].md", vec!["f1.md", "f2.md"]),
        ("[^f]*.md", vec!["g.md"]),
        ("f[0-9][0-9].md", vec!["f12.md"]),
        ("*/*.txt", vec!["b.txt"]),
        ("d/*", vec!["b.txt"]),
        ("*/c/*.ini", vec!["a.ini", "b.ini"]),
        ("**/*.txt", vec!["b.txt"]),
        ("../*.txt", vec![".h.txt", "a.txt"]),
        ("none*", vec![]),
        ("d/none*", vec![]),
        ("a.txt/*", vec![]),
    ] {
        let mut bed = Bed::new();
        for name in all {
            file(&bed.src(name), name);
        }
        bed.copy(&[pattern], "/").unwrap();
        let want: Vec<_> = want.iter().map(|name| format!("/{name}")).collect();
        assert_eq!(names(&bed), want, "{pattern}");
    }
}

#[test]
fn a_wildcard_flattens_the_directories_that_it_matches() {
    let mut bed = Bed::new();
    for name in ["dir1/a", "dir2/b", "dir1/sub/c", "dir2/sub/d", "dfile"] {
        file(&bed.src(name), "x");
    }
    bed.copy(&["d*"], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/a", "/o/b", "/o/dfile", "/o/sub/", "/o/sub/c", "/o/sub/d"]);
}

#[test]
fn a_wildcard_without_match_makes_nothing_and_is_warned_about() {
    let mut bed = Bed::new();
    file(&bed.src("a"), "a");
    let report = bed.copy(&["none*"], "/o/").unwrap();
    assert_eq!(names(&bed), Vec::<String>::new());
    assert_eq!(report.warnings, ["nothing matches \"none*\""]);
    assert!(bed.select("none*").unwrap().is_empty());
}

#[test]
fn a_wildcard_below_a_missing_directory_is_an_error() {
    let bed = Bed::new();
    assert!(matches!(bed.select("nodir/*"), Err(CopyError::NotFound { .. })));
}

#[test]
fn a_bad_pattern_is_an_error() {
    let bed = Bed::new();
    file(&bed.src("a"), "a");
    for pattern in ["[ab", "x/[", "*/a\\"] {
        assert!(matches!(bed.select(pattern), Err(CopyError::BadPattern { .. })), "{pattern}");
    }
}

#[test]
fn a_missing_literal_is_named_with_a_suggestion() {
    let bed = Bed::new();
    file(&bed.src("src/package.json"), "{}");
    let error = bed.select("src/pakcage.json").unwrap_err();
    assert_eq!(error.to_string(), "\"/src/pakcage.json\": not found");
    assert_eq!(error.hint(), Some("did you mean \"/src/package.json\"?"));
    let error = bed.select("src/other").unwrap_err();
    assert_eq!(error.hint(), None);
    assert!(matches!(bed.select("src/package.json/x"), Err(CopyError::NotFound { .. })));
}

#[test]
fn links_named_as_source_are_followed_inside_the_root() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("target"), "t");
    chmod(&bed.src("target"), 0o600);
    touch(&bed.src("target"), (1_359_067_439, 5));
    file(&bed.src("d/f"), "inner");
    file(&bed.src("etc/x"), "mine");
    link("target", &bed.src("l1"));
    link("l1", &bed.src("l2"));
    link("/d/f", &bed.src("labs"));
    link("../target", &bed.src("d/up"));
    link("../../../../etc/x", &bed.src("esc"));
    link("d", &bed.src("ld"));
    bed.copy(&["l1"], "/o/one").unwrap();
    bed.copy(&["l2"], "/o/").unwrap();
    bed.copy(&["labs"], "/o/abs").unwrap();
    bed.copy(&["d/up"], "/o/up").unwrap();
    bed.copy(&["esc"], "/o/esc").unwrap();
    bed.copy(&["ld/f"], "/o/through").unwrap();
    bed.assert_image(&[
        "/o/ 755 0:0",
        "/o/abs 644 0:0 inner",
        "/o/esc 644 0:0 mine",
        "/o/l2 600 0:0 t",
        "/o/one 600 0:0 t",
        "/o/through 644 0:0 inner",
        "/o/up 600 0:0 t",
    ]);
    assert_eq!(mtime(&bed.image("o/l2")), (1_359_067_439, 5));
}

#[test]
fn links_matched_by_a_wildcard_are_followed() {
    let mut bed = Bed::new();
    file(&bed.src("target"), "t");
    file(&bed.src("dir/in"), "i");
    link("target", &bed.src("l1"));
    link("dir", &bed.src("ldir"));
    bed.copy(&["l*"], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/in", "/o/l1"]);
    // Those on the way of a wildcard are not.
    assert!(bed.select("*/in").unwrap().warnings().is_empty());
    let mut bed = Bed::new();
    file(&bed.src("dir/in"), "i");
    link("dir", &bed.src("ldir"));
    bed.copy(&["l*/in"], "/o/").unwrap();
    assert_eq!(names(&bed), Vec::<String>::new());
}

#[test]
fn a_dangling_link_is_an_error() {
    let bed = Bed::new();
    link("nowhere", &bed.src("l"));
    assert!(matches!(bed.select("l"), Err(CopyError::NotFound { .. })));
    link("m", &bed.src("m"));
    assert!(matches!(bed.select("m"), Err(CopyError::LinkLoop { .. })));
}

#[test]
fn links_below_a_copied_directory_stay_links() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("d/s/i"), "i");
    for (target, name) in [("/etc/passwd", "abs"), ("nowhere", "dang"), ("s", "ldir"), ("loop", "loop")] {
        link(target, &bed.src("d").join(name));
    }
    bed.copy(&["d"], "/d").unwrap();
    bed.assert_image(&[
        "/d/ 755 0:0",
        "/d/abs -> /etc/passwd 0:0",
        "/d/dang -> nowhere 0:0",
        "/d/ldir -> s 0:0",
        "/d/loop -> loop 0:0",
        "/d/s/ 755 0:0",
        "/d/s/i 644 0:0 i",
    ]);
}

#[test]
fn hidden_files_and_empty_directories_are_copied() {
    let mut bed = Bed::new();
    file(&bed.src(".hidden"), "h");
    dirs(&bed.src("empty/er"));
    bed.copy(&["."], "/all/").unwrap();
    assert_eq!(names(&bed), ["/all/", "/all/.hidden", "/all/empty/", "/all/empty/er/"]);
}

#[test]
fn hard_links_survive_within_one_directory_source_only() {
    let mut bed = Bed::new();
    file(&bed.src("d/a"), "x");
    dirs(&bed.src("d/s"));
    fs::hard_link(bed.src("d/a"), bed.src("d/b")).unwrap();
    fs::hard_link(bed.src("d/a"), bed.src("d/s/c")).unwrap();
    bed.copy(&["d"], "/d").unwrap();
    let inode = |path: &str| fs::metadata(bed.image(path)).unwrap().ino();
    assert_eq!(inode("d/a"), inode("d/b"));
    assert_eq!(inode("d/a"), inode("d/s/c"));
    let mut bed = Bed::new();
    file(&bed.src("a"), "x");
    fs::hard_link(bed.src("a"), bed.src("b")).unwrap();
    bed.copy(&["a", "b"], "/two/").unwrap();
    bed.copy(&["?"], "/wild/").unwrap();
    for dir in ["two", "wild"] {
        assert_eq!(fs::metadata(bed.image(dir).join("a")).unwrap().nlink(), 1);
    }
}

#[test]
fn hard_links_over_existing_files_replace_them() {
    let mut bed = Bed::new();
    file(&bed.src("d/a"), "x");
    fs::hard_link(bed.src("d/a"), bed.src("d/b")).unwrap();
    file(&bed.image("d/b"), "old");
    bed.copy(&["d"], "/d").unwrap();
    assert_eq!(fs::read_to_string(bed.image("d/b")).unwrap(), "x");
}

#[test]
fn names_that_are_no_text_are_copied() {
    use std::os::unix::ffi::OsStrExt as _;
    let mut bed = Bed::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe?");
    fs::write(bed.src("").join(name), "x").unwrap();
    bed.copy(&["."], "/o").unwrap();
    bed.copy(&["*"], "/p/").unwrap();
    assert!(bed.image("o").join(name).exists());
    assert!(bed.image("p").join(name).exists());
}

#[test]
fn an_inline_file_is_written_with_its_mode() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    bed.kind = SourceKind::Inline;
    let content = b"hello".to_vec();
    let tree = SourceTree::inline(vec![InlineFile { name: "one.txt".into(), content, mode: 0o644 }]);
    let image = cooper_sys::fs::open_dir(&bed.image("")).unwrap();
    for dest in ["/o/", "/o/renamed", "/o/renamed"] {
        bed.op.dest = dest.into();
        let selection = select(&tree, &bed.source("one.txt"), &bed.op).unwrap();
        use std::os::fd::AsFd as _;
        copy(&selection, image.as_fd(), &bed.op, &CopyOptions::default()).unwrap();
    }
    bed.assert_image(&["/o/ 755 0:0", "/o/one.txt 644 0:0 hello", "/o/renamed 644 0:0 hello"]);
}

#[test]
fn a_download_is_private_and_a_checkout_is_a_directory() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("f[1]"), "body");
    bed.kind = SourceKind::Http { unpack: false };
    bed.copy(&["f[1]"], "/d/").unwrap();
    bed.assert_image(&["/d/ 755 0:0", "/d/f[1] 600 0:0 body"]);

    let mut bed = Bed::new();
    file(&bed.src("bin/tool"), "t");
    chmod(&bed.src("bin/tool"), 0o755);
    bed.kind = SourceKind::Git;
    dirs(&bed.image("there"));
    bed.copy(&["https://example.com/x.git"], "/there").unwrap();
    bed.copy(&["https://example.com/x.git"], "/new").unwrap();
    bed.assert_image(&[
        "/new/ 755 0:0",
        "/new/bin/ 755 0:0",
        "/new/bin/tool 755 0:0 t",
        "/there/ 755 0:0",
        "/there/bin/ 755 0:0",
        "/there/bin/tool 755 0:0 t",
    ]);
}
