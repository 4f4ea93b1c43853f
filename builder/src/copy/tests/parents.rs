//! `--parents`.

use super::{Bed, chmod, chown, dirs, file, is_root, link};
use crate::copy::CopyError;

fn names(bed: &Bed) -> Vec<String> {
    bed.result().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

fn bed() -> Bed {
    let mut bed = Bed::new();
    bed.op.parents = true;
    bed
}

#[test]
fn paths_and_modes_of_the_source_are_kept() {
    if !is_root() {
        return;
    }
    let mut bed = bed();
    file(&bed.src("x/y/f.txt"), "f");
    file(&bed.src("x/z/g.txt"), "g");
    chmod(&bed.src("x"), 0o700);
    chmod(&bed.src("x/y"), 0o711);
    bed.copy(&["x/y/f.txt", "x/z/g.txt"], "/o/").unwrap();
    bed.assert_image(&[
        "/o/ 755 0:0",
        "/o/x/ 700 0:0",
        "/o/x/y/ 711 0:0",
        "/o/x/y/f.txt 644 0:0 f",
        "/o/x/z/ 755 0:0",
        "/o/x/z/g.txt 644 0:0 g",
    ]);
}

#[test]
fn sources_are_cleaned() {
    for source in ["../x/f", "/x/f", "y/../x/f", "x//f", "nodir/../x/f"] {
        let mut bed = bed();
        file(&bed.src("x/f"), "f");
        dirs(&bed.src("y"));
        bed.copy(&[source], "/o").unwrap();
        assert_eq!(names(&bed), ["/o/", "/o/x/", "/o/x/f"], "{source}");
    }
}

#[test]
fn patterns_and_pivots() {
    let all = [
        "f.txt",
        "x/f.txt",
        "x/y/f.txt",
        "x/y/deep/f.txt",
        "x/z/f.txt",
        "q/f.txt",
        "x/r.md",
        "x/y/deep/s.md",
    ];
    for (source, want) in [
        ("*/f.txt", vec!["q/f.txt", "x/f.txt"]),
        ("**/f.txt", vec!["f.txt", "q/f.txt", "x/f.txt", "x/y/deep/f.txt", "x/y/f.txt", "x/z/f.txt"]),
        ("x/**/*.md", vec!["x/r.md", "x/y/deep/s.md"]),
        ("x/[yz]/f.txt", vec!["x/y/f.txt", "x/z/f.txt"]),
        ("q*/./f.txt", vec!["f.txt"]),
        ("x/./*/f.txt", vec!["y/f.txt", "z/f.txt"]),
        ("./x/./**/*.md", vec!["r.md", "y/deep/s.md"]),
        ("x/y", vec!["x/y/deep/f.txt", "x/y/deep/s.md", "x/y/f.txt"]),
        ("x/z/", vec!["x/z/f.txt"]),
        ("x/z/.", vec!["x/z/f.txt"]),
        ("x/*", vec!["x/f.txt", "x/r.md", "x/y/deep/f.txt", "x/y/deep/s.md", "x/y/f.txt", "x/z/f.txt"]),
        ("none/*", vec![]),
    ] {
        let mut bed = bed();
        for name in all {
            file(&bed.src(name), name);
        }
        bed.copy(&[source], "/o").unwrap();
        let files: Vec<_> = names(&bed).into_iter().filter(|name| !name.ends_with('/')).collect();
        let want: Vec<_> = want.iter().map(|name| format!("/o/{name}")).collect();
        assert_eq!(files, want, "{source}");
    }
}

#[test]
fn a_literal_must_exist_and_a_wildcard_need_not() {
    let bed = bed();
    file(&bed.src("x/f"), "f");
    for source in ["x/g", "y/f", "x/./g", "y/./f"] {
        assert!(matches!(bed.select(source), Err(CopyError::NotFound { .. })), "{source}");
    }
    for source in ["x/g*", "*/g", "x/./g*"] {
        assert!(bed.select(source).is_ok(), "{source}");
    }
}

#[test]
fn links_on_the_way_are_not_followed() {
    let mut bed = bed();
    file(&bed.src("real/f"), "f");
    link("f", &bed.src("real/l"));
    link("real", &bed.src("dir"));
    bed.copy(&["real/l"], "/o/").unwrap();
    assert!(bed.result()[2].starts_with("/o/real/l -> f"));
    assert!(matches!(bed.select("dir/f"), Err(CopyError::NotFound { .. })));
    // But before the pivot they are.
    bed.copy(&["dir/./f"], "/p/").unwrap();
    assert!(bed.image("p/f").exists());
}

#[test]
fn existing_directories_take_the_mode_and_keep_the_owner() {
    if !is_root() {
        return;
    }
    let mut bed = bed();
    file(&bed.src("x/y/f"), "f");
    chmod(&bed.src("x"), 0o711);
    dirs(&bed.image("o/x/y"));
    for name in ["o", "o/x", "o/x/y"] {
        chmod(&bed.image(name), 0o700);
    }
    chown(&bed.image("o/x"), 1000, 0);
    bed.copy(&["x/y/f"], "/o/").unwrap();
    bed.assert_image(&["/o/ 700 0:0", "/o/x/ 711 1000:0", "/o/x/y/ 755 0:0", "/o/x/y/f 644 0:0 f"]);
}

#[test]
fn owners_of_a_stage_are_kept_for_the_directories_too() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::stage();
    bed.op.parents = true;
    file(&bed.src("a/b/c/f"), "f");
    for name in ["a", "a/b", "a/b/c/f"] {
        chown(&bed.src(name), 1000, 50);
    }
    chown(&bed.src("a/b/c"), 5, 6);
    chmod(&bed.src("a/b"), 0o2750);
    bed.copy(&["/a/b/c/f"], "/o/").unwrap();
    bed.copy(&["/a/./b/c"], "/p").unwrap();
    bed.copy(&["/a/b/./c/f"], "/").unwrap();
    bed.assert_image(&[
        "/c/ 755 5:6",
        "/c/f 644 1000:50 f",
        "/o/ 755 0:0",
        "/o/a/ 755 1000:50",
        "/o/a/b/ 2750 1000:50",
        "/o/a/b/c/ 755 5:6",
        "/o/a/b/c/f 644 1000:50 f",
        "/p/ 755 0:0",
        "/p/b/ 2750 1000:50",
        "/p/b/c/ 755 5:6",
        "/p/b/c/f 644 1000:50 f",
    ]);
}

#[test]
fn the_root_itself_gives_nothing_and_is_warned_about() {
    let mut bed = bed();
    file(&bed.src("a"), "a");
    let report = bed.copy(&["."], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/"]);
    assert_eq!(report.warnings.len(), 1);
}
