//! Git URLs: remote, ref, subdirectory and the settings in query or fragment, as BuildKit reads them.
//!
//! Whatever reaches the `git` program from here was checked against a narrow grammar: nothing starts with `-`, nothing
//! holds a control character.

use url::Url;

use crate::error::BuildError;

/// Times of the files of a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mtime {
    /// When they were checked out: what counts if none is named.
    Checkout,
    /// The commit's.
    Commit,
}

/// A place in a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The remote as `git` gets it: without user name and password, except the user of ssh.
    pub remote: String,
    /// The remote parsed; `None` for the form `user@host:path`.
    pub url: Option<Url>,
    /// User name and password in an HTTP URL.
    pub login: Option<(String, String)>,
    /// Branch, tag, commit or full name of a ref; `None` for the default branch.
    pub reference: Option<String>,
    /// Directory in the tree, relative and clean; empty for the whole.
    pub subdir: String,
    /// Keep `.git`.
    pub keep_git_dir: Option<bool>,
    /// What the commit's id (or the tag's) must begin with.
    pub checksum: Option<String>,
    /// Check out submodules.
    pub submodules: bool,
    /// Times of files, if the URL names them.
    pub mtime: Option<Mtime>,
}

impl Location {
    /// Reads a URL as the user wrote it. `github.com/...` without a scheme is one too.
    pub fn parse(text: &str) -> Result<Location, BuildError> {
        let (before, fragment) = text.split_once('#').map_or((text, ""), |(b, f)| (b, f));
        let (address, query) = before.split_once('?').map_or((before, ""), |(a, q)| (a, q));
        let address = if address.starts_with("github.com/") {
            format!("https://{address}")
        } else {
            address.to_owned()
        };
        let (url, login, remote) = remote_of(&address)?;
        let shown = remote.clone();
        let invalid = |what: String| BuildError::user(format!("invalid git URL {shown}: {what}"));
        let (reference, subdir) = fragment.split_once(':').map_or((fragment, ""), |(r, s)| (r, s));
        let mut location = Location {
            remote,
            url,
            login,
            reference: Some(reference.to_owned()).filter(|r| !r.is_empty()),
            subdir: subdir.to_owned(),
            keep_git_dir: None,
            checksum: None,
            submodules: true,
            mtime: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = url::form_urlencoded::parse(format!("v={value}").as_bytes())
                .next()
                .map_or_else(String::new, |(_, value)| value.into_owned());
            location.set(key, &value).map_err(invalid)?;
        }
        location.check().map_err(invalid)?;
        Ok(location)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let flag = || match value {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!("invalid value {value:?} for query {key:?}")),
        };
        match key {
            "keep-git-dir" => self.keep_git_dir = Some(flag()?),
            "submodules" => self.submodules = flag()?,
            // Commits are fetched by their id wherever the server allows it.
            "fetch-by-commit" => {
                flag()?;
            }
            _ if value.is_empty() => return Err(format!("query {key:?} has no value")),
            "ref" | "branch" | "tag" => {
                if self.reference.is_some() {
                    return Err("ref conflicts".into());
                }
                self.reference = Some(match key {
                    "branch" => format!("refs/heads/{value}"),
                    "tag" => format!("refs/tags/{value}"),
                    _ => value.to_owned(),
                });
            }
            "subdir" if !self.subdir.is_empty() => return Err("subdir conflicts".into()),
            "subdir" => value.clone_into(&mut self.subdir),
            "checksum" | "commit" => self.checksum = Some(value.to_owned()),
            "mtime" => {
                self.mtime = Some(match value {
                    "checkout" => Mtime::Checkout,
                    "commit" => Mtime::Commit,
                    _ => return Err(format!("invalid value {value:?} for query \"mtime\"")),
                });
            }
            _ => return Err(format!("unexpected query {key:?}")),
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        if let Some(reference) = &self.reference
            && !is_ref(reference)
        {
            return Err(format!("invalid ref {reference:?}"));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.make_ascii_lowercase();
            if !is_hex(checksum) {
                return Err(format!("invalid checksum {checksum:?}, expected hex commit hash"));
            }
        }
        if self.subdir.contains(char::is_control) {
            return Err("invalid subdir".into());
        }
        let clean = cooper_frontend::gopath::clean(format!("/{}", self.subdir).as_bytes());
        self.subdir = String::from_utf8_lossy(&clean[1..]).into_owned();
        Ok(())
    }

    /// Also asks for a checksum given beside the URL.
    pub fn with_checksum(mut self, checksum: Option<&str>) -> Result<Location, BuildError> {
        if let Some(checksum) = checksum {
            self.checksum = Some(checksum.to_owned());
            let shown = self.remote.clone();
            self.check().map_err(|what| BuildError::user(format!("{what} ({shown})")))?;
        }
        Ok(self)
    }

    /// The commit, if the location names one in full.
    pub fn commit(&self) -> Option<&str> {
        self.reference.as_deref().filter(|r| is_full_id(r))
    }

