//! `--chown`: names and numbers to ids, as the image's own passwd and group files have them.
//!
//! Numbers are never looked up, nor is `root`, which is 0. A name that is not found counts as 0 (a group then as the
//! user's), which is worth a warning; so does a number beyond 32 bits with a sign, which BuildKit takes for a name. The
//! files are read inside the root, must be regular and of sane size.

use std::io::Read as _;
use std::os::fd::BorrowedFd;

use cooper_sys::fs::{self, OFlags};

use super::CopyError;
use super::error::Doing as _;

const MAX_FILE_BYTES: u64 = 10 << 20;

/// The owner that `--chown` gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Which names were not found.
    pub warnings: Vec<String>,
}

/// Resolves `user[:group]`. `root` is the image's root filesystem; `None` says that there is none to look into (an
/// empty base, or `--link`), so that names are refused.
pub fn resolve_chown(root: Option<BorrowedFd<'_>>, spec: &str) -> Result<Owner, CopyError> {
    let bad = |reason: String| CopyError::BadOwner { spec: spec.to_owned(), reason };
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let look_up = |file: &str, name: &str| match root {
        Some(root) => find(root, file, name),
        None => Err(bad(format!("the name {name:?} needs a base image with /{file}; use a number"))),
    };
    let mut warnings = Vec::new();
    let (uid, mut gid) = match number(user) {
        Some(id) => (id, id),
        None => look_up("etc/passwd", user)?.map_or_else(
            || {
                warnings.push(format!("the image has no user {user:?}, root is used"));
                (0, 0)
            },
            |ids| (ids.first, ids.second),
        ),
    };
    if let Some(group) = group {
        match number(group) {
            Some(id) => gid = id,
            None => match look_up("etc/group", group)? {
                Some(fields) => gid = fields.first,
                None => warnings.push(format!("the image has no group {group:?}, {gid} is used")),
            },
        }
    }
    Ok(Owner { uid, gid, warnings })
}

/// `user[:group]` with `root` as the number that it always is.
pub fn plain_owner(spec: &str) -> String {
    let words: Vec<&str> = spec.split(':').map(|word| if word == "root" { "0" } else { word }).collect();
    words.join(":")
}

/// The empty word and `root` are 0; `None` is a name. Of negative numbers, -1 leaves the owner as it is, root.
fn number(word: &str) -> Option<u32> {
    match word {
        "" | "root" => Some(0),
        _ => word.parse::<i32>().ok().map(|id| if id == -1 { 0 } else { id.cast_unsigned() }),
    }
}

/// Third and fourth field of a line of passwd or group.
struct Ids {
    first: u32,
    second: u32,
}

/// First line for `name`. No file at all is the same as a file without the name.
fn find(root: BorrowedFd<'_>, file: &str, name: &str) -> Result<Option<Ids>, CopyError> {
    let path = file.as_bytes();
    let opened = match fs::open_in_root(root, file, OFlags::RDONLY, 0) {
        Err(e) if e.is_not_found() => return Ok(None),
        other => other.doing("open", path)?,
    };
    let stat = fs::fstat(&opened).doing("stat", path)?;
    if !stat.is_file() || stat.size > MAX_FILE_BYTES {
        return Err(CopyError::BadOwner {
            spec: name.to_owned(),
            reason: format!("/{file} of the image is no regular file of at most 10 MiB"),
        });
    }
    let mut text = Vec::new();
    std::fs::File::from(opened)
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut text)
        .map_err(|e| cooper_sys::Error::at("read", file, e))
        .doing("read", path)?;
    Ok(parse(&text, name.as_bytes()))
}

fn parse(text: &[u8], name: &[u8]) -> Option<Ids> {
    text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        if fields.next() != Some(name) {
            return None;
        }
        // A field that is missing or no number counts as 0.
        let mut id = || {
            let field = fields.next().and_then(|field| std::str::from_utf8(field).ok());
            field.and_then(|field| field.parse().ok()).unwrap_or(0)
        };
        let _password: u32 = id();
        Some(Ids { first: id(), second: id() })
    })
}
