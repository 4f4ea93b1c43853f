//! Users of an image.

use std::path::Path;

use cooper_sandbox::{Level, ProcessUser, UserError, home_of, resolve_user};
use cooper_sys::fs;

use crate::Test;
use crate::fixture::Root;

pub const TESTS: &[Test] = &[
    ("users_and_groups_come_from_the_image", users_and_groups_come_from_the_image),
    ("unknown_users_are_named", unknown_users_are_named),
    ("odd_user_databases_do_no_harm", odd_user_databases_do_no_harm),
];

fn users_and_groups_come_from_the_image(_: Level) {
    let root = Root::new();
    let dir = fs::open_dir(&root.path("lower")).unwrap();
    for (text, uid, gid, groups) in [
        ("", 0, 0, &[0, 10][..]),
        ("root", 0, 0, &[0, 10]),
        ("0", 0, 0, &[0, 10]),
        ("ann", 1000, 1000, &[1000, 10, 44]),
        ("1000", 1000, 1000, &[1000, 10, 44]),
        ("ann:video", 1000, 44, &[44]),
        ("ann:7", 1000, 7, &[7]),
        ("4242", 4242, 0, &[0]),
        ("4242:wheel", 4242, 10, &[10]),
    ] {
        let expected = ProcessUser { uid, gid, groups: groups.to_vec() };
        assert_eq!(resolve_user(&dir, text).unwrap(), expected, "{text:?}");
    }
    assert_eq!(home_of(&dir, 1000), Path::new("/home/ann"));
    assert_eq!(home_of(&dir, 4242), Path::new("/"));
}

fn unknown_users_are_named(_: Level) {
    let root = Root::new();
    let dir = fs::open_dir(&root.path("lower")).unwrap();
    for (text, message) in [
        ("bob", "unable to find user bob: no matching entries in passwd file"),
        ("ann:staff", "unable to find group staff: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647: 2147483648"),
        ("-1", "unable to find user -1: no matching entries in passwd file"),
    ] {
        assert_eq!(resolve_user(&dir, text).unwrap_err().to_string(), message);
    }
}

fn odd_user_databases_do_no_harm(_: Level) {
    let root = Root::new();
    let dir = fs::open_dir(&root.path("lower")).unwrap();
    let etc = fs::open_dir(&root.lower("etc")).unwrap();
    let replace = |make: &dyn Fn()| {
        fs::unlink_at(&etc, "passwd").unwrap();
        make();
    };
    // Opening a FIFO without care would wait for a writer for ever.
    replace(&|| fs::mkfifo_at(&etc, "passwd", 0o644).unwrap());
    assert!(matches!(resolve_user(&dir, "ann"), Err(UserError::BadFile { .. })));
    assert_eq!(home_of(&dir, 0), Path::new("/"));
    // A link out of the root stays in it.
    replace(&|| fs::symlink_at("../../../../../../etc/passwd", &etc, "passwd").unwrap());
    assert!(matches!(resolve_user(&dir, "daemon"), Err(UserError::BadFile { .. })));
    replace(&|| drop(fs::create_file_at(&etc, "passwd", 0o644).unwrap()));
    fs::set_size(fs::open_in_root(&dir, "/etc/passwd", fs::OFlags::RDWR, 0).unwrap(), 11 << 20).unwrap();
    assert!(matches!(resolve_user(&dir, "ann"), Err(UserError::BadFile { .. })));
    let lines = "broken\n:::\nx:y:notanumber:0::/:\nann:x:5:6\n";
    std::fs::write(root.lower("etc/passwd"), lines).unwrap();
    assert_eq!(resolve_user(&dir, "ann").unwrap().uid, 5);
    std::fs::remove_file(root.lower("etc/passwd")).unwrap();
    assert_eq!(resolve_user(&dir, "77").unwrap(), ProcessUser { uid: 77, gid: 0, groups: vec![0] });
}
