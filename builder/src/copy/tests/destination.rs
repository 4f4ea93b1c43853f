//! Where files land, and what becomes of what is there.

use std::fs;

use super::{Bed, chmod, chown, dirs, file, is_root, link, mtime, touch};
use crate::copy::CopyError;

#[test]
fn a_file_takes_the_name_of_the_destination_or_lands_in_a_directory() {
    if !is_root() {
        return;
    }
    for (dest, existing, want) in [
        ("/x", None, "/x 644 0:0 a"),
        ("/x/", None, "/x/a 644 0:0 a"),
        ("/x/.", None, "/x/a 644 0:0 a"),
        ("/x", Some("x"), "/x/a 644 0:0 a"),
        ("/x/", Some("x"), "/x/a 644 0:0 a"),
        ("/", None, "/a 644 0:0 a"),
        ("/p/../q", None, "/q 644 0:0 a"),
        ("/../q", None, "/q 644 0:0 a"),
        ("/p/..", None, "/a 644 0:0 a"),
        ("/p/q/r", None, "/p/q/r 644 0:0 a"),
    ] {
        let mut bed = Bed::new();
        file(&bed.src("a"), "a");
        if let Some(dir) = existing {
            dirs(&bed.image(dir));
        }
        bed.copy(&["a"], dest).unwrap();
        let files: Vec<_> = bed.result().into_iter().filter(|line| !line.contains("/ ")).collect();
        assert_eq!(files, [want], "{dest}");
    }
}

#[test]
fn a_directory_gives_its_contents() {
    if !is_root() {
        return;
    }
    for dest in ["/new", "/new/", "/new/."] {
        let mut bed = Bed::new();
        file(&bed.src("d/in/f"), "x");
        chmod(&bed.src("d"), 0o700);
        chmod(&bed.src("d/in"), 0o711);
        for source in ["d", "d/", "d/."] {
            bed.copy(&[source], dest).unwrap();
            bed.assert_image(&["/new/ 755 0:0", "/new/in/ 711 0:0", "/new/in/f 644 0:0 x"]);
        }
    }
}

#[test]
fn an_existing_directory_keeps_its_attributes_and_its_children_take_those_of_the_source() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("d/s/n"), "n");
    touch(&bed.src("d"), (900_000_000, 7));
    file(&bed.image("o/s/keep"), "k");
    chmod(&bed.image("o"), 0o711);
    chmod(&bed.image("o/s"), 0o700);
    chown(&bed.image("o"), 1000, 50);
    chown(&bed.image("o/s"), 1000, 50);
    bed.copy(&["d"], "/o").unwrap();
    bed.assert_image(&["/o/ 711 1000:50", "/o/s/ 755 0:0", "/o/s/keep 644 0:0 k", "/o/s/n 644 0:0 n"]);
    assert_eq!(mtime(&bed.image("o")), (900_000_000, 7));
}

#[test]
fn links_in_the_destination_are_followed_inside_the_image() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("a"), "a");
    file(&bed.src("d/y/f"), "y");
    dirs(&bed.image("usr/lib"));
    link("usr/lib", &bed.image("lib"));
    link("/usr/../../../../usr/lib", &bed.image("abs"));
    bed.copy(&["a"], "/lib/x/a").unwrap();
    bed.copy(&["a"], "/abs").unwrap();
    bed.copy(&["d"], "/lib").unwrap();
    bed.assert_image(&[
        "/abs -> /usr/../../../../usr/lib 0:0",
        "/lib -> usr/lib 0:0",
        "/usr/ 755 0:0",
        "/usr/lib/ 755 0:0",
        "/usr/lib/a 644 0:0 a",
        "/usr/lib/x/ 755 0:0",
        "/usr/lib/x/a 644 0:0 a",
        "/usr/lib/y/ 755 0:0",
        "/usr/lib/y/f 644 0:0 y",
    ]);
}

#[test]
fn a_dangling_link_as_destination_has_its_target_made() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("a"), "a");
    link("/nowhere/deep", &bed.image("dl"));
    link("missing", &bed.image("dl2"));
    bed.copy(&["a"], "/dl").unwrap();
    bed.copy(&["a"], "/dl2/").unwrap();
    bed.assert_image(&[
        "/dl -> /nowhere/deep 0:0",
        "/dl2 -> missing 0:0",
        "/missing/ 755 0:0",
        "/missing/a 644 0:0 a",
        "/nowhere/ 755 0:0",
        "/nowhere/deep 644 0:0 a",
    ]);
}

