//! What is wrong with a server's certificate is told, and an exception is for one host: R-102.

use cooper_registry_client::{Client, Error, ErrorKind, HostFiles, Hosts, PushOptions};

use crate::common::fake::{Fake, Reply};
use crate::common::tls::{Authority, Door};
use crate::common::{builder, in_own_network, layer, noise, reference};

/// A client that knows the authority.
fn knowing(authority: &Authority) -> Client {
    builder().root_certificates_pem(&std::fs::read(authority.pem()).unwrap()).unwrap().build()
}

/// The error of a certificate, which says whose it is.
fn told(error: &Error, host: &str, what: &str) {
    let text = error.to_string();
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(text.contains(&format!("certificate of {host} ")) && text.contains(what), "{what}: {text}");
}

#[tokio::test]
async fn r102_what_is_wrong_with_a_certificate_is_told() {
    let (Some(authority), Some(stranger)) = (Authority::new(), Authority::named("stranger")) else { return };
    let Some(double) = Authority::new() else { return };
    let behind = Fake::start(|_, _| None).await;
    let client = knowing(&authority);
    let table = [
        (
            authority.issue_for("old", "IP:127.0.0.1", ("240131000000Z", "240229235959Z")),
            "expired on 2024-02-29T23:59:59Z",
        ),
        (
            authority.issue_for("early", "IP:127.0.0.1", ("480131000000Z", "480229235959Z")),
            "is not valid before 2048-01-31T00:00:00Z",
        ),
        (authority.issue("names", "DNS:other.test,IP:127.0.0.2", 2), "but for other.test, 127.0.0.2"),
        (authority.issue("no-ip", "DNS:127.0.0.1.test", 2), "but for 127.0.0.1.test"),
        (stranger.issue("unknown", "IP:127.0.0.1", 2), "an authority that is not known here"),
        (double.issue("double", "IP:127.0.0.1", 2), "not signed by the authority that it names"),
        (stranger.self_signed("IP:127.0.0.1"), "signed by itself or"),
        ((stranger.pem(), stranger.dir.path().join("ca.key")), "an authority's own"),
        ((authority.pem(), authority.dir.path().join("ca.key")), "an authority's own"),
    ];
    for (certificate, what) in &table {
        let door = Door::open("127.0.0.1:0", behind.address, certificate, None).await;
        let host = door.address.to_string();
        told(&client.ping(&host).await.unwrap_err(), &host, what);
    }
    assert!(behind.log().is_empty());
    // The same address, rightly named.
    let good = authority.issue("good", "DNS:other.test,IP:127.0.0.1", 2);
    let door = Door::open("127.0.0.1:0", behind.address, &good, None).await;
    client.ping(&door.address.to_string()).await.unwrap();
    let error = client.ping(&format!("localhost:{}", door.address.port())).await.unwrap_err();
    told(&error, &format!("localhost:{}", door.address.port()), "but for other.test, 127.0.0.1");
}

#[tokio::test]
async fn r102_an_authority_vouches_within_its_limits() {
    let behind = Fake::start(|_, _| None).await;
    let refusal = "an authority that may not vouch for its names";
    let limits = [
        ("permitted;IP:127.0.0.0/255.0.0.0", None),
        ("permitted;IP:10.0.0.0/255.0.0.0", Some(refusal)),
        ("excluded;IP:127.0.0.0/255.0.0.0", Some(refusal)),
        // Says nothing of addresses.
        ("permitted;DNS:near.test", None),
    ];
    for (limit, refused) in limits {
        let (Some(limited), Some(free)) = (Authority::limited_to(limit), Authority::new()) else { return };
        // The known authority has the limit itself, or gave it to a deputy.
        let deputy = free.deputy(limit);
        let mut chain = deputy.issue("server", "IP:127.0.0.1", 2);
        let both = [std::fs::read(&chain.0).unwrap(), std::fs::read(deputy.pem()).unwrap()].concat();
        chain.0 = deputy.dir.path().join("chain.pem");
        std::fs::write(&chain.0, both).unwrap();
        for (known, certificate) in [(&limited, limited.issue("server", "IP:127.0.0.1", 2)), (&free, chain)] {
            let door = Door::open("127.0.0.1:0", behind.address, &certificate, None).await;
            let host = door.address.to_string();
            match (knowing(known).ping(&host).await, refused) {
                (Ok(()), None) => {}
                (Err(error), Some(what)) => told(&error, &host, what),
                (result, _) => panic!("{limit}: {result:?}"),
            }
        }
    }
}

#[test]
fn r102_names_are_held_to_the_limits_of_an_authority() {
    in_own_network("certificates::named_child", &[], "127.0.0.1 localhost reg.near.test reg.far.test\n");
}

