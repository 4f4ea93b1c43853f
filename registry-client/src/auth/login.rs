//! Remembering credentials, as `docker login` does.
//!
//! Owns changes of the credential file: read, changed in one place with all else kept, written beside
//! it with mode 0600 and renamed over it. Where the file names a helper, the helper gets the secret and
//! the file only notes the registry. A symbolic link is followed, so that it stays one.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::config_file::{ConfigFile, encode_auth, normalize, server_key};
use super::credentials::{Credential, CredentialError, Credentials, default_store_file};
use super::helper;
use crate::client::{Client, ClientBuilder};
use crate::error::Result;
use crate::secret::Secret;

/// Where a credential was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// In the file, readable by its owner only but not encrypted.
    File(PathBuf),
    /// With a helper of this name.
    Helper(String),
}

/// Checks a user name and password with a registry and remembers them in `file` (by default the file
/// that [`Credentials::from_environment`] reads first). `settings` are those of the client that asks.
pub async fn login(
    settings: ClientBuilder,
    registry: &str,
    username: &str,
    password: &Secret,
    file: Option<&Path>,
) -> Result<Saved> {
    let credential = Credential::Basic { username: username.to_owned(), password: password.clone() };
    let credentials = Credentials::anonymous().with(registry, credential);
    let client: Client = settings.credentials(credentials).build();
    client.ping(registry).await?;
    Ok(save_credential(registry, username, password, file).await?)
}

/// Remembers a user name and password without asking the registry.
pub async fn save_credential(
    registry: &str,
    username: &str,
    password: &Secret,
    file: Option<&Path>,
) -> Result<Saved, CredentialError> {
    let path = file.map_or_else(default_store_file, |file| Ok(file.to_owned()))?;
    let key = server_key(registry);
    let store = ConfigFile::read(&path)?.and_then(|config| config.store_helper(registry));
    if let Some(store) = &store {
        helper::store(store, &key, username, password).await?;
    }
    let mut entry = Map::new();
    if store.is_none() {
        entry.insert("auth".into(), encode_auth(username, password).into());
    }
    change(&path, |auths| {
        auths.retain(|old, _| normalize(old) != normalize(registry));
        auths.insert(key, Value::Object(entry));
        true
    })?;
    Ok(store.map_or(Saved::File(path), Saved::Helper))
}

/// Forgets a registry's credentials, in the file and with its helper; `false` if there were none.
pub async fn logout(registry: &str, file: Option<&Path>) -> Result<bool, CredentialError> {
    let path = file.map_or_else(default_store_file, |file| Ok(file.to_owned()))?;
    let Some(config) = ConfigFile::read(&path)? else { return Ok(false) };
    let erased = match config.store_helper(registry) {
        Some(store) => helper::erase(&store, &server_key(registry)).await?,
        None => false,
    };
    let mut removed = false;
    change(&path, |auths| {
        let before = auths.len();
        auths.retain(|key, _| normalize(key) != normalize(registry));
        removed = auths.len() != before;
        removed
    })?;
    Ok(erased || removed)
}

/// Changes the `auths` of a file, if `edit` says so.
fn change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<(), CredentialError> {
    let write_error = |source| CredentialError::Write { path: path.to_owned(), source };
    let path_now = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(e) if e.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(e) => return Err(write_error(e)),
    };
    let text = match std::fs::read(&path_now) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(CredentialError::Read { path: path.to_owned(), source }),
    };
    let mut whole = if text.iter().all(u8::is_ascii_whitespace) {
        Map::new()
    } else {
        serde_json::from_slice(&text).map_err(|e| CredentialError::Syntax {
            path: path.to_owned(),
            line: e.line(),
            column: e.column(),
        })?
    };
    let auths = whole.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    if auths.is_null() {
        *auths = Value::Object(Map::new());
    }
    let Some(auths) = auths.as_object_mut() else {
        return Err(CredentialError::Syntax { path: path.to_owned(), line: 1, column: 1 });
    };
    if !edit(auths) {
        return Ok(());
    }
    let mut text = serde_json::to_vec_pretty(&whole).map_err(|e| write_error(e.into()))?;
    text.push(b'\n');
    replace(&path_now, &text).map_err(write_error)
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.exists() {
        std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
            .create(dir)?;
    }
    let temporary = dir.join(format!(".cooper-login-{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    let written = (|| {
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
