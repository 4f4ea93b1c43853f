//! One ignore pattern, compiled.
//!
//! The pattern language is defined by its reference matcher, which turns a pattern into a regular expression unless
//! it is plain text, text with a leading `**` or text with a trailing `**`. Oddities follow from that, and people's
//! files rely on some of them: `**` crosses slashes wherever it stands, a class may match a slash, a star within
//! a class ends the class, `^` between wildcards never matches. Here the same text is made and then read
//! as the few regular-expression forms that can arise, run as a set of states: no backtracking, so that a hostile
//! ignore file costs time proportional to its size.

use crate::gopath::{BadPattern, decode_char};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    text: String,
    /// Bytes before the first character with a meaning.
    prefix_len: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Exact,
    /// Ends in `**`: any path with this start.
    Prefix(String),
    /// Starts with `**`: any path with this end.
    Suffix(String),
    States(Vec<State>),
}

/// A step of the state machine.
#[derive(Debug, Clone)]
enum State {
    /// One character of the set.
    One(Set),
    /// Any number of characters of the set.
    Many(Set),
    /// `(.*/)?`: nothing, or anything that ends in a slash.
    Directories,
    /// `.*`
    Anything,
    /// Never matches.
    Never,
}

#[derive(Debug, Clone)]
struct Set {
    negated: bool,
    ranges: Vec<(u32, u32)>,
}

impl Set {
    fn just(c: char) -> Set {
        Set { negated: false, ranges: vec![(u32::from(c), u32::from(c))] }
    }

    fn no_slash() -> Set {
        Set { negated: true, ..Set::just('/') }
    }

    fn contains(&self, c: u32) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }
}

const SPECIAL: [char; 6] = ['*', '?', '[', ']', '^', '\\'];

impl Glob {
    /// Compiles a cleaned pattern without its `!`.
    pub fn compile(pattern: &str) -> Result<Glob, BadPattern> {
        let mut states = Vec::new();
        let mut kind = Kind::Exact;
        let mut is_states = false;
        let mut chars = Reader { rest: pattern };
        let mut first = true;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.eat('*') => {
                    chars.eat('/');
                    if chars.rest.is_empty() {
                        if !is_states && matches!(kind, Kind::Exact) {
                            kind = Kind::Prefix(pattern[..pattern.len() - 2].to_owned());
                        } else {
                            states.push(State::Anything);
                            is_states = true;
                        }
                    } else {
                        states.push(State::Directories);
                        is_states = true;
                    }
                    if first {
                        kind = Kind::Suffix(pattern[2..].to_owned());
                        is_states = false;
                    }
                }
                '*' => {
                    states.push(State::Many(Set::no_slash()));
                    is_states = true;
                }
                '?' => {
                    states.push(State::One(Set::no_slash()));
                    is_states = true;
                }
                '[' => {
                    states.push(class(&mut chars)?);
                    is_states = true;
                }
                ']' => {
                    states.push(State::One(Set::just(']')));
                    is_states = true;
                }
                '\\' => {
                    let escaped = chars.next().ok_or(BadPattern)?;
                    states.push(State::One(escape(escaped)?));
                    is_states = true;
                }
                '^' => states.push(if first {
                    State::Many(Set { negated: false, ranges: Vec::new() })
                } else {
                    State::Never
                }),
                c => states.push(State::One(Set::just(c))),
            }
            first = false;
        }
        if is_states {
            kind = Kind::States(states);
        }
        // A `^` among plain characters is one of them.
        let special = if matches!(kind, Kind::Exact) { None } else { pattern.find(SPECIAL) };
        let prefix_len = special.unwrap_or(pattern.len());
        Ok(Glob { text: pattern.to_owned(), prefix_len, kind })
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text.as_bytes(),
            Kind::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            Kind::Suffix(suffix) => {
                path.ends_with(suffix.as_bytes())
                    || suffix.strip_prefix('/').is_some_and(|s| path == s.as_bytes())
            }
            Kind::States(states) => path.starts_with(self.literal_prefix()) && run(states, path),
        }
    }

    /// Text that every match starts with.
    pub fn literal_prefix(&self) -> &[u8] {
        &self.text.as_bytes()[..self.prefix_len]
    }

    /// False if only one path can match.
    pub fn has_wildcard(&self) -> bool {
        !matches!(self.kind, Kind::Exact)
    }
}

