//! Archives of other writers and of attackers: dialects, sparse formats, limits, and random damage.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read;

use cooper_oci::tar::{BLOCK, Budget, Entry, EntryKind, Reader, TarError};
use proptest::prelude::*;
use support::{GNU, Records, USTAR, extension, file, header, one, padded, read, seal, write};

#[test]
fn global_headers_apply_to_what_follows() {
    let bytes = [
        extension(b'g', &b"0 mtime=5.5\n0 uid=77\n0 comment=whatever\n".with_lengths()),
        header("a", b'0', b"0", USTAR),
        extension(b'x', &b"0 uid=78\n".with_lengths()),
        header("b", b'0', b"0", USTAR),
        header("c", b'0', b"0", USTAR),
    ]
    .concat();
    let entries = read(&bytes).unwrap();
    let seen: Vec<_> = entries.iter().map(|(entry, _)| (entry.uid, entry.mtime, entry.mtime_nanos)).collect();
    assert_eq!(seen, [(77, 5, 500_000_000), (78, 5, 500_000_000), (77, 5, 500_000_000)]);
}

#[test]
fn where_readers_disagree_the_archive_is_refused() {
    let member = || header("a", b'0', b"0", USTAR);
    let x = |records: &[u8]| extension(b'x', &records.with_lengths());
    let g = |records: &[u8]| extension(b'g', &records.with_lengths());
    let mut wrong_sum = member();
    wrong_sum[0] = b'b';
    for (what, bytes) in [
        ("orphan PAX header", vec![x(b"0 uid=1\n")]),
        ("orphan before the end", vec![x(b"0 uid=1\n"), vec![0; 1024]]),
        ("two PAX headers", vec![x(b"0 uid=1\n"), x(b"0 uid=2\n"), member()]),
        ("PAX and GNU name", vec![x(b"0 path=b\n"), extension(b'L', b"c\0"), member()]),
        ("two GNU names", vec![extension(b'L', b"b\0"), extension(b'L', b"c\0"), member()]),
        ("global path", vec![g(b"0 path=b\n"), member()]),
        ("global size", vec![g(b"0 size=1\n"), member()]),
        ("negative size", vec![x(b"0 size=-1\n"), member()]),
        ("empty size", vec![x(b"0 size=\n"), member()]),
        ("size in hex", vec![x(b"0 size=0x1\n"), member()]),
        ("NUL in a path", vec![x(b"0 path=a\0b\n"), member()]),
        ("record without newline", vec![extension(b'x', b"8 uid=10"), member()]),
        ("record beyond the end", vec![extension(b'x', b"80 uid=1\n"), member()]),
        ("negative base-256 size", vec![header("a", b'0', &[0xff; 12], USTAR)]),
        ("size that is no number", vec![header("a", b'0', b"9", USTAR)]),
        ("no name", vec![header("", b'0', b"0", USTAR)]),
        ("checksum", vec![wrong_sum]),
        ("unknown type", vec![header("a", b'Z', b"0", USTAR)]),
        ("sparse without GNU", vec![header("a", b'S', b"0", USTAR)]),
        ("noise", vec![vec![b'x'; 5000]]),
    ] {
        assert!(read(&bytes.concat()).is_err(), "{what}");
    }
    assert_eq!(read(&member()).unwrap().len(), 1);
}

