//! containerd's `hosts.toml`, one for each registry.
//!
//! Format: `server` (a URL) and `[host."URL"]` tables in the order in which they are asked, each with
//! `capabilities`, `ca`, `client`, `skip_verify`, `override_path` and `[host."URL".header]`; the same keys at
//! the top are those of the server. Without `override_path` the API is at `/v2` behind the URL's path. Hosts are
//! told by `?ns=` which registry they stand for. Directories: the registry's, else `_default`.
//! Beyond containerd, `server` may be a socket file, `unix:///run/registry.sock`, that is spoken to in plain HTTP.

use std::path::{Path, PathBuf};

use cooper_oci::Reference;
use serde::Deserialize;
use url::Url;

use super::certs::directories;
use super::{Access, HostsError, Place, Trust, read_if_there};

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawClient {
    One(String),
    Many(Vec<RawPair>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawPair {
    File(String),
    Pair(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
struct RawHost {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<RawClient>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    header: Option<toml::map::Map<String, toml::Value>>,
}

#[derive(Debug, Deserialize)]
struct RawFile {
    server: Option<String>,
    #[serde(flatten)]
    own: RawHost,
    #[serde(default)]
    host: toml::map::Map<String, toml::Value>,
}

/// One host of a file.
#[derive(Debug)]
struct Host {
    /// With the path of the API.
    url: Url,
    /// Where it is, if it is no address.
    socket: Option<PathBuf>,
    own_path: bool,
    resolves: bool,
    pulls: bool,
    pushes: bool,
    headers: Vec<(String, String)>,
    trust: Trust,
}

/// The settings of one registry.
#[derive(Debug)]
pub(super) struct HostFile {
    hosts: Vec<Host>,
    /// None if the file names no server: the registry is where its name says.
    server: Option<Host>,
}

impl HostFile {
    /// The file for a registry below a directory.
    pub(super) fn find(dir: &Path, registry: &str) -> Result<Option<Self>, HostsError> {
        for dir in directories(dir, registry).into_iter().chain([dir.join("_default")]) {
            let path = dir.join("hosts.toml");
            if let Some(text) = read_if_there(&path)? {
                return parse(&path, registry, &text).map(Some);
            }
        }
        Ok(None)
    }

    pub(super) fn places(&self, reference: &Reference, access: Access) -> Vec<Place> {
        let able = |host: &&Host| match access {
            Access::Resolve => host.resolves,
            Access::Pull => host.pulls,
            Access::Push => host.pushes,
        };
        let mut places: Vec<Place> = Vec::new();
        for host in self.hosts.iter().filter(able) {
            let mut place = host.place(&reference.repository);
            place.namespace = Some(reference.registry.clone());
            place.mirror = true;
            places.push(place);
        }
        places.push(self.upstream(&reference.registry, &reference.repository));
        places
    }

    pub(super) fn upstream(&self, registry: &str, repository: &str) -> Place {
        match &self.server {
            Some(server) => {
                let mut place = server.place(repository);
                // Docker Hub's API has another name than its credentials.
                if server.socket.is_some() || registry == "docker.io" && place.host == "registry-1.docker.io"
                {
                    registry.clone_into(&mut place.host);
                } else if place.host != registry {
                    place.namespace = Some(registry.to_owned());
                }
                place
            }
            None => Place::new(registry, repository),
        }
    }
}

impl Host {
    fn place(&self, repository: &str) -> Place {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut place = Place::new(&format!("{}{port}", self.url.host_str().unwrap_or_default()), repository);
        place.scheme = Some(if self.url.scheme() == "http" { "http" } else { "https" });
        place.api_path = self.own_path.then(|| self.url.path().to_owned());
        place.headers.clone_from(&self.headers);
        place.trust = self.trust.clone();
        place.socket.clone_from(&self.socket);
        place
    }
}

fn parse(path: &Path, registry: &str, text: &str) -> Result<HostFile, HostsError> {
    let raw: RawFile = toml::from_str(text).map_err(|e| HostsError::syntax(path, e.message()))?;
    let mut hosts = Vec::new();
    for (address, value) in raw.host {
        let own: RawHost =
            value.try_into().map_err(|e: toml::de::Error| HostsError::syntax(path, e.message()))?;
        hosts.push(host(path, None, &address, own)?);
    }
    let says_something = raw.server.is_some()
        || raw.own.ca.is_some()
        || raw.own.client.is_some()
        || raw.own.header.is_some()
        || raw.own.skip_verify;
    let address = raw.server.filter(|s| !s.is_empty()).unwrap_or_else(|| format!("https://{registry}"));
    let server = says_something.then(|| host(path, Some(registry), &address, raw.own)).transpose()?;
    Ok(HostFile { hosts, server })
}

/// `server_of`: the registry whose server it is.
fn host(path: &Path, server_of: Option<&str>, address: &str, raw: RawHost) -> Result<Host, HostsError> {
    let wrong = |what: String| HostsError::syntax(path, what);
    let socket = address.strip_prefix("unix://").map(PathBuf::from);
    let text = match (&socket, server_of) {
        (Some(socket), Some(registry)) if socket.is_absolute() => format!("http://{registry}"),
        (Some(_), _) => {
            return Err(wrong(format!("{address:?}: only a server can be a socket file, unix:///PATH")));
        }
        (None, _) if address.contains("://") => address.to_owned(),
        (None, _) => format!("https://{address}"),
    };
    let mut url = Url::parse(&text).map_err(|e| wrong(format!("{address:?}: {e}")))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if !plain || !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong(format!("{address:?} is not the address of a registry")));
    }
    let given = url.path().trim_end_matches('/').to_owned();
    if !raw.override_path && !given.ends_with("/v2") {
        url.set_path(&format!("{given}/v2/"));
    } else {
        url.set_path(&format!("{given}/"));
    }
    let able = |what: &str| raw.capabilities.as_ref().is_none_or(|all| all.iter().any(|c| c == what));
    if let Some(unknown) =
        raw.capabilities.iter().flatten().find(|c| !["pull", "resolve", "push"].contains(&c.as_str()))
    {
        return Err(wrong(format!("unknown capability {unknown:?}")));
    }
    let (resolves, pulls, pushes) = (able("resolve"), able("pull"), able("push"));
    let beside = |file: String| path.parent().unwrap_or(Path::new("")).join(file);
    let mut headers = Vec::new();
    for (name, value) in raw.header.into_iter().flatten() {
        let values: OneOrMany = value
            .try_into()
            .map_err(|_| wrong(format!("header {name:?} is neither a text nor a list of texts")))?;
        headers.extend(values.into_vec().into_iter().map(|value| (name.clone(), value)));
    }
    let trust = Trust {
        authorities: raw.ca.map(OneOrMany::into_vec).unwrap_or_default().into_iter().map(beside).collect(),
        identity: raw.client.map(|client| identity(path, client)).transpose()?,
        skip_verify: raw.skip_verify,
    };
    Ok(Host { own_path: url.path() != "/v2/", url, socket, resolves, pulls, pushes, headers, trust })
}

/// One file that holds certificate and key, or a pair of files.
fn identity(path: &Path, raw: RawClient) -> Result<(PathBuf, PathBuf), HostsError> {
    let beside = |file: &str| path.parent().unwrap_or(Path::new("")).join(file);
    let first = match raw {
        RawClient::One(file) => RawPair::File(file),
        RawClient::Many(mut pairs) if pairs.len() == 1 => pairs.remove(0),
        RawClient::Many(_) => {
            return Err(HostsError::syntax(path, "more than one client certificate for a host"));
        }
    };
    match first {
        RawPair::File(file) => Ok((beside(&file), beside(&file))),
        RawPair::Pair(files) => match files.as_slice() {
            [one] => Ok((beside(one), beside(one))),
            [certificate, key] if key.is_empty() => Ok((beside(certificate), beside(certificate))),
            [certificate, key] => Ok((beside(certificate), beside(key))),
            _ => Err(HostsError::syntax(path, "a client certificate is one file, or two with its key")),
        },
    }
}
