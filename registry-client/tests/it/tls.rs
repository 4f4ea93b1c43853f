//! Certificates: a TLS registry on loopback, reached by a redirect from a plain one.

use cooper_registry_client::ErrorKind;

use crate::common::debian::{Registry, start_tls};
use crate::common::fake::{Fake, Reply};
use crate::common::tls::Authority;
use crate::common::{builder, rerun};

async fn plain_door_to(registry: &Registry) -> Fake {
    let host = registry.host.clone();
    Fake::start(move |r, _| Some(Reply::new(307).header("location", format!("https://{host}{}", r.path))))
        .await
}

#[tokio::test]
async fn certificates_of_unknown_authorities_are_refused_at_once() {
    let Some(authority) = Authority::new() else { return };
    let (certificate, key) = authority.issue("server", "IP:127.0.0.1", 2);
    let Some(registry) = start_tls(&certificate, &key) else { return };
    let fake = plain_door_to(&registry).await;
    let host = fake.address.to_string();
    let error = builder().build().ping(&host).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(fake.log().len(), 1, "a bad certificate does not get better by trying again");
    let pem = std::fs::read(authority.pem()).unwrap();
    builder().root_certificates_pem(&pem).unwrap().build().ping(&host).await.unwrap();
}

#[test]
fn the_environment_names_the_authorities() {
    let Some(authority) = Authority::new() else { return };
    authority.issue("server", "IP:127.0.0.1", 2);
    rerun("tls::environment_child", authority.dir.path(), &[("SSL_CERT_FILE", &authority.pem())]);
}

#[tokio::test]
#[ignore = "run by the_environment_names_the_authorities"]
async fn environment_child() {
    let dir = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    let Some(registry) = start_tls(&dir.join("server.pem"), &dir.join("server.key")) else { return };
    let fake = plain_door_to(&registry).await;
    builder().build().ping(&fake.address.to_string()).await.unwrap();
}
