//! The variables that a stage sees, in the order in which they were last set.

use crate::expand::Env;

/// An ordered list of variables with unique names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EnvList(Vec<(String, String)>);

impl EnvList {
    /// Sets a variable and moves it to the end.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Size of all names and values.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub fn to_vec(&self) -> Vec<(String, String)> {
        self.0.clone()
    }
}

impl Env for EnvList {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Splits `NAME=value`.
pub(super) fn split_pair(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// Sets a variable in an image's list, in place if it is there.
pub(super) fn set_in_image(list: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    match list.iter_mut().find(|old| split_pair(old).0 == name) {
        Some(old) => *old = pair,
        None => list.push(pair),
    }
}

/// Size from which a text for people takes no more values.
const LONG_TEXT_BYTES: usize = 1 << 20;

/// A text for people, with the variables that are set put in; all else stays as written.
pub(super) fn show(text: &str, get: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_single_quotes = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\'' => in_single_quotes = !in_single_quotes,
            '\\' => {
                let width = after.chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..=width]);
                rest = &after[width..];
                continue;
            }
            '$' if !in_single_quotes => {
                let (name, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                    Some((name, behind)) => (name, behind),
                    None => after.split_at(after.find(|c: char| !is_name_char(c)).unwrap_or(after.len())),
                };
                let value = if name.chars().all(is_name_char) { get(name) } else { None };
                if let Some(value) = value.filter(|value| out.len() + value.len() <= LONG_TEXT_BYTES) {
                    out.push_str(&value);
                    rest = behind;
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
        rest = after;
    }
    out
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
