//! `--secret` and `--ssh`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cooper_builder::request::SecretSource;
use cooper_builder::ssh::SshAgent;

use super::pairs::Environment;
use super::{csv, units};

/// Reads all `--secret` flags; the last of equal ids counts.
pub fn secrets(
    values: &[String],
    environment: Environment<'_>,
) -> Result<BTreeMap<String, SecretSource>, String> {
    values.iter().map(|value| secret(value, environment)).collect()
}

fn secret(text: &str, environment: Environment<'_>) -> Result<(String, SecretSource), String> {
    let (mut id, mut source, mut variable, mut kind) = (None, None, None, None);
    for (key, value) in csv::pairs(text).map_err(|e| format!("--secret: {e}"))? {
        match key.as_str() {
            "id" => id = Some(value),
            "src" | "source" => source = Some(value),
            "env" => variable = Some(value),
            "type" if value == "file" || value == "env" => kind = Some(value),
            "type" => return Err(format!("--secret {text:?}: type {value:?} is neither file nor env")),
            _ => return Err(format!("--secret {text:?}: unexpected key {key:?}")),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| format!("--secret {text:?}: id is missing"))?;
    let found = match (kind.as_deref(), variable, source) {
        (Some("env"), Some(variable), _) | (None, Some(variable), None) => {
            SecretSource::Environment(variable)
        }
        // With `type=env` the source names a variable.
        (Some("env"), None, source) => SecretSource::Environment(source.unwrap_or_else(|| id.clone())),
        (None, Some(_), Some(_)) => return Err(format!("--secret {text:?}: give src or env, not both")),
        (Some(_), Some(_), None) => return Err(format!("--secret {text:?}: type=file needs src, not env")),
        (_, _, Some(path)) => SecretSource::File(PathBuf::from(path)),
        (None, None, None) if environment(&id).is_some() => SecretSource::Environment(id.clone()),
        (_, None, None) => SecretSource::File(PathBuf::from(&id)),
    };
    Ok((id, found))
}

/// Reads all `--ssh` flags, and the keys that they name.
pub fn ssh(values: &[String], environment: Environment<'_>) -> Result<BTreeMap<String, SshAgent>, String> {
    let mut agents = BTreeMap::new();
    for text in values {
        let (id, list) = text.split_once('=').unwrap_or((text, ""));
        let id = if id.is_empty() { "default" } else { id };
        let (mut paths, mut raw) = (Vec::new(), false);
        for part in list.split(',').filter(|part| !part.is_empty()) {
            match part.strip_prefix("raw=") {
                Some(value) => raw = units::truth(value).map_err(|e| format!("--ssh {text:?}: raw: {e}"))?,
                None => paths.push(PathBuf::from(part)),
            }
        }
        if paths.is_empty() && !raw {
            let socket = environment("SSH_AUTH_SOCK").filter(|s| !s.is_empty()).ok_or_else(|| {
                format!(
                    "--ssh {text}: SSH_AUTH_SOCK is not set: start an agent, or give a socket or key files"
                )
            })?;
            paths.push(PathBuf::from(socket));
        }
        let agent = SshAgent::open(&paths, raw).map_err(|e| format!("--ssh {text:?}: {e}"))?;
        if agents.insert(id.to_owned(), agent).is_some() {
            return Err(format!("--ssh: duplicate agent ID {id:?}"));
        }
    }
    Ok(agents)
}

/// A context fetched by ssh may ask the agent of this session, if there is one, as if `--ssh default` were given.
pub fn ssh_of_context(agents: &mut BTreeMap<String, SshAgent>, environment: Environment<'_>) {
    let socket = environment("SSH_AUTH_SOCK").filter(|s| !s.is_empty());
    if let Some(socket) = socket
        && !agents.contains_key("default")
        && let Ok(agent) = SshAgent::open(&[PathBuf::from(socket)], false)
    {
        agents.insert("default".to_owned(), agent);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::net::UnixListener;

    use super::*;

    fn environment(key: &str) -> Option<String> {
        matches!(key, "TOKEN" | "SSH_AUTH_SOCK").then(|| format!("/value/of/{key}"))
    }

    #[test]
    fn sources_of_secrets() {
        let file = |p: &str| SecretSource::File(PathBuf::from(p));
        let env = |v: &str| SecretSource::Environment(v.to_owned());
        let table = [
            ("id=a,src=f", file("f")),
            ("id=a,source=f", file("f")),
            ("type=file,id=a,src=f", file("f")),
            ("id=a,\"src=with,comma\"", file("with,comma")),
            ("id=a,env=V", env("V")),
            ("id=a,type=env,env=V", env("V")),
            ("id=a,type=env,src=V", env("V")),
            ("id=a,type=env", env("a")),
            ("id=a", file("a")),
            ("id=a,type=file", file("a")),
        ];
        for (text, want) in table {
            assert_eq!(secret(text, &environment).unwrap(), ("a".to_owned(), want), "{text}");
        }
        assert_eq!(secret("id=TOKEN", &environment).unwrap().1, env("TOKEN"));
        for text in ["", "a", "src=x", "id=", "id=a,type=x", "id=a,mode=1", "id=a,src=f,env=V"] {
            assert!(secret(text, &environment).is_err(), "{text}");
        }
    }

    #[test]
    fn agents() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).display().to_string();
        let sockets = ["a", "b"].map(|name| UnixListener::bind(path(name)).unwrap());
        std::fs::write(path("text"), "no key").unwrap();
        let one = |text: String| ssh(&[text], &|key| (key == "SSH_AUTH_SOCK").then(|| path("a")));
        let socket = |text: String, id: &str| match &one(text).unwrap()[id] {
            SshAgent::Agent(path) => format!("agent {}", path.display()),
            SshAgent::Raw(path) => format!("raw {}", path.display()),
            keys @ SshAgent::Keys(_) => format!("{keys:?}"),
        };
        let (a, b, text) = (path("a"), path("b"), path("text"));
        assert_eq!(socket("default".into(), "default"), format!("agent {a}"));
        assert_eq!(socket(format!("deploy={b}"), "deploy"), format!("agent {b}"));
        assert_eq!(socket(format!("={b}"), "default"), format!("agent {b}"));
        assert_eq!(socket(format!("x={b},raw=true"), "x"), format!("raw {b}"));
        for (flag, want) in [
            (format!("x={a},{b}"), "only single socket allowed"),
            (format!("x={text}"), "failed to parse"),
            (format!("x={text},raw=true"), "raw mode only supported with socket paths"),
            ("x=raw=true".into(), "raw mode must supply exactly one socket path"),
            (format!("x={a},raw=maybe"), "neither true nor false"),
            (format!("x={}", path("none")), "cannot read"),
        ] {
            let told = one(flag.clone()).unwrap_err();
            assert!(told.contains(want), "{flag}: {told}");
        }
        let twice = [format!("x={a}"), format!("x={b}")];
        assert!(ssh(&twice, &|_| None).unwrap_err().contains("duplicate agent ID"));
        assert!(ssh(&["default".to_owned()], &|_| None).unwrap_err().contains("SSH_AUTH_SOCK"));
        drop(sockets);
    }
}
