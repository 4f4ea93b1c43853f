//! Where a registry really is: mirrors, rewritten names, certificates, headers.
//!
//! Reads what other tools have set up on a machine and changes none of it:
//! - `registries.conf` (version 2) with its drop-ins, as podman and skopeo read it;
//! - `certs.d/<host>/hosts.toml`, as containerd reads it;
//! - `certs.d/<host>/*.crt`, `*.cert` and `*.key`, as docker and podman read them.
//!
//! The first two say which places are asked, and in which order; a matching entry of `registries.conf` wins.
//! The third says whom to trust at a place. A file that is broken or cannot be read is an error that names it:
//! it may be what keeps a machine from asking elsewhere. Names without a registry are Docker Hub's, as with
//! docker: search lists and aliases of `registries.conf` are not used.
//!
//! Files are read when they are first needed, once for each [`Hosts`]. The module knows paths and names, and
//! opens no connection.

mod certs;
mod hosts_toml;
mod registries_conf;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cooper_oci::Reference;

use hosts_toml::HostFile;
use registries_conf::Registries;

/// A setting of hosts that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HostsError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Arc<io::Error>,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The settings say that nothing is to be had from there.
    #[error("{name} is blocked by {}", path.display())]
    Blocked {
        /// What was asked for.
        name: String,
        /// The file that says so.
        path: PathBuf,
    },
}

impl HostsError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn syntax(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Syntax { path: path.to_owned(), what: what.to_string() }
    }
}

/// What is wanted from a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To learn what a tag names.
    Resolve,
    /// To get content by its digest.
    Pull,
    /// To change something, or to list what is there.
    Push,
}

/// Whom to trust at a place, and who we are to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// PEM files of authorities, beside the system's.
    pub authorities: Vec<PathBuf>,
    /// PEM files of our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Any certificate will do.
    pub skip_verify: bool,
}

/// One place to ask for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `host[:port]`, which is also the key of its credentials.
    pub host: String,
    /// `http` or `https`, where the settings say; `None` for the usual choice.
    pub scheme: Option<&'static str>,
    /// The socket file by which it is reached, with plain HTTP.
    pub socket: Option<PathBuf>,
    /// Path of the API instead of `/v2/`.
    pub api_path: Option<String>,
    /// The repository's name at this place.
    pub repository: String,
    /// The registry that this place stands for, if it wants to be told.
    pub namespace: Option<String>,
    /// Headers to send with each request.
    pub headers: Vec<(String, String)>,
    /// Plain HTTP and unknown certificates will do.
    pub insecure: bool,
    /// TLS.
    pub trust: Trust,
    /// Whether this stands in for the registry that was named.
    pub mirror: bool,
}

impl Place {
    pub(crate) fn new(host: &str, repository: &str) -> Self {
        Self {
            host: host.to_owned(),
            scheme: None,
            socket: None,
            api_path: None,
            repository: repository.to_owned(),
            namespace: None,
            headers: Vec::new(),
            insecure: false,
            trust: Trust::default(),
            mirror: false,
        }
    }
}

/// Which files to read. Those that do not exist are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// Files in the form of `registries.conf`; an entry of a later one replaces the same of an earlier one.
    pub registries: Vec<PathBuf>,
    /// Directories with a directory for each host, in it `hosts.toml` or certificates; the first that has one
    /// for a host counts.
    pub certs: Vec<PathBuf>,
}

impl HostFiles {
    /// What containerd, docker, podman and skopeo read on this machine: `CONTAINERS_REGISTRIES_CONF` alone if it
    /// is set, else `containers/registries.conf` and `containers/registries.conf.d/*.conf` of the user, else of
    /// `/etc`; and the directories `certs.d` of `containers`, `docker` and `containerd`, the user's first.
    pub fn from_environment() -> Self {
        let home = std::env::var_os("HOME").filter(|h| !h.is_empty()).map(PathBuf::from);
        let config =
            std::env::var_os("XDG_CONFIG_HOME").filter(|c| Path::new(c).is_absolute()).map(PathBuf::from);
        let config = config.or_else(|| home.map(|home| home.join(".config")));
        let roots: Vec<PathBuf> = config.into_iter().chain([PathBuf::from("/etc")]).collect();
        let named = std::env::var_os("CONTAINERS_REGISTRIES_CONF").filter(|p| !p.is_empty());
        let registries = match named {
            Some(path) => vec![PathBuf::from(path)],
            None => registries_conf::files_of(&roots),
        };
        let owners = ["containers", "docker", "containerd"];
        let certs =
            roots.iter().flat_map(|root| owners.map(|owner| root.join(owner).join("certs.d"))).collect();
        Self { registries, certs }
    }
}

