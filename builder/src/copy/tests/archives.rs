//! ADD of archives: which files are taken for one, and where they go. Unpacking itself is not ours.

use std::fs;
use std::io::Read;
use std::os::fd::BorrowedFd;

use cooper_frontend::graph::{Chmod, SourceKind};
use cooper_oci::compress::{Compression, encoder};
use cooper_oci::tar::{Budget, Entry, EntryKind, Reader, Writer};
use cooper_sys::fs::create_file_at;

use super::{Bed, dirs, file, is_root, link};
use crate::copy::{CopyError, CopyOptions, Unpacker};

/// Makes each regular member of the archive, empty, in the destination.
struct Names;

impl Unpacker for Names {
    fn unpack(
        &self,
        archive: &mut dyn Read,
        dest: BorrowedFd<'_>,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut reader = Reader::new(archive, Budget::layer());
        while let Some(entry) = reader.next()? {
            let owner = owner.map_or(String::new(), |(uid, gid)| format!("-{uid}-{gid}"));
            create_file_at(dest, format!("{}{owner}", String::from_utf8_lossy(&entry.path)), 0o644)?;
        }
        Ok(())
    }
}

fn tar(compression: Compression) -> Vec<u8> {
    let mut writer = Writer::new(encoder(Vec::new(), compression, None, 1).unwrap());
    let entry = Entry {
        path: b"member".to_vec(),
        kind: EntryKind::File,
        mode: 0o644,
        size: 60_000,
        ..Entry::default()
    };
    // Hardly compressible, so that half of the archive still has the header.
    let noise: Vec<u8> = (0_u32..60_000).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    writer.append_with(&entry, &mut noise.as_slice()).unwrap();
    writer.finish().unwrap().finish().unwrap()
}

fn bed() -> Bed {
    let mut bed = Bed::new();
    bed.kind = SourceKind::UnpackIfArchive;
    bed.op.add = true;
    bed
}

fn add(bed: &mut Bed, source: &str, dest: &str) -> Result<(), CopyError> {
    let options = CopyOptions { unpacker: Some(&Names), ..CopyOptions::default() };
    bed.copy_with(&[source], dest, options).map(drop)
}

#[test]
fn archives_are_told_by_content() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut bed = bed();
        fs::write(bed.src("arch.txt"), tar(compression)).unwrap();
        link("arch.txt", &bed.src("link"));
        for dest in ["/o/", "/o2", "/o3/x/."] {
            add(&mut bed, "arch.txt", dest).unwrap();
        }
        add(&mut bed, "link", "/o4").unwrap();
        for name in ["o", "o2", "o3/x", "o4"] {
            assert!(bed.image(name).join("member").is_file(), "{compression:?} {name}");
        }
    }
}

#[test]
fn other_files_are_copied() {
    let mut bed = bed();
    file(&bed.src("text.tar"), "plain");
    file(&bed.src("empty.tar"), "");
    fs::write(bed.src("zeros.tar"), [0; 2048]).unwrap();
    fs::write(bed.src("bad.gz"), b"\x1f\x8b\x08 nonsense").unwrap();
    for name in ["text.tar", "empty.tar", "zeros.tar", "bad.gz"] {
        add(&mut bed, name, "/o/").unwrap();
        assert!(bed.image("o").join(name).is_file(), "{name}");
    }
    // And archives too, where they are not to be unpacked.
    fs::write(bed.src("t.tar"), tar(Compression::None)).unwrap();
    bed.kind = SourceKind::Files { preserve_owner: false };
    add(&mut bed, "t.tar", "/p/").unwrap();
    bed.kind = SourceKind::Http { unpack: false };
    add(&mut bed, "t.tar", "/q/").unwrap();
    assert!(bed.image("p/t.tar").is_file() && bed.image("q/t.tar").is_file());
    bed.kind = SourceKind::Http { unpack: true };
    add(&mut bed, "t.tar", "/r/").unwrap();
    assert!(bed.image("r/member").is_file());
}

#[test]
fn damaged_archives_are_errors_that_name_them() {
    for compression in [Compression::None, Compression::Gzip] {
        let mut bed = bed();
        let whole = tar(compression);
        fs::write(bed.src("t.tar"), &whole[..whole.len() / 2]).unwrap();
        let error = add(&mut bed, "t.tar", "/o/").unwrap_err();
        assert_eq!(error.to_string(), "cannot unpack \"/t.tar\"");
    }
}

#[test]
fn chown_reaches_members_and_parents_and_chmod_neither() {
    if !is_root() {
        return;
    }
    let mut bed = bed();
    fs::write(bed.src("t.tar"), tar(Compression::None)).unwrap();
    bed.owner = Some((7, 8));
    bed.op.chmod = Some(Chmod::Octal(0o600));
    add(&mut bed, "t.tar", "/p/q/").unwrap();
    bed.assert_image(&["/p/ 755 7:8", "/p/q/ 755 7:8", "/p/q/member-7-8 644 0:0"]);
}

#[test]
fn the_destination_may_be_a_link_to_a_directory() {
    let mut bed = bed();
    fs::write(bed.src("t.tar"), tar(Compression::None)).unwrap();
    dirs(&bed.image("usr/lib"));
    link("usr/lib", &bed.image("lib"));
    add(&mut bed, "t.tar", "/lib").unwrap();
    assert!(bed.image("usr/lib/member").is_file());
}
