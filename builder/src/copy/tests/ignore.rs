//! Client trees behind an ignore file: what it excludes does not exist.

use super::{Bed, chmod, file, link};
use crate::copy::CopyError;

fn names(bed: &Bed) -> Vec<String> {
    bed.result().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

fn bed(ignore: &str, files: &[&str]) -> Bed {
    let bed = Bed::new().ignoring(ignore);
    for name in files {
        file(&bed.src(name), name);
    }
    bed
}

#[test]
fn reincluded_files_bring_their_directories_with_their_own_modes() {
    let mut bed =
        bed("a\n!a/keep\n!a/s/deep/keep\n", &["a/keep", "a/drop", "a/s/x", "a/s/deep/keep", "a/t/z", "b"]);
    chmod(&bed.src("a"), 0o700);
    chmod(&bed.src("a/s"), 0o711);
    bed.copy(&["."], "/o/").unwrap();
    assert_eq!(
        names(&bed),
        ["/o/", "/o/a/", "/o/a/keep", "/o/a/s/", "/o/a/s/deep/", "/o/a/s/deep/keep", "/o/b"]
    );
    assert!(bed.result()[1].starts_with("/o/a/ 700 "));
    assert!(bed.result()[3].starts_with("/o/a/s/ 711 "));
}

#[test]
fn excluded_directories_without_visible_files_do_not_exist() {
    let bed = bed("*\n!keep/f\n!gone/f\n", &["keep/f", "keep/g", "gone/g", "other/x"]);
    for (source, exists) in [
        ("keep", true),
        ("keep/f", true),
        ("keep/g", false),
        ("gone", false),
        ("other", false),
        ("gone/*", false),
    ] {
        assert_eq!(bed.select(source).is_ok(), exists, "{source}");
    }
    assert!(bed.select("go*").unwrap().is_empty());
    assert!(!bed.select("ke*").unwrap().is_empty());
}

#[test]
fn an_ignored_source_is_missing_and_the_rule_is_named() {
    let bed = bed("# c\nsecret*\n", &["secret.txt", "a"]);
    let error = bed.select("secret.txt").unwrap_err();
    assert_eq!(error.to_string(), "\"/secret.txt\": not found");
    assert_eq!(error.hint(), Some("it is excluded by the ignore file: line 2, \"secret*\""));
    assert!(bed.select("s*").unwrap().is_empty());
}

#[test]
fn links_are_matched_by_their_own_name_and_cannot_show_what_is_excluded() {
    let mut bed = bed("target\nln2\nld/in\n", &["target", "dir/in"]);
    link("target", &bed.src("ln1"));
    link("target", &bed.src("ln2"));
    link("dir", &bed.src("ld"));
    bed.copy(&["."], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/dir/", "/o/dir/in", "/o/ld", "/o/ln1"]);
    assert!(matches!(bed.select("ln1"), Err(CopyError::NotFound { .. })));
    assert!(matches!(bed.select("ln2"), Err(CopyError::NotFound { .. })));
}

#[test]
fn a_star_below_a_directory_leaves_it_empty() {
    let mut bed = bed("d/**\n", &["d/a", "d/b/c", "e"]);
    bed.copy(&["."], "/o/").unwrap();
    assert_eq!(names(&bed), ["/o/", "/o/d/", "/o/e"]);
}

#[test]
fn exclude_and_ignore_work_together() {
    let mut bed = bed("a\n!a/k*\n", &["a/keep", "a/kick", "a/x", "b/kick"]);
    bed.op.excludes = vec!["**/kick".into()];
    bed.copy(&["."], "/").unwrap();
    assert_eq!(names(&bed), ["/a/", "/a/keep", "/b/"]);
}