#[tokio::test]
#[ignore = "run by r102_names_are_held_to_the_limits_of_an_authority"]
async fn named_child() {
    let Some(authority) = Authority::limited_to("permitted;DNS:near.test") else { return };
    let behind = Fake::start(|_, _| None).await;
    let table = [
        ("reg.near.test", "DNS:reg.near.test", None),
        ("reg.near.test", "DNS:*.near.test", None),
        ("reg.far.test", "DNS:reg.far.test", Some("may not vouch")),
        // One name beyond the limit spoils the others.
        ("reg.near.test", "DNS:reg.near.test,DNS:reg.far.test", Some("may not vouch")),
        ("reg.near.test", "DNS:*.reg.near.test", Some("not for that name, but for *.reg.near.test")),
    ];
    for (name, names, refused) in table {
        let certificate = authority.issue("server", names, 2);
        let door = Door::open("127.0.0.1:0", behind.address, &certificate, None).await;
        let host = format!("{name}:{}", door.address.port());
        match (knowing(&authority).ping(&host).await, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(what)) => told(&error, &host, what),
            (result, _) => panic!("{name} as {names}: {result:?}"),
        }
    }
}

/// The ways that lead from a registry to another host.
#[derive(Debug, Clone, Copy)]
enum Way {
    Redirect,
    Token,
    Upload,
}

#[tokio::test]
async fn r102_an_exception_is_for_one_host_and_not_for_where_it_leads() {
    let Some(stranger) = Authority::new() else { return };
    let certificate = stranger.issue("unknown", "IP:127.0.0.1", 2);
    let blob = noise(100);
    for way in [Way::Redirect, Way::Token, Way::Upload] {
        let behind = Fake::start(|r, _| {
            r.path.starts_with("/token").then(|| Reply::new(200).body(r#"{"token":"t"}"#))
        })
        .await;
        behind.content().add(&blob);
        let other = Door::open("127.0.0.1:0", behind.address, &certificate, None).await;
        let there = other.address;
        let first = Fake::start(move |r, _| match way {
            Way::Redirect => Some(Reply::new(307).header("location", format!("https://{there}{}", r.path))),
            Way::Token if r.header("authorization").is_none() => {
                let ask = format!(r#"Bearer realm="https://{there}/token",service="s""#);
                Some(Reply::new(401).header("www-authenticate", ask))
            }
            Way::Upload if r.method == "POST" => {
                Some(Reply::new(202).header("location", format!("https://{there}/v2/x/blobs/uploads/1")))
            }
            _ => None,
        })
        .await;
        let door = Door::open("127.0.0.1:0", first.address, &certificate, None).await;
        let (host, there) = (door.address.to_string(), there.to_string());
        let name = reference(&host, "x:1");
        let run = async |client: Client| match way {
            Way::Redirect => client.pull_bytes(&name, &layer(&blob)).await.map(drop),
            Way::Token => client.resolve(&name).await.map(drop),
            Way::Upload => {
                let source = bytes::Bytes::from(blob.clone());
                client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.map(drop)
            }
        };
        told(&run(builder().build()).await.unwrap_err(), &host, "not known");
        assert!(first.log().is_empty());
        let error = run(builder().skip_verify(host.clone()).build()).await.unwrap_err();
        told(&error, &there, "not known");
        assert!(!first.log().is_empty() && behind.log().is_empty(), "{way:?}");
        // The other host needs an exception of its own.
        let both = builder().skip_verify(host.clone()).skip_verify(there.clone()).build();
        if let Err(error) = run(both).await {
            assert!(!matches!(error, Error::Certificate { .. } | Error::Network { .. }), "{way:?}: {error}");
        }
        assert!(!behind.log().is_empty(), "{way:?}");
    }
}

#[tokio::test]
async fn r102_an_exception_for_a_registry_is_none_for_its_mirror() {
    let Some(stranger) = Authority::new() else { return };
    let certificate = stranger.issue("unknown", "IP:127.0.0.1", 2);
    let (upstream, mirror) = (Fake::start(|_, _| None).await, Fake::start(|_, _| None).await);
    let doors = [
        Door::open("127.0.0.1:0", upstream.address, &certificate, None).await,
        Door::open("127.0.0.1:0", mirror.address, &certificate, None).await,
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registries.conf");
    let hosts = || {
        let [up, near] = &doors;
        let text = format!(
            "[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\n",
            up.address, near.address
        );
        std::fs::write(&file, text).unwrap();
        let files = HostFiles { registries: vec![file.clone()], ..HostFiles::default() };
        Hosts::new(files)
    };
    let name = reference(doors[0].address, "x:1");
    for (n, other) in [(0, &mirror), (1, &upstream)] {
        let client = builder().hosts(hosts()).skip_verify(doors[n].address.to_string()).build();
        client.resolve(&name).await.unwrap_err();
        let asked = [&upstream, &mirror][n].log().len();
        assert!(asked > 0 && other.log().is_empty(), "{n}");
        for fake in [&upstream, &mirror] {
            fake.forget();
        }
    }
}
