//! The tar codec against others: the `tar` crate, Python's tarfile, GNU tar.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "programs as oracles")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cooper_oci::tar::{Budget, Entry, EntryKind, Reader, Writer};

/// Members of every kind, with values at the edges of what headers hold.
fn zoo() -> Vec<(Entry, Vec<u8>)> {
    let base = Entry { mode: 0o644, mtime: 1_700_000_000, ..Entry::default() };
    let with = |path: &[u8], kind: EntryKind| Entry { path: path.to_vec(), kind, ..base.clone() };
    let file = |path: &[u8], data: &[u8]| {
        (Entry { size: data.len() as u64, ..with(path, EntryKind::File) }, data.to_vec())
    };
    let long = |length: usize| "d".repeat(40) + "/" + &"n".repeat(length);
    let mut list = vec![
        file(b"empty", b""),
        file(b"block", &[7; 512]),
        file(b"more", &[8; 1000]),
        file(long(99).as_bytes(), b"prefix"),
        file(long(180).as_bytes(), b"record"),
        file("ümlaut".as_bytes(), b"utf-8"),
        file(b"latin-\xfc", b"not utf-8"),
    ];
    list.extend(
        [
            Entry { mode: 0o1777, ..with(b"dir/", EntryKind::Dir) },
            Entry { link: b"more".to_vec(), ..with(b"hard", EntryKind::HardLink) },
            Entry { link: b"../target".to_vec(), mode: 0o777, ..with(b"soft", EntryKind::Symlink) },
            Entry { link: long(180).into(), mode: 0o777, ..with(b"soft-long", EntryKind::Symlink) },
            Entry { dev_major: 1, dev_minor: 3, ..with(b"char", EntryKind::CharDevice) },
            Entry { dev_major: 8, dev_minor: 1, ..with(b"disk", EntryKind::BlockDevice) },
            with(b"pipe", EntryKind::Fifo),
            Entry { mode: 0o4755, ..with(b"setuid", EntryKind::File) },
            Entry { uid: 3_000_000, gid: 4_000_000, ..with(b"owner", EntryKind::File) },
            Entry { mtime: -86_400, ..with(b"before-1970", EntryKind::File) },
            Entry { mtime: 1 << 34, ..with(b"after-2242", EntryKind::File) },
            Entry { uname: b"root".to_vec(), gname: "grün".into(), ..with(b"names", EntryKind::File) },
            Entry {
                xattrs: [
                    (b"user.a".to_vec(), b"\x00\xff\n=".to_vec()),
                    (b"security.capability".to_vec(), vec![1; 20]),
                ]
                .into(),
                ..with(b"xattrs", EntryKind::File)
            },
        ]
        .into_iter()
        .map(|entry| (entry, Vec::new())),
    );
    list
}

fn write(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, data) in entries {
        writer.append_with(entry, &mut data.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = Reader::new(bytes, Budget::layer());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        entries.push((entry, data));
    }
    entries
}

/// Runs a program with input; `None`, with the reason printed, if it is not installed or fails to start.
fn run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("skipped: {program} is not installed\n").as_bytes(),
        );
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A program may close its input at the end of the archive.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success(), "{program} {args:?} failed");
    Some(output.stdout)
}

#[test]
fn the_tar_crate_reads_what_we_write() {
    let entries = zoo();
    let bytes = write(&entries);
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut seen = 0;
    for (theirs, (entry, data)) in archive.entries().unwrap().zip(&entries) {
        let mut theirs = theirs.unwrap();
        assert_eq!(theirs.path_bytes().as_ref(), entry.path);
        assert_eq!(theirs.link_name_bytes().unwrap_or_default().as_ref(), entry.link);
        assert_eq!(theirs.size(), entry.size);
        assert_eq!(theirs.header().mode().unwrap(), entry.mode);
        assert_eq!(theirs.header().entry_type(), kind_of(entry.kind));
        let mut content = Vec::new();
        theirs.read_to_end(&mut content).unwrap();
        assert_eq!(&content, data);
        seen += 1;
    }
    assert_eq!(seen, entries.len());
}

fn kind_of(kind: EntryKind) -> tar::EntryType {
    match kind {
        EntryKind::File => tar::EntryType::Regular,
        EntryKind::HardLink => tar::EntryType::Link,
        EntryKind::Symlink => tar::EntryType::Symlink,
        EntryKind::CharDevice => tar::EntryType::Char,
        EntryKind::BlockDevice => tar::EntryType::Block,
        EntryKind::Dir => tar::EntryType::Directory,
        EntryKind::Fifo => tar::EntryType::Fifo,
    }
}

