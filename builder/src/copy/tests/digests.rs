//! What is part of a content key, and what is not.

use std::fs;

use cooper_frontend::graph::SourceKind;

use super::{Bed, chmod, chown, dirs, file, is_root, link, touch};
use crate::copy::{digest, examine, named_inputs, named_path, select_path};

fn bed() -> Bed {
    fill(Bed::new())
}

fn fill(bed: Bed) -> Bed {
    file(&bed.src("d/f"), "1");
    file(&bed.src("d/s/g"), "2");
    link("f", &bed.src("d/l"));
    file(&bed.src("beside"), "b");
    bed
}

/// A change to the source tree.
type Change = fn(&Bed);

#[test]
fn what_counts() {
    let changes: [(&str, Change); 9] = [
        ("content", |bed| file(&bed.src("d/f"), "9")),
        ("content below", |bed| file(&bed.src("d/s/g"), "9")),
        ("mode", |bed| chmod(&bed.src("d/f"), 0o600)),
        ("mode of a directory", |bed| chmod(&bed.src("d/s"), 0o700)),
        ("mode of the source itself", |bed| chmod(&bed.src("d"), 0o700)),
        ("a new file", |bed| file(&bed.src("d/new"), "n")),
        ("a new directory", |bed| dirs(&bed.src("d/new"))),
        ("a name", |bed| fs::rename(bed.src("d/f"), bed.src("d/f2")).unwrap()),
        ("a link's target", |bed| {
            fs::remove_file(bed.src("d/l")).unwrap();
            link("g", &bed.src("d/l"));
        }),
    ];
    for (what, change) in changes {
        let bed = bed();
        let before = bed.digest("d");
        change(&bed);
        assert_ne!(bed.digest("d"), before, "{what}");
    }
}

#[test]
fn what_does_not_count() {
    let changes: [(&str, Change); 4] = [
        ("times", |bed| {
            for name in ["d", "d/f", "d/l", "d/s"] {
                touch(&bed.src(name), (5, 0));
            }
        }),
        ("files beside it", |bed| file(&bed.src("beside"), "9")),
        ("new files beside it", |bed| file(&bed.src("new"), "9")),
        ("the same content anew", |bed| {
            fs::remove_dir_all(bed.src("d")).unwrap();
            file(&bed.src("d/s/g"), "2");
            link("f", &bed.src("d/l"));
            file(&bed.src("d/f"), "1");
        }),
    ];
    for (what, change) in changes {
        let bed = bed();
        let before = bed.digest("d");
        change(&bed);
        assert_eq!(bed.digest("d"), before, "{what}");
    }
}

#[test]
fn owners_count_for_stages_only() {
    if !is_root() {
        return;
    }
    for (bed, same) in [(bed(), true), (fill(Bed::stage()), false)] {
        let before = bed.digest("d");
        chown(&bed.src("d/f"), 5, 6);
        assert_eq!(bed.digest("d") == before, same);
    }
}

#[test]
fn names_of_the_source_count_and_parents_do_not() {
    let bed = bed();
    file(&bed.src("d/same"), "1");
    assert_ne!(bed.digest("d/f"), bed.digest("d/same"));
    assert_eq!(bed.digest("d/f"), bed.digest("./d/../d/f"));
    let before = (bed.digest("d/f"), bed.digest("d/f*"));
    chmod(&bed.src("d"), 0o700);
    file(&bed.src("d/g"), "g");
    assert_eq!((bed.digest("d/f"), bed.digest("d/f*")), before);
    fs::rename(bed.src("d/f"), bed.src("d/f2")).unwrap();
    assert_ne!(bed.digest("d/f*"), before.1);
}

#[test]
fn with_parents_their_modes_count_and_siblings_do_not() {
    let mut bed = bed();
    bed.op.parents = true;
    let before = bed.digest("d/f");
    file(&bed.src("d/sibling"), "s");
    assert_eq!(bed.digest("d/f"), before);
    chmod(&bed.src("d"), 0o700);
    assert_ne!(bed.digest("d/f"), before);
}

