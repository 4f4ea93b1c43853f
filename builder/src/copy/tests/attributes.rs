//! Times, owners, modes, extended attributes, special files.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use cooper_frontend::graph::Chmod;
use cooper_sys::fs::{FileKind, list_xattrs_at, mknod_at, open_dir, set_xattr_at};

use super::{Bed, chmod, chown, dirs, file, is_root, link, mtime, touch};
use crate::copy::{CopyError, CopyOptions};

#[test]
fn times_are_kept_to_the_nanosecond() {
    let mut bed = Bed::new();
    file(&bed.src("m/s/f"), "f");
    link("s", &bed.src("m/l"));
    file(&bed.src("m/old"), "o");
    let times = [
        ("m/s/f", 946_684_799),
        ("m/s", 942_776_079),
        ("m/l", 942_876_082),
        ("m/old", -18_489_600),
        ("m", 942_976_085),
    ];
    for (name, seconds) in times {
        touch(&bed.src(name), (seconds, 987_654_321));
    }
    bed.copy(&["m"], "/m").unwrap();
    for (name, seconds) in times {
        assert_eq!(mtime(&bed.image(name)), (seconds, 987_654_321), "{name}");
    }
}

#[test]
fn fixed_times_win() {
    let mut bed = Bed::new();
    file(&bed.src("d/f"), "f");
    let options =
        CopyOptions { parent_time: Some((1000, 0)), file_time: Some((2000, 0)), ..CopyOptions::default() };
    bed.copy_with(&["d"], "/p/q/r", options).unwrap();
    for (name, seconds) in [("p", 1000), ("p/q", 1000), ("p/q/r", 1000), ("p/q/r/f", 2000)] {
        assert_eq!(mtime(&bed.image(name)), (seconds, 0), "{name}");
    }
}

#[test]
fn client_files_belong_to_root_and_those_of_a_stage_to_their_owner() {
    if !is_root() {
        return;
    }
    for (mut bed, owner) in [(Bed::new(), "0:0"), (Bed::stage(), "1000:50")] {
        file(&bed.src("d/s/f"), "f");
        for name in ["d", "d/s", "d/s/f"] {
            chown(&bed.src(name), 1000, 50);
        }
        chmod(&bed.src("d/s"), 0o2750);
        chmod(&bed.src("d/s/f"), 0o4711);
        bed.copy(&["d"], "/new").unwrap();
        bed.copy(&["d/s/f"], "/p/f").unwrap();
        assert_eq!(
            bed.result(),
            [
                "/new/ 755 0:0".to_owned(),
                format!("/new/s/ 2750 {owner}"),
                format!("/new/s/f 4711 {owner} f"),
                "/p/ 755 0:0".to_owned(),
                format!("/p/f 4711 {owner} f"),
            ]
        );
    }
}

#[test]
fn chown_applies_to_all_that_is_made_and_keeps_setuid() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("d/f"), "f");
    chmod(&bed.src("d/f"), 0o4755);
    link("f", &bed.src("d/l"));
    dirs(&bed.image("home"));
    bed.owner = Some((3, 4));
    bed.copy(&["d"], "/home/x/y").unwrap();
    bed.assert_image(&[
        "/home/ 755 0:0",
        "/home/x/ 755 3:4",
        "/home/x/y/ 755 3:4",
        "/home/x/y/f 4755 3:4 f",
        "/home/x/y/l -> f 3:4",
    ]);
}

#[test]
fn octal_chmod_applies_to_files_directories_and_made_parents() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("d/s/f"), "f");
    file(&bed.image("o/s/keep"), "k");
    chmod(&bed.image("o"), 0o711);
    bed.op.chmod = Some(Chmod::Octal(0o4750));
    bed.copy(&["d"], "/o").unwrap();
    bed.copy(&["d/s/f"], "/p/q/f").unwrap();
    bed.assert_image(&[
        "/o/ 711 0:0",
        "/o/s/ 4750 0:0",
        "/o/s/f 4750 0:0 f",
        "/o/s/keep 644 0:0 k",
        "/p/ 750 0:0",
        "/p/q/ 750 0:0",
        "/p/q/f 4750 0:0 f",
    ]);
}

