//! Input: an ignore file, then, behind a NUL, paths, one a line; the lines of the ignore file are taken as paths, too.
//!
//! For each path three ways of asking must agree: [`Matcher::is_excluded`], a walk that remembers what directories
//! matched and enters excluded ones only where it must, and each line asked alone, of which the last that matches
//! decides.
#![no_main]

use std::collections::BTreeSet;

use cooper_frontend::dockerignore::{Matcher, ParentInfo};
use cooper_frontend::gopath;
use libfuzzer_sys::fuzz_target;

/// Relative clean paths, none of which is a directory of another.
fn files(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| matches!(byte, b'\n' | 0)).take(16);
    let named = lines.map(|line| line.trim_ascii()).map(|line| line.strip_prefix(b"!").unwrap_or(line));
    let relative = named.map(|line| gopath::clean(&[b"/", line].concat())[1..].to_vec());
    let paths: BTreeSet<Vec<u8>> = relative.filter(|path| !path.is_empty()).collect();
    let below = |other: &[u8], dir: &[u8]| other.starts_with(dir) && other.get(dir.len()) == Some(&b'/');
    paths.iter().filter(|path| !paths.iter().any(|other| below(other, path))).cloned().collect()
}

/// What a walk of `files` below `dir` (empty, or with a slash at its end) keeps.
fn walk(matcher: &Matcher, files: &[Vec<u8>], dir: &[u8], info: &ParentInfo, kept: &mut BTreeSet<Vec<u8>>) {
    let mut entered = BTreeSet::new();
    for file in files {
        let Some(rest) = file.strip_prefix(dir) else { continue };
        let Some(slash) = rest.iter().position(|byte| *byte == b'/') else {
            if !matcher.matches(file, info) {
                kept.insert(file.clone());
            }
            continue;
        };
        let path = &file[..dir.len() + slash];
        if !entered.insert(path) {
            continue;
        }
        let (excluded, below) = matcher.enter(path, info);
        if !excluded || matcher.may_have_reincluded_below(path) {
            walk(matcher, files, &file[..=path.len()], &below, kept);
        }
    }
}

/// Each line of the ignore file as one of its own, `!` taken off; `None` if that makes something else of a line.
fn lines_alone(matcher: &Matcher) -> Option<Vec<(bool, Matcher)>> {
    let alone = matcher.patterns().iter().map(|pattern| {
        let text = if pattern.reincludes { pattern.text.strip_prefix('!')?.trim() } else { &pattern.text };
        // Neither the mark nor the comment that only the start of a file or line makes of it.
        let line = Matcher::from_file(format!("\n {text}").as_bytes()).ok()?;
        let same = matches!(line.patterns(), [one] if !one.reincludes);
        same.then_some((pattern.reincludes, line))
    });
    alone.collect()
}

fuzz_target!(|bytes: &[u8]| {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let Ok(matcher) = Matcher::from_file(text) else { return };
    let files = files(bytes);
    let mut kept = BTreeSet::new();
    walk(&matcher, &files, b"", &ParentInfo::default(), &mut kept);
    let alone = lines_alone(&matcher);
    for file in &files {
        let excluded = matcher.is_excluded(file);
        assert_ne!(excluded, kept.contains(file), "walk: {:?}", String::from_utf8_lossy(file));
        if let Some(alone) = &alone {
            let last = alone.iter().rev().find(|(_, line)| line.is_excluded(file));
            let want = last.is_some_and(|(reincludes, _)| !reincludes);
            assert_eq!(excluded, want, "lines: {:?}", String::from_utf8_lossy(file));
        }
    }
    // Paths as they may never be asked for.
    for line in bytes.split(|byte| *byte == b'\n').take(8) {
        let _ = matcher.explain(line);
    }
});
