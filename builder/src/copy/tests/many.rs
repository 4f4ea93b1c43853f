//! Trees that are large enough for several threads.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::{Bed, chmod, chown, dirs, file, is_root, mtime, touch};
use crate::copy::{CopyError, CopyOptions};

/// 20 directories, one in the other by fives, of 100 files each.
fn forest(bed: &Bed) -> Vec<String> {
    let mut paths = Vec::new();
    for dir in 0..20 {
        let above = (0..=dir % 5).map(|level| format!("d{dir}-{level}")).collect::<Vec<_>>().join("/");
        for at in 0..100 {
            let path = format!("top/{above}/f{at}");
            file(&bed.src(&path), &format!("{dir} {at}"));
            chmod(&bed.src(&path), [0o644, 0o4755, 0o600, 0o777, 0o444][at % 5]);
            touch(&bed.src(&path), (1_000_000 + i64::try_from(at).unwrap(), 7));
            paths.push(path);
        }
    }
    paths
}

/// Gives all directories a time of their own, innermost first.
fn age_dirs(path: &std::path::Path, seconds: &mut i64) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            age_dirs(&entry.path(), seconds);
        }
    }
    *seconds += 1;
    touch(path, (*seconds, 3));
}

#[test]
fn files_and_directories_keep_their_attributes_and_times() {
    let mut bed = Bed::new();
    let paths = forest(&bed);
    age_dirs(&bed.src("top"), &mut 2_000_000);
    let report = bed.copy(&["top"], "/new").unwrap();
    assert_eq!(report.files, 2000);
    let mut seen = std::collections::BTreeSet::new();
    for path in paths {
        let (from, to) = (bed.src(&path), bed.image(&path.replacen("top", "new", 1)));
        assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap(), "{path}");
        let modes = [&from, &to].map(|path| fs::metadata(path).unwrap().permissions().mode());
        assert_eq!(modes[0], modes[1], "{path}");
        assert_eq!(mtime(&from), mtime(&to), "{path}");
        for (above, copied) in from.ancestors().zip(to.ancestors()).skip(1) {
            if !above.starts_with(bed.src("top")) || above == bed.src("top") {
                break;
            }
            assert_eq!(mtime(above), mtime(copied), "{}", above.display());
            seen.insert(copied.to_path_buf());
        }
    }
    assert_eq!(seen.len(), 60);
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let mut bed = Bed::new();
    forest(&bed);
    dirs(&bed.src("top/z"));
    for at in 0..100 {
        fs::hard_link(bed.src(&format!("top/d0-0/f{at}")), bed.src(&format!("top/z/f{at}"))).unwrap();
    }
    bed.copy(&["top"], "/new").unwrap();
    for at in 0..100 {
        let inode = |dir: &str| fs::metadata(bed.image(&format!("new/{dir}/f{at}"))).unwrap().ino();
        assert_eq!(inode("d0-0"), inode("z"));
        assert_eq!(fs::metadata(bed.image(&format!("new/z/f{at}"))).unwrap().nlink(), 2);
    }
}

#[test]
fn files_that_are_there_are_replaced() {
    let mut bed = Bed::new();
    let paths = forest(&bed);
    bed.copy(&["top"], "/new").unwrap();
    for path in &paths {
        fs::write(bed.src(path), "second").unwrap();
    }
    bed.copy(&["top"], "/new").unwrap();
    for path in &paths {
        assert_eq!(fs::read(bed.image(&path.replacen("top", "new", 1))).unwrap(), b"second");
    }
}

#[test]
fn one_file_that_cannot_be_written_fails_the_copy() {
    let mut bed = Bed::new();
    forest(&bed);
    dirs(&bed.image("new/d15-0/f50"));
    match bed.copy(&["top"], "/new") {
        Err(CopyError::FileOverDirectory { path }) => assert_eq!(path, "/new/d15-0/f50"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancelled_copy_ends() {
    let mut bed = Bed::new();
    forest(&bed);
    let asked = std::sync::atomic::AtomicU32::new(0);
    let cancelled = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 500;
    let options = CopyOptions { cancelled: Some(&cancelled), ..CopyOptions::default() };
    assert!(matches!(bed.copy_with(&["top"], "/new", options), Err(CopyError::Cancelled)));
}

#[test]
fn a_setgid_directory_does_not_give_its_group_to_what_is_copied() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    file(&bed.src("d/f"), "f");
    dirs(&bed.image("shared"));
    chown(&bed.image("shared"), 0, 50);
    chmod(&bed.image("shared"), 0o2775);
    bed.copy(&["d"], "/shared").unwrap();
    bed.assert_image(&["/shared/ 2775 0:50", "/shared/f 644 0:0 f"]);
}
