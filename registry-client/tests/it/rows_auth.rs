//! The rest of R-001 to R-020: each row that has no test among those of `auth` and `credentials`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cooper_registry_client::{Credential, ErrorKind, PushOptions, Pushed, Secret};

use crate::common::fake::{Fake, Reply, Request, manifest as served, usual};
use crate::common::{builder, layer, manifest, noise, reference};

fn sample() -> Vec<u8> {
    manifest(&layer(b"config"), &layer(b"layer"))
}

fn basic() -> Credential {
    Credential::Basic { username: "ann".into(), password: Secret::new("hunter2") }
}

fn bearer(request: &Request, scope: &str) -> Reply {
    let host = request.header("host").unwrap();
    Reply::new(401).header(
        "www-authenticate",
        format!(r#"Bearer realm="http://{host}/token",service="s",scope="{scope}""#),
    )
}

#[tokio::test]
async fn r001_the_root_need_not_answer() {
    for status in [403, 404, 500] {
        let fake = Fake::start(move |r, _| (r.path == "/v2/").then(|| Reply::new(status))).await;
        fake.content().manifests.insert("1".into(), served(&sample()));
        builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap();
        assert!(fake.requests("GET", "/v2/").iter().all(|r| r.path != "/v2/"));
    }
}

#[tokio::test]
async fn r001_r016_a_401_without_a_challenge_asks_the_root_once() {
    // As with GAR: only the root of the API says how to log in.
    let fake = Fake::start(|r, _| {
        if r.path == "/token" {
            return Some(Reply::new(200).body(r#"{"token":"t"}"#));
        }
        if r.path == "/v2/" {
            return Some(bearer(r, ""));
        }
        r.header("authorization").is_none().then(|| Reply::new(401))
    })
    .await;
    for tag in ["1", "2"] {
        fake.content().manifests.insert(tag.into(), served(&sample()));
    }
    let client = builder().build();
    client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    client.resolve(&reference(fake.address, "x:2")).await.unwrap();
    assert_eq!(fake.log().iter().filter(|r| r.path == "/v2/").count(), 1);
    assert_eq!(fake.requests("GET", "/token")[0].queries("scope"), ["repository:x:pull"]);
}

#[tokio::test]
async fn r016_a_password_is_tried_once_where_nothing_says_how() {
    let fake = Fake::start(|r, _| {
        (r.header("authorization") != Some("Basic YW5uOmh1bnRlcjI=")).then(|| Reply::new(401))
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let name = reference(fake.address, "x:1");
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    client.resolve(&name).await.unwrap();
    let error = builder().build().resolve(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
}

#[tokio::test]
async fn r002_r003_challenges_in_all_shapes_and_bearer_before_basic() {
    let shapes = [
        r#"Bearer realm="{}/token""#,
        r"bearer realm={}/token",
        r#"Negotiate, Basic realm="x", BEARER Realm = "{}/token" , service="a\"b,c""#,
        r#"Basic realm="x", Bearer realm="{}/token", error="insufficient_scope""#,
        r#"Bearer realm="{}/token",scope="repository:x:pull,push registry:catalog:*""#,
    ];
    for shape in shapes {
        let fake = Fake::start(move |r, _| {
            let home = format!("http://{}", r.header("host").unwrap());
            if r.path == "/token" {
                return Some(Reply::new(200).body(r#"{"token":"t"}"#));
            }
            let ask = Reply::new(401).header("www-authenticate", shape.replace("{}", &home));
            (r.header("authorization") != Some("Bearer t")).then_some(ask)
        })
        .await;
        fake.content().manifests.insert("1".into(), served(&sample()));
        let client = builder().credential(&fake.address.to_string(), basic()).build();
        client.resolve(&reference(fake.address, "x:1")).await.expect(shape);
    }
    for shape in ["Digest realm=x", "Bearer", r#"Bearer realm="""#, "Bearer realm=\"file:///etc/passwd\""] {
        let fake = Fake::start(move |_, _| Some(Reply::new(401).header("www-authenticate", shape))).await;
        let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth, "{shape}");
    }
    // Two headers.
    let fake = Fake::start(|r, _| {
        let host = r.header("host").unwrap();
        if r.path == "/token" {
            return Some(Reply::new(200).body(r#"{"token":"t"}"#));
        }
        let ask = Reply::new(401)
            .header("www-authenticate", "Basic realm=x")
            .header("www-authenticate", format!("Bearer realm=\"http://{host}/token\""));
        r.header("authorization").is_none().then_some(ask)
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap();
}

#[tokio::test]
async fn r004_a_stored_credential_that_is_refused_is_told_even_for_a_public_image() {
    let fake = Fake::start(|r, _| {
        if r.path == "/token" {
            let stale = r.header("authorization").is_some();
            return Some(if stale { Reply::new(401) } else { Reply::new(200).body(r#"{"token":"t"}"#) });
        }
        r.header("authorization").is_none().then(|| bearer(r, "repository:x:pull"))
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let name = reference(fake.address, "x:1");
    builder().build().resolve(&name).await.unwrap();
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    let error = client.resolve(&name).await.unwrap_err();
    assert!(error.to_string().contains("refused the stored credentials"), "{error}");
}

#[tokio::test]
async fn r005_r006_a_mount_asks_for_both_and_does_without() {
    // The service gives no token that is good for two repositories.
    let fake = Fake::start(|r, c| {
        if r.path == "/token" {
            let scopes = r.queries("scope");
            return Some(if scopes.len() > 1 {
                Reply::new(403)
            } else {
                Reply::new(200).body(r#"{"token":"one"}"#)
            });
        }
        let mount = !r.queries("mount").is_empty();
        if r.header("authorization").is_none() || mount {
            return Some(bearer(r, "repository:app:pull,push"));
        }
        Some(usual(c, r))
    })
    .await;
    let blob = noise(1000);
    let options = PushOptions { mount_from: vec!["base".into()], ..PushOptions::default() };
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    let name = reference(fake.address, "app:1");
    let pushed = client.push_blob(&name, &layer(&blob), &Bytes::from(blob.clone()), &options).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    let asked: Vec<_> = fake.requests("GET", "/token").iter().map(|r| r.queries("scope")).collect();
    assert!(
        asked.contains(&vec!["repository:app:pull,push".into(), "repository:base:pull".into()]),
        "{asked:?}"
    );
}

#[tokio::test]
async fn r006_a_token_that_is_good_for_the_target_only_leads_to_an_upload() {
    // The service honours the first scope, and says nothing of the other.
    for status in [401, 403] {
        let fake = Fake::start(move |r, _| {
            if r.path == "/token" {
                return Some(Reply::new(200).body(r#"{"token":"t"}"#));
            }
            let ask = bearer(r, "repository:app:pull,push");
            match r.header("authorization") {
                None => Some(ask),
                Some(_) if r.queries("mount").is_empty() => None,
                Some(_) => Some(if status == 401 { ask } else { Reply::new(403) }),
            }
        })
        .await;
        let blob = noise(1000);
        let options = PushOptions { mount_from: vec!["base".into()], ..PushOptions::default() };
        let client = builder().credential(&fake.address.to_string(), basic()).build();
        let (name, source) = (reference(fake.address, "app:1"), Bytes::from(blob.clone()));
        assert_eq!(
            client.push_blob(&name, &layer(&blob), &source, &options).await.unwrap(),
            Pushed::Uploaded
        );
        let mounts = fake.log().iter().filter(|r| !r.queries("mount").is_empty()).count();
        assert!(mounts <= 2, "{status}: {mounts}");
        assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    }
}

#[tokio::test]
async fn r008_token_answers_of_all_kinds() {
    let table = [
        (r#"{"token":"a"}"#, true),
        (r#"{"access_token":"a"}"#, true),
        (r#"{"token":"a","access_token":"b","expires_in":"300","issued_at":"yesterday"}"#, true),
        (r#"{"token":"a","expires_in":0}"#, true),
        (r#"{"token":"a","expires_in":60,"issued_at":"2999-01-01T00:00:00Z"}"#, true),
        (r#"{"token":"a","expires_in":60,"issued_at":7}"#, true),
        (r#"{"token":"a","expires_in":-1}"#, true),
        (r#"{"token":"a","expires_in":1000000000000000000}"#, true),
        (r#"{"token":"a b"}"#, false),
        (r#"{"token":"a\r\nx-evil: 1"}"#, false),
        (r#"{"token":"é"}"#, false),
        (r#"{"token":""}"#, false),
        ("{}", false),
        ("not json", false),
    ];
    for (answer, good) in table {
        let fake = Fake::start(move |r, _| {
            if r.path == "/token" {
                return Some(Reply::new(200).body(answer));
            }
            r.header("authorization").is_none().then(|| bearer(r, "repository:x:pull"))
        })
        .await;
        fake.content().manifests.insert("1".into(), served(&sample()));
        let result = builder().build().resolve(&reference(fake.address, "x:1")).await;
        assert_eq!(result.is_ok(), good, "{answer}");
        assert!(fake.log().iter().all(|r| r.header("x-evil").is_none()));
    }
}

#[tokio::test]
async fn r015_a_registry_token_is_used_as_it_is() {
    for good in [true, false] {
        let fake = Fake::start(move |r, _| {
            let right = r.header("authorization") == Some("Bearer as-it-is");
            (!good || !right).then(|| bearer(r, "repository:x:pull"))
        })
        .await;
        fake.content().manifests.insert("1".into(), served(&sample()));
        let token = Credential::RegistryToken(Secret::new("as-it-is"));
        let client = builder().credential(&fake.address.to_string(), token).build();
        let result = client.resolve(&reference(fake.address, "x:1")).await;
        assert_eq!(result.is_ok(), good);
        assert!(fake.requests("", "/token").is_empty(), "it is never traded");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Auth);
        }
    }
}

#[tokio::test]
async fn r018_credentials_do_not_cross_a_network_in_clear() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let fake = Fake::start(move |r, _| {
        if r.header("authorization").is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        Some(Reply::new(401).header("www-authenticate", "Basic realm=x"))
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    // This machine, by a name that is not a loopback address.
    let host = format!("0.0.0.0:{}", fake.address.port());
    let name = reference(&host, "x:1");
    let client = || builder().insecure(host.clone()).credential(&host, basic());
    let error = client().build().resolve(&name).await.unwrap_err();
    assert!(error.to_string().contains("plain http"), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    client().allow_plaintext_credentials(true).build().resolve(&name).await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn r007_a_token_for_less_than_was_asked_is_renewed_once() {
    // Tokens are good for pulling only.
    let fake = Fake::start(|r, c| {
        if r.path == "/token" {
            return Some(Reply::new(200).body(format!(r#"{{"token":"t{}"}}"#, c.nth(r))));
        }
        let host = r.header("host").unwrap();
        let insufficient = format!(
            r#"Bearer realm="http://{host}/token",scope="repository:x:pull,push",error="insufficient_scope""#
        );
        let refused = Reply::new(401).header("www-authenticate", insufficient);
        match (r.method.as_str(), r.header("authorization")) {
            ("HEAD" | "GET", Some(_)) => None,
            _ => {
                Some(refused.body(r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#))
            }
        }
    })
    .await;
    let blob = noise(1000);
    let name = reference(fake.address, "x:1");
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    let source = Bytes::from(blob.clone());
    let error = client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("requested access is denied"), "{error}");
    assert!(error.to_string().ends_with("; it needs repository:x:pull,push"), "{error}");
    assert_eq!(fake.requests("GET", "/token").len(), 2, "one, and one more for the refusal");
    assert_eq!(fake.requests("POST", "/uploads/").len(), 2);
    assert!(fake.requests("PUT", "").is_empty() && fake.requests("PATCH", "").is_empty());
}

#[tokio::test]
async fn r009_a_token_is_renewed_before_it_ends() {
    // It is at its end when it comes: each request gets a new one, and none is refused first.
    let fake = Fake::start(|r, c| {
        if r.path == "/token" {
            let body = format!(r#"{{"token":"t{}","expires_in":0.000000001}}"#, c.nth(r));
            return Some(Reply::new(200).body(body));
        }
        r.header("authorization").is_none().then(|| bearer(r, "repository:x:pull"))
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let client = builder().build();
    for _ in 0..3 {
        client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    }
    let sent: Vec<_> = fake
        .requests("GET", "/v2/")
        .iter()
        .map(|r| r.header("authorization").unwrap_or("none").to_owned())
        .collect();
    assert_eq!(sent, ["none", "Bearer t1", "Bearer t2", "Bearer t3"]);
}

#[tokio::test]
async fn r009_many_refusals_of_one_token_make_one_request() {
    let fake = Fake::start(|r, c| {
        if r.path == "/token" {
            return Some(Reply::new(200).body(format!(r#"{{"token":"t{}","expires_in":300}}"#, c.nth(r))));
        }
        // The first ends long before it should.
        let good = match r.header("authorization") {
            Some("Bearer t1") => r.path.contains("/manifests/"),
            Some(_) => true,
            None => false,
        };
        (!good).then(|| bearer(r, "repository:x:pull"))
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let blobs: Vec<Vec<u8>> = (0..32u8).map(|n| vec![n; 1000]).collect();
    for blob in &blobs {
        fake.content().add(blob);
    }
    let (client, name) = (builder().build(), reference(fake.address, "x:1"));
    client.resolve(&name).await.unwrap();
    let pulls = blobs.iter().map(|blob| {
        let (client, name, blob) = (&client, &name, layer(blob));
        async move { client.pull_bytes(name, &blob).await.unwrap() }
    });
    futures_util::future::join_all(pulls).await;
    assert_eq!(fake.requests("GET", "/token").len(), 2, "the first, and one in its place");
}

#[tokio::test]
async fn r005_r012_a_form_joins_scopes_and_gives_way_to_the_older_request() {
    for refusal in [400, 401, 404, 405] {
        let fake = Fake::start(move |r, _| {
            if r.is("POST", "/token") {
                return Some(Reply::new(refusal).body(r#"{"error":"unsupported"}"#));
            }
            if r.path == "/token" {
                // The refresh token serves as a password.
                let good = r.header("authorization") == Some("Basic YW5uOnJlZnJlc2g=");
                return Some(if good { Reply::new(200).body(r#"{"token":"t"}"#) } else { Reply::new(401) });
            }
            r.header("authorization").is_none().then(|| bearer(r, "repository:app:pull"))
        })
        .await;
        let blob = noise(1000);
        let credential =
            Credential::IdentityToken { username: Some("ann".into()), token: Secret::new("refresh") };
        let client = builder().credential(&fake.address.to_string(), credential).build();
        let options = PushOptions { mount_from: vec!["base".into()], ..PushOptions::default() };
        let (name, source) = (reference(fake.address, "app:1"), Bytes::from(blob.clone()));
        client.push_blob(&name, &layer(&blob), &source, &options).await.expect("the older request serves");
        let forms: Vec<_> = fake
            .requests("POST", "/token")
            .iter()
            .map(|r| String::from_utf8(r.body.clone()).unwrap())
            .collect();
        let both = "scope=repository%3Aapp%3Apull%2Cpush+repository%3Abase%3Apull&";
        assert!(forms.iter().any(|form| form.contains(both)), "{forms:?}");
        assert!(fake.requests("", "/v2/").iter().all(|r| !format!("{r:?}").contains("refresh")), "{refusal}");
    }
}

#[tokio::test]
async fn r016_a_403_may_mean_that_we_should_say_who_we_are() {
    let fake = Fake::start(|r, _| {
        (r.header("authorization") != Some("Basic YW5uOmh1bnRlcjI=")).then(|| Reply::new(403).body("log in"))
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let name = reference(fake.address, "x:1");
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    client.resolve(&name).await.unwrap();
    assert_eq!(fake.log().iter().filter(|r| r.path.contains("/manifests/")).count(), 2);
    // Without credentials there is nothing to try, with wrong ones it is tried once.
    let before = fake.log().len();
    let error = builder().build().resolve(&name).await.unwrap_err();
    assert_eq!((error.kind(), fake.log().len() - before), (ErrorKind::Denied, 1));
    let wrong = Credential::Basic { username: "bob".into(), password: Secret::new("x") };
    let client = builder().credential(&fake.address.to_string(), wrong).build();
    let error = client.resolve(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let tried = fake.log().iter().filter(|r| r.header("authorization") == Some("Basic Ym9iOng=")).count();
    assert_eq!(tried, 1);
}
