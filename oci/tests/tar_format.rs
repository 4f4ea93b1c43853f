//! How archives are laid out and cut short: the tar writer, and the reader on its output.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use cooper_oci::tar::{BLOCK, Budget, Entry, EntryKind, Reader, TarError, Writer, is_header};
use support::{file, flags, one, read, write};

#[test]
fn a_plain_member_is_laid_out_as_go_does() {
    let entry = Entry { uid: 1000, gid: 7, mtime: 1_700_000_000, mtime_nanos: 5, ..file("dir/hello", 5) };
    let bytes = write(&[(entry, b"hello".to_vec())], false);
    assert_eq!(bytes.len(), 4 * BLOCK);
    assert!(bytes.starts_with(b"dir/hello\0"));
    assert_eq!(
        &bytes[100..156],
        b"0000644\x000001750\x000000007\x0000000000005\x0014524770400\x00011072\0 ".as_slice()
    );
    assert_eq!(bytes[156], b'0');
    assert_eq!(&bytes[257..265], b"ustar\x0000");
    assert_eq!(&bytes[329..345], b"0000000\x000000000\0");
    assert_eq!(&bytes[512..517], b"hello");
    assert!(bytes[517..].iter().all(|byte| *byte == 0));
}

#[test]
fn long_names_use_the_prefix_first_and_records_second() {
    let split = format!("{}/{}", "p".repeat(150), "n".repeat(99));
    assert_eq!(flags(&one(&file(&split, 1))), b"0");
    let whole = "n".repeat(101);
    let bytes = one(&file(&whole, 1));
    assert_eq!(flags(&bytes), b"x0");
    assert!(bytes.starts_with(b"PaxHeaders.0/nnn"));
    assert!(bytes[BLOCK..].starts_with(format!("111 path={whole}\n").as_bytes()));
    assert_eq!(bytes[2 * BLOCK..][..100], *"n".repeat(100).as_bytes());
    // With records anyhow, the name goes there as well.
    let mut entry = file(&split, 1);
    entry.xattrs.insert(b"user.k".to_vec(), b"v".to_vec());
    let bytes = one(&entry);
    assert_eq!(flags(&bytes), b"x0");
    let text = String::from_utf8_lossy(&bytes[BLOCK..2 * BLOCK]).into_owned();
    assert_eq!(text.trim_end_matches('\0'), format!("25 SCHILY.xattr.user.k=v\n260 path={split}\n"));
    assert_eq!(read(&bytes).unwrap()[0].0, entry);
    assert_eq!(flags(&one(&file("é", 1))), b"x0");
}

#[test]
fn a_cut_name_of_a_file_never_ends_like_a_directory() {
    let mut entry = file(&format!("{}//{}", "a".repeat(98), "b".repeat(9)), 0);
    entry.xattrs.insert(b"user.k".to_vec(), b"v".to_vec());
    let bytes = one(&entry);
    let last = bytes.chunks(BLOCK).rfind(|block| is_header(block)).unwrap();
    assert_eq!(&last[..100], [vec![b'a'; 98], vec![0; 2]].concat());
}

#[test]
fn numbers_that_do_not_fit_get_records() {
    let entry =
        Entry { uid: 1 << 21, gid: (1 << 21) - 1, mtime: -1, mtime_nanos: 250_000_000, ..file("a", 0) };
    let bytes = one(&entry);
    let text = String::from_utf8_lossy(&bytes[BLOCK..2 * BLOCK]).into_owned();
    assert_eq!(text.trim_end_matches('\0'), "15 mtime=-0.75\n15 uid=2097152\n");
    assert_eq!(read(&bytes).unwrap()[0].0, entry);
    // Cut to seconds there is still a record for a time before 1970.
    let bytes = write(&[(entry, Vec::new())], false);
    assert_eq!(read(&bytes).unwrap()[0].0.mtime, -1);
    assert_eq!(read(&bytes).unwrap()[0].0.mtime_nanos, 0);
}