/// The settings of all hosts.
#[derive(Debug, Default)]
pub struct Hosts {
    files: HostFiles,
    registries: OnceLock<Result<Registries, HostsError>>,
    known: Mutex<HashMap<String, Arc<Found>>>,
}

/// What the directories say of one host.
#[derive(Debug, Default)]
struct Found {
    hosts: Option<HostFile>,
    trust: Trust,
}

impl Hosts {
    /// No settings: each registry is where its name says.
    ///
    /// ```
    /// use cooper_registry_client::{Access, Hosts};
    ///
    /// let busybox = "busybox:1.36".parse().expect("a valid name");
    /// let places = Hosts::none().places(&busybox, Access::Resolve).expect("no file is read");
    /// assert_eq!((places[0].host.as_str(), places[0].repository.as_str()), ("docker.io", "library/busybox"));
    /// ```
    pub fn none() -> Self {
        Self::default()
    }

    /// The settings of the given files.
    ///
    /// ```
    /// use cooper_registry_client::{Access, HostFiles, Hosts};
    ///
    /// # fn example(dir: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    /// let conf = dir.join("registries.conf");
    /// std::fs::write(&conf, "[[registry]]\nprefix = 'docker.io'\n[[registry.mirror]]\nlocation = 'near.test/hub'\n")?;
    /// let hosts = Hosts::new(HostFiles { registries: vec![conf], ..HostFiles::default() });
    /// let places = hosts.places(&"busybox".parse()?, Access::Resolve)?;
    /// assert_eq!((places[0].host.as_str(), places[0].repository.as_str()), ("near.test", "hub/library/busybox"));
    /// assert_eq!(places[1].host, "docker.io");
    /// # Ok(())
    /// # }
    /// # let dir = std::env::temp_dir().join(format!("hosts-example-{}", std::process::id()));
    /// # std::fs::create_dir(&dir).unwrap();
    /// # let result = example(&dir);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # result.unwrap();
    /// ```
    pub fn new(files: HostFiles) -> Self {
        Self { files, ..Self::default() }
    }

    /// The settings of this machine: [`HostFiles::from_environment`].
    pub fn from_environment() -> Self {
        Self::new(HostFiles::from_environment())
    }

    /// The places to ask for what `reference` names, in order. The last is the registry itself.
    pub fn places(&self, reference: &Reference, access: Access) -> Result<Vec<Place>, HostsError> {
        let registries = self.registries.get_or_init(|| Registries::read(&self.files.registries));
        let registries = registries.as_ref().map_err(Clone::clone)?;
        let mut places = match registries.places(reference, access)? {
            Some(places) => places,
            None => match &self.found(&reference.registry)?.hosts {
                Some(hosts) => hosts.places(reference, access),
                None => vec![Place::new(&reference.registry, &reference.repository)],
            },
        };
        for place in places.iter_mut().filter(|place| place.trust == Trust::default()) {
            place.trust = self.found(&place.host)?.trust.clone();
        }
        Ok(places)
    }

    /// The registry itself, without any repository.
    pub fn registry(&self, registry: &str) -> Result<Place, HostsError> {
        let registries = self.registries.get_or_init(|| Registries::read(&self.files.registries));
        let registries = registries.as_ref().map_err(Clone::clone)?;
        let found = self.found(registry)?;
        let mut place = match &found.hosts {
            Some(hosts) => hosts.upstream(registry, ""),
            None => Place::new(registry, ""),
        };
        place.insecure |= registries.is_insecure(registry);
        if place.trust == Trust::default() {
            place.trust = found.trust.clone();
        }
        Ok(place)
    }

    fn found(&self, host: &str) -> Result<Arc<Found>, HostsError> {
        if let Some(found) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(host) {
            return Ok(found.clone());
        }
        let mut found = Found::default();
        for dir in &self.files.certs {
            if found.hosts.is_none() {
                found.hosts = HostFile::find(dir, host)?;
            }
            if found.trust == Trust::default() {
                found.trust = certs::find(dir, host)?;
            }
        }
        let found = Arc::new(found);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), found.clone());
        Ok(found)
    }
}

/// A file's text; `None` if there is no such file.
fn read_if_there(path: &Path) -> Result<Option<String>, HostsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(HostsError::read(path, e)),
    }
}

/// Files of a directory, sorted; none if it is not there.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, HostsError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(HostsError::read(dir, e)),
    };
    let paths = entries.map(|entry| entry.map(|e| e.path()).map_err(|e| HostsError::read(dir, e)));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
