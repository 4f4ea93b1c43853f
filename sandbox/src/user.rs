//! Users and groups of an image, from its `/etc/passwd` and `/etc/group`.
//!
//! Both are files of an untrusted tree: opened inside the root without blocking, regular, at most 10 MiB.

use std::io::Read as _;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cooper_sys::fs::{OFlags, fstat, open_in_root};
use serde::{Deserialize, Serialize};

use crate::UserError;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const MAX_FILE_BYTES: u64 = 10 << 20;

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups; the group id is one of them.
    pub groups: Vec<u32>,
}

/// Resolves the text of a `USER` instruction, `user[:group]`, each a name or a number, inside `root`.
///
/// A number needs no entry; with one it brings its group and its supplementary groups, as a name does. Supplementary
/// groups are looked up only where no group is given. An empty text is root.
pub fn resolve_user(root: impl AsFd, user: &str) -> Result<ProcessUser, UserError> {
    let root = root.as_fd();
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let passwd = read(root, PASSWD)?;
    let number = parse_id(if user.is_empty() { "0" } else { user })?;
    let entry = passwd_entries(&passwd).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == user,
    });
    let (uid, mut gid) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) => return Err(UserError::UnknownUser(user.to_owned())),
    };
    let mut groups = Vec::new();
    if group.is_empty() {
        if let Some(entry) = &entry {
            let text = read(root, GROUP)?;
            let member = |members: &str| members.split(',').any(|member| member.trim() == entry.name);
            groups.extend(group_entries(&text).filter(|group| member(group.members)).map(|group| group.gid));
        }
    } else {
        gid = resolve_group(root, group)?;
    }
    groups.insert(0, gid);
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|gid| seen.insert(*gid));
    Ok(ProcessUser { uid, gid, groups })
}

fn resolve_group(root: impl AsFd, group: &str) -> Result<u32, UserError> {
    if let Some(gid) = parse_id(group)? {
        return Ok(gid);
    }
    let text = read(root, GROUP)?;
    let found = group_entries(&text).find(|entry| entry.name == group).map(|entry| entry.gid);
    found.ok_or_else(|| UserError::UnknownGroup(group.to_owned()))
}

/// The home directory that the image gives to a user; `/` when it names none.
pub fn home_of(root: impl AsFd, uid: u32) -> PathBuf {
    let passwd = read(root, PASSWD).unwrap_or_default();
    let home = passwd_entries(&passwd).find(|entry| entry.uid == uid).map_or("", |entry| entry.home);
    PathBuf::from(if home.is_empty() { "/" } else { home })
}

/// A number within range; `None` for a name.
fn parse_id(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if i32::try_from(id).is_ok() => Ok(Some(id)),
        _ => Err(UserError::OutOfRange(text.to_owned())),
    }
}

/// A file of the image as text; empty when it is missing.
fn read(root: impl AsFd, path: &'static str) -> Result<String, UserError> {
    let bad = |reason: String| UserError::BadFile { path, reason };
    let file = match open_in_root(root, path, OFlags::RDONLY, 0) {
        Ok(file) => file,
        Err(e) if e.is_not_found() || e.kind() == std::io::ErrorKind::NotADirectory => {
            return Ok(String::new());
        }
        Err(e) => return Err(bad(e.source.to_string())),
    };
    let stat = fstat(&file).map_err(|e| bad(e.source.to_string()))?;
    if !stat.is_file() {
        return Err(bad("not a regular file".to_owned()));
    }
    if stat.size > MAX_FILE_BYTES {
        return Err(bad(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    let mut reader = std::fs::File::from(file).take(MAX_FILE_BYTES);
    reader.read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Lines that have no number where a number belongs are skipped.
fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdEntry { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
    })
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn group_entries(text: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(GroupEntry { name, gid: gid.parse().ok()?, members: fields.next().unwrap_or_default() })
    })
}
