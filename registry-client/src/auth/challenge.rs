//! `WWW-Authenticate`: what a registry wants to see before it answers.
//!
//! Owns the parser of RFC 9110 challenges as registries really send them: several in one header or in
//! several headers, quoted or bare values, any case, spaces round `=`. Unknown schemes are skipped.
//! It never fails: what cannot be read is not a challenge.

/// A challenge that we can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from a token service.
    Bearer(Bearer),
}

/// The parameters of a `Bearer` challenge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    /// Scopes, split at spaces.
    pub(crate) scopes: Vec<String>,
    pub(crate) error: Option<String>,
}

/// The longest header text that is looked at.
const MAX_BYTES: usize = 16 * 1024;

/// Picks the challenge to answer: the first `Bearer` with a realm, else `Basic`.
pub(crate) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = false;
    for header in headers.filter(|h| h.len() <= MAX_BYTES) {
        for (scheme, parameters) in parse(header) {
            if scheme.eq_ignore_ascii_case("basic") {
                basic = true;
            } else if scheme.eq_ignore_ascii_case("bearer") {
                let bearer = bearer(&parameters);
                if !bearer.realm.is_empty() {
                    return Some(Challenge::Bearer(bearer));
                }
            }
        }
    }
    basic.then_some(Challenge::Basic)
}

fn bearer(parameters: &[(String, String)]) -> Bearer {
    let first = |name: &str| {
        parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    Bearer {
        realm: first("realm").unwrap_or_default(),
        service: first("service").filter(|s| !s.is_empty()),
        scopes: first("scope").unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect(),
        error: first("error"),
    }
}

type Parsed = Vec<(String, Vec<(String, String)>)>;

/// Splits one header into schemes with their parameters.
fn parse(header: &str) -> Parsed {
    let mut found: Parsed = Vec::new();
    let mut rest = Cursor { text: header };
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        let word = rest.take(is_token);
        if word.is_empty() {
            // Not a token: step over it (a stray quote, token68 padding) so that the loop ends.
            if rest.text.starts_with('"') {
                rest.quoted();
            } else if rest.bump().is_none() {
                return found;
            }
            continue;
        }
        let after_word = rest.text;
        rest.skip(|c| c.is_ascii_whitespace());
        if !rest.text.starts_with('=') {
            // A scheme, or a lone token68 after one, which no scheme of ours has.
            rest.text = after_word;
            found.push((word.to_owned(), Vec::new()));
            continue;
        }
        rest.bump();
        rest.skip(|c| c.is_ascii_whitespace());
        let value = if rest.text.starts_with('"') {
            rest.quoted()
        } else {
            rest.take(|c| c != ',' && !c.is_ascii_whitespace()).to_owned()
        };
        if let Some((_, parameters)) = found.last_mut() {
            parameters.push((word.to_owned(), value));
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

struct Cursor<'a> {
    text: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, matches: impl Fn(char) -> bool) {
        self.text = self.text.trim_start_matches(matches);
    }

    fn take(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let end = self.text.find(|c| !matches(c)).unwrap_or(self.text.len());
        let (head, tail) = self.text.split_at(end);
        self.text = tail;
        head
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.text.chars();
        let c = chars.next();
        self.text = chars.as_str();
        c
    }

    /// Reads a quoted string; an unclosed one ends with the header.
    fn quoted(&mut self) -> String {
        self.bump();
        let mut value = String::new();
        while let Some(c) = self.bump() {
            match c {
                '"' => break,
                '\\' => value.extend(self.bump()),
                _ => value.push(c),
            }
        }
        value
    }
}

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
