//! Attributes of outputs about names and registries: `push-by-digest`, `name-canonical`, `registry.insecure`.

use cooper_oci::{Digest, Reference};

use crate::error::BuildError;
use crate::request::{Output, OutputKind};

/// How an image gets to its names.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Pushed under its digest alone.
    by_digest: bool,
    /// Known as `name@digest`, too.
    canonical: bool,
    /// Plain HTTP and any certificate will do.
    pub insecure: bool,
}

impl Naming {
    /// Takes an attribute; false if it is none of these, or not for this type of output.
    pub fn take(&mut self, kind: OutputKind, key: &str, value: bool) -> bool {
        let field = match key {
            "push-by-digest" => &mut self.by_digest,
            "name-canonical" => &mut self.canonical,
            "registry.insecure" => &mut self.insecure,
            _ => return false,
        };
        *field = value;
        matches!(kind, OutputKind::Image | OutputKind::Registry)
    }

    /// The names of an output, `--tag` and its own, each once.
    pub fn names(&self, tags: &[String], output: &Output) -> Result<Vec<Reference>, BuildError> {
        let mut names = Vec::new();
        for name in tags.iter().chain(&output.names) {
            let name = if self.by_digest && output.kind == OutputKind::Registry {
                untagged(name)?
            } else {
                tagged(name)?
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Names to keep an image under.
    pub fn kept(&self, names: &[Reference], digest: &Digest) -> Vec<Reference> {
        let canonical = names.iter().filter(|_| self.canonical).map(|name| name.with_digest(digest.clone()));
        names.iter().cloned().chain(canonical).collect()
    }

    /// Names to tell about.
    pub fn told(&self, names: &[Reference], digest: &Digest) -> Vec<String> {
        let full = |name: &Reference| {
            if self.canonical { name.with_digest(digest.clone()).to_string() } else { name.to_string() }
        };
        names.iter().map(full).collect()
    }
}

fn parse(name: &str) -> Result<Reference, BuildError> {
    name.parse().map_err(|e| BuildError::user(format!("invalid tag \"{name}\": {e}")))
}

fn tagged(name: &str) -> Result<Reference, BuildError> {
    let reference = parse(name)?;
    if reference.digest.is_some() {
        return Err(BuildError::user(format!("invalid tag \"{name}\": a tag cannot have a digest")));
    }
    let tag = reference.tag_or_latest().unwrap_or("latest").to_string();
    Ok(reference.with_tag(tag))
}

fn untagged(name: &str) -> Result<Reference, BuildError> {
    let reference = parse(name)?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(BuildError::user(format!("can't push tagged ref {reference} by digest"))
            .hint("push-by-digest wants names without tags"));
    }
    Ok(reference)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    fn output(kind: OutputKind, names: &[&str]) -> Output {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        Output { kind, dest: None, names, attributes: BTreeMap::new() }
    }

    #[test]
    fn by_digest_there_are_no_tags() {
        let naming = Naming { by_digest: true, canonical: true, insecure: false };
        let names =
            naming.names(&["a.test/x".to_owned()], &output(OutputKind::Registry, &["a.test/x"])).unwrap();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].tag, None);
        let digest = Digest::sha256_of(b"x");
        assert_eq!(naming.told(&names, &digest), [format!("a.test/x@{digest}")]);
        assert!(naming.names(&["a.test/x:1".to_owned()], &output(OutputKind::Registry, &[])).is_err());
        // In the store a name always has a tag.
        let kept = naming.names(&[], &output(OutputKind::Image, &["a.test/x"])).unwrap();
        let kept: Vec<String> = naming.kept(&kept, &digest).iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["a.test/x:latest".to_owned(), format!("a.test/x:latest@{digest}")]);
    }

    #[test]
    fn archives_have_no_registry() {
        for key in ["push-by-digest", "name-canonical", "registry.insecure"] {
            assert!(Naming::default().take(OutputKind::Registry, key, true), "{key}");
            assert!(!Naming::default().take(OutputKind::Oci, key, true), "{key}");
        }
        assert!(!Naming::default().take(OutputKind::Registry, "unpack", true));
    }
}
