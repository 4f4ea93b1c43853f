#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::*;

struct Machine {
    dir: TempDir,
    files: HostFiles,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = HostFiles {
            registries: vec![dir.path().join("registries.conf")],
            certs: vec![dir.path().join("certs.d")],
        };
        Self { dir, files }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn places(&self, name: &str, access: Access) -> Result<Vec<Place>, HostsError> {
        Hosts::new(self.files.clone()).places(&name.parse().unwrap(), access)
    }

    /// `host/repository` of each place.
    fn names(&self, name: &str, access: Access) -> Vec<String> {
        let places = self.places(name, access).unwrap();
        places.iter().map(|p| format!("{}/{}", p.host, p.repository)).collect()
    }
}

const CONF: &str = r#"
unqualified-search-registries = ["quay.io"]
short-name-mode = "enforcing"
[aliases]
"busybox" = "quay.io/other/busybox"

[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "near.test:5000"
insecure = true
[[registry.mirror]]
location = "far.test/hub"

[[registry]]
prefix = "example.com/team"
location = "internal.test/moved"
mirror-by-digest-only = true
[[registry.mirror]]
location = "mirror.test/team"

[[registry]]
prefix = "example.com/team/secret"
blocked = true

[[registry]]
prefix = "*.wild.test"
insecure = true

[[registry]]
location = "tags.test"
[[registry.mirror]]
location = "a.test"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "b.test"
pull-from-mirror = "digest-only"
"#;

fn digest() -> String {
    cooper_oci::Digest::sha256_of(b"x").to_string()
}

#[test]
fn registries_conf_gives_mirrors_and_rewrites() {
    let machine = Machine::new();
    machine.file("registries.conf", CONF);
    // Short names are Docker Hub's, whatever aliases and search lists say.
    let hub = ["near.test:5000/library/busybox", "far.test/hub/library/busybox", "docker.io/library/busybox"];
    assert_eq!(machine.names("busybox", Access::Resolve), hub);
    assert_eq!(machine.names("busybox", Access::Push), hub[2..]);
    let places = machine.places("busybox", Access::Pull).unwrap();
    assert_eq!(
        places.iter().map(|p| (p.mirror, p.insecure)).collect::<Vec<_>>(),
        [(true, true), (true, false), (false, false)]
    );

    assert_eq!(machine.names("example.com/team/app:1", Access::Resolve), ["internal.test/moved/app"]);
    let pinned = format!("example.com/team/app@{}", digest());
    let both = ["mirror.test/team/app", "internal.test/moved/app"];
    assert_eq!(machine.names(&pinned, Access::Resolve), both);
    assert_eq!(machine.names("example.com/team/app:1", Access::Pull), both, "blobs are got by digest");
    assert_eq!(machine.names("example.com/teamwork/app", Access::Resolve), ["example.com/teamwork/app"]);
    let error = machine.places("example.com/team/secret/app", Access::Resolve).unwrap_err();
    assert!(matches!(error, HostsError::Blocked { .. }), "{error}");

    assert!(machine.places("a.b.wild.test/x", Access::Pull).unwrap()[0].insecure);
    assert!(!machine.places("wild.test/x", Access::Pull).unwrap()[0].insecure);
    assert_eq!(machine.names("tags.test/x:1", Access::Resolve), ["a.test/x", "tags.test/x"]);
    let pinned = format!("tags.test/x@{}", digest());
    assert_eq!(machine.names(&pinned, Access::Resolve), ["b.test/x", "tags.test/x"]);
}

#[test]
fn drop_ins_replace_entries() {
    let mut machine = Machine::new();
    machine.file(
        "registries.conf",
        "[[registry]]\nlocation='a.test'\nblocked=true\n[[registry]]\nlocation='b.test'\nblocked=true\n",
    );
    let later = machine.file("registries.conf.d/50.conf", "[[registry]]\nlocation='a.test'\n");
    machine.files.registries.push(later);
    assert!(machine.places("a.test/x", Access::Pull).is_ok());
    assert!(machine.places("b.test/x", Access::Pull).is_err());
}

#[test]
fn broken_files_are_errors_that_name_them() {
    for text in [
        "[[registry]]\nlocation = 1",
        "[registries.search]\nregistries = ['x']",
        "[[registry]]\n",
        "[[registry]]\nprefix = 'a.test/x:1'",
        "[[registry]]\nprefix = 'a*.test'",
        "[[registry]]\nprefix = 'docker.io'\nlocation = '../../x'",
        "[[registry]]\nprefix = 'docker.io'\nlocation = 'a.test/UPPER'",
        "[[registry]]\nprefix = 'docker.io'\nlocation = 'a.test/x?y='",
        "not toml",
    ] {
        let machine = Machine::new();
        machine.file("registries.conf", text);
        let error = machine.places("busybox", Access::Resolve).expect_err(text);
        assert!(error.to_string().contains("registries.conf"), "{error}");
    }
    for text in [
        "server = 'ftp://x'",
        "[host.'https://user@x']",
        "[host.'https://x']\ncapabilities = ['fly']",
        "[host.'https://x']\nclient = [['a','b','c']]",
        "[host.'https://x'.header]\na = 1",
        "server = 7",
        "server = 'unix://run/registry.sock'",
        "[host.'unix:///run/registry.sock']",
    ] {
        let machine = Machine::new();
        machine.file("certs.d/docker.io/hosts.toml", text);
        let error = machine.places("busybox", Access::Resolve).expect_err(text);
        assert!(error.to_string().contains("hosts.toml"), "{error}");
    }
    let machine = Machine::new();
    machine.file("certs.d/reg.test/client.cert", "");
    assert!(machine.places("reg.test/x", Access::Pull).unwrap_err().to_string().contains("no key"));
}

#[test]
fn hosts_toml_gives_hosts_in_order_with_all_they_say() {
    let machine = Machine::new();
    machine.file(
        "certs.d/docker.io/hosts.toml",
        r#"
server = "https://registry-1.docker.io"
[host."http://z.test:5000"]
  capabilities = ["pull"]
[host."https://a.test/v2/hub"]
  capabilities = ["pull", "resolve", "push"]
  override_path = true
  ca = "own.pem"
  client = [["c.pem", "k.pem"]]
  [host."https://a.test/v2/hub".header]
    X-Key = ["one", "two"]
[host."b.test/sub"]
  capabilities = ["pull", "resolve"]
  skip_verify = true
"#,
    );
    let places = machine.places("busybox:1", Access::Pull).unwrap();
    let hosts: Vec<_> = places.iter().map(|p| p.host.as_str()).collect();
    assert_eq!(hosts, ["z.test:5000", "a.test", "b.test", "docker.io"], "in the file's order");
    assert_eq!(places[0].scheme, Some("http"));
    assert_eq!((places[0].api_path.as_deref(), places[0].namespace.as_deref()), (None, Some("docker.io")));
    assert_eq!(places[1].api_path.as_deref(), Some("/v2/hub/"));
    assert_eq!(
        places[1].headers,
        [("X-Key".to_owned(), "one".to_owned()), ("X-Key".to_owned(), "two".to_owned())]
    );
    let dir = machine.dir.path().join("certs.d/docker.io");
    assert_eq!(places[1].trust.authorities, [dir.join("own.pem")]);
    assert_eq!(places[1].trust.identity, Some((dir.join("c.pem"), dir.join("k.pem"))));
    assert_eq!(places[2].api_path.as_deref(), Some("/sub/v2/"));
    assert!(places[2].trust.skip_verify && !places[2].insecure);
    assert_eq!((places[3].mirror, places[3].namespace.as_deref()), (false, None));

    assert_eq!(machine.names("busybox:1", Access::Resolve).len(), 3);
    assert_eq!(
        machine.names("busybox:1", Access::Push),
        ["a.test/library/busybox", "docker.io/library/busybox"]
    );
    assert_eq!(machine.names("quay.io/x", Access::Pull), ["quay.io/x"]);
}

#[test]
fn the_default_directory_is_for_all_other_registries() {
    let machine = Machine::new();
    machine.file("certs.d/_default/hosts.toml", "[host.'https://mirror.test']\ncapabilities=['pull']");
    machine.file("certs.d/own.test_5000_/hosts.toml", "skip_verify = true");
    assert_eq!(machine.names("any.test/x", Access::Pull), ["mirror.test/x", "any.test/x"]);
    let own = machine.places("own.test:5000/x", Access::Pull).unwrap();
    assert_eq!((own.len(), own[0].host.as_str(), own[0].trust.skip_verify), (1, "own.test:5000", true));
    assert_eq!(own[0].namespace, None);
}

#[test]
fn certificates_belong_to_their_host() {
    let machine = Machine::new();
    let ca = machine.file("certs.d/reg.test:5000/ca.crt", "");
    let cert = machine.file("certs.d/reg.test:5000/client.cert", "");
    let key = machine.file("certs.d/reg.test:5000/client.key", "");
    machine.file("certs.d/reg.test:5000/README", "");
    let trust = machine.places("reg.test:5000/x", Access::Push).unwrap()[0].trust.clone();
    assert_eq!(trust, Trust { authorities: vec![ca], identity: Some((cert, key)), skip_verify: false });
    assert_eq!(machine.places("reg.test/x", Access::Push).unwrap()[0].trust, Trust::default());
}
