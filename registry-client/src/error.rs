//! What can go wrong, and with what.
//!
//! Each error names the registry, the repository and the tag or digest it is about, and carries the
//! registry's own words when there are any. Must not hold a URL's query (signed links are credentials)
//! nor any secret.

use std::fmt;
use std::io;
use std::time::Duration;

use cooper_oci::Digest;
use serde::Deserialize;

use crate::auth::CredentialError;
use crate::hosts::HostsError;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an operation was about: registry, repository, and a tag or digest (each may be empty).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Registry as the user names it, such as `docker.io`.
    pub registry: String,
    /// Repository within it, such as `library/busybox`.
    pub repository: String,
    /// Tag or digest.
    pub object: String,
}

impl Target {
    /// A copy for an error, which is kept small.
    pub(crate) fn boxed(&self) -> Box<Self> {
        Box::new(self.clone())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if !self.repository.is_empty() {
            write!(f, "/{}", self.repository)?;
        }
        if !self.object.is_empty() {
            let separator = if self.object.contains(':') { '@' } else { ':' };
            write!(f, "{separator}{}", self.object)?;
        }
        Ok(())
    }
}

/// One entry of a registry's error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    /// Code of the distribution specification, such as `MANIFEST_UNKNOWN`.
    pub code: String,
    /// The registry's message, cut and made printable.
    pub message: String,
}

/// What a server answered instead of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The entries of a well-formed error body.
    pub errors: Vec<RegistryError>,
    /// Beginning of any other body, made printable.
    pub text: String,
}

impl Answer {
    /// Reads an error body in the registry's, the token services' or no known form.
    pub(crate) fn parse(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            errors: Option<Vec<serde_json::Value>>,
            error: Option<serde_json::Value>,
            error_description: Option<String>,
            details: Option<String>,
            message: Option<String>,
        }
        let mut answer = Self { status, errors: Vec::new(), text: String::new() };
        let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
            answer.text = printable(&String::from_utf8_lossy(body));
            return answer;
        };
        for entry in envelope.errors.unwrap_or_default().iter().take(5) {
            let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str).map(printable);
            answer.errors.push(RegistryError {
                code: text("code").unwrap_or_default(),
                message: text("message").unwrap_or_default(),
            });
        }
        if answer.errors.is_empty() {
            let code = envelope.error.as_ref().and_then(serde_json::Value::as_str).map(printable);
            let words = envelope.error_description.or(envelope.details).or(envelope.message);
            let parts: Vec<String> = code.into_iter().chain(words.as_deref().map(printable)).collect();
            answer.text = parts.join(": ");
        }
        answer
    }

    /// Whether the registry named this error code.
    pub fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|e| e.code == code)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.status)?;
        for error in &self.errors {
            write!(f, ", {}", error.code)?;
            if !error.message.is_empty() {
                write!(f, " ({})", error.message)?;
            }
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// Cuts a foreign text to 200 characters and drops what could move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The kind of an error, for callers that decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No, wrong or expired credentials, or a token service that is not trusted with them.
    Auth,
    /// The credentials do not allow this.
    Denied,
    /// There is no such thing, or it is hidden from these credentials.
    NotFound,
    /// The registry could not be reached, broke off, or answered with a passing failure.
    Network,
    /// The registry asked us to come back later, and more than we wait.
    RateLimited,
    /// An answer that the specification does not allow.
    Protocol,
    /// Bytes are not the ones that were asked for.
    DigestMismatch,
    /// Something is larger than its limit.
    TooLarge,
    /// The caller's sink or source failed.
    Local,
    /// The settings of this machine.
    Config,
    /// The caller cancelled.
    Cancelled,
}

impl ErrorKind {
    /// A short name that stays the same, for programs: `auth`, `denied`, `not-found`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::Network => "network",
            Self::RateLimited => "rate-limited",
            Self::Protocol => "protocol",
            Self::DigestMismatch => "digest-mismatch",
            Self::TooLarge => "too-large",
            Self::Local => "local",
            Self::Config => "config",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the same request may do later, without anything being changed.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Network | Self::RateLimited)
    }
}

