//! From a source as written to the files that it names.
//!
//! Sources are cleaned by name, below the root of the tree; wildcards stand for parts of names and match hidden ones
//! too; links named as a source, also through a wildcard, are followed inside the tree, links on the way of a wildcard
//! are not. A wildcard may match nothing, a literal source may not.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use cooper_frontend::dockerignore::Matcher;
use cooper_frontend::gopath;
use cooper_frontend::graph::{CopyOp, CopySource, InlineFile, SourceKind};
use cooper_sys::fs::{self, OFlags, Stat};

use super::CopyError;
use super::error::{Doing as _, rooted};
use super::include::Include;
use super::resolve::split;
use super::source::{Files, Kind, SourceTree};
use super::suggest::not_found;
use super::walk::{Item, Role, Rules, Visitor, walk};

/// What a source names: ready to be hashed or copied.
#[derive(Debug)]
pub struct Selection {
    pub(crate) content: Content,
    pub(crate) kind: SourceKind,
    warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Content {
    Inline(InlineFile),
    Files { tree: SourceTree, matches: Vec<Match>, rules: Rules },
}

/// One file or directory that a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// Path as named: cleaned, without a leading slash, wildcards replaced by what they matched.
    pub named: Vec<u8>,
    /// Where it is, links followed.
    pub path: Vec<u8>,
    /// Attributes when it was selected.
    pub stat: Stat,
}

impl Selection {
    /// True if the source names nothing, as a wildcard may.
    pub fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Files { matches, .. } if matches.is_empty())
    }

    /// What the user should know though it is no error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether owners and extended attributes of the source count.
    pub(crate) fn keeps_owner(&self) -> bool {
        let client = match &self.content {
            Content::Files { tree, .. } => matches!(&tree.0, Kind::Files(files) if files.client),
            Content::Inline(_) => true,
        };
        !client && matches!(self.kind, SourceKind::Files { preserve_owner: true })
    }
}

/// Finds what `source` names in `tree`, under the flags of `op`.
pub fn select(tree: &SourceTree, source: &CopySource, op: &CopyOp) -> Result<Selection, CopyError> {
    let files = match &tree.0 {
        Kind::Files(files) => files,
        Kind::Inline(inline) => return select_inline(inline, source),
    };
    let exclude = (!op.excludes.is_empty())
        .then(|| Matcher::new(&op.excludes))
        .transpose()
        .map_err(|_| CopyError::BadPattern { pattern: op.excludes.join(" ") })?;
    let mut rules = Rules { include: None, exclude };
    let mut warnings = Vec::new();
    let matches = match source.kind {
        SourceKind::Git => vec![literal(files, b"", true)?],
        SourceKind::Http { .. } => vec![literal(files, &clean(&source.path), false)?],
        SourceKind::Files { .. } | SourceKind::UnpackIfArchive | SourceKind::Inline if op.parents => {
            let (base, pattern) = source.path.split_once("/./").unwrap_or(("/", &source.path));
            let pattern = String::from_utf8_lossy(&clean(pattern)).into_owned();
            let base = clean(base);
            let matches = expand(files, &base)?;
            let wild = gopath::has_wildcard(&base) || gopath::has_wildcard(pattern.as_bytes());
            if pattern.is_empty() {
                warnings.push(format!("--parents of {:?} copies nothing: name what is in it", source.path));
            } else if !wild {
                for base in &matches {
                    must_exist(files, base, pattern.as_bytes())?;
                }
            }
            rules.include = Some(Include::new(&pattern)?);
            matches
        }
        SourceKind::Files { .. } | SourceKind::UnpackIfArchive | SourceKind::Inline => {
            expand(files, &clean(&source.path))?
        }
    };
    if matches.is_empty() {
        warnings.push(format!("nothing matches {:?}", source.path));
    }
    let content = Content::Files { tree: tree.clone(), matches, rules };
    Ok(Selection { content, kind: source.kind, warnings })
}

/// Selects one path without any pattern, as a bind mount does: links are followed, `/` is all.
pub fn select_path(tree: &SourceTree, path: &str, preserve_owner: bool) -> Result<Selection, CopyError> {
    let Kind::Files(files) = &tree.0 else {
        return Err(CopyError::NotFound { path: path.into(), hint: None });
    };
    let matches = vec![literal(files, &clean(path), true)?];
    let content = Content::Files { tree: tree.clone(), matches, rules: Rules::default() };
    Ok(Selection { content, kind: SourceKind::Files { preserve_owner }, warnings: Vec::new() })
}

fn select_inline(inline: &[InlineFile], source: &CopySource) -> Result<Selection, CopyError> {
    let name = clean(&source.path);
    let file = inline.iter().find(|file| file.name == source.path || clean(&file.name) == name);
    let file = file.ok_or_else(|| CopyError::NotFound { path: rooted(&name), hint: None })?;
    let content = Content::Inline(file.clone());
    Ok(Selection { content, kind: source.kind, warnings: Vec::new() })
}

/// A source path as it counts in a key: cleaned, so that `./a` and `/a` are one. The pivot of `--parents` stays.
pub fn named_path(source: &CopySource, op: &CopyOp) -> String {
    let clean = |path: &str| String::from_utf8_lossy(&clean(path)).into_owned();
    match source.kind {
        SourceKind::Git | SourceKind::Http { .. } | SourceKind::Inline => source.path.clone(),
        _ if op.parents => match source.path.split_once("/./") {
            Some((base, pattern)) => format!("{}/./{}", clean(base), clean(pattern)),
            None => clean(&source.path),
        },
        _ => clean(&source.path),
    }
}

