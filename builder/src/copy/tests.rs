//! COPY and ADD on real directories. What is expected was recorded from BuildKit unless said otherwise.

mod archives;
mod attributes;
mod chmod;
mod chown;
mod destination;
mod digests;
mod exclude;
mod ignore;
mod many;
mod parents;
mod property;
mod source;

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_frontend::dockerignore::Matcher;
use cooper_frontend::graph::{CopyOp, CopySource, SourceKind, StepId};
use cooper_sys::fs::open_dir;

use super::{CopyError, CopyOptions, CopyReport, NoHasher, Selection, SourceTree, copy, select};

/// A source tree and an image, both in a temporary directory.
struct Bed {
    dir: tempfile::TempDir,
    op: CopyOp,
    kind: SourceKind,
    ignore: Option<Arc<Matcher>>,
    stage: bool,
    owner: Option<(u32, u32)>,
}

impl Bed {
    fn new() -> Bed {
        let dir = tempfile::tempdir().unwrap();
        for name in ["src", "image"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            chmod(&dir.path().join(name), 0o755);
        }
        let op = CopyOp {
            base: StepId::new(0),
            link: false,
            sources: Vec::new(),
            dest: String::new(),
            chown: None,
            chmod: None,
            parents: false,
            excludes: Vec::new(),
            add: false,
        };
        let kind = SourceKind::Files { preserve_owner: false };
        Bed { dir, op, kind, ignore: None, stage: false, owner: None }
    }

    /// Sources are files of a stage, whose owners count.
    fn stage() -> Bed {
        let kind = SourceKind::Files { preserve_owner: true };
        Bed { stage: true, kind, ..Bed::new() }
    }

    fn ignoring(mut self, text: &str) -> Bed {
        self.ignore = Some(Arc::new(Matcher::from_file(text.as_bytes()).unwrap()));
        self
    }

    fn src(&self, path: &str) -> PathBuf {
        self.dir.path().join("src").join(path)
    }

    fn image(&self, path: &str) -> PathBuf {
        self.dir.path().join("image").join(path)
    }

    fn tree(&self) -> SourceTree {
        let root = open_dir(&self.src("")).unwrap();
        let hasher = Arc::new(NoHasher);
        if self.stage {
            SourceTree::stage(root, hasher)
        } else {
            SourceTree::client(root, self.ignore.clone(), hasher)
        }
    }

    fn source(&self, path: &str) -> CopySource {
        CopySource { input: StepId::new(0), path: path.to_owned(), kind: self.kind, span: None }
    }

    fn select(&self, path: &str) -> Result<Selection, CopyError> {
        select(&self.tree(), &self.source(path), &self.op)
    }

    fn digest(&self, path: &str) -> [u8; 32] {
        super::digest(&self.select(path).unwrap()).unwrap()
    }

    /// `COPY sources… dest`.
    fn copy(&mut self, sources: &[&str], dest: &str) -> Result<CopyReport, CopyError> {
        self.copy_with(sources, dest, CopyOptions::default())
    }

    fn copy_with(
        &mut self,
        sources: &[&str],
        dest: &str,
        options: CopyOptions<'_>,
    ) -> Result<CopyReport, CopyError> {
        dest.clone_into(&mut self.op.dest);
        self.op.sources = sources.iter().map(|path| self.source(path)).collect();
        let image = open_dir(&self.image("")).unwrap();
        let options = CopyOptions { owner: self.owner, ..options };
        let mut all = CopyReport::default();
        for path in sources {
            let selection = self.select(path)?;
            let report = copy(&selection, image.as_fd(), &self.op, &options)?;
            all.files += report.files;
            all.warnings.extend(selection.warnings().iter().cloned());
            all.warnings.extend(report.warnings);
        }
        Ok(all)
    }

    /// The image, a line a file: path, kind, mode, owner, and text or target.
    fn result(&self) -> Vec<String> {
        let mut lines = Vec::new();
        describe(&self.image(""), "", &mut lines);
        lines
    }

    #[track_caller]
    fn assert_image(&self, expected: &[&str]) {
        assert_eq!(self.result(), expected);
    }
}

fn describe(dir: &Path, above: &str, lines: &mut Vec<String>) {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let shown = format!("{above}/{}", name.to_string_lossy());
        let meta = fs::symlink_metadata(&path).unwrap();
        let owner = format!("{}:{}", meta.uid(), meta.gid());
        let mode = meta.mode() & 0o7777;
        let kind = meta.file_type();
        if kind.is_symlink() {
            lines.push(format!("{shown} -> {} {owner}", fs::read_link(&path).unwrap().display()));
        } else if kind.is_dir() {
            lines.push(format!("{shown}/ {mode:o} {owner}"));
            describe(&path, &shown, lines);
        } else if kind.is_file() {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            lines.push(format!("{shown} {mode:o} {owner} {text}").trim_end().to_owned());
        } else {
            lines.push(format!("{shown} special {:o} {mode:o} {owner}", meta.mode() >> 12));
        }
    }
}

/// Writes a file with mode 0644, and its parents with 0755.
fn file(path: &Path, text: &str) {
    dirs(path.parent().unwrap());
    fs::write(path, text).unwrap();
    chmod(path, 0o644);
}

/// Makes a directory and its parents with 0755.
fn dirs(path: &Path) {
    if !path.exists() {
        dirs(path.parent().unwrap());
        fs::create_dir(path).unwrap();
        chmod(path, 0o755);
    }
}

fn link(target: &str, path: &Path) {
    dirs(path.parent().unwrap());
    std::os::unix::fs::symlink(target, path).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn chown(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

fn mtime(path: &Path) -> (i64, i64) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.mtime(), meta.mtime_nsec())
}

fn touch(path: &Path, time: (i64, u32)) {
    let dir = open_dir(path.parent().unwrap()).unwrap();
    cooper_sys::fs::utimens_at(&dir, path.file_name().unwrap(), time).unwrap();
}

/// False, with a remark, where the tests do not run as root.
fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root to change owners\n");
    }
    root
}
