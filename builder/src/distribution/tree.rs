//! The file tree that layers make, as a table: what is where, without the content.
//!
//! Layers are applied as overlays are: marks act on what lies below the layer, a directory keeps what is in it, anything
//! else replaces what was there. Parents that are symbolic links are followed within the tree.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Bound;

use cooper_oci::tar::{Budget, Entry, EntryKind, Reader};

use crate::error::{BuildError, Kind};
use crate::layout::inside;

/// Symbolic links that one path may lead through.
const MAX_LINKS: usize = 40;

/// A file, directory or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is; a hard link is the file that it names.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content.
    pub size: u64,
    /// BLAKE3 of a file's content.
    pub content: Option<[u8; 32]>,
    /// Target of a symbolic link.
    pub link: Vec<u8>,
    /// Device number.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Modification time, Unix seconds.
    pub mtime: i64,
}

/// What a layer holds, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(Vec<Member>);

#[derive(Debug, Clone)]
struct Member {
    path: Vec<u8>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Node(Node),
    HardLink(Vec<u8>),
    Whiteout,
    Opaque,
}

impl Layer {
    /// Reads an archive.
    pub(super) fn read(archive: &mut dyn Read) -> Result<Layer, BuildError> {
        let failed = |e: &dyn std::fmt::Display| {
            BuildError::new(Kind::Remote, format!("a layer is no archive that can be read: {e}"))
        };
        let mut tar = Reader::new(archive, Budget::layer());
        let mut members = Vec::new();
        while let Some(entry) = tar.next().map_err(|e| failed(&e))? {
            let Some(path) = inside(&entry.path) else {
                return Err(failed(&format!("a name leads out of it: {}", entry.path.escape_ascii())));
            };
            let (dir, name) = split(&path);
            if name == b".wh..wh..opq" {
                members.push(Member { path: dir.to_vec(), what: What::Opaque });
            } else if name.starts_with(b".wh..wh.") {
                // Bookkeeping of aufs.
            } else if let Some(gone) = name.strip_prefix(b".wh.") {
                members.push(Member { path: join(dir, gone), what: What::Whiteout });
            } else if entry.kind == EntryKind::HardLink {
                let target = inside(&entry.link).ok_or_else(|| failed(&"a hard link leads out of it"))?;
                members.push(Member { path, what: What::HardLink(target) });
            } else if !path.is_empty() {
                let content = if entry.kind == EntryKind::File {
                    let mut hasher = blake3::Hasher::new();
                    hasher.update_reader(&mut tar).map_err(|e| failed(&e))?;
                    Some(*hasher.finalize().as_bytes())
                } else {
                    None
                };
                members.push(Member { path, what: What::Node(node(entry, content)) });
            }
        }
        Ok(Layer(members))
    }
}

fn node(entry: Entry, content: Option<[u8; 32]>) -> Node {
    let is = |kind| entry.kind == kind;
    Node {
        kind: entry.kind,
        // Links have no permissions of their own.
        mode: if is(EntryKind::Symlink) { 0o777 } else { entry.mode },
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size,
        content,
        link: if is(EntryKind::Symlink) { entry.link } else { Vec::new() },
        device: (entry.dev_major, entry.dev_minor),
        xattrs: entry.xattrs,
        mtime: entry.mtime,
    }
}

/// The tree, by path without a slash at the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(pub(super) BTreeMap<Vec<u8>, Node>);

impl Tree {
    /// Puts a layer on top.
    pub(super) fn apply(&mut self, layer: &Layer) {
        for member in &layer.0 {
            match &member.what {
                What::Whiteout => {
                    let path = self.place(&member.path);
                    self.remove(&path);
                }
                What::Opaque => {
                    let path = self.resolve(&member.path, 0);
                    self.remove_below(&path);
                }
                _ => {}
            }
        }
        for member in &layer.0 {
            let node = match &member.what {
                What::Node(node) => node.clone(),
                What::HardLink(target) => {
                    let target = self.place(target);
                    let Some(node) = self.0.get(&target) else { continue };
                    node.clone()
                }
                What::Whiteout | What::Opaque => continue,
            };
            let path = self.place(&member.path);
            let stays = node.kind == EntryKind::Dir
                && self.0.get(&path).is_none_or(|there| there.kind == EntryKind::Dir);
            if !stays {
                self.remove(&path);
            }
            self.0.insert(path, node);
        }
    }

    fn remove(&mut self, path: &[u8]) {
        self.remove_below(path);
        self.0.remove(path);
    }

    fn remove_below(&mut self, path: &[u8]) {
        if path.is_empty() {
            return self.0.clear();
        }
        let (start, end) = (join(path, b""), [path, b"0"].concat());
        let range = (Bound::Included(start), Bound::Excluded(end));
        let below: Vec<Vec<u8>> = self.0.range(range).map(|(key, _)| key.clone()).collect();
        for key in below {
            self.0.remove(&key);
        }
    }