#[test]
fn headers_of_other_times_are_read() {
    // v7: no magic, a trailing slash makes a directory, signed checksum, spaces around numbers.
    let v7 = header("d/", 0, b" 17", b"");
    assert_eq!(read(&v7).unwrap()[0].0.kind, EntryKind::Dir);
    let mut signed = header("n\u{e9}", 0, b"0", b"");
    signed[148..156].fill(b' ');
    let sum: i32 = signed.iter().map(|byte| i32::from(byte.cast_signed())).sum();
    signed[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    assert_eq!(read(&signed).unwrap()[0].0.path, "n\u{e9}".as_bytes());
    // GNU long names.
    let (name, link) = ("n".repeat(300), "l".repeat(300));
    let bytes = [
        extension(b'K', format!("{link}\0").as_bytes()),
        extension(b'L', format!("{name}\0").as_bytes()),
        header("short", b'2', b"0", GNU),
    ]
    .concat();
    let entry = &read(&bytes).unwrap()[0].0;
    assert_eq!((entry.path.as_slice(), entry.link.as_slice()), (name.as_bytes(), link.as_bytes()));
    // Base-256: a time before 1970.
    let mut block = header("a", b'0', b"0", GNU);
    block[136..148].copy_from_slice(&[0xff; 12]);
    assert_eq!(read(&seal(block)).unwrap()[0].0.mtime, -1);
    // Links and directories have no data, whatever their size says.
    let bytes = [header("l", b'1', b"00000001000", b""), header("m", b'5', b"7", USTAR)].concat();
    assert_eq!(read(&bytes).unwrap().len(), 2);
    // libarchive's extended attributes; libarchive leaves the padding of base64 away.
    let bytes = [
        extension(b'x', &b"0 LIBARCHIVE.xattr.user.%41=AP8\n0 LIBARCHIVE.xattr.user.b=YQ==\n".with_lengths()),
        header("a", b'0', b"0", USTAR),
    ]
    .concat();
    let xattrs = &read(&bytes).unwrap()[0].0.xattrs;
    assert_eq!(xattrs[b"user.A".as_slice()], b"\x00\xff");
    assert_eq!(xattrs[b"user.b".as_slice()], b"a");
}

#[test]
fn sparse_members_of_pax_formats_are_expanded() {
    let expected = [&[0; 3][..], b"abc", &[0; 4], b"de", &[0; 8]].concat();
    let zero = b"0 GNU.sparse.size=20\n0 GNU.sparse.numblocks=2\n0 GNU.sparse.offset=3\n0 GNU.sparse.numbytes=3\n0 GNU.sparse.offset=10\n0 GNU.sparse.numbytes=2\n";
    let one = b"0 GNU.sparse.name=real\n0 GNU.sparse.size=20\n0 GNU.sparse.numblocks=2\n0 GNU.sparse.map=3,3,10,2\n";
    for records in [zero.as_slice(), one.as_slice()] {
        let bytes = [
            extension(b'x', &records.with_lengths()),
            header("s", b'0', b"5", USTAR),
            padded(b"abcde"),
            header("next", b'0', b"0", USTAR),
        ]
        .concat();
        let entries = read(&bytes).unwrap();
        assert_eq!(entries[0].1, expected);
        assert_eq!(entries[0].0.size, 20);
        assert_eq!(entries.len(), 2);
    }
    let records =
        b"0 GNU.sparse.major=1\n0 GNU.sparse.minor=0\n0 GNU.sparse.name=real\n0 GNU.sparse.realsize=20\n";
    let bytes = [
        extension(b'x', &records.with_lengths()),
        header("GNUSparseFile.1/s", b'0', b"1005", USTAR),
        padded(b"2\n3\n3\n10\n2\n"),
        padded(b"abcde"),
        header("next", b'0', b"0", USTAR),
    ]
    .concat();
    let mut reader = Reader::new(bytes.as_slice(), Budget::layer());
    let entry = reader.next().unwrap().unwrap();
    assert_eq!((entry.path.as_slice(), entry.size), (b"real".as_slice(), 20));
    assert_eq!(reader.extents(), Some(vec![(3, 3), (10, 2)]));
    // Skipping over half-read data finds the next member.
    reader.read_exact(&mut [0; 4]).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().path, b"next");
    let entries = read(&bytes).unwrap();
    assert_eq!(entries[0].1, expected);
}

#[test]
fn hostile_sparse_maps_are_refused() {
    let huge =
        [b"0 GNU.sparse.size=99\n0 GNU.sparse.map=".as_slice(), &b"0,0,".repeat(400_000), b"0,0\n"].concat();
    for (what, records, size) in [
        ("overlap", b"0 GNU.sparse.size=20\n0 GNU.sparse.map=0,3,2,2\n".as_slice(), "5"),
        ("unsorted", b"0 GNU.sparse.size=20\n0 GNU.sparse.map=9,3,0,2\n", "5"),
        ("beyond the size", b"0 GNU.sparse.size=4\n0 GNU.sparse.map=0,5\n", "5"),
        ("overflow", b"0 GNU.sparse.size=4\n0 GNU.sparse.map=18446744073709551615,5\n", "5"),
        ("less data", b"0 GNU.sparse.size=20\n0 GNU.sparse.map=0,4\n", "5"),
        ("more data", b"0 GNU.sparse.size=20\n0 GNU.sparse.map=0,6\n", "5"),
        ("odd map", b"0 GNU.sparse.size=20\n0 GNU.sparse.map=0,5,9\n", "5"),
        ("no size", b"0 GNU.sparse.map=0,5\n", "5"),
        ("no map", b"0 GNU.sparse.size=5\n", "5"),
        ("wrong count", b"0 GNU.sparse.size=5\n0 GNU.sparse.numblocks=2\n0 GNU.sparse.map=0,5\n", "5"),
        ("out of turn", b"0 GNU.sparse.size=5\n0 GNU.sparse.numbytes=5\n0 GNU.sparse.offset=0\n", "5"),
        ("unknown version", b"0 GNU.sparse.major=2\n0 GNU.sparse.minor=0\n0 GNU.sparse.size=5\n", "5"),
        ("bomb", b"0 GNU.sparse.size=18446744073709551615\n0 GNU.sparse.map=0,5\n", "5"),
        ("count bomb", b"0 GNU.sparse.major=1\n0 GNU.sparse.minor=0\n0 GNU.sparse.size=5\n", "1000"),
        ("huge map", &huge, "0"),
    ] {
        let bytes = [
            extension(b'x', &if what == "huge map" { records.to_vec() } else { records.with_lengths() }),
            header("s", b'0', size.as_bytes(), USTAR),
            padded(if what == "count bomb" { b"9999999999\n1\n" } else { b"abcde" }),
        ]
        .concat();
        assert!(read(&bytes).is_err(), "{what}");
    }
}