/// The characters of a pattern.
struct Reader<'p> {
    rest: &'p str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.rest.starts_with(c);
        if found {
            self.rest = &self.rest[c.len_utf8()..];
        }
        found
    }
}

/// A class, behind its `[`. Stars and question marks within it stand for what they mean outside, `[^/]*` and
/// `[^/]`, whose bracket closes the class.
fn class(chars: &mut Reader) -> Result<State, BadPattern> {
    let negated = chars.eat('^');
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    loop {
        let mut c = chars.next().ok_or(BadPattern)?;
        match c {
            ']' if !ranges.is_empty() => return Ok(State::One(Set { negated, ranges })),
            '*' | '?' => {
                ranges.extend([u32::from('['), u32::from('^'), u32::from('/')].map(|c| (c, c)));
                let set = Set { negated, ranges };
                if c == '?' {
                    return Ok(State::One(set));
                }
                if chars.eat('*') {
                    chars.eat('/');
                }
                return Ok(State::Many(set));
            }
            '\\' => c = chars.next().ok_or(BadPattern)?,
            _ => {}
        }
        let low = u32::from(c);
        let mut high = low;
        if chars.rest.starts_with('-') && !chars.rest.starts_with("-]") {
            chars.eat('-');
            let end = chars.next().ok_or(BadPattern)?;
            high = u32::from(if end == '\\' { chars.next().ok_or(BadPattern)? } else { end });
            if high < low {
                return Err(BadPattern);
            }
        }
        ranges.push((low, high));
    }
}

/// A character behind a backslash: itself if it is no letter or digit, otherwise one of the few known names.
fn escape(c: char) -> Result<Set, BadPattern> {
    let range = |negated, ranges: &[(char, char)]| Set {
        negated,
        ranges: ranges.iter().map(|(low, high)| (u32::from(*low), u32::from(*high))).collect(),
    };
    Ok(match c {
        'd' | 'D' => range(c == 'D', &[('0', '9')]),
        's' | 'S' => range(c == 'S', &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')]),
        'w' | 'W' => range(c == 'W', &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        'a' => Set::just('\u{7}'),
        'f' => Set::just('\u{c}'),
        'n' => Set::just('\n'),
        'r' => Set::just('\r'),
        't' => Set::just('\t'),
        'v' => Set::just('\u{b}'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Set::just(c),
        _ => return Err(BadPattern),
    })
}

/// Runs the states over `path` as a set: bit `n` means that the first `n` states are done.
fn run(states: &[State], path: &[u8]) -> bool {
    let mut current = vec![false; states.len() + 1];
    let mut next = current.clone();
    // `Directories` in progress: it has eaten something and waits for a slash.
    let mut inside = vec![false; states.len()];
    current[0] = true;
    skip_optional(states, &mut current);
    let mut rest = path;
    while !rest.is_empty() {
        let (c, width) = decode_char(rest);
        rest = &rest[width..];
        next.fill(false);
        for (at, state) in states.iter().enumerate() {
            let here = current[at];
            match state {
                State::One(set) => next[at + 1] |= here && set.contains(c),
                State::Many(set) => next[at] |= here && set.contains(c),
                State::Anything => next[at] |= here && c != u32::from('\n'),
                State::Directories => {
                    let open = here || inside[at];
                    next[at + 1] |= open && c == u32::from('/');
                    inside[at] = open && c != u32::from('\n');
                }
                State::Never => {}
            }
        }
        skip_optional(states, &mut next);
        std::mem::swap(&mut current, &mut next);
    }
    current[states.len()]
}

fn skip_optional(states: &[State], done: &mut [bool]) {
    for (at, state) in states.iter().enumerate() {
        if done[at] && !matches!(state, State::One(_) | State::Never) {
            done[at + 1] = true;
        }
    }
}