    /// Where a path lies: links of its directory followed, its last part not.
    fn place(&self, path: &[u8]) -> Vec<u8> {
        let (dir, name) = split(path);
        if dir.is_empty() { name.to_vec() } else { join(&self.resolve(dir, 0), name) }
    }

    fn resolve(&self, path: &[u8], links: usize) -> Vec<u8> {
        let mut at: Vec<u8> = Vec::new();
        for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            let next = if at.is_empty() { part.to_vec() } else { join(&at, part) };
            at = match self.0.get(&next) {
                Some(node) if node.kind == EntryKind::Symlink && links < MAX_LINKS => {
                    let target =
                        if node.link.starts_with(b"/") { node.link.clone() } else { join(&at, &node.link) };
                    self.resolve(&within(&target), links + 1)
                }
                _ => next,
            };
        }
        at
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// A link's target without `.`, `..` and slashes that mean nothing, where `..` of the root is the root.
fn within(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cooper_oci::tar::Writer;

    fn layer(members: &[(&str, &str)]) -> Layer {
        let mut tar = Writer::new(Vec::new());
        for (path, content) in members {
            let mut entry = Entry { path: path.as_bytes().to_vec(), mode: 0o644, ..Entry::default() };
            if path.ends_with('/') {
                entry.kind = EntryKind::Dir;
            } else if let Some(target) = content.strip_prefix("->") {
                (entry.kind, entry.link) = (EntryKind::Symlink, target.into());
            } else if let Some(target) = content.strip_prefix("=>") {
                (entry.kind, entry.link) = (EntryKind::HardLink, target.into());
            } else {
                entry.size = content.len() as u64;
            }
            let mut data = if entry.size > 0 { content.as_bytes() } else { b"" };
            tar.append_with(&entry, &mut data).unwrap();
        }
        let bytes = tar.finish().unwrap();
        Layer::read(&mut bytes.as_slice()).unwrap()
    }

    fn tree(layers: &[&[(&str, &str)]]) -> Tree {
        let mut tree = Tree::default();
        for members in layers {
            tree.apply(&layer(members));
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.0.keys().map(|key| std::str::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn marks_act_on_what_lies_below() {
        let base: &[(&str, &str)] = &[("a/", ""), ("a/x", "1"), ("a-b", "2"), ("a/y/", ""), ("a/y/z", "3")];
        assert_eq!(paths(&tree(&[base])), ["a", "a-b", "a/x", "a/y", "a/y/z"]);
        assert_eq!(paths(&tree(&[base, &[("a/.wh.y", "")]])), ["a", "a-b", "a/x"]);
        assert_eq!(paths(&tree(&[base, &[(".wh.a", "")]])), ["a-b"]);
        // The order within the layer does not matter.
        assert_eq!(paths(&tree(&[base, &[("a/new", "4"), ("a/.wh..wh..opq", "")]])), ["a", "a-b", "a/new"]);
        assert_eq!(paths(&tree(&[base, &[("a/x", "9"), ("a/.wh.x", "")]])), paths(&tree(&[base])));
        assert_eq!(paths(&tree(&[base, &[(".wh..wh.plnk", "")]])), paths(&tree(&[base])));
    }

    #[test]
    fn files_replace_directories_but_directories_stay() {
        let base: &[(&str, &str)] = &[("a/", ""), ("a/x", "1")];
        assert_eq!(paths(&tree(&[base, &[("a/", "")]])), ["a", "a/x"]);
        assert_eq!(paths(&tree(&[base, &[("a", "file")]])), ["a"]);
        assert_eq!(paths(&tree(&[base, &[("a", "->b")]])), ["a"]);
    }

    #[test]
    fn links_of_parents_are_followed() {
        let base: &[(&str, &str)] =
            &[("usr/", ""), ("usr/lib/", ""), ("lib", "->usr/lib"), ("up", "->../..")];
        let tree = tree(&[base, &[("lib/x", "1"), ("up/y", "2"), ("z", "=>lib/x")]]);
        assert_eq!(paths(&tree), ["lib", "up", "usr", "usr/lib", "usr/lib/x", "y", "z"]);
        assert_eq!(tree.0[&b"z"[..]], tree.0[&b"usr/lib/x"[..]]);
        // A link to itself ends.
        let around = self::tree(&[&[("l", "->l")], &[("l/x", "1")]]);
        assert_eq!(around.0.len(), 2);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../x", "a/../../x"] {
            let mut tar = Writer::new(Vec::new());
            tar.append(&Entry { path: name.into(), ..Entry::default() }).unwrap();
            assert!(Layer::read(&mut tar.finish().unwrap().as_slice()).is_err(), "{name}");
        }
    }
}