#[test]
fn budgets_hold() {
    let tight = |bytes: &[u8], budget: Budget| -> Result<u64, TarError> {
        let mut reader = Reader::new(bytes, budget);
        let mut count = 0;
        while reader.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    };
    let limited = |result: Result<u64, TarError>| matches!(result, Err(TarError::Limit { .. }));
    let many = write(&(0..20).map(|n| (file(&n.to_string(), 600), vec![0; 600])).collect::<Vec<_>>(), false);
    assert!(tight(&many, Budget::layer()).is_ok());
    assert!(limited(tight(&many, Budget { max_entries: 19, ..Budget::layer() })));
    assert!(limited(tight(&many, Budget { max_bytes: 11_999, ..Budget::layer() })));
    let long = one(&file(&"n".repeat(3000), 0));
    assert!(limited(tight(&long, Budget { max_path: 2999, ..Budget::layer() })));
    assert!(limited(tight(&long, Budget { max_metadata: 2000, ..Budget::layer() })));
    // A header that claims much costs nothing.
    let claim = header("ext", b'x', b"77777777777", USTAR);
    assert!(limited(tight(&claim, Budget::layer())));
    let claim = header("f", b'0', &[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], USTAR);
    assert!(limited(tight(&claim, Budget::layer())));
    let mut failed = Reader::new(claim.as_slice(), Budget::layer());
    assert!(failed.next().is_err());
    assert!(matches!(failed.next(), Err(TarError::GivenUp)));
}

fn any_kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::File),
        Just(EntryKind::HardLink),
        Just(EntryKind::Symlink),
        Just(EntryKind::CharDevice),
        Just(EntryKind::BlockDevice),
        Just(EntryKind::Dir),
        Just(EntryKind::Fifo),
    ]
}

fn any_name(range: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => b'a'..=b'z', 3 => Just(b'/'), 1 => 1u8..=255];
    prop::collection::vec(byte, range)
}

prop_compose! {
    fn any_entry()(
        path in any_name(1..300), kind in any_kind(), mode in 0u32..=0o7777,
        ids in prop_oneof![(0u64..3_000_000, 0u64..3_000_000), (any::<u64>(), any::<u64>())],
        data in prop::collection::vec(any::<u8>(), 0..1500),
        mtime in prop_oneof![0i64..2_000_000_000, any::<i64>()], mtime_nanos in prop_oneof![Just(0), 0u32..1_000_000_000],
        link in any_name(0..200), devices in (0u32..300, any::<u32>()),
        xattrs in prop::collection::btree_map(any_name(1..20), prop::collection::vec(any::<u8>(), 0..40), 0..3),
        names in (any_name(0..40), any_name(0..40)),
    ) -> (Entry, Vec<u8>) {
        let mut path = path;
        let mut data = data;
        let is_link = matches!(kind, EntryKind::HardLink | EntryKind::Symlink);
        let is_device = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        if kind == EntryKind::Dir && !path.ends_with(b"/") {
            path.push(b'/');
        }
        if kind != EntryKind::File {
            data.clear();
        }
        let entry = Entry {
            path, kind, mode, uid: ids.0, gid: ids.1, size: data.len() as u64, mtime, mtime_nanos,
            link: if is_link { link } else { Vec::new() },
            dev_major: if is_device { devices.0 } else { 0 },
            dev_minor: if is_device { devices.1 } else { 0 },
            xattrs, uname: names.0, gname: names.1,
        };
        (entry, data)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(any_entry(), 0..6)) {
        let bytes = write(&entries, true);
        prop_assert_eq!(bytes.len() % BLOCK, 0);
        prop_assert_eq!(&write(&entries, true), &bytes);
        prop_assert_eq!(read(&bytes).unwrap(), entries);
    }

    #[test]
    fn damage_never_panics(
        entries in prop::collection::vec(any_entry(), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        reseal in any::<bool>(),
    ) {
        let mut bytes = write(&entries, true);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if reseal {
            for block in bytes.chunks_exact_mut(BLOCK) {
                if &block[257..262] == b"ustar" {
                    let sealed = seal(block.to_vec());
                    block.copy_from_slice(&sealed);
                }
            }
        }
        let _ = read(&bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..4096), flag in any::<u8>(), records in ".{0,200}") {
        let _ = read(&bytes);
        let bytes = [extension(b'x', records.as_bytes()), header("a", flag, b"1000", GNU), padded(&bytes)].concat();
        let _ = read(&bytes);
    }
}
