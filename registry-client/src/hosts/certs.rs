//! Certificates in `certs.d/<host>`: `*.crt` are authorities, `x.cert` with `x.key` is our identity.

use std::path::{Path, PathBuf};

use super::{HostsError, Trust, files_in};

/// Names of a host's directory: `host:port`, and `host_port_` as some systems forbid the colon.
pub(super) fn directories(dir: &Path, host: &str) -> Vec<PathBuf> {
    // The name comes from a reference; nothing of it may lead elsewhere.
    if host.is_empty() || host.starts_with('.') || host.contains(['/', '\\']) {
        return Vec::new();
    }
    let mut all = vec![dir.join(host)];
    if let Some((name, port)) =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
    {
        all.push(dir.join(format!("{name}_{port}_")));
    }
    all
}

/// What the directory of a host holds.
pub(super) fn find(dir: &Path, host: &str) -> Result<Trust, HostsError> {
    let mut trust = Trust::default();
    for dir in directories(dir, host) {
        for path in files_in(&dir)? {
            let Some(kind) = path.extension().and_then(|e| e.to_str()) else { continue };
            let partner = |other: &str| Some(path.with_extension(other)).filter(|p| p.is_file());
            match kind {
                "crt" => trust.authorities.push(path),
                "cert" => match partner("key") {
                    Some(key) => trust.identity = Some((path, key)),
                    None => return Err(HostsError::syntax(&path, "the certificate has no key beside it")),
                },
                "key" if partner("cert").is_none() => {
                    return Err(HostsError::syntax(&path, "the key has no certificate beside it"));
                }
                _ => {}
            }
        }
        if trust != Trust::default() {
            break;
        }
    }
    Ok(trust)
}