#[test]
fn symbolic_chmod_leaves_made_parents_alone() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("d/s/x"), "x");
    chmod(&bed.src("d/s/x"), 0o711);
    chmod(&bed.src("d/s"), 0o700);
    bed.op.chmod = Some(Chmod::Symbolic("go-rwx".into()));
    bed.copy(&["d"], "/q/r").unwrap();
    bed.assert_image(&["/q/ 755 0:0", "/q/r/ 755 0:0", "/q/r/s/ 700 0:0", "/q/r/s/x 700 0:0 x"]);
}

#[test]
fn extended_attributes_come_from_stages_only() {
    for (mut bed, kept) in [(Bed::new(), false), (Bed::stage(), true)] {
        file(&bed.src("d/s/f"), "f");
        for (above, name) in [("d", "s"), ("d/s", "f")] {
            let dir = open_dir(&bed.src(above)).unwrap();
            if set_xattr_at(&dir, name, "user.note", b"hi").is_err() {
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    b"skipped: the filesystem has no user attributes\n",
                );
                return;
            }
            set_xattr_at(&dir, name, "user.overlay.opaque", b"y").unwrap();
        }
        bed.copy(&["d"], "/d").unwrap();
        for (above, name) in [("d", "s"), ("d/s", "f")] {
            let mut found = list_xattrs_at(open_dir(&bed.image(above)).unwrap(), name).unwrap();
            found.retain(|(key, _)| key.starts_with(b"user."));
            let want = if kept { vec![(b"user.note".to_vec(), b"hi".to_vec())] } else { Vec::new() };
            assert_eq!(found, want, "{name}");
        }
    }
}

#[test]
fn special_files_are_made_anew_and_sockets_become_empty_files() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::stage();
    dirs(&bed.src("d"));
    let dir = open_dir(&bed.src("d")).unwrap();
    mknod_at(&dir, "fifo", FileKind::Fifo, 0o600, 0, 0).unwrap();
    mknod_at(&dir, "sock", FileKind::Socket, 0o600, 0, 0).unwrap();
    let devices = mknod_at(&dir, "null", FileKind::CharDevice, 0o600, 1, 3).is_ok();
    chmod(&bed.src("d/fifo"), 0o620);
    chmod(&bed.src("d/sock"), 0o755);
    bed.copy(&["d"], "/d").unwrap();
    let meta = |name: &str| fs::symlink_metadata(bed.image("d").join(name)).unwrap();
    assert!(meta("fifo").file_type().is_fifo());
    assert_eq!(meta("fifo").mode() & 0o7777, 0o620);
    assert!(meta("sock").file_type().is_file());
    assert_eq!((meta("sock").len(), meta("sock").mode() & 0o7777), (0, 0o755));
    if devices {
        assert!(meta("null").file_type().is_char_device());
    }
    // A FIFO named as a source does not block.
    bed.copy(&["d/fifo"], "/p").unwrap();
}

#[test]
fn holes_stay_holes() {
    let mut bed = Bed::new();
    let file = fs::File::create(bed.src("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    drop(file);
    bed.copy(&["sparse"], "/").unwrap();
    let meta = fs::metadata(bed.image("sparse")).unwrap();
    assert_eq!(meta.len(), 64 << 20);
    assert!(meta.blocks() < 1000, "{} blocks", meta.blocks());
}

#[test]
fn a_cancelled_copy_ends() {
    let mut bed = Bed::new();
    file(&bed.src("d/f"), "f");
    let options = CopyOptions { cancelled: Some(&|| true), ..CopyOptions::default() };
    assert!(matches!(bed.copy_with(&["d"], "/d", options), Err(CopyError::Cancelled)));
}

#[test]
fn files_of_any_size_arrive_whole() {
    let mut bed = Bed::new();
    for size in [0, 1, 65_535, 65_536, 65_537, 300_000] {
        let bytes: Vec<u8> =
            (0_u32..size).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        fs::write(bed.src(&size.to_string()), &bytes).unwrap();
        bed.copy(&[&size.to_string()], "/o/").unwrap();
        assert!(fs::read(bed.image("o").join(size.to_string())).unwrap() == bytes, "{size}");
    }
}
