//! The names and numbers of `--chown`.

use std::os::fd::AsFd as _;

use cooper_sys::fs::open_dir;

use super::{Bed, dirs, file, link};
use crate::copy::{CopyError, resolve_chown};

const PASSWD: &str =
    "# c\n\nbroken\nroot:x:0:0::/:/\napp:x:1000:1001:G,e,c:/h:/s\napp:x:99:99::/:/s\n1234:x:77:78::/:/\n";
const GROUP: &str = "root:x:0:\nstaff:x:50:app\n50:x:99:\n";

#[test]
fn names_numbers_and_what_is_missing() {
    let bed = Bed::new();
    file(&bed.image("etc/passwd"), PASSWD);
    file(&bed.image("etc/group"), GROUP);
    let root = open_dir(&bed.image("")).unwrap();
    for (spec, uid, gid, warnings) in [
        ("1000:50", 1000, 50, 0),
        ("1234", 1234, 1234, 0),
        ("0:50", 0, 50, 0),
        ("4321", 4321, 4321, 0),
        ("app", 1000, 1001, 0),
        ("app:staff", 1000, 50, 0),
        ("app:77", 1000, 77, 0),
        ("2000:staff", 2000, 50, 0),
        ("app:", 1000, 0, 0),
        (":50", 0, 50, 0),
        ("", 0, 0, 0),
        ("1234:50", 1234, 50, 0),
        ("nosuch", 0, 0, 1),
        ("app:nosuch", 1000, 1001, 1),
        ("7:nosuch", 7, 7, 1),
        ("nosuch:8", 0, 8, 1),
        ("nosuch:nosuch", 0, 0, 2),
        ("broken", 0, 0, 0),
        ("root:root", 0, 0, 0),
        ("2147483647", 2_147_483_647, 2_147_483_647, 0),
        ("2147483648", 0, 0, 1),
        ("-1", 0, 0, 0),
        ("1:-5", 1, 4_294_967_291, 0),
    ] {
        let owner = resolve_chown(Some(root.as_fd()), spec).unwrap();
        assert_eq!((owner.uid, owner.gid, owner.warnings.len()), (uid, gid, warnings), "{spec:?}");
    }
}

#[test]
fn without_files_names_are_unknown_and_without_a_root_they_are_refused() {
    let bed = Bed::new();
    let root = open_dir(&bed.image("")).unwrap();
    let owner = resolve_chown(Some(root.as_fd()), "app").unwrap();
    assert_eq!((owner.uid, owner.gid, owner.warnings.len()), (0, 0, 1));
    assert!(matches!(resolve_chown(None, "app"), Err(CopyError::BadOwner { .. })));
    assert!(matches!(resolve_chown(None, "1:staff"), Err(CopyError::BadOwner { .. })));
    let owner = resolve_chown(None, "7:root").unwrap();
    assert_eq!((owner.uid, owner.gid), (7, 0));
}

#[test]
fn the_files_are_looked_up_inside_the_root() {
    let bed = Bed::new();
    file(&bed.image("usr/etc/passwd"), PASSWD);
    link("/usr/etc/../../../usr/etc/passwd", &bed.image("etc/passwd"));
    let root = open_dir(&bed.image("")).unwrap();
    assert_eq!(resolve_chown(Some(root.as_fd()), "app").unwrap().uid, 1000);
    std::fs::remove_file(bed.image("etc/passwd")).unwrap();
    dirs(&bed.image("etc/passwd"));
    assert!(resolve_chown(Some(root.as_fd()), "app").is_err());
}
