//! Docker's `config.json` and its likes (`auth.json` of the containers tools).
//!
//! Owns reading them and finding the entry for a registry and repository. Keys may be a host, a host
//! with port, a URL (`https://index.docker.io/v1/`) or a host with the beginning of a repository's
//! path; the longest match wins. Must not put file content into errors: it holds passwords.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::credentials::{Credential, CredentialError};
use crate::secret::Secret;

/// The key under which Docker keeps credentials of Docker Hub.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The largest file that is read.
const MAX_BYTES: u64 = 4 << 20;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One credential file, as far as we understand it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ConfigFile {
    #[serde(skip)]
    path: PathBuf,
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(rename = "credHelpers")]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Where a file says that a credential is to be found.
pub(super) enum Place {
    Inline(Credential),
    /// Name of a helper, and the server to ask it for.
    Helper {
        helper: String,
        server: String,
    },
}

impl ConfigFile {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let read_error = |source| CredentialError::Read { path: path.to_owned(), source };
        let size = match std::fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(e) => return Err(read_error(e)),
        };
        if size > MAX_BYTES {
            return Err(read_error(std::io::Error::other("file is too large")));
        }
        let bytes = std::fs::read(path).map_err(read_error)?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let mut file: Self = serde_json::from_slice(&bytes).map_err(|e| CredentialError::Syntax {
            path: path.to_owned(),
            line: e.line(),
            column: e.column(),
        })?;
        path.clone_into(&mut file.path);
        Ok(Some(file))
    }

    /// Every place that may hold a credential for this repository, most specific first.
    pub(super) fn places(&self, registry: &str, repository: &str) -> Result<Vec<Place>, CredentialError> {
        let mut places = Vec::new();
        for name in names(registry, repository) {
            if let Some((key, helper)) = find(self.cred_helpers.as_ref(), &name) {
                places.push(Place::Helper { helper: helper.clone(), server: key.clone() });
            }
            if let Some((key, entry)) = find(self.auths.as_ref(), &name)
                && let Some(credential) = entry.credential().map_err(|what| CredentialError::Entry {
                    path: self.path.clone(),
                    key: key.clone(),
                    what,
                })?
            {
                places.push(Place::Inline(credential));
            }
        }
        if let Some(helper) = self.creds_store.as_ref().filter(|h| !h.is_empty()) {
            places.push(Place::Helper { helper: helper.clone(), server: server_key(registry) });
        }
        Ok(places)
    }

    /// The helper that stores this registry's credentials, if the file names one.
    pub(super) fn store_helper(&self, registry: &str) -> Option<String> {
        let own = find(self.cred_helpers.as_ref(), &normalize(registry)).map(|(_, helper)| helper.clone());
        own.or_else(|| self.creds_store.clone()).filter(|h| !h.is_empty())
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        let full = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        let mut username = full(&self.username);
        let mut password = full(&self.password);
        if let Some(auth) = full(&self.auth) {
            let bytes = BASE64.decode(auth.trim()).map_err(|_| "`auth` is not base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "`auth` is not UTF-8")?;
            let (user, pass) = text.split_once(':').ok_or("`auth` has no colon")?;
            username = Some(user.to_owned());
            password = Some(pass.trim_end_matches('\0').to_owned());
        }
        if let Some(token) = full(&self.registrytoken) {
            return Ok(Some(Credential::RegistryToken(Secret::new(token))));
        }
        if let Some(token) = full(&self.identitytoken) {
            return Ok(Some(Credential::IdentityToken { username, token: Secret::new(token) }));
        }
        Ok(match (username, password) {
            (Some(username), Some(password)) => {
                Some(Credential::Basic { username, password: Secret::new(password) })
            }
            _ => None,
        })
    }
}

/// The `auth` value of a user name and password.
pub(super) fn encode_auth(username: &str, password: &Secret) -> String {
    BASE64.encode(format!("{username}:{}", password.expose()))
}

/// `host/a/b`, `host/a`, `host` for repository `a/b`.
fn names(registry: &str, repository: &str) -> Vec<String> {
    let mut name = normalize(registry);
    let mut all = vec![name.clone()];
    for part in repository.split('/').filter(|p| !p.is_empty()) {
        name = format!("{name}/{part}");
        all.push(name.clone());
    }
    all.reverse();
    all
}

fn find<'a, T>(map: Option<&'a BTreeMap<String, T>>, name: &str) -> Option<(&'a String, &'a T)> {
    // An exact key wins over one that is only the same after normalising.
    let map = map?;
    map.get_key_value(name).or_else(|| map.iter().find(|(key, _)| normalize(key) == name))
}

/// Brings a key or registry to the form `host[:port][/path]`, all names of Docker Hub to `docker.io`.
pub(super) fn normalize(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    let (host, path) = bare.split_once('/').map_or((bare, ""), |(h, p)| (h, p));
    let host = host.to_ascii_lowercase();
    let host = match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

/// The name under which a registry's credentials are stored.
pub(super) fn server_key(registry: &str) -> String {
    match normalize(registry).as_str() {
        "docker.io" => DOCKER_HUB_KEY.to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
#[path = "config_file_tests.rs"]
mod tests;