/// An error of the registry client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry wants credentials that we do not have, or refuses those that we have.
    #[error("{target}: authentication failed: {reason}")]
    Auth {
        /// What was asked for.
        target: Box<Target>,
        /// Why, with the server's words.
        reason: String,
    },
    /// The registry wants credentials, and they would cross a network in clear.
    #[error("{target}: credentials are not sent over plain http to another machine")]
    Plaintext {
        /// What was asked for.
        target: Box<Target>,
    },
    /// A challenge names a token service that must not be given this registry's credentials.
    #[error("{target}: token service {realm} is not trusted: {reason}")]
    UntrustedTokenService {
        /// What was asked for.
        target: Box<Target>,
        /// The token service's URL, without its query.
        realm: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Credentials could not be read or written.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The credentials do not allow this; some registries say so of what does not exist.
    #[error("{target}: access denied, or there is no such repository or image: {answer}{}", needed(.scope.as_deref()))]
    Denied {
        /// What was asked for.
        target: Box<Target>,
        /// The server's answer.
        answer: Box<Answer>,
        /// What a token would have to allow, where one was shown: `repository:app:pull,push`.
        scope: Option<String>,
    },
    /// There is no such thing, or no access to it (many registries do not tell these apart).
    #[error("{target}: not found, or no access to it: {answer}")]
    NotFound {
        /// What was asked for.
        target: Box<Target>,
        /// The server's answer.
        answer: Box<Answer>,
    },
    /// Too many requests.
    #[error("{target}: rate limited: {answer}{}", retry_words(.retry_after.as_ref()))]
    RateLimited {
        /// What was asked for.
        target: Box<Target>,
        /// How long the registry wants us to wait, if it said.
        retry_after: Option<Duration>,
        /// The server's answer.
        answer: Box<Answer>,
    },
    /// Any other refusal.
    #[error("{target}: {answer}")]
    Status {
        /// What was asked for.
        target: Box<Target>,
        /// The server's answer.
        answer: Box<Answer>,
    },
    /// No connection, or one that broke or stalled too often.
    #[error("{target}: {what}")]
    Network {
        /// What was asked for.
        target: Box<Target>,
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A server that cannot prove to be the one that was asked for.
    #[error("{target}: the certificate of {host} {what}")]
    Certificate {
        /// What was asked for.
        target: Box<Target>,
        /// Whose certificate it is, as `host:port`.
        host: String,
        /// What is wrong with it.
        what: String,
    },
    /// The proxy that the environment gives refuses, or cannot be used.
    #[error("{target}: {what}")]
    Proxy {
        /// What was asked for.
        target: Box<Target>,
        /// Which proxy it is, and what is wrong.
        what: String,
    },
    /// An answer that the specification does not allow.
    #[error("{target}: {what}")]
    Protocol {
        /// What was asked for.
        target: Box<Target>,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes whose digest is not the one that was asked for.
    #[error("{target}: content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What was asked for.
        target: Box<Target>,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// Fewer or more bytes than the descriptor says.
    #[error("{target}: content has {actual} bytes, not {expected}")]
    SizeMismatch {
        /// What was asked for.
        target: Box<Target>,
        /// Bytes expected.
        expected: u64,
        /// Bytes seen (one more than expected may stand for any larger number).
        actual: u64,
    },
    /// Something is larger than its limit.
    #[error("{target}: {what} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        target: Box<Target>,
        /// What is too large.
        what: &'static str,
        /// Limit in bytes.
        limit: u64,
    },
    /// The caller's sink or source failed.
    #[error("{target}: {what}")]
    Local {
        /// What was asked for.
        target: Box<Target>,
        /// What was being done.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The settings of this machine forbid it, or cannot be used.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// The registry failed, and so had its mirrors.
    #[error("{source} (tried before: {})", mirrors.join("; "))]
    Mirrored {
        /// The mirrors, each with what was wrong.
        mirrors: Vec<String>,
        /// The registry's failure.
        source: Box<Error>,
    },
    /// The caller cancelled.
    #[error("{target}: cancelled")]
    Cancelled {
        /// What was asked for.
        target: Box<Target>,
    },
}

fn needed(scope: Option<&str>) -> String {
    scope.map_or_else(String::new, |scope| format!("; it needs {scope}"))
}

fn retry_words(after: Option<&Duration>) -> String {
    after.map_or_else(String::new, |d| format!("; the registry asks to wait {} s", d.as_secs()))
}

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Auth { .. }
            | Self::Plaintext { .. }
            | Self::UntrustedTokenService { .. }
            | Self::Credentials(_) => ErrorKind::Auth,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::Network { .. } | Self::Certificate { .. } | Self::Proxy { .. } => ErrorKind::Network,
            Self::Status { answer, .. } if answer.status >= 500 || answer.status == 408 => ErrorKind::Network,
            Self::Status { answer, .. } if answer.status == 413 => ErrorKind::TooLarge,
            Self::Status { .. } | Self::Protocol { .. } => ErrorKind::Protocol,
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => ErrorKind::DigestMismatch,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Local { .. } => ErrorKind::Local,
            Self::Hosts(_) => ErrorKind::Config,
            Self::Mirrored { source, .. } => source.kind(),
            Self::Cancelled { .. } => ErrorKind::Cancelled,
        }
    }

    /// The registry's answer, when the error is one.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Denied { answer, .. }
            | Self::NotFound { answer, .. }
            | Self::RateLimited { answer, .. }
            | Self::Status { answer, .. } => Some(answer),
            Self::Mirrored { source, .. } => source.answer(),
            _ => None,
        }
    }

    pub(crate) fn protocol(target: &Target, what: impl Into<String>) -> Self {
        Self::Protocol { target: target.boxed(), what: what.into() }
    }

    pub(crate) fn stalled(target: &Target, what: impl Into<String>) -> Self {
        Self::Network { target: target.boxed(), what: what.into(), source: None }
    }

    pub(crate) fn http(target: &Target, what: impl Into<String>, source: reqwest::Error) -> Self {
        let source = Some(Box::new(source.without_url()) as Box<dyn std::error::Error + Send + Sync>);
        Self::Network { target: target.boxed(), what: what.into(), source }
    }

    pub(crate) fn local(target: &Target, what: &'static str, source: io::Error) -> Self {
        Self::Local { target: target.boxed(), what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_every_form_and_made_printable() {
        let standard = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m\naccess","detail":[]}]}"#;
        assert_eq!(Answer::parse(403, standard).to_string(), "HTTP status 403, DENIED (no[31m access)");
        let oauth = br#"{"error":"invalid_grant","error_description":"expired"}"#;
        assert_eq!(Answer::parse(400, oauth).text, "invalid_grant: expired");
        assert_eq!(Answer::parse(502, b"<html>\n bad gateway").text, "<html> bad gateway");
        assert_eq!(Answer::parse(500, b"").to_string(), "HTTP status 500");
        assert_eq!(Answer::parse(500, &[b'x'; 4000]).text.len(), 200);
        assert_eq!(Answer::parse(500, br#"{"errors":"x"}"#).errors.len(), 0);
    }

    #[test]
    fn targets_read_like_references() {
        let mut target =
            Target { registry: "docker.io".into(), repository: "library/busybox".into(), object: "1".into() };
        assert_eq!(target.to_string(), "docker.io/library/busybox:1");
        target.object = "sha256:00".into();
        assert_eq!(target.to_string(), "docker.io/library/busybox@sha256:00");
    }
}
