//! Credential files and helpers. What depends on the environment runs in a child of the test itself.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cooper_registry_client::{Credential, Credentials, Saved, Secret, logout, save_credential};
use tokio::net::{TcpStream, UnixListener};

use crate::common::fake::{Fake, Reply};
use crate::common::{builder, layer, manifest, reference, rerun};

fn helper(dir: &Path, name: &str, script: &str) {
    let path = dir.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn r017_helpers_are_asked_within_limits() {
    let dir = tempfile::tempdir().unwrap();
    helper(
        dir.path(),
        "good",
        r#"read s; echo $1 $s >>"$HOME/log"; echo "{\"ServerURL\":\"$s\",\"Username\":\"ann\",\"Secret\":\"pw-$s\"}""#,
    );
    helper(dir.path(), "token", r#"read s; echo '{"Username":"<token>","Secret":"it"}'"#);
    helper(dir.path(), "none", "echo credentials not found in native keychain; exit 1");
    helper(dir.path(), "broken", "echo the keychain is locked; exit 2");
    helper(dir.path(), "other", r#"echo '{"ServerURL":"evil.test","Username":"a","Secret":"hunter2"}'"#);
    helper(dir.path(), "endless", "yes");
    helper(dir.path(), "garbage", "echo hunter2");
    std::fs::create_dir(dir.path().join(".docker")).unwrap();
    let config = r#"{"credHelpers":{"good.io":"good","token.io":"token","broken.io":"broken","other.io":"other",
        "endless.io":"endless","garbage.io":"garbage","gone.io":"gone","path.io":"../x"},"credsStore":"none"}"#;
    std::fs::write(dir.path().join(".docker/config.json"), config).unwrap();
    rerun("credentials::helpers_child", dir.path(), &[]);
    assert_eq!(std::fs::read_to_string(dir.path().join("log")).unwrap(), "get good.io\n");
}

#[tokio::test]
#[ignore = "run by r017_helpers_are_asked_within_limits"]
async fn helpers_child() {
    let credentials = Credentials::from_environment();
    let ann = Credential::Basic { username: "ann".into(), password: Secret::new("pw-good.io") };
    // Asked once, though needed twice.
    assert_eq!(credentials.lookup("good.io", "x").await.unwrap(), Some(ann.clone()));
    assert_eq!(credentials.lookup("good.io", "y").await.unwrap(), Some(ann));
    let token = Credential::IdentityToken { username: None, token: Secret::new("it") };
    assert_eq!(credentials.lookup("token.io", "x").await.unwrap(), Some(token));
    assert_eq!(credentials.lookup("unknown.io", "x").await.unwrap(), None);
    for (registry, words) in [
        ("broken.io", "the keychain is locked"),
        ("other.io", "another server"),
        ("endless.io", "too long"),
        ("garbage.io", "not JSON"),
        ("gone.io", "cannot be started"),
        ("path.io", "not a helper's name"),
    ] {
        let error = credentials.lookup(registry, "x").await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(registry), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn r017_files_are_found_by_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, user: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(
            &path,
            format!(r#"{{"auths":{{"{user}.io":{{"username":"{user}","password":"x"}}}}}}"#),
        )
        .unwrap();
        path
    };
    write(".docker/config.json", "home");
    let docker = write("d/config.json", "docker");
    write("run/containers/auth.json", "run");
    let auth = write("a.json", "auth");
    let expect = |names: &str, variables: &[(&str, &Path)]| {
        let mut all = vec![("EXPECTED", Path::new(names))];
        all.extend(variables);
        rerun("credentials::files_child", dir.path(), &all);
    };
    let run = dir.path().join("run");
    expect("home,run", &[("XDG_RUNTIME_DIR", &run)]);
    expect("docker,run", &[("XDG_RUNTIME_DIR", &run), ("DOCKER_CONFIG", docker.parent().unwrap())]);
    expect("auth", &[("XDG_RUNTIME_DIR", &run), ("REGISTRY_AUTH_FILE", &auth)]);
}

#[tokio::test]
#[ignore = "run by r017_files_are_found_by_the_environment"]
async fn files_child() {
    let expected = std::env::var("EXPECTED").unwrap();
    let credentials = Credentials::from_environment();
    let mut found = Vec::new();
    for name in ["home", "docker", "auth", "run"] {
        if credentials.lookup(&format!("{name}.io"), "x").await.unwrap().is_some() {
            found.push(name);
        }
    }
    assert_eq!(found.join(","), expected);
}

#[tokio::test]
async fn r017_a_job_of_github_needs_no_login_for_its_registry() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("ghcr.sock");
    let fake = Fake::start(|r, _| {
        let known = r.header("authorization") == Some("Basic b2N0b2NhdDp0MGtlbg==");
        if r.path == "/token" {
            let open = r.queries("scope") == ["repository:open:pull"];
            return Some(match (r.header("authorization"), open) {
                // A job's token is not good for everything that is open to all.
                (Some(_), true) | (None, false) => Reply::new(403).body("denied"),
                (None, true) => Reply::new(200).body(r#"{"token":"anonymous"}"#),
                (Some(_), false) => Reply::new(if known { 200 } else { 401 }).body(r#"{"token":"own"}"#),
            });
        }
        let ask = Reply::new(401).header("www-authenticate", r#"Bearer realm="http://ghcr.io/token""#);
        r.header("authorization").is_none().then_some(ask)
    })
    .await;
    let bytes = manifest(&layer(b"c"), &layer(b"l"));
    fake.content().manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    let (listener, to) = (UnixListener::bind(&socket).unwrap(), fake.address);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut there = TcpStream::connect(to).await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut there).await.ok()
            });
        }
    });
    let job = |more: &[(&'static str, &'static str)]| {
        let mut all =
            vec![("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "t0ken"), ("GITHUB_ACTOR", "octocat")];
        all.extend(more);
        let dir = dir.path().to_owned();
        tokio::task::spawn_blocking(move || {
            let all: Vec<_> = all.iter().map(|(name, value)| (*name, Path::new(value))).collect();
            rerun("credentials::github_child", &dir, &all);
        })
    };
    job(&[("WANTED", "ok")]).await.unwrap();
    let asked = fake.requests("GET", "/token");
    assert_eq!(asked.iter().filter(|r| r.header("authorization").is_none()).count(), 1);
    // Who logged in is who he said he is.
    std::fs::create_dir(dir.path().join(".docker")).unwrap();
    let config = r#"{"auths":{"ghcr.io":{"username":"ann","password":"other"}}}"#;
    std::fs::write(dir.path().join(".docker/config.json"), config).unwrap();
    job(&[("WANTED", "refused")]).await.unwrap();
    assert!(fake.requests("", "/v2/").iter().all(|r| !format!("{r:?}").contains("t0ken")));
}

#[tokio::test]
#[ignore = "run by r017_a_job_of_github_needs_no_login_for_its_registry"]
async fn github_child() {
    let socket = std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join("ghcr.sock");
    let credentials = Credentials::from_environment();
    assert_eq!(credentials.lookup("quay.io", "x").await.unwrap(), None, "it is for one registry");
    let client = builder().credentials(credentials).unix_socket("ghcr.io", socket).build();
    let own = client.resolve(&reference("ghcr.io", "own:1")).await;
    let open = client.resolve(&reference("ghcr.io", "open:1")).await;
    if std::env::var("WANTED").unwrap() == "ok" {
        own.unwrap();
        open.unwrap();
        return;
    }
    // What somebody chose is not silently gone without.
    for result in [own, open] {
        assert!(result.unwrap_err().to_string().contains("refused the stored credentials"));
    }
}

#[tokio::test]
async fn a_saved_credential_keeps_the_rest_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real.json"), dir.path().join("link.json"));
    std::fs::write(&real, r#"{"psFormat":"x","auths":{"old.io":{"auth":"eA=="},"http://new.io/v1/":{}}}"#)
        .unwrap();
    symlink(&real, &link).unwrap();
    let secret = Secret::new("hunter2");
    let saved = save_credential("new.io", "ann", &secret, Some(&link)).await.unwrap();
    assert_eq!(saved, Saved::File(link.clone()));
    save_credential("docker.io", "ann", &secret, Some(&link)).await.unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&real).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let auth = serde_json::json!({"auth": "YW5uOmh1bnRlcjI="});
    assert_eq!(
        json,
        serde_json::json!({"psFormat": "x", "auths": {"old.io": {"auth": "eA=="}, "new.io": auth, "https://index.docker.io/v1/": auth}})
    );
    assert!(logout("docker.io", Some(&link)).await.unwrap());
    assert!(!std::fs::read_to_string(&real).unwrap().contains("index.docker.io"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing temporary is left");
}

#[test]
fn a_store_gets_the_secret_and_the_file_does_not() {
    let dir = tempfile::tempdir().unwrap();
    helper(dir.path(), "box", r#"cat >"$HOME/$1""#);
    std::fs::write(dir.path().join("c.json"), r#"{"credsStore":"box"}"#).unwrap();
    rerun("credentials::store_child", dir.path(), &[]);
}

#[tokio::test]
#[ignore = "run by a_store_gets_the_secret_and_the_file_does_not"]
async fn store_child() {
    let dir = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    let file = dir.join("c.json");
    let saved = save_credential("docker.io", "ann", &Secret::new("hunter2"), Some(&file)).await.unwrap();
    assert_eq!(saved, Saved::Helper("box".into()));
    let stored = std::fs::read_to_string(dir.join("store")).unwrap();
    assert_eq!(stored, r#"{"ServerURL":"https://index.docker.io/v1/","Username":"ann","Secret":"hunter2"}"#);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hunter2"));
    assert!(logout("docker.io", Some(&file)).await.unwrap());
    assert_eq!(std::fs::read_to_string(dir.join("erase")).unwrap(), "https://index.docker.io/v1/");
}
