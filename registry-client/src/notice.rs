//! What a caller may want to tell its user while an operation goes on.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, WARNING};

use crate::error::printable;

/// Something worth knowing that is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A registry asked us to come back later, and we do.
    Waiting {
        /// `host[:port]`.
        host: String,
        /// How long.
        pause: Duration,
        /// How much longer this request may be put off after that.
        left: Duration,
    },
    /// A mirror did not do; the next place is asked.
    FellThrough {
        /// What was asked for.
        target: String,
        /// The mirror.
        place: String,
        /// The place that is asked instead.
        next: String,
        /// What was wrong.
        error: String,
    },
    /// A push goes on with an upload that an earlier one left.
    Resumed {
        /// The blob.
        target: String,
        /// Bytes that the registry has already.
        at_bytes: u64,
        /// Size of the blob.
        total_bytes: u64,
    },
    /// A registry says another digest of a manifest than it has. The bytes count.
    WrongDigest {
        /// The manifest.
        target: String,
        /// What the registry says.
        claimed: String,
        /// The digest of the bytes.
        actual: String,
    },
    /// A registry's own words to its users, told once.
    Warning {
        /// `host[:port]`.
        host: String,
        /// The text, made printable.
        text: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { host, pause, left } => write!(
                f,
                "{host} asks to wait {} s (at most {} s more after that)",
                pause.as_secs(),
                left.as_secs()
            ),
            Self::FellThrough { target, place, next, error } => {
                write!(f, "{target}: {place} failed, asking {next}: {error}")
            }
            Self::Resumed { target, at_bytes, total_bytes } => {
                write!(f, "{target}: the registry has {at_bytes} of {total_bytes} bytes from an earlier push")
            }
            Self::WrongDigest { target, claimed, actual } => {
                write!(f, "{target}: the registry says that its digest is {claimed}, but it is {actual}")
            }
            Self::Warning { host, text } => write!(f, "{host} warns: {text}"),
        }
    }
}

/// Called for each notice; must return soon and must not block.
pub type NoticeObserver = Arc<dyn Fn(&Notice) + Send + Sync>;

/// The longest warning that is looked at, in bytes.
const MAX_WARNING: usize = 4096;
/// Warnings that are remembered as told.
const MAX_TOLD: usize = 256;

/// Where notices go.
#[derive(Default)]
pub(crate) struct Notices {
    observer: OnceLock<NoticeObserver>,
    told: Mutex<HashSet<(String, String)>>,
}

impl Notices {
    pub(crate) fn new(observer: Option<NoticeObserver>) -> Self {
        let notices = Self::default();
        if let Some(observer) = observer {
            notices.observe(observer);
        }
        notices
    }

    /// From now on these are told to `observer`, unless there is one already.
    pub(crate) fn observe(&self, observer: NoticeObserver) {
        let _ = self.observer.set(observer);
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        if let Some(observer) = self.observer.get() {
            observer(notice);
        }
    }

    /// Passes on `Warning: 299 - "text"`, each text of a host once.
    pub(crate) fn warnings(&self, host: &str, headers: &HeaderMap) {
        for value in headers.get_all(WARNING).iter().filter(|v| v.len() <= MAX_WARNING) {
            let Some(text) = value.to_str().ok().and_then(warning_text) else { continue };
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let new = told.len() < MAX_TOLD && told.insert((host.to_owned(), text.clone()));
            drop(told);
            if new {
                self.tell(&Notice::Warning { host: host.to_owned(), text });
            }
        }
    }
}

/// The text of `299 - "text"`; other codes are for caches.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.trim().strip_prefix("299 ")?.split_once('"')?.1;
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    Some(printable(&text)).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::warning_text;

    #[test]
    fn warnings_are_read_in_their_one_form() {
        assert_eq!(warning_text(r#"299 - "old \"API\" ends""#).as_deref(), Some("old \"API\" ends"));
        assert_eq!(warning_text("299 reg.test \"a\u{1b}[31mb\"").as_deref(), Some("a[31mb"));
        for none in ["", "299", "110 - \"stale\"", "299 - text", "299 - \"\""] {
            assert_eq!(warning_text(none), None, "{none}");
        }
    }
}
