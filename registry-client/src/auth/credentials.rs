//! Where credentials come from.
//!
//! Owns the order of sources: what the caller gave, then each file, and in a file the most specific
//! entry, its helper, and the common store; last what a CI service implies. Files are read once for each [`Credentials`]; answers of
//! helpers are kept for its life, so that a key chain asks a person at most once. A broken file or
//! helper is an error, never "anonymous", and never another registry's credential.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use tokio::sync::{Mutex, OnceCell};

use super::config_file::{ConfigFile, Place, normalize};
use super::helper;
use crate::secret::Secret;

/// A credential for one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and password, for `Basic` or for a token service.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// An OAuth2 refresh token, given only to the token service.
    IdentityToken {
        /// User name, if it is known.
        username: Option<String>,
        /// The refresh token.
        token: Secret,
    },
    /// A token that the registry takes as it is.
    RegistryToken(Secret),
}

/// Credentials could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file cannot be read.
    #[error("cannot read credentials from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write credentials to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be. Its content is not shown: it holds passwords.
    #[error("credentials in {} are not valid JSON of the right form (line {line}, column {column})", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// One entry of a file is broken.
    #[error("credentials for {key} in {}: {what}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry's key.
        key: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A credential helper failed.
    #[error("credential helper {helper} for {server}: {what}")]
    Helper {
        /// Program name.
        helper: String,
        /// The server that it was asked for.
        server: String,
        /// What happened.
        what: String,
    },
    /// No place to keep credentials.
    #[error("no home directory to keep credentials in; set DOCKER_CONFIG")]
    NoHome,
}

/// Finds the credential for a registry and repository.
#[derive(Debug, Default)]
pub struct Credentials {
    given: BTreeMap<String, Credential>,
    files: Vec<PathBuf>,
    parsed: OnceCell<Vec<ConfigFile>>,
    /// For registries of which nothing else is known.
    implied: BTreeMap<String, Credential>,
    asked: Mutex<HashMap<(String, String), Option<Credential>>>,
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfigFile(***)")
    }
}

impl Credentials {
    /// No credentials at all.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// What `docker login` and `podman login` left: `REGISTRY_AUTH_FILE` alone if it is set, else
    /// `config.json` in `DOCKER_CONFIG` or `~/.docker`, then `containers/auth.json` in
    /// `XDG_RUNTIME_DIR`. In a job of GitHub Actions also its `GITHUB_TOKEN`, for `ghcr.io`, where nobody logged in
    /// there.
    pub fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let implied = of_github(text).map(|credential| (GITHUB_REGISTRY.to_owned(), credential));
        Self { implied: implied.into_iter().collect(), ..Self::from_files(default_files()) }
    }

    /// The given files, in order; those that do not exist are skipped.
    pub fn from_files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { files: files.into_iter().collect(), ..Self::default() }
    }

    /// Adds a credential for a registry, or `registry/path`, that wins over all files.
    pub fn with(mut self, registry: &str, credential: Credential) -> Self {
        self.given.insert(normalize(registry), credential);
        self
    }

    /// The credential for a repository, or `None` to go without.
    pub async fn lookup(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        let mut name = format!("{}/{repository}", normalize(registry));
        loop {
            if let Some(credential) = self.given.get(&name) {
                return Ok(Some(credential.clone()));
            }
            let Some((parent, _)) = name.rsplit_once('/') else { break };
            name = parent.to_owned();
        }
        for file in self.parsed.get_or_try_init(|| async { self.parse() }).await? {
            for place in file.places(registry, repository)? {
                let found = match place {
                    Place::Inline(credential) => Some(credential),
                    Place::Helper { helper, server } => self.ask(helper, server).await?,
                };
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(self.implied.get(&normalize(registry)).cloned())
    }

    /// Whether nobody chose this credential: it may be good for less than going without.
    pub(crate) fn is_implied(&self, registry: &str, credential: &Credential) -> bool {
        self.implied.get(&normalize(registry)) == Some(credential)
    }

    fn parse(&self) -> Result<Vec<ConfigFile>, CredentialError> {
        let mut parsed = Vec::new();
        for path in &self.files {
            parsed.extend(ConfigFile::read(path)?);
        }
        Ok(parsed)
    }

    async fn ask(&self, helper: String, server: String) -> Result<Option<Credential>, CredentialError> {
        // Held while the helper runs: equal questions are asked once.
        let mut asked = self.asked.lock().await;
        let key = (helper, server);
        if let Some(answer) = asked.get(&key) {
            return Ok(answer.clone());
        }
        let answer = helper::get(&key.0, &key.1).await?;
        asked.insert(key, answer.clone());
        Ok(answer)
    }
}

/// The registry that takes the token of a job of GitHub Actions.
const GITHUB_REGISTRY: &str = "ghcr.io";

/// The token of the job that this is a part of. Elsewhere a variable of this name may hold anything.
fn of_github(variable: impl Fn(&str) -> Option<String>) -> Option<Credential> {
    variable("GITHUB_ACTIONS").filter(|v| v == "true")?;
    let password = Secret::new(variable("GITHUB_TOKEN")?);
    // Any user name will do.
    let username = variable("GITHUB_ACTOR").unwrap_or_else(|| "token".to_owned());
    Some(Credential::Basic { username, password })
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

fn default_files() -> Vec<PathBuf> {
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let containers = variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    docker_config_file().into_iter().chain(containers).collect()
}

/// `config.json` in `DOCKER_CONFIG` or `~/.docker`.
pub(super) fn docker_config_file() -> Option<PathBuf> {
    let dir = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")))?;
    Some(dir.join("config.json"))
}

/// The file that `login` and `logout` change when none is named.
pub(super) fn default_store_file() -> Result<PathBuf, CredentialError> {
    variable("REGISTRY_AUTH_FILE").or_else(docker_config_file).ok_or(CredentialError::NoHome)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn r017_a_job_of_github_has_a_token_for_its_registry() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<(&'a str, &'a str)>);
        let table: [Row; 4] = [
            (
                &[("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "t"), ("GITHUB_ACTOR", "ann")],
                Some(("ann", "t")),
            ),
            (&[("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "t")], Some(("token", "t"))),
            (&[("GITHUB_ACTIONS", "true")], None),
            // Not in a job: what it is for is not known.
            (&[("GITHUB_TOKEN", "t"), ("GITHUB_ACTOR", "ann")], None),
        ];
        for (variables, want) in table {
            let get = |name: &str| Some(variables.iter().find(|(n, _)| *n == name)?.1.to_owned());
            let want = want.map(|(user, token)| Credential::Basic {
                username: user.to_owned(),
                password: Secret::new(token),
            });
            assert_eq!(of_github(get), want, "{variables:?}");
        }
    }
}
