#![allow(clippy::unwrap_used)]

use super::*;

fn file(json: &str) -> ConfigFile {
    serde_json::from_str(json).unwrap()
}

fn first(json: &str, registry: &str, repository: &str) -> String {
    match file(json).places(registry, repository).unwrap().into_iter().next() {
        None => "none".into(),
        Some(Place::Helper { helper, server }) => format!("helper {helper} {server}"),
        Some(Place::Inline(Credential::Basic { username, password })) => {
            format!("basic {username} {}", password.expose())
        }
        Some(Place::Inline(Credential::IdentityToken { username, token })) => {
            format!("identity {} {}", username.unwrap_or_default(), token.expose())
        }
        Some(Place::Inline(Credential::RegistryToken(token))) => format!("registry {}", token.expose()),
    }
}

#[test]
fn r017_entries_are_found_by_every_form_of_key() {
    // dTpw is u:p, the rest differ in the user's name.
    let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#;
    assert_eq!(first(hub, "docker.io", "library/busybox"), "basic u p");
    assert_eq!(first(hub, "quay.io", "x"), "none");
    for key in ["reg.test:5000", "https://reg.test:5000", "http://reg.test:5000/v2/", "REG.test:5000/"] {
        let json = format!(r#"{{"auths":{{"{key}":{{"username":"a","password":"b"}}}}}}"#);
        assert_eq!(first(&json, "reg.test:5000", "x/y"), "basic a b", "{key}");
        assert_eq!(first(&json, "reg.test", "x/y"), "none", "{key}");
        assert_eq!(first(&json, "reg.test:50001", "x/y"), "none", "{key}");
    }
}

#[test]
fn r017_the_longest_path_wins() {
    let json = r#"{"auths":{
        "ghcr.io":{"username":"host","password":"x"},
        "ghcr.io/org":{"username":"org","password":"x"},
        "ghcr.io/org/team/app":{"username":"app","password":"x"}}}"#;
    assert_eq!(first(json, "ghcr.io", "org/team/app"), "basic app x");
    assert_eq!(first(json, "ghcr.io", "org/team/other"), "basic org x");
    assert_eq!(first(json, "ghcr.io", "orga/x"), "basic host x");
}

#[test]
fn r017_tokens_helpers_and_stores() {
    let json = r#"{"auths":{"a.io":{"auth":"dTpw","identitytoken":"it"},"b.io":{"registrytoken":"rt"},"c.io":{}},
        "credHelpers":{"d.io":"ecr","https://index.docker.io/v1/":"hub"},"credsStore":"store"}"#;
    assert_eq!(first(json, "a.io", "x"), "identity u it");
    assert_eq!(first(json, "b.io", "x"), "registry rt");
    assert_eq!(first(json, "c.io", "x"), "helper store c.io");
    assert_eq!(first(json, "d.io", "x"), "helper ecr d.io");
    assert_eq!(first(json, "docker.io", "x"), "helper hub https://index.docker.io/v1/");
    assert_eq!(file(json).store_helper("docker.io").as_deref(), Some("hub"));
    assert_eq!(file(json).store_helper("e.io").as_deref(), Some("store"));
}

#[test]
fn odd_entries() {
    assert_eq!(first(r#"{"auths":null,"credHelpers":null}"#, "a.io", "x"), "none");
    // No padding, password with colons.
    assert_eq!(first(r#"{"auths":{"a.io":{"auth":"dTpwOnE"}}}"#, "a.io", "x"), "basic u p:q");
    for bad in ["***", "dXA=", "/////w=="] {
        let json = format!(r#"{{"auths":{{"a.io":{{"auth":"{bad}"}}}}}}"#);
        let error = file(&json).places("a.io", "x").err().unwrap();
        assert!(!error.to_string().contains(bad), "{error}");
    }
}

#[test]
fn r017_a_broken_file_is_an_error_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, r#"{"auths":{"a.io":"hunter2"}}"#).unwrap();
    let error = ConfigFile::read(&path).err().unwrap();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(error.to_string().contains("config.json"));
    assert!(ConfigFile::read(&dir.path().join("none")).unwrap().is_none());
    std::fs::write(&path, " \n").unwrap();
    assert!(ConfigFile::read(&path).unwrap().is_none());
}
