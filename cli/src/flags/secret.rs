//! `--secret` and `--ssh`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cooper_builder::request::SecretSource;

use super::csv;
use super::pairs::Environment;

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

/// Reads all `--ssh` flags: id to agent socket.
pub fn ssh(values: &[String], environment: Environment<'_>) -> Result<BTreeMap<String, PathBuf>, String> {
    values
        .iter()
        .map(|text| {
            let (id, socket) = text.split_once('=').unwrap_or((text, ""));
            if id.is_empty() {
                return Err(format!("--ssh {text:?}: the id is missing"));
            }
            if socket.contains(',') {
                return Err(format!(
                    "--ssh {text:?}: keys and raw=true are not supported yet; give an agent's socket"
                ));
            }
            let socket = if socket.is_empty() {
                environment("SSH_AUTH_SOCK").filter(|s| !s.is_empty()).ok_or_else(|| {
                    format!("--ssh {text}: SSH_AUTH_SOCK is not set: start an agent, or give its socket")
                })?
            } else {
                socket.to_owned()
            };
            Ok((id.to_owned(), PathBuf::from(socket)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
        let one = |text: &str| ssh(&[text.to_owned()], &environment);
        assert_eq!(one("default").unwrap()["default"], PathBuf::from("/value/of/SSH_AUTH_SOCK"));
        assert_eq!(one("deploy=/run/agent").unwrap()["deploy"], PathBuf::from("/run/agent"));
        assert!(one("deploy=/k1,/k2").is_err());
        assert!(one("=x").is_err());
        assert!(ssh(&["default".to_owned()], &|_| None).unwrap_err().contains("SSH_AUTH_SOCK"));
    }
}