#[test]
fn we_read_what_the_tar_crate_writes() {
    let mut builder = tar::Builder::new(Vec::new());
    let name = "x/".repeat(150) + "end";
    for (path, data) in [("a", b"1".as_slice()), (&name, b"22"), ("empty", b"")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o640);
        header.set_mtime(99);
        header.set_uid(5);
        builder.append_data(&mut header, path, data).unwrap();
    }
    let entries = read(&builder.into_inner().unwrap());
    let seen: Vec<_> = entries.iter().map(|(entry, data)| (entry.path.as_slice(), data.as_slice())).collect();
    assert_eq!(seen, [(b"a".as_slice(), b"1".as_slice()), (name.as_bytes(), b"22"), (b"empty", b"")]);
    assert!(entries.iter().all(|(entry, _)| entry.mode == 0o640 && entry.mtime == 99 && entry.uid == 5));
}

/// Prints each member as one line of fields in hex, so that any byte survives.
const PYTHON_LIST: &str = r"
import sys, tarfile
def hexed(text): return text.encode('utf-8', 'surrogateescape').hex()
archive = tarfile.open(fileobj=sys.stdin.buffer, mode='r|', errors='surrogateescape')
for m in archive:
    data = archive.extractfile(m).read() if m.isreg() else b''
    attrs = sorted((k[13:], v) for k, v in m.pax_headers.items() if k.startswith('SCHILY.xattr.'))
    print(hexed(m.name), m.type.hex(), m.mode, m.uid, m.gid, m.size, int(m.mtime), hexed(m.linkname),
          m.devmajor, m.devminor, hexed(m.uname), hexed(m.gname), data.hex(),
          ','.join(hexed(k) + '=' + hexed(v) for k, v in attrs), sep='|')
";

fn listed(entries: &[(Entry, Vec<u8>)]) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    entries
        .iter()
        .map(|(entry, data)| {
            let path = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
            let flag = match entry.kind {
                EntryKind::File => b'0',
                EntryKind::HardLink => b'1',
                EntryKind::Symlink => b'2',
                EntryKind::CharDevice => b'3',
                EntryKind::BlockDevice => b'4',
                EntryKind::Dir => b'5',
                EntryKind::Fifo => b'6',
            };
            let xattrs: Vec<_> = entry.xattrs.iter().map(|(k, v)| hex(k) + "=" + &hex(v)).collect();
            format!(
                "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
                hex(path),
                hex(&[flag]),
                entry.mode,
                entry.uid,
                entry.gid,
                entry.size,
                entry.mtime,
                hex(&entry.link),
                entry.dev_major,
                entry.dev_minor,
                hex(&entry.uname),
                hex(&entry.gname),
                hex(data),
                xattrs.join(",")
            )
        })
        .collect()
}

#[test]
fn python_reads_what_we_write() {
    let entries = zoo();
    let temp = tempfile::tempdir().unwrap();
    let Some(output) = run("python3", &["-c", PYTHON_LIST], temp.path(), &write(&entries)) else { return };
    let lines: Vec<_> = std::str::from_utf8(&output).unwrap().lines().collect();
    assert_eq!(lines, listed(&entries));
}

/// Writes the archive that stdin holds again, in the format that the argument names.
const PYTHON_REWRITE: &str = r"
import io, sys, tarfile
source = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), errors='surrogateescape')
format = getattr(tarfile, sys.argv[1])
target = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=format, errors='surrogateescape')
for m in source:
    m.pax_headers = {k: v for k, v in m.pax_headers.items() if k.startswith('SCHILY.xattr.')}
    target.addfile(m, source.extractfile(m) if m.isreg() else None)
target.close()
";

#[test]
fn we_read_what_python_writes() {
    let entries = zoo();
    let temp = tempfile::tempdir().unwrap();
    for format in ["PAX_FORMAT", "GNU_FORMAT"] {
        let args = ["-c", PYTHON_REWRITE, format];
        let Some(bytes) = run("python3", &args, temp.path(), &write(&entries)) else { return };
        let mut expected = entries.clone();
        if format == "GNU_FORMAT" {
            // That format has no place for these.
            for (entry, _) in &mut expected {
                entry.xattrs = BTreeMap::new();
            }
        }
        assert_eq!(listed(&read(&bytes)), listed(&expected), "{format}");
    }
}

