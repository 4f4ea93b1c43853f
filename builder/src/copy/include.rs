//! The pattern of `--parents`: what it selects, and which directories can be left out of the walk.

use cooper_frontend::dockerignore::Matcher;
use cooper_frontend::gopath;

use super::CopyError;

/// One include pattern, relative to the source directory.
#[derive(Debug)]
pub(crate) struct Include {
    /// Says which paths match.
    pub matcher: Matcher,
    /// The leading parts without wildcards.
    literal: Vec<u8>,
    /// Most parts that a match can have; `None` with `**`.
    most_parts: Option<usize>,
}

impl Include {
    /// Compiles a pattern: clean, without a leading slash. The empty pattern matches nothing.
    pub fn new(pattern: &str) -> Result<Include, CopyError> {
        let matcher =
            Matcher::new(&[pattern]).map_err(|_| CopyError::BadPattern { pattern: pattern.to_owned() })?;
        let parts: Vec<&[u8]> = pattern.as_bytes().split(|b| *b == b'/').collect();
        let plain = |part: &&&[u8]| !gopath::has_wildcard(part) && !part.contains(&b'\\');
        let literal = parts.iter().take_while(plain).copied().collect::<Vec<_>>().join(&b'/');
        let most_parts = (!pattern.contains("**") && !pattern.starts_with('!')).then_some(parts.len());
        Ok(Include { matcher, literal, most_parts })
    }

    /// Whether something below the directory may match though the directory itself does not. May say yes for nothing.
    pub fn may_match_below(&self, dir: &[u8]) -> bool {
        let depth = dir.split(|b| *b == b'/').count();
        if self.most_parts.is_some_and(|most| depth >= most) {
            return false;
        }
        let shared = self.literal.iter().zip(dir).take_while(|(a, b)| a == b).count();
        let at_boundary = |path: &[u8]| path.get(shared).is_none_or(|b| *b == b'/');
        // One of both is the beginning of the other, ending at a whole name.
        (shared == dir.len() && at_boundary(&self.literal))
            || (shared == self.literal.len() && at_boundary(dir))
            || self.literal.is_empty()
    }
}
