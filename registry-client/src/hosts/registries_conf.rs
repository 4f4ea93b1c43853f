//! `registries.conf`, version 2.
//!
//! Format: `[[registry]]` tables with `prefix`, `location`, `insecure`, `blocked`, `mirror-by-digest-only` and
//! `[[registry.mirror]]` tables (`location`, `insecure`, `pull-from-mirror`). The longest prefix that a name
//! begins with counts; the rest of the name is put behind the location. Prefixes may be `*.host`; those that
//! name a tag or digest are refused. Version 1 (`[registries.search]`) is refused.

use std::path::{Path, PathBuf};

use cooper_oci::Reference;
use serde::Deserialize;

use super::{Access, HostsError, Place, files_in, read_if_there};

#[derive(Debug, Deserialize)]
struct Raw {
    #[serde(default)]
    registry: Vec<RawRegistry>,
    registries: Option<toml::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawRegistry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<RawMirror>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<PullFromMirror>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFromMirror {
    All,
    DigestOnly,
    TagOnly,
}

#[derive(Debug)]
struct Entry {
    prefix: String,
    raw: RawRegistry,
    path: PathBuf,
}

/// All entries of all files.
#[derive(Debug, Default)]
pub(super) struct Registries(Vec<Entry>);

/// The file of the first root that has one, and the drop-ins of all, the last root's first.
pub(super) fn files_of(roots: &[PathBuf]) -> Vec<PathBuf> {
    let main = roots.iter().map(|root| root.join("containers/registries.conf")).find(|path| path.is_file());
    let mut all: Vec<PathBuf> = main.into_iter().collect();
    for root in roots.iter().rev() {
        // What cannot be listed is told when it is read.
        let dir = root.join("containers/registries.conf.d");
        let drop_ins = files_in(&dir).unwrap_or_else(|_| vec![dir]);
        all.extend(drop_ins.into_iter().filter(|p| p.is_dir() || p.extension().is_some_and(|e| e == "conf")));
    }
    all
}

impl Registries {
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, HostsError> {
        let mut all: Vec<Entry> = Vec::new();
        for path in paths {
            let Some(text) = read_if_there(path)? else { continue };
            let entries = parse(path, &text)?;
            all.retain(|old| entries.iter().all(|new| new.prefix != old.prefix));
            all.extend(entries);
        }
        Ok(Self(all))
    }

    /// The places that the entry for a name gives; `None` if there is no entry.
    pub(super) fn places(
        &self,
        reference: &Reference,
        access: Access,
    ) -> Result<Option<Vec<Place>>, HostsError> {
        let name = reference.name();
        let Some((entry, rest)) = self.entry(&name) else { return Ok(None) };
        if entry.raw.blocked {
            return Err(HostsError::Blocked { name, path: entry.path.clone() });
        }
        let mut places = Vec::new();
        let by_digest = reference.digest.is_some() || access == Access::Pull;
        for mirror in entry.raw.mirror.iter().filter(|_| access != Access::Push) {
            let allowed = match mirror.pull_from_mirror {
                Some(PullFromMirror::DigestOnly) => by_digest,
                // What a tag names at a mirror is got by digest at that mirror.
                Some(PullFromMirror::TagOnly) => reference.digest.is_none(),
                Some(PullFromMirror::All) => true,
                None => by_digest || !entry.raw.mirror_by_digest_only,
            };
            if allowed {
                let mut place = place(&entry.path, &format!("{}{rest}", mirror.location))?;
                (place.insecure, place.mirror) = (mirror.insecure, true);
                places.push(place);
            }
        }
        let location = match entry.raw.location.as_deref().filter(|l| !l.is_empty()) {
            Some(location) => format!("{location}{rest}"),
            None => name,
        };
        let mut last = place(&entry.path, &location)?;
        last.insecure = entry.raw.insecure;
        places.push(last);
        Ok(Some(places))
    }

    pub(super) fn is_insecure(&self, registry: &str) -> bool {
        self.entry(registry).is_some_and(|(entry, _)| entry.raw.insecure && entry.raw.location.is_none())
    }

    /// The entry with the longest prefix, and what follows the prefix.
    fn entry<'a>(&self, name: &'a str) -> Option<(&Entry, &'a str)> {
        let matches = self.0.iter().filter_map(|entry| Some((entry, rest_behind(&entry.prefix, name)?)));
        matches.max_by_key(|(entry, _)| entry.prefix.len())
    }
}

fn rest_behind<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let (host, _) = name.split_once('/').unwrap_or((name, ""));
        return (host.len() > domain.len() && host.ends_with(domain)).then(|| &name[host.len()..]);
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, HostsError> {
    let wrong = |what: &str| HostsError::syntax(path, what);
    let raw: Raw = toml::from_str(text).map_err(|e| wrong(e.message()))?;
    if raw.registries.is_some() {
        return Err(wrong("version 1 of this format is not supported"));
    }
    let mut entries = Vec::new();
    for raw in raw.registry {
        let prefix = raw.prefix.clone().or_else(|| raw.location.clone()).unwrap_or_default();
        if prefix.is_empty() {
            return Err(wrong("a registry has neither a prefix nor a location"));
        }
        let last = prefix.rsplit('/').next().unwrap_or_default();
        if prefix.contains('@') || prefix.contains('/') && last.contains(':') {
            return Err(wrong(&format!("{prefix:?}: a prefix with a tag or digest is not supported")));
        }
        if prefix.contains('*') && (!prefix.starts_with("*.") || prefix[1..].contains(['*', '/'])) {
            return Err(wrong(&format!("{prefix:?}: `*` stands only before a domain, as in *.example.com")));
        }
        entries.push(Entry { prefix, raw, path: path.to_owned() });
    }
    Ok(entries)
}

/// `host[:port]/repository` as a place.
fn place(path: &Path, location: &str) -> Result<Place, HostsError> {
    let (host, repository) = location.split_once('/').unwrap_or((location, ""));
    // The repository is part of a URL: hold it to the grammar of names.
    let valid = format!("{location}:x").parse::<Reference>().is_ok_and(|r| r.registry == host);
    if host.is_empty() || repository.is_empty() || !valid {
        return Err(HostsError::syntax(path, format!("{location:?} is not the name of a repository")));
    }
    Ok(Place::new(host, repository))
}