#[test]
fn gnu_tar_unpacks_what_we_write() {
    let entries: Vec<_> = zoo()
        .into_iter()
        .filter(|(entry, _)| !matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice))
        .collect();
    let temp = tempfile::tempdir().unwrap();
    let args = ["-x", "--no-same-owner", "--no-same-permissions", "-f", "-"];
    if run("tar", &args, temp.path(), &write(&entries)).is_none() {
        return;
    }
    for (entry, data) in &entries {
        use std::os::unix::ffi::OsStrExt as _;
        let path = temp.path().join(std::ffi::OsStr::from_bytes(&entry.path));
        let meta = path.symlink_metadata().unwrap();
        match entry.kind {
            EntryKind::File => assert_eq!(&std::fs::read(&path).unwrap(), data),
            EntryKind::Dir => assert!(meta.is_dir()),
            EntryKind::Symlink => {
                assert_eq!(std::fs::read_link(&path).unwrap().as_os_str().as_bytes(), entry.link);
            }
            _ => {}
        }
        use std::os::unix::fs::MetadataExt as _;
        if entry.kind == EntryKind::File && entry.mtime < 1 << 33 {
            assert_eq!(meta.mtime(), entry.mtime, "{}", path.display());
        }
    }
}

/// A tree for GNU tar to pack: holes, long names, odd bytes, a hard link.
fn plant(dir: &Path) {
    use std::io::Seek as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut sparse = std::fs::File::create(dir.join("sparse")).unwrap();
    for at in [0u64, 1 << 20, 5 << 20, 6 << 20, 7 << 20, 8 << 20] {
        sparse.seek(std::io::SeekFrom::Start(at)).unwrap();
        sparse.write_all(&[u8::try_from(at >> 20).unwrap() + 1; 5000]).unwrap();
    }
    sparse.set_len(20 << 20).unwrap();
    // More runs than an old GNU header and one continuation hold.
    let mut comb = std::fs::File::create(dir.join("comb")).unwrap();
    for tooth in 0..60u64 {
        comb.seek(std::io::SeekFrom::Start(tooth << 17)).unwrap();
        comb.write_all(b"tooth").unwrap();
    }
    std::fs::write(dir.join("plain"), b"plain data").unwrap();
    std::fs::hard_link(dir.join("plain"), dir.join("plain-too")).unwrap();
    std::os::unix::fs::symlink("l".repeat(150), dir.join("link")).unwrap();
    let deep = dir.join("n".repeat(200)).join("m".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join(std::ffi::OsStr::from_bytes(b"odd-\xff")), b"odd").unwrap();
}

#[test]
fn we_read_what_gnu_tar_writes() {
    let temp = tempfile::tempdir().unwrap();
    plant(temp.path());
    for args in [
        ["--format=posix", "--sparse-version=1.0"].as_slice(),
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=gnu"],
        &["--format=oldgnu"],
    ] {
        let all =
            [args, &["-S", "-c", "--sort=name", "--mtime=1960-05-05 00:00:00.25", "-f", "-", "."]].concat();
        let Some(bytes) = run("tar", &all, temp.path(), b"") else { return };
        let entries = read(&bytes);
        let mut sizes = 0;
        for (entry, data) in &entries {
            use std::os::unix::ffi::OsStrExt as _;
            let path = temp.path().join(std::ffi::OsStr::from_bytes(&entry.path));
            if entry.kind == EntryKind::File {
                assert!(std::fs::read(&path).unwrap() == *data, "{args:?}: {}", path.display());
                sizes += 1;
            } else if entry.kind == EntryKind::Symlink {
                assert_eq!(entry.link, "l".repeat(150).as_bytes());
            }
            let (time, nanos) =
                if args[0] == "--format=posix" { (-304_819_200, 250_000_000) } else { (-304_819_200, 0) };
            assert_eq!((entry.mtime, entry.mtime_nanos), (time, nanos), "{args:?}");
        }
        assert_eq!((entries.len(), sizes), (9, 4), "{args:?}");
    }
}

#[test]
fn holes_of_gnu_archives_are_told() {
    let temp = tempfile::tempdir().unwrap();
    plant(temp.path());
    let Some(bytes) = run("tar", &["-S", "--format=gnu", "-cf", "-", "sparse"], temp.path(), b"") else {
        return;
    };
    let mut reader = Reader::new(Cursor::new(bytes), Budget::layer());
    let entry = reader.next().unwrap().unwrap();
    assert_eq!(entry.size, 20 << 20);
    if let Some(extents) = reader.extents() {
        assert!(extents.iter().map(|(_, length)| length).sum::<u64>() < 1 << 20);
    } else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("skipped: the file system of {} keeps no holes\n", temp.path().display()).as_bytes(),
        );
    }
}
