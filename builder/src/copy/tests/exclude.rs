//! `--exclude`.

use super::{Bed, chmod, dirs, file};

fn names(bed: &Bed) -> Vec<String> {
    bed.result().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn patterns_are_relative_to_the_copied_directory() {
    let all = ["a", "sub/", "sub/.h", "sub/b", "x/", "x/d", "x/sub/", "x/sub/c"];
    for (patterns, missing) in [
        (&["sub"][..], &["sub/", "sub/.h", "sub/b"][..]),
        (&["sub/"], &["sub/", "sub/.h", "sub/b"]),
        (&["sub/*"], &["sub/.h", "sub/b"]),
        (&["sub/**"], &["sub/.h", "sub/b"]),
        (&["**/sub"], &["sub/", "sub/.h", "sub/b", "x/sub/", "x/sub/c"]),
        (&["/sub"], &[]),
        (&["d/sub"], &[]),
        (&["*", "!x/sub/c"], &["a", "sub/", "sub/.h", "sub/b", "x/d"]),
        (&["sub", "!sub/b"], &["sub/.h"]),
    ] {
        let mut bed = Bed::new();
        for name in ["a", "sub/b", "sub/.h", "x/sub/c", "x/d"] {
            file(&bed.src("d").join(name), name);
        }
        bed.op.excludes = patterns.iter().map(ToString::to_string).collect();
        bed.copy(&["d"], "/").unwrap();
        let want: Vec<_> =
            all.iter().filter(|name| !missing.contains(name)).map(|name| format!("/{name}")).collect();
        assert_eq!(names(&bed), want, "{patterns:?}");
    }
}

#[test]
fn directories_left_empty_are_made() {
    let mut bed = Bed::new();
    file(&bed.src("d/only/x.tmp"), "t");
    file(&bed.src("d/only/deep/y.tmp"), "t");
    chmod(&bed.src("d/only"), 0o700);
    bed.op.excludes = vec!["**/*.tmp".into()];
    bed.copy(&["d"], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/only/", "/o/only/deep/"]);
}

#[test]
fn files_named_by_the_source_are_never_excluded() {
    let mut bed = Bed::new();
    file(&bed.src("b.txt"), "b");
    file(&bed.src("d1/bb"), "c");
    file(&bed.src("d1/c"), "d");
    bed.op.excludes = vec!["b*".into()];
    bed.copy(&["*.txt", "d?"], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/b.txt", "/o/c"]);
}

#[test]
fn an_excluded_directory_over_an_existing_one_changes_only_its_mode() {
    let mut bed = Bed::new();
    file(&bed.src("d/s/keep"), "k");
    file(&bed.src("d/s/drop"), "d");
    chmod(&bed.src("d/s"), 0o711);
    dirs(&bed.image("o/s"));
    bed.op.excludes = vec!["s".into(), "!s/keep".into()];
    bed.copy(&["d"], "/o").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/s/", "/o/s/keep"]);
    assert!(bed.result()[1].starts_with("/o/s/ 711 "));
}