#[test]
fn a_file_beyond_eight_gibibytes_has_its_size_in_a_record() {
    struct Counting(u64, Vec<u8>);
    impl Write for Counting {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            if self.1.len() < 4096 {
                self.1.extend_from_slice(buf);
            }
            self.0 += buf.len() as u64;
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let size = (8 << 30) + 1;
    let mut writer = Writer::new(Counting(0, Vec::new()));
    writer.append(&file("big", size)).unwrap();
    let head = writer.get_mut().1.clone();
    assert!(head[BLOCK..].starts_with(b"19 size=8589934593\n"));
    let mut reader = Reader::new(head.as_slice(), Budget::layer());
    assert_eq!(reader.next().unwrap().unwrap().size, size);
    assert!(matches!(reader.next(), Err(TarError::Truncated { .. })));
}

#[test]
fn wrong_amounts_of_data_are_errors() {
    let mut writer = Writer::new(Vec::new());
    assert!(writer.append_with(&file("a", 5), &mut b"1234".as_slice()).is_err());
    let mut writer = Writer::new(Vec::new());
    writer.append(&file("a", 2)).unwrap();
    assert!(writer.write_all(b"123").is_err());
    let mut writer = Writer::new(Vec::new());
    writer.append(&file("a", 2)).unwrap();
    assert!(writer.append(&file("b", 0)).is_err());
    let mut writer = Writer::new(Vec::new());
    writer.append(&file("a", 2)).unwrap();
    writer.write_all(b"12").unwrap();
    assert!(writer.append(&file("a\0b", 0)).is_err());
    assert!(writer.append(&file("", 0)).is_err());
    assert_eq!(read(&writer.finish().unwrap()).unwrap().len(), 1);
}

#[test]
fn an_archive_torn_anywhere_within_a_member_is_an_error() {
    let mut entry = file(&"long/".repeat(60), 700);
    entry.path.push(b'x');
    let bytes = write(&[(entry, vec![1; 700])], false);
    let end = bytes.len() - 2 * BLOCK;
    for cut in 1..end {
        assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    // Without zero blocks it ends all the same; what follows them does not matter.
    assert_eq!(read(&bytes[..end]).unwrap().len(), 1);
    assert_eq!(read(&[&bytes[..], b"garbage"].concat()).unwrap().len(), 1);
    assert!(read(&[&bytes[..end], &[0; BLOCK], &bytes[..]].concat()).is_err(), "lone zero block");
}

#[test]
fn drain_reads_to_the_very_end() {
    let bytes = [write(&[(file("a", 3), b"abc".to_vec())], false), vec![7; 100_000]].concat();
    let mut reader = Reader::new(Cursor::new(&bytes), Budget::layer());
    reader.next().unwrap();
    let source = reader.drain().unwrap();
    assert_eq!(source.position(), bytes.len() as u64);
}

#[test]
fn the_same_entries_give_the_same_bytes() {
    let mut entry = file("a", 0);
    let xattrs: BTreeMap<_, _> = [("user.b", "2"), ("user.a", "1")].map(|(k, v)| (k.into(), v.into())).into();
    entry.xattrs = xattrs;
    let bytes = one(&entry);
    let text = String::from_utf8_lossy(&bytes[BLOCK..2 * BLOCK]).into_owned();
    assert_eq!(text.trim_end_matches('\0'), "25 SCHILY.xattr.user.a=1\n25 SCHILY.xattr.user.b=2\n");
}

#[test]
fn the_bytes_of_an_archive_are_pinned() {
    // Layer digests, and so cache records everywhere, hang on these bytes: change them only on purpose.
    let mut special = Entry { uid: 1 << 30, mtime: -5, mode: 0o4755, ..file("bin/sü", 3) };
    special.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2]);
    let dir = Entry { kind: EntryKind::Dir, mode: 0o1777, mtime: 1, ..file("tmp", 0) };
    let link = Entry { kind: EntryKind::Symlink, mode: 0o777, link: b"../x".to_vec(), ..file("tmp/link", 0) };
    let long = file(&format!("{}/{}", "p".repeat(120), "n".repeat(90)), 0);
    let entries = [(dir, vec![]), (special, b"abc".to_vec()), (link, vec![]), (long, vec![])];
    assert_eq!(
        cooper_oci::Digest::sha256_of(&write(&entries, false)).as_str(),
        "sha256:a04f1f08869d0cb8a7b6abaad680de1a99498673486641bc25be05439ea6bdb6"
    );
}

#[test]
fn many_members_stream_through() {
    let mut writer = Writer::new(Vec::new());
    for number in 0..50_000 {
        writer.append_with(&file(&format!("dir/file-{number}"), 9), &mut b"some data".as_slice()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len(), 50_000 * 2 * BLOCK + 2 * BLOCK);
    let mut reader = Reader::new(bytes.as_slice(), Budget::layer());
    let mut count = 0;
    while let Some(entry) = reader.next().unwrap() {
        assert_eq!(entry.path, format!("dir/file-{count}").as_bytes());
        count += 1;
    }
    assert_eq!((count, reader.position()), (50_000, bytes.len() as u64));
}
