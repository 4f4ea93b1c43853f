//! What to tell when a source is not there: the ignore rule that hides it, or a name that is nearly the same.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use cooper_sys::fs;

use super::CopyError;
use super::error::rooted;
use super::resolve::locate;
use super::source::Files;

/// The error for a path that is not there, with a hint if one can be found. Best effort: never another error.
pub(crate) fn not_found(files: &Files, path: &[u8]) -> CopyError {
    CopyError::NotFound { path: rooted(path), hint: hidden(files, path).or_else(|| nearest(files, path)) }
}

/// The file exists, but is excluded.
fn hidden(files: &Files, path: &[u8]) -> Option<String> {
    let ignore = files.ignore.as_ref()?;
    let located = locate(files.root(), path, true, &|_, _| true).ok()?;
    located.stat?;
    // The link itself or what it leads to may be the one that is excluded.
    let rule = ignore.explain(path).or_else(|| ignore.explain(&located.path()))?;
    let name = ignore.name().unwrap_or("the ignore file");
    (!rule.reincludes).then(|| format!("it is excluded by {name}: line {}, {:?}", rule.line, rule.text))
}

/// A visible name in the same directory that differs by little.
fn nearest(files: &Files, path: &[u8]) -> Option<String> {
    let (above, name) = match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&b""[..], path),
    };
    let above_found = files.locate(above, true).ok()?;
    above_found.stat.filter(fs::Stat::is_dir)?;
    let physical = above_found.path();
    let dir = fs::resolve_in_root(files.root(), OsStr::from_bytes(&physical), fs::OFlags::DIRECTORY).ok()?;
    let name = String::from_utf8_lossy(name).to_lowercase();
    let best = fs::read_dir_sorted(&dir)
        .ok()?
        .into_iter()
        .filter(|entry| {
            let path = [&physical, entry.name.as_bytes()].join(&b'/');
            !files.is_hidden(path.strip_prefix(b"/").unwrap_or(&path))
        })
        .map(|entry| {
            let other = entry.name.to_string_lossy();
            (distance(&name, &other.to_lowercase()), other.into_owned())
        })
        .min_by_key(|(distance, _)| *distance)?;
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let found = [above, best.1.as_bytes()].join(&b'/');
    (best.0 <= limit).then(|| format!("did you mean {:?}?", rooted(&found)))
}

/// Number of insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (rows[i][j + 1] + 1).min(row[j] + 1).min(rows[i][j] + usize::from(x != y));
            if i > 0 && j > 0 && x == &b[j - 1] && &a[i - 1] == y {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
