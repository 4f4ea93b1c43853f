//! The lexer behind all expansions: quotes, escapes, `$name`, `${name…}`, splitting.

use std::iter::Peekable;
use std::str::Chars;

use super::{Env, ExpandError, Expanded, pattern};

/// Depth of `${…${…}…}` at which a text is refused.
const MAX_DEPTH: usize = 128;
/// How many bytes variables may add to one text.
pub(super) const MAX_ADDED_BYTES: usize = 1 << 20;

/// The switches of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexer {
    /// Takes the meaning of the next character.
    pub(crate) escape: char,
    /// Quotes work, but stay in the result.
    pub(crate) raw_quotes: bool,
    /// Escape characters work, but stay in the result.
    pub(crate) raw_escapes: bool,
    /// Quotes are characters as any other.
    pub(crate) plain_quotes: bool,
    /// A variable that is not set stays as it is written.
    pub(crate) keep_unset: bool,
}

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The whole text expanded.
    pub(crate) value: String,
    /// The same, split.
    pub(crate) words: Vec<String>,
    /// Names that are not set.
    pub(crate) unmatched: Vec<String>,
    /// Names that are set.
    pub(crate) used: Vec<String>,
    /// Bytes of all values that were put in.
    pub(super) added: usize,
}

impl Outcome {
    pub(super) fn into_expanded(self) -> Expanded {
        Expanded { value: self.value, unmatched: self.unmatched, used: self.used }
    }
}

impl Lexer {
    /// A run with all switches off.
    pub(crate) fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// Expands a text.
    pub(crate) fn run(self, text: &str, env: &(impl Env + ?Sized)) -> Result<Outcome, ExpandError> {
        // A byte order mark at the start is no part of the text.
        let chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
        let lookup = |name: &str| env.get(name).map(str::to_owned);
        let mut run = Run {
            lexer: self,
            chars,
            lookup: &lookup,
            word: String::new(),
            depth: 0,
            outcome: Outcome::default(),
        };
        match run.until(None, self.raw_escapes) {
            Ok((value, words)) => Ok(Outcome { value, words, ..run.outcome }),
            Err(message) => Err(ExpandError { text: text.to_owned(), message }),
        }
    }
}

struct Run<'a> {
    lexer: Lexer,
    chars: Peekable<Chars<'a>>,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// The word that is being put together. One for all depths: a text inside `${…}` drops what stands directly
    /// before it in its word. That is what BuildKit does where words are split.
    word: String,
    depth: usize,
    outcome: Outcome,
}

const MISSING_BRACE: &str = "syntax error: missing '}'";