#[test]
fn the_target_of_a_link_named_as_source_counts() {
    let bed = bed();
    link("f", &bed.src("d/named"));
    let before = bed.digest("d/named");
    file(&bed.src("d/f"), "9");
    assert_ne!(bed.digest("d/named"), before);
}

#[test]
fn excluded_files_do_not_count() {
    let mut bed = bed();
    bed.op.excludes = vec!["**/*.tmp".into()];
    let before = bed.digest("d");
    file(&bed.src("d/s/x.tmp"), "t");
    assert_eq!(bed.digest("d"), before);
    let bed = fill(Bed::new().ignoring("*.tmp\nignored\n"));
    let before = bed.digest(".");
    file(&bed.src("x.tmp"), "t");
    file(&bed.src("ignored/f"), "t");
    assert_eq!(bed.digest("."), before);
}

#[test]
fn the_folder_of_a_context_does_not_count() {
    let (one, two) = (bed(), bed());
    chmod(&two.src(""), 0o700);
    assert_eq!(one.digest("."), two.digest("."));
}

#[test]
fn a_type_change_counts() {
    let bed = Bed::new();
    file(&bed.src("x"), "1");
    let before = bed.digest("x");
    fs::remove_file(bed.src("x")).unwrap();
    file(&bed.src("x/x"), "1");
    assert_ne!(bed.digest("x"), before);
}

#[test]
fn inputs_have_names_that_people_know() {
    let bed = bed();
    let inputs = named_inputs(&bed.select("d").unwrap()).unwrap();
    let names: Vec<_> = inputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["d", "d/f", "d/l", "d/s", "d/s/g"]);
    assert_eq!(inputs[0].1, "0755 directory");
    let short = &blake3::hash(b"1").to_hex()[..12];
    assert_eq!(inputs[1].1, format!("0644 {short}"));
    assert_eq!(inputs[2].1, "link to f");
    let all = select_path(&bed.tree(), "/", false).unwrap();
    assert_eq!(named_inputs(&all).unwrap()[1].0, "beside");
}

/// Changing the format throws every cache away: do it on purpose, with a new version line.
#[test]
fn the_format_is_pinned() {
    let bed = bed();
    let found = examine(&bed.select("d").unwrap(), 0).unwrap();
    let text = blake3::Hash::from(found.digest).to_hex().to_string();
    assert_eq!(text, "fa755c17f1cf6180efda544981a425f11f9775dd395db0de8b90e57813fc21a0");
    assert!(found.inputs.is_empty());
}

#[test]
fn many_files_are_hashed_in_their_order() {
    let bed = Bed::new();
    for number in 0..2500 {
        file(&bed.src("many").join(format!("{:04}", number * 7919 % 2500)), &format!("text {number}"));
    }
    let first = bed.digest("many");
    assert_eq!(bed.digest("many"), first);
    let inputs = named_inputs(&bed.select("many").unwrap()).unwrap();
    assert_eq!(inputs.len(), 2501);
    assert!(inputs.is_sorted());
}

#[test]
fn a_download_has_one_mode() {
    let mut bed = Bed::new();
    bed.kind = SourceKind::Http { unpack: false };
    file(&bed.src("f"), "x");
    let before = bed.digest("f");
    chmod(&bed.src("f"), 0o755);
    assert_eq!(digest(&bed.select("f").unwrap()).unwrap(), before);
}

#[test]
fn a_source_path_counts_as_it_is_cleaned() {
    let mut bed = Bed::new();
    for (path, parents, want) in [
        ("./a", false, "a"),
        ("/d/../a/", false, "a"),
        (".", false, ""),
        ("./x/./y", false, "x/y"),
        ("./x/./y/", true, "x/./y"),
        ("x/y", true, "x/y"),
    ] {
        bed.op.parents = parents;
        assert_eq!(named_path(&bed.source(path), &bed.op), want, "{path}");
    }
}
