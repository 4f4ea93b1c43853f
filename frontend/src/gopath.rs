//! Path rules of the Go standard library, on bytes.
//!
//! Owns: cleaning and joining of slash paths, and the pattern language of COPY and ADD sources (`*`, `?`, `[a-z]`,
//! `\`, none of which crosses a `/`). Paths in images are bytes, not text; where the rules speak of characters, a byte
//! that is not UTF-8 counts as one. Touches no file.

/// A pattern that is not well formed, such as `[a` or a lone trailing backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Shortest equal path: no empty or `.` parts, `..` resolved by name, no trailing slash. Empty becomes `.`;
/// `..` at the root stays at the root.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut out = if rooted { vec![b'/'] } else { Vec::new() };
    out.extend_from_slice(&parts.join(&b'/'));
    if out.is_empty() {
        out.push(b'.');
    }
    out
}

/// [`clean`] for text.
pub fn clean_str(path: &str) -> String {
    // Cleaning only cuts at slashes and dots, so text stays text.
    String::from_utf8_lossy(&clean(path.as_bytes())).into_owned()
}

/// Joins the parts that are not empty with `/` and cleans the result; all empty gives the empty path.
pub fn join(parts: &[&str]) -> String {
    let joined: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if joined.is_empty() { String::new() } else { clean_str(&joined.join("/")) }
}

/// Last part of a path without trailing slashes; `.` for the empty path, `/` for the root.
pub fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    if end == 0 {
        return b"/";
    }
    let start = path[..end].iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    &path[start..end]
}

/// All but the last part, cleaned.
pub fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    clean(&path[..end])
}

/// True if `pattern` has a character with a meaning of its own, so that it may name several files.
pub fn has_wildcard(pattern: &[u8]) -> bool {
    let mut escaped = false;
    pattern.iter().any(|byte| {
        let special = !escaped && matches!(byte, b'*' | b'?' | b'[');
        escaped = !escaped && *byte == b'\\';
        special
    })
}

/// Whether the whole of `name` matches `pattern`. A malformed pattern is an error even where `name` fails earlier.
pub fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    let mut pattern = pattern;
    let mut name = name;
    while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        let at_start = match_chunk(chunk, name)?;
        // The last chunk must reach the end of the name; if it does not, a star may still move it.
        if let Some(after) = at_start.filter(|after| after.is_empty() || !pattern.is_empty()) {
            name = after;
            continue;
        }
        if star && let Some(after) = match_later(chunk, name, pattern.is_empty())? {
            name = after;
            continue;
        }
        while !pattern.is_empty() {
            let (_, chunk, rest) = next_chunk(pattern);
            match_chunk(chunk, b"")?;
            pattern = rest;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Lets a star swallow more and more of `name` until `chunk` fits behind it.
fn match_later<'n>(chunk: &[u8], name: &'n [u8], last: bool) -> Result<Option<&'n [u8]>, BadPattern> {
    for swallowed in 0..name.len() {
        if name[swallowed] == b'/' {
            break;
        }
        if let Some(after) = match_chunk(chunk, &name[swallowed + 1..])?
            && (!last || after.is_empty())
        {
            return Ok(Some(after));
        }
    }
    Ok(None)
}

/// Splits off leading stars and the text up to the next star outside of a class.
fn next_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|b| **b == b'*').count();
    let pattern = &pattern[stars..];
    let mut in_class = false;
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' if at + 1 < pattern.len() => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    (stars > 0, &pattern[..at], &pattern[at..])
}

/// Matches a chunk without stars at the start of `name`; the rest of the name if it fits. Reads the chunk to its end
/// even after a mismatch, to find errors.
fn match_chunk<'n>(chunk: &[u8], name: &'n [u8]) -> Result<Option<&'n [u8]>, BadPattern> {
    let mut chunk = chunk;
    let mut rest = Some(name);
    while let Some((&first, after)) = chunk.split_first() {
        let next = rest.filter(|rest| !rest.is_empty());
        match first {
            b'[' => {
                let (set, after) = parse_class(after)?;
                chunk = after;
                rest = next.and_then(|rest| {
                    let (c, width) = decode_char(rest);
                    set.contains(c).then(|| &rest[width..])
                });
            }
            b'?' => {
                chunk = after;
                rest = next.filter(|rest| rest[0] != b'/').map(|rest| &rest[decode_char(rest).1..]);
            }
            _ => {
                let (literal, after) = match first {
                    b'\\' => after.split_first().map(|(l, after)| (*l, after)).ok_or(BadPattern)?,
                    _ => (first, after),
                };
                chunk = after;
                rest = next.filter(|rest| rest[0] == literal).map(|rest| &rest[1..]);
            }
        }
    }
    Ok(rest)
}

/// The ranges of a `[...]`.
struct Class {
    negated: bool,
    ranges: Vec<(u32, u32)>,
}

impl Class {
    fn contains(&self, c: u32) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }
}

