//! Certificates: a TLS registry on loopback, reached by a redirect from a plain one (loopback names
//! themselves are always spoken to in clear).

use std::path::Path;
use std::process::Command;

use cooper_registry_client::ErrorKind;

use crate::common::debian::{Registry, start_tls};
use crate::common::fake::{Fake, Reply};
use crate::common::{builder, rerun};

/// An authority, and a certificate of it for 127.0.0.1; `None` without openssl.
fn certificates(dir: &Path) -> Option<()> {
    let run = |args: &str| {
        let mut command = Command::new("openssl");
        let done = command.args(args.split(' ')).current_dir(dir).output().ok()?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    let Some(()) = run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority")) else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no openssl\n");
        return None;
    };
    run(&format!("req {key} -keyout server.key -out server.csr -subj /CN=registry"))?;
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    run(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    )
}

async fn plain_door_to(registry: &Registry) -> Fake {
    let host = registry.host.clone();
    Fake::start(move |r, _| Some(Reply::new(307).header("location", format!("https://{host}{}", r.path))))
        .await
}

#[tokio::test]
async fn certificates_of_unknown_authorities_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(()) = certificates(dir.path()) else { return };
    let Some(registry) = start_tls(&dir.path().join("server.pem"), &dir.path().join("server.key")) else {
        return;
    };
    let fake = plain_door_to(&registry).await;
    let host = fake.address.to_string();
    let error = builder().build().ping(&host).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(fake.log().len(), 1, "a bad certificate does not get better by trying again");
    let pem = std::fs::read(dir.path().join("ca.pem")).unwrap();
    builder().root_certificates_pem(&pem).unwrap().build().ping(&host).await.unwrap();
}

#[test]
fn the_environment_names_the_authorities() {
    let dir = tempfile::tempdir().unwrap();
    if certificates(dir.path()).is_some() {
        let pem = dir.path().join("ca.pem");
        rerun("tls::environment_child", dir.path(), &[("SSL_CERT_FILE", &pem)]);
    }
}

#[tokio::test]
#[ignore = "run by the_environment_names_the_authorities"]
async fn environment_child() {
    let dir = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    let Some(registry) = start_tls(&dir.join("server.pem"), &dir.join("server.key")) else { return };
    let fake = plain_door_to(&registry).await;
    builder().build().ping(&fake.address.to_string()).await.unwrap();
}