/// Cleans a path below the root, and drops the leading slash.
pub(crate) fn clean(path: &str) -> Vec<u8> {
    let mut clean = gopath::clean(format!("/{path}").as_bytes());
    clean.remove(0);
    clean
}

/// A path without wildcards.
fn literal(files: &Files, named: &[u8], follow: bool) -> Result<Match, CopyError> {
    let located = match files.locate(named, follow) {
        Ok(located) => located,
        Err(CopyError::NotADirectory { .. }) => return Err(not_found(files, named)),
        Err(other) => return Err(other),
    };
    let path = located.path();
    match located.stat {
        Some(stat) if exists(files, &path, &stat)? => Ok(Match { named: named.to_vec(), path, stat }),
        _ => Err(not_found(files, named)),
    }
}

/// `--parents` names its files without following links.
fn must_exist(files: &Files, base: &Match, pattern: &[u8]) -> Result<(), CopyError> {
    let path = if base.path.is_empty() { pattern.to_vec() } else { [&base.path, pattern].join(&b'/') };
    match literal(files, &path, false) {
        Ok(found) if found.path == path => Ok(()),
        Ok(_) => Err(CopyError::NotFound {
            path: rooted(&path),
            hint: Some("a symbolic link on the way is not followed by --parents; name its target".into()),
        }),
        Err(other) => Err(other),
    }
}

/// A hidden directory exists only for what is visible below it.
fn exists(files: &Files, path: &[u8], stat: &Stat) -> Result<bool, CopyError> {
    if !stat.is_dir() || !files.is_hidden(path) {
        return Ok(true);
    }
    let mut probe = Probe(false);
    walk(files, path, &Rules::default(), &mut probe)?;
    Ok(probe.0)
}

struct Probe(bool);

impl Visitor for Probe {
    fn enter(&mut self, _: &Item<'_>, _: Role) -> Result<(), CopyError> {
        self.0 = true;
        Ok(())
    }

    fn leave(&mut self, _: &Item<'_>, _: Role) -> Result<(), CopyError> {
        Ok(())
    }

    fn file(&mut self, _: &Item<'_>) -> Result<(), CopyError> {
        self.0 = true;
        Ok(())
    }
}

/// All that a path with or without wildcards names, in the order of the names.
fn expand(files: &Files, path: &[u8]) -> Result<Vec<Match>, CopyError> {
    let parts: Vec<&OsStr> = split(path).collect();
    let Some(first_wild) = parts.iter().position(|part| gopath::has_wildcard(part.as_bytes())) else {
        return Ok(vec![literal(files, path, true)?]);
    };
    let patterns: Vec<&[u8]> = parts[first_wild..].iter().map(|part| part.as_bytes()).collect();
    if patterns.iter().any(|pattern| gopath::matches(pattern, b"").is_err()) {
        return Err(CopyError::BadPattern { pattern: String::from_utf8_lossy(path).into_owned() });
    }
    let above = parts[..first_wild].iter().map(|part| part.as_bytes()).collect::<Vec<_>>().join(&b'/');
    let base = literal(files, &above, true)?;
    if !base.stat.is_dir() {
        return Ok(Vec::new());
    }
    let dir = fs::resolve_in_root(files.root(), OsStr::from_bytes(&base.path), OFlags::DIRECTORY)
        .doing("open", &base.path)?;
    let mut expansion = Expansion { files, found: Vec::new() };
    expansion.level(dir.as_fd(), &above, &base.path, &patterns)?;
    Ok(expansion.found)
}

struct Expansion<'f> {
    files: &'f Files,
    found: Vec<Match>,
}

impl Expansion<'_> {
    /// As deep as there are parts in the pattern.
    fn level(
        &mut self,
        dir: BorrowedFd<'_>,
        named: &[u8],
        path: &[u8],
        patterns: &[&[u8]],
    ) -> Result<(), CopyError> {
        let Some((pattern, below)) = patterns.split_first() else { return Ok(()) };
        for entry in fs::read_dir_sorted(dir).doing("read the directory", path)? {
            let name = entry.name.as_bytes();
            if !gopath::matches(pattern, name).unwrap_or(false) {
                continue;
            }
            let child =
                |above: &[u8]| if above.is_empty() { name.to_vec() } else { [above, name].join(&b'/') };
            let (named, path) = (child(named), child(path));
            let stat = match fs::stat_at(dir, &entry.name) {
                Err(e) if e.is_not_found() => continue,
                other => other.doing("stat", &path)?,
            };
            let hidden = self.files.is_hidden(&path);
            if hidden && !(stat.is_dir() && self.files.may_show_below(&path)) {
                continue;
            }
            if !below.is_empty() {
                if stat.is_dir() {
                    let next = fs::open_at(dir, &entry.name, OFlags::PATH | OFlags::DIRECTORY)
                        .doing("open", &path)?;
                    self.level(next.as_fd(), &named, &path, below)?;
                }
            } else if stat.is_symlink() {
                let followed = literal(self.files, &path, true)?;
                self.found.push(Match { named, ..followed });
            } else if exists(self.files, &path, &stat)? {
                self.found.push(Match { named, path, stat });
            }
        }
        Ok(())
    }
}