fn parse_class(text: &[u8]) -> Result<(Class, &[u8]), BadPattern> {
    let (negated, mut text) = match text.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if text.first() == Some(&b']') && !ranges.is_empty() {
            return Ok((Class { negated, ranges }, &text[1..]));
        }
        let (low, rest) = class_char(text)?;
        let (high, rest) = match rest.split_first() {
            Some((b'-', rest)) => class_char(rest)?,
            _ => (low, rest),
        };
        ranges.push((low, high));
        text = rest;
    }
}

/// One end of a range. Something must follow it, at least the closing bracket.
fn class_char(text: &[u8]) -> Result<(u32, &[u8]), BadPattern> {
    let text = match text.split_first() {
        None | Some((b'-' | b']', _)) => return Err(BadPattern),
        Some((b'\\', rest)) => rest,
        Some(_) => text,
    };
    if text.is_empty() {
        return Err(BadPattern);
    }
    let (c, width) = decode_char(text);
    let rest = &text[width..];
    if rest.is_empty() || (c == INVALID && width == 1) {
        return Err(BadPattern);
    }
    Ok((c, rest))
}

/// What a byte that is not UTF-8 decodes to.
pub(crate) const INVALID: u32 = 0xfffd;

/// First character of `bytes`, which must not be empty, and its width; one byte that is no UTF-8 gives
/// [`INVALID`] and 1.
pub(crate) fn decode_char(bytes: &[u8]) -> (u32, usize) {
    let longest = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(longest) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&longest[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or((INVALID, 1), |c| (u32::from(c), c.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_follows_go() {
        for (input, want) in [
            ("", "."),
            ("/", "/"),
            ("//", "/"),
            (".", "."),
            ("..", ".."),
            ("/..", "/"),
            ("/../a", "/a"),
            ("a/../..", ".."),
            ("a/../../b", "../b"),
            ("a//b/./c/", "a/b/c"),
            ("./a", "a"),
            ("a/..", "."),
            ("/a/../../b", "/b"),
        ] {
            assert_eq!(clean_str(input), want, "{input:?}");
        }
    }

    #[test]
    fn join_skips_empty_parts() {
        assert_eq!(join(&["", ""]), "");
        assert_eq!(join(&["/", "a"]), "/a");
        assert_eq!(join(&["/x", "../y"]), "/y");
        assert_eq!(join(&["a", "", "b"]), "a/b");
    }

    #[test]
    fn base_and_dir() {
        for (input, want_base, want_dir) in [
            ("", ".", "."),
            ("/", "/", "/"),
            ("a", "a", "."),
            ("/a", "a", "/"),
            ("/a/b/", "b", "/a/b"),
            ("a/b", "b", "a"),
        ] {
            assert_eq!(base(input.as_bytes()), want_base.as_bytes(), "{input:?}");
            assert_eq!(dir(input.as_bytes()), want_dir.as_bytes(), "{input:?}");
        }
    }

    #[test]
    fn matches_follows_go() {
        for (pattern, name, want) in [
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "a", Ok(true)),
            ("a*", "ab/c", Ok(false)),
            ("a*/b", "abc/b", Ok(true)),
            ("a*/b", "a/c/b", Ok(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", Ok(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[c]", "abc", Ok(true)),
            ("ab[b-d]", "abc", Ok(true)),
            ("ab[e-g]", "abc", Ok(false)),
            ("ab[^c]", "abc", Ok(false)),
            ("ab[^e-g]", "abc", Ok(true)),
            ("a\\*b", "a*b", Ok(true)),
            ("a\\*b", "ab", Ok(false)),
            ("a?b", "a\u{263a}b", Ok(true)),
            ("a[^a]b", "a\u{263a}b", Ok(true)),
            ("a???b", "a\u{263a}b", Ok(false)),
            ("[a-\u{3b6}]*", "\u{3b1}", Ok(true)),
            ("*[a-\u{3b6}]", "A", Ok(false)),
            ("a?b", "a/b", Ok(false)),
            ("a*b", "a/b", Ok(false)),
            ("[\\]a]", "]", Ok(true)),
            ("[\\-x]", "-", Ok(true)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[x-]", "x", Err(BadPattern)),
            ("[-x]", "x", Err(BadPattern)),
            ("\\", "a", Err(BadPattern)),
            ("[a-b-c]", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("[^", "a", Err(BadPattern)),
            ("[^bc", "a", Err(BadPattern)),
            ("a[", "a", Err(BadPattern)),
            ("a[", "ab", Err(BadPattern)),
            ("a[", "x", Err(BadPattern)),
            ("a/b[", "x", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
            ("arr[[]0].txt", "arr[0].txt", Ok(true)),
            ("", "", Ok(true)),
            ("", "x", Ok(false)),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), want, "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn a_byte_that_is_no_text_is_one_character() {
        assert_eq!(matches(b"a?b", b"a\xffb"), Ok(true));
        assert_eq!(matches(b"a??b", b"a\xffb"), Ok(false));
        assert_eq!(matches(b"a\xff*", b"a\xffb"), Ok(true));
    }

    #[test]
    fn wildcards_are_seen_unless_escaped() {
        assert!(has_wildcard(b"a*"));
        assert!(has_wildcard(b"a[b"));
        assert!(!has_wildcard(b"a\\*"));
        assert!(has_wildcard(b"a\\\\?"));
    }
}