impl Run<'_> {
    /// Reads up to `stop`, or to the end.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("substitutions are nested too deeply".to_owned());
        }
        let outer = std::mem::replace(&mut self.lexer.raw_escapes, raw_escapes);
        let result = self.text(stop);
        self.lexer.raw_escapes = outer;
        self.depth -= 1;
        result
    }

    fn text(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut value = String::new();
        let mut words = Vec::new();
        self.word.clear();
        while let Some(&c) = self.chars.peek() {
            if stop == Some(c) {
                self.chars.next();
                self.end_word(&mut words);
                return Ok((value, words));
            }
            match c {
                '$' => {
                    let text = self.dollar()?;
                    for c in text.chars() {
                        self.add(c, &mut words);
                    }
                    value.push_str(&text);
                }
                '\'' | '"' if !self.lexer.plain_quotes => {
                    let text = if c == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    self.word.push_str(&text);
                    value.push_str(&text);
                }
                '<' => {
                    let text = self.less_than();
                    self.word.push_str(&text);
                    value.push_str(&text);
                }
                c => {
                    self.chars.next();
                    if c != self.lexer.escape {
                        self.add(c, &mut words);
                        value.push(c);
                        continue;
                    }
                    if self.lexer.raw_escapes {
                        self.word.push(c);
                        value.push(c);
                    }
                    let Some(escaped) = self.chars.next() else { break };
                    self.word.push(escaped);
                    value.push(escaped);
                }
            }
        }
        if let Some(stop) = stop {
            return Err(format!("unexpected end of statement while looking for matching {stop}"));
        }
        self.end_word(&mut words);
        Ok((value, words))
    }

    fn add(&mut self, c: char, words: &mut Vec<String>) {
        if c.is_whitespace() {
            self.end_word(words);
        } else {
            self.word.push(c);
        }
    }

    fn end_word(&mut self, words: &mut Vec<String>) {
        if !self.word.is_empty() {
            words.push(std::mem::take(&mut self.word));
        }
    }

    /// `<<` keeps the blanks behind it in the word, so that a heredoc marker stays whole.
    fn less_than(&mut self) -> String {
        self.chars.next();
        if self.chars.next_if_eq(&'<').is_none() {
            return "<".to_owned();
        }
        let mut text = "<<".to_owned();
        while let Some(blank) = self.chars.next_if(|c| matches!(c, '\t' | '\r' | ' ')) {
            text.push(blank);
        }
        text
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.chars.peek() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching single-quote".to_owned()
                    );
                }
                Some('\'') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some(_) => text.extend(self.chars.next()),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.chars.peek() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching double-quote".to_owned()
                    );
                }
                Some('"') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(_) => {
                    let Some(mut c) = self.chars.next() else { continue };
                    let escape = self.lexer.escape;
                    if c == escape {
                        if self.lexer.raw_escapes {
                            text.push(c);
                        }
                        match self.chars.peek() {
                            None => continue,
                            Some(&next) if next == '"' || next == '$' || next == escape => {
                                self.chars.next();
                                c = next;
                            }
                            Some(_) => {}
                        }
                    }
                    text.push(c);
                }
            }
        }
    }

    fn quote(&mut self, text: &mut String) {
        if let Some(quote) = self.chars.next()
            && self.lexer.raw_quotes
        {
            text.push(quote);
        }
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braces();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.get(&name)? {
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    fn braces(&mut self) -> Result<String, String> {
        match self.chars.peek() {
            None => return Err(MISSING_BRACE.to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        let Some(mut modifier) = self.chars.next() else { return Err(MISSING_BRACE.to_owned()) };
        if modifier == '}' {
            return match self.get(&name)? {
                None if self.lexer.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            };
        }
        if modifier == '/' {
            return self.replacement(&name);
        }
        let mut written = modifier.to_string();
        let null_is_unset = modifier == ':';
        if null_is_unset {
            modifier = self.chars.next().ok_or(MISSING_BRACE)?;
            written.push(modifier);
        }
        let trims = matches!(modifier, '#' | '%');
        let unsupported = || format!("unsupported modifier ({written}) in substitution");
        if (null_is_unset && trims) || !(null_is_unset || trims || matches!(modifier, '+' | '-' | '?')) {
            return Err(unsupported());
        }
        let word = self.inner('}', trims, MISSING_BRACE)?;
        let value = self.get(&name)?;
        if self.lexer.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{written}{word}}}"));
        }
        let usable = value.as_ref().is_some_and(|value| !(null_is_unset && value.is_empty()));
        match modifier {
            '-' => Ok(if usable { value.unwrap_or_default() } else { word }),
            '+' => Ok(if usable { word } else { String::new() }),
            '?' if usable => Ok(value.unwrap_or_default()),
            '?' => {
                let state = if value.is_none() { "unset" } else { "empty" };
                let reason = if word.is_empty() { format!("is not allowed to be {state}") } else { word };
                Err(format!("{name}: {reason}"))
            }
            '#' | '%' => {
                let (word, longest) = match word.strip_prefix(modifier) {
                    Some(word) => (word, true),
                    None => (word.as_str(), false),
                };
                let value = value.unwrap_or_default();
                if modifier == '#' {
                    pattern::trim_prefix(word, &value, longest)
                } else {
                    pattern::trim_suffix(word, &value, longest)
                }
            }
            _ => Err(unsupported()),
        }
    }

    fn replacement(&mut self, name: &str) -> Result<String, String> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let pattern = self.inner('/', true, "syntax error: missing '/' in ${}")?;
        let replacement = self.inner('}', true, MISSING_BRACE)?;
        match self.get(name)? {
            None if self.lexer.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => {
                let text = pattern::replace(&pattern, &replacement, &value.unwrap_or_default(), all)?;
                self.spend(text.len())?;
                Ok(text)
            }
        }
    }

    /// A text inside braces. A mistake that comes of a missing end is told as such.
    fn inner(&mut self, stop: char, raw_escapes: bool, missing: &str) -> Result<String, String> {
        match self.until(Some(stop), raw_escapes) {
            Ok((text, _)) => Ok(text),
            Err(_) if self.chars.peek().is_none() => Err(missing.to_owned()),
            Err(message) => Err(message),
        }
    }

    /// A variable's name: digits, one special character, or letters, digits and underscores. Empty if none is there.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let first = self.chars.peek().copied();
        if first.is_some_and(|c| c.is_ascii_digit()) {
            while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
                name.push(digit);
            }
        } else if first.is_some_and(|c| "@*#?-$!".contains(c)) {
            name.extend(self.chars.next());
        } else {
            let in_name = |c: &char| c.is_alphabetic() || c.is_ascii_digit() || *c == '_';
            while let Some(c) = self.chars.next_if(in_name) {
                name.push(c);
            }
        }
        name
    }

    /// Counts bytes that variables bring in: a few lines can double a value a hundred times.
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.outcome.added = self.outcome.added.saturating_add(bytes);
        if self.outcome.added > MAX_ADDED_BYTES { Err(too_long()) } else { Ok(()) }
    }

    fn get(&mut self, name: &str) -> Result<Option<String>, String> {
        let value = (self.lookup)(name);
        self.spend(value.as_ref().map_or(0, String::len))?;
        let names = if value.is_some() { &mut self.outcome.used } else { &mut self.outcome.unmatched };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        Ok(value)
    }
}

/// Why a text is refused that variables make too long.
pub(super) fn too_long() -> String {
    format!("its variables hold more than {MAX_ADDED_BYTES} bytes")
}
