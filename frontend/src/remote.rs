//! Tells remote sources from paths, and reads the settings in a Git URL that concern planning.

/// Kinds of remote sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    /// A Git repository.
    Git,
    /// A file.
    Http,
}

/// What `source` names, `None` for a path. An HTTP URL is a repository if its path ends in `.git`, or if
/// `known_git` says so.
pub(crate) fn classify(source: &str, known_git: bool) -> Option<Remote> {
    if let Some((scheme, rest)) = source.split_once("://")
        && !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return match scheme {
            "git" | "ssh" => Some(Remote::Git),
            "http" | "https" => {
                let path = rest.split(['?', '#']).next().unwrap_or_default();
                let is_git = known_git || path.contains('/') && path.strip_suffix(".git").is_some();
                Some(if is_git { Remote::Git } else { Remote::Http })
            }
            _ => None,
        };
    }
    is_scp_style(source).then_some(Remote::Git)
}

/// `user@host:path`
fn is_scp_style(source: &str) -> bool {
    let Some((user, rest)) = source.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let word = |text: &str, extra: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
    };
    word(user, b"-_") && word(host, b"-.")
}

/// Settings in the query of a Git URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GitQuery {
    /// `keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `checksum` or `commit`
    pub checksum: Option<String>,
}

/// Reads and checks the query of a Git URL; the error is a message.
pub(crate) fn git_query(url: &str) -> Result<GitQuery, String> {
    let (before_fragment, fragment) = url.split_once('#').unwrap_or((url, ""));
    let Some((_, query)) = before_fragment.split_once('?') else { return Ok(GitQuery::default()) };
    let mut found = GitQuery::default();
    let mut seen: Vec<&str> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if seen.contains(&key) {
            return Err(format!("query \"{key}\" has multiple values"));
        }
        seen.push(key);
        match key {
            "keep-git-dir" => found.keep_git_dir = Some(boolean(key, value)?),
            "submodules" | "fetch-by-commit" => {
                boolean(key, value)?;
            }
            _ if value.is_empty() => return Err(format!("query \"{key}\" has no value")),
            "checksum" | "commit" => found.checksum = Some(value.to_owned()),
            "ref" | "tag" | "branch" if fragment.split(':').next().is_some_and(|name| !name.is_empty()) => {
                return Err("ref conflicts".to_owned());
            }
            "subdir" if fragment.contains(':') => return Err("subdir conflicts".to_owned()),
            "ref" | "tag" | "branch" | "subdir" | "mtime" => {}
            _ => return Err(format!("unexpected query \"{key}\"")),
        }
    }
    if seen.contains(&"branch") && seen.contains(&"tag") {
        return Err("branch conflicts with tag".to_owned());
    }
    Ok(found)
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid value \"{value}\" for query \"{key}\"")),
    }
}

/// The text with user names and passwords of URLs in it replaced, for names and history: they are no place for secrets.
pub(crate) fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(['/', '?', '#', ' ', '\t', '"', '\'']).unwrap_or(tail.len());
        rest = tail;
        // A lone user of ssh is a role, such as `git`.
        if let Some(host) = tail[..end].rfind('@')
            && (!head.ends_with("ssh://") || tail[..host].contains(':'))
        {
            out.push_str("xxxxx");
            rest = &tail[host..];
        }
    }
    out.push_str(rest);
    out
}

/// The file name in a URL, `None` if its path has none.
pub(crate) fn url_file_name(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode(name);
    (!matches!(decoded.as_str(), "" | "." | "..") && !decoded.contains('/')).then_some(decoded)
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_not_shown() {
        for (text, want) in [
            ("ADD https://me:secret@h/f /f", "ADD https://xxxxx@h/f /f"),
            ("https://token@h", "https://xxxxx@h"),
            ("https://h/a@b https://u:p@q@h/x", "https://h/a@b https://xxxxx@h/x"),
            ("ssh://git@h/r", "ssh://git@h/r"),
            ("ssh://git:pw@h/r", "ssh://xxxxx@h/r"),
            ("COPY a://", "COPY a://"),
        ] {
            assert_eq!(redacted(text), want);
        }
    }

    #[test]
    fn remotes_are_told_from_paths() {
        for (source, want) in [
            ("a.txt", None),
            ("./x", None),
            ("github.com/a/b", None),
            ("http://h/f", Some(Remote::Http)),
            ("https://h/a/b.git", Some(Remote::Git)),
            ("https://h/a/b.git?branch=x#:sub", Some(Remote::Git)),
            ("https://h.git", Some(Remote::Http)),
            ("ssh://git@h/x", Some(Remote::Git)),
            ("git://h/x", Some(Remote::Git)),
            ("git@h.invalid:a/b.git", Some(Remote::Git)),
            ("ftp://h/x", None),
            ("a b@c:d", None),
        ] {
            assert_eq!(classify(source, false), want, "{source}");
        }
        assert_eq!(classify("https://h/a/b", true), Some(Remote::Git));
    }

    #[test]
    fn git_queries_are_checked() {
        assert_eq!(git_query("https://h/x.git#main"), Ok(GitQuery::default()));
        assert_eq!(
            git_query("https://h/x.git?keep-git-dir=1&commit=abc"),
            Ok(GitQuery { keep_git_dir: Some(true), checksum: Some("abc".into()) })
        );
        for bad in ["?nope=1", "?ref=", "?ref=a#b", "?subdir=a#b:c", "?tag=a&branch=b", "?tag=a&tag=b"] {
            assert!(git_query(&format!("https://h/x.git{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn file_names_come_from_the_path() {
        assert_eq!(url_file_name("http://h/a/b.tar?x=/y").as_deref(), Some("b.tar"));
        assert_eq!(url_file_name("http://h/a/").as_deref(), Some("a"));
        assert_eq!(url_file_name("http://h/a%20b").as_deref(), Some("a b"));
        assert_eq!(url_file_name("http://h/"), None);
        assert_eq!(url_file_name("http://h"), None);
    }
}