    /// Remote and ref for people.
    pub fn shown(&self) -> String {
        match &self.reference {
            Some(reference) => format!("{}#{reference}", self.remote),
            None => self.remote.clone(),
        }
    }
}

/// The full id of an object: SHA-1 or SHA-256.
pub(super) fn is_full_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Stricter than git in what it takes for a name: no options, no revisions such as `a..b`, `a@{1}`, `a^`.
fn is_ref(text: &str) -> bool {
    !text.starts_with(['-', '/', '.', '+'])
        && !text.ends_with(['/', '.'])
        && ["..", "@{", "//", "/."].iter().all(|bad| !text.contains(bad))
        && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
}

/// A remote apart from what identifies the user in it.
type Remote = (Option<Url>, Option<(String, String)>, String);

fn remote_of(address: &str) -> Result<Remote, BuildError> {
    let invalid = || {
        BuildError::user("malformed git URL")
            .hint("such as https://HOST/REPOSITORY.git#REF:DIRECTORY, or git@HOST:REPOSITORY")
    };
    if !address.contains("://") {
        let (user, rest) = address.split_once('@').ok_or_else(invalid)?;
        let (host, path) = rest.split_once(':').ok_or_else(invalid)?;
        let word = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !word(user)
            || !word(host)
            || path.is_empty()
            || path.starts_with('-')
            || path.contains(char::is_control)
        {
            return Err(invalid());
        }
        return Ok((None, None, address.to_owned()));
    }
    let mut url = Url::parse(address).map_err(|_| invalid())?;
    let host_is_fine = url.host_str().is_some_and(|host| !host.is_empty() && !host.starts_with('-'));
    let fine = match url.scheme() {
        "http" | "https" | "git" | "ssh" => host_is_fine && !url.path().starts_with("/-"),
        "file" => !host_is_fine,
        _ => false,
    };
    if !fine
        || url.username().starts_with('-')
        || url.username().starts_with("%2d")
        || url.username().starts_with("%2D")
    {
        return Err(invalid());
    }
    let mut login = None;
    if matches!(url.scheme(), "http" | "https") && (!url.username().is_empty() || url.password().is_some()) {
        let decode = super::super::percent_decoded;
        login = Some((decode(url.username()), decode(url.password().unwrap_or_default())));
        let _ = url.set_username("");
    }
    let _ = url.set_password(None);
    let remote = url.to_string();
    Ok((Some(url), login, remote))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn fragments_and_queries_say_the_same() {
        for text in ["https://h.test/a.git#v1:/x/../sub/", "https://h.test/a.git?ref=v1&subdir=sub"] {
            let location = parse(text);
            assert_eq!(location.remote, "https://h.test/a.git");
            assert_eq!(location.reference.as_deref(), Some("v1"));
            assert_eq!(location.subdir, "sub");
        }
        assert_eq!(parse("https://h.test/a.git?tag=v1").reference.as_deref(), Some("refs/tags/v1"));
        let all = parse("https://h.test/a.git?branch=b&keep-git-dir&submodules=0&mtime=commit&commit=ABC");
        assert_eq!((all.keep_git_dir, all.submodules, all.mtime), (Some(true), false, Some(Mtime::Commit)));
        assert_eq!(all.checksum.as_deref(), Some("abc"));
        assert_eq!(parse("github.com/o/r").remote, "https://github.com/o/r");
        assert_eq!(parse("git@h.test:o/r.git#main").remote, "git@h.test:o/r.git");
        assert_eq!(parse("https://h.test/a.git#:sub").reference, None);
    }

    #[test]
    fn logins_leave_the_remote() {
        let location = parse("https://user:p%40ss@h.test/a.git");
        assert_eq!(location.remote, "https://h.test/a.git");
        assert_eq!(location.login, Some(("user".into(), "p@ss".into())));
        assert_eq!(parse("ssh://git@h.test/a").remote, "ssh://git@h.test/a");
    }

    #[test]
    fn nothing_becomes_an_option() {
        for bad in [
            "-uX",
            "--upload-pack=touch /x",
            "ssh://-oProxyCommand=x/y",
            "ssh://-oX@h.test/y",
            "git://h.test/-x",
            "-oX@h.test:a",
            "git@-oX:a",
            "git@h.test:-a",
            "ext::sh -c x",
            "ext://sh/x",
            "https://h.test/a.git#--upload-pack=x",
            "https://h.test/a.git#a..b",
            "https://h.test/a.git#a@{1}",
            "https://h.test/a.git#a b",
            "https://h.test/a.git#+a",
            "https://h.test/a.git?ref=a%3ab",
            "https://h.test/a.git?ref=a#b",
            "https://h.test/a.git?nope=1",
            "https://h.test/a.git?commit=xyz",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
        // A directory may look like an option: it never is an argument.
        assert_eq!(parse("https://h.test/a.git#main:--x").subdir, "--x");
    }
}