#[test]
fn a_link_to_a_file_as_destination_stays_and_its_target_is_replaced() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("a"), "a");
    file(&bed.image("r/t"), "old");
    chmod(&bed.image("r/t"), 0o600);
    link("t", &bed.image("r/l"));
    bed.copy(&["a"], "/r/l").unwrap();
    bed.assert_image(&["/r/ 755 0:0", "/r/l -> t 0:0", "/r/t 644 0:0 a"]);
}

#[test]
fn a_replaced_file_leaves_its_other_names_alone() {
    let mut bed = Bed::new();
    file(&bed.src("a"), "new");
    file(&bed.image("a"), "old");
    fs::hard_link(bed.image("a"), bed.image("b")).unwrap();
    bed.copy(&["a"], "/a").unwrap();
    assert_eq!(fs::read_to_string(bed.image("b")).unwrap(), "old");
    assert_eq!(fs::read_to_string(bed.image("a")).unwrap(), "new");
}

#[test]
fn links_of_the_source_replace_files_and_links() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    link("target", &bed.src("d/f"));
    link("new", &bed.src("d/l"));
    file(&bed.image("o/f"), "old");
    link("old", &bed.image("o/l"));
    bed.copy(&["d"], "/o").unwrap();
    bed.assert_image(&["/o/ 755 0:0", "/o/f -> target 0:0", "/o/l -> new 0:0"]);
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    let mut bed = Bed::new();
    file(&bed.src("d/x"), "1");
    dirs(&bed.image("o/x"));
    let error = bed.copy(&["d"], "/o").unwrap_err();
    assert_eq!(error.to_string(), "cannot replace to directory /o/x with file");

    let mut bed = Bed::new();
    dirs(&bed.src("d/x"));
    file(&bed.image("o/x"), "1");
    let error = bed.copy(&["d"], "/o").unwrap_err();
    assert_eq!(error.to_string(), "cannot copy to non-directory: /o/x");
    assert!(matches!(bed.copy(&["d"], "/o/x"), Err(CopyError::DirectoryOverFile { .. })));
}

#[test]
fn a_directory_does_not_follow_a_link_to_a_directory() {
    let mut bed = Bed::new();
    file(&bed.src("d/lib/mod"), "m");
    dirs(&bed.image("usr/lib"));
    link("usr/lib", &bed.image("lib"));
    let error = bed.copy(&["d"], "/").unwrap_err();
    assert_eq!(error.to_string(), "cannot copy to non-directory: /lib");
}

#[test]
fn a_file_on_the_way_is_an_error() {
    let mut bed = Bed::new();
    file(&bed.src("a"), "a");
    file(&bed.image("etc/passwd"), "p");
    for dest in ["/etc/passwd/x", "/etc/passwd/", "/etc/passwd/x/y"] {
        let error = bed.copy(&["a"], dest).unwrap_err();
        assert!(matches!(error, CopyError::NotADirectory { .. }), "{dest}: {error}");
    }
    assert_eq!(fs::read_to_string(bed.image("etc/passwd")).unwrap(), "p");
}

#[test]
fn a_loop_of_links_is_an_error() {
    let mut bed = Bed::new();
    file(&bed.src("a"), "a");
    link("y", &bed.image("x"));
    link("x", &bed.image("y"));
    assert!(matches!(bed.copy(&["a"], "/x/f"), Err(CopyError::LinkLoop { .. })));
}

#[test]
fn the_last_of_several_files_for_one_name_stays_and_is_warned_about() {
    let mut bed = Bed::new();
    for (name, text) in [("m1.txt", "1"), ("m2.txt", "22"), ("m3.txt", "333")] {
        file(&bed.src(name), text);
    }
    let report = bed.copy(&["m*.txt"], "/o").unwrap();
    assert_eq!(fs::read_to_string(bed.image("o")).unwrap(), "333");
    assert!(report.warnings.iter().any(|warning| warning.contains("\"/o\"")), "{:?}", report.warnings);

    let mut bed = Bed::new();
    file(&bed.src("one/f"), "1");
    file(&bed.src("two/f"), "2");
    let report = bed.copy(&["two/f", "one/f"], "/out/").unwrap();
    assert_eq!(fs::read_to_string(bed.image("out/f")).unwrap(), "1");
    assert_eq!(report.warnings, Vec::<String>::new());
}
