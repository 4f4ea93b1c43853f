//! Patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?` and backslash; no brackets, and no match across lines.

use regex::Regex;

use super::lexer::{MAX_ADDED_BYTES, too_long};

/// Makes a regular expression of a pattern.
fn compile(pattern: &str, longest: bool, at_start: bool) -> Result<Regex, String> {
    let error = |reason: String| format!("invalid pattern ({pattern}) in substitution: {reason}");
    let mut expression = String::with_capacity(pattern.len() + 4);
    if at_start {
        expression.push('^');
    }
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => expression.push_str(if longest { ".*" } else { ".*?" }),
            '?' => expression.push('.'),
            // Before `}` and `/` the backslash only kept the lexer from stopping.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\')) => {
                    expression.push('\\');
                    expression.push(escaped);
                }
                escaped => {
                    let escaped = escaped.unwrap_or('\u{fffd}');
                    return Err(error(format!("invalid escape '\\{escaped}'")));
                }
            },
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&expression).map_err(|source| error(source.to_string()))
}

/// `${x#p}`, `${x##p}`
pub(super) fn trim_prefix(pattern: &str, value: &str, longest: bool) -> Result<String, String> {
    let end = compile(pattern, longest, true)?.find(value).map_or(0, |found| found.end());
    Ok(value[end..].to_owned())
}

/// `${x%p}`, `${x%%p}`: a regular expression finds the shortest match only from the left, so both sides are turned
/// round.
pub(super) fn trim_suffix(pattern: &str, value: &str, longest: bool) -> Result<String, String> {
    let mut units = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let mut unit = c.to_string();
        if c == '\\' {
            unit.extend(chars.next());
        }
        units.push(unit);
    }
    units.reverse();
    let turned: String = value.chars().rev().collect();
    let rest = trim_prefix(&units.concat(), &turned, longest)?;
    Ok(rest.chars().rev().collect())
}

/// `${x/p/r}`, `${x//p/r}`. Wildcards are greedy; only the second form reads `$0` and the like in the replacement.
pub(super) fn replace(pattern: &str, replacement: &str, value: &str, all: bool) -> Result<String, String> {
    let expression = compile(pattern, true, false)?;
    if !all {
        let Some(found) = expression.find(value) else { return Ok(value.to_owned()) };
        return Ok(format!("{}{replacement}{}", &value[..found.start()], &value[found.end()..]));
    }
    let mut result = String::with_capacity(value.len());
    let mut behind = 0;
    for found in expression.find_iter(value) {
        result.push_str(&value[behind..found.start()]);
        fill(&mut result, replacement, found.as_str())?;
        behind = found.end();
    }
    result.push_str(&value[behind..]);
    Ok(result)
}

/// Appends a replacement in which `$0` is the match, other names are empty and `$$` is a dollar sign.
fn fill(result: &mut String, replacement: &str, found: &str) -> Result<(), String> {
    let mut rest = replacement;
    while let Some((before, behind)) = rest.split_once('$') {
        if result.len() > MAX_ADDED_BYTES {
            return Err(too_long());
        }
        result.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            result.push('$');
            rest = behind;
            continue;
        }
        let name = |text: &str| -> usize {
            text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum()
        };
        let (length, skipped) = match behind.strip_prefix('{') {
            Some(inner) => match name(inner) {
                length if length > 0 && inner[length..].starts_with('}') => (length, 1),
                _ => (0, 0),
            },
            None => (name(behind), 0),
        };
        if length == 0 {
            result.push('$');
            rest = behind;
            continue;
        }
        if &behind[skipped..skipped + length] == "0" {
            result.push_str(found);
        }
        rest = &behind[length + 2 * skipped..];
    }
    result.push_str(rest);
    if result.len() > MAX_ADDED_BYTES { Err(too_long()) } else { Ok(()) }
}
