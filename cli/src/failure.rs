//! What ends a command badly: whose fault it is, the exit code, and how it is told.
//!
//! | kind | exit code | examples |
//! |---|---|---|
//! | user | 1 | a failing RUN, a mistake in the Dockerfile, a missing file |
//! | usage | 2 | an unknown flag or a wrong value (clap's code, too) |
//! | remote | 3 | a registry or another server fails or refuses |
//! | absent | 4 | a registry has no such image, tag or repository, or hides it |
//! | internal | 70 | a fault of Cooper |
//! | config | 78 | this machine: permissions, missing programs, the store |
//! | cancelled | 130 | Ctrl-C |
//!
//! README.md repeats this table.

use std::process::ExitCode;

use cooper_frontend::ast::Span;

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the user gave us, or a failed command.
    User,
    /// The command line.
    Usage,
    /// A server.
    Remote,
    /// Nobody: what was asked for is not there.
    Absent,
    /// Cooper.
    Internal,
    /// This machine.
    Config,
    /// The user stopped it.
    Cancelled,
}

impl Kind {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Kind::User => 1,
            Kind::Usage => 2,
            Kind::Remote => 3,
            Kind::Absent => 4,
            Kind::Internal => 70,
            Kind::Config => 78,
            Kind::Cancelled => 130,
        }
    }
}

/// The Dockerfile that a span points into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name to print.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Lines and bytes.
    pub span: Span,
    /// The Dockerfile, if it is at hand.
    pub source: Option<Source>,
}

/// Why a command failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Who can mend it.
    pub kind: Kind,
    /// One line, with causes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Place in the Dockerfile.
    pub place: Option<Box<Place>>,
    /// The step that failed, as numbered in the events.
    pub step: Option<usize>,
}

impl Failure {
    /// A failure of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None, place: None, step: None }
    }

    /// A failure of which everything was said already.
    pub fn silent(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    /// A wrong command line.
    pub fn usage<M: Into<String>>(message: M) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Something that the user can mend.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Kind::User, message)
    }

    /// A failed read or write of something that the user named.
    pub fn io(what: &str, object: &std::path::Path, error: &std::io::Error) -> Self {
        Self::user(format!("{what} {}: {error}", object.display()))
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }
}

/// An error's message followed by those of its causes, without saying anything twice.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_documented() {
        let table = [
            (Kind::User, 1),
            (Kind::Usage, 2),
            (Kind::Remote, 3),
            (Kind::Absent, 4),
            (Kind::Internal, 70),
            (Kind::Config, 78),
            (Kind::Cancelled, 130),
        ];
        let readme = include_str!("../../README.md");
        for (kind, code) in table {
            assert_eq!(kind.code(), code);
            let row = format!("| {code} | {} |", format!("{kind:?}").to_lowercase());
            assert!(readme.contains(&row), "README.md lacks {row:?}");
        }
    }

    #[test]
    fn causes_follow_once() {
        #[derive(Debug)]
        struct Outer(std::io::Error, &'static str);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.1)
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let cause = || std::io::Error::other("disk full");
        assert_eq!(with_causes(&Outer(cause(), "cannot write x")), "cannot write x: disk full");
        assert_eq!(with_causes(&Outer(cause(), "cannot write x: disk full")), "cannot write x: disk full");
    }
}
