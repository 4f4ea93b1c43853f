//! Challenges and tokens against a scripted registry with its token service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cooper_registry_client::{Credential, Error, ErrorKind, PushOptions, RetryPolicy, Secret};

use crate::common::fake::{Content, Fake, Reply, Request, usual};
use crate::common::{builder, layer, manifest, noise, reference};

/// Guards a registry with tokens of the form `t<n>:<scopes>`, good for `good` of the registry's
/// requests each, and its own token service under `/token`.
fn guarded(
    request: &Request,
    content: &mut Content,
    tokens: &AtomicUsize,
    good: impl Fn(&str) -> bool,
) -> Option<Reply> {
    if request.path == "/token" {
        let n = tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let scopes = request.queries("scope").join("+");
        return Some(Reply::new(200).body(format!(r#"{{"token":"t{n}:{scopes}","expires_in":300}}"#)));
    }
    let token = request.header("authorization").and_then(|a| a.strip_prefix("Bearer ")).unwrap_or_default();
    if good(token) {
        return Some(usual(content, request));
    }
    Some(challenge(request, "pull"))
}

fn challenge(request: &Request, actions: &str) -> Reply {
    let repository = request.path.trim_start_matches("/v2/").split('/').next().unwrap();
    let host = request.header("host").unwrap();
    Reply::new(401)
        .header(
            "www-authenticate",
            format!(r#"Bearer realm="http://{host}/token",service="svc",scope="repository:{repository}:{actions}""#),
        )
        .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
}

fn basic() -> Credential {
    Credential::Basic { username: "ann".into(), password: Secret::new("hunter2") }
}

/// `ann:hunter2`
const BASIC: &str = "Basic YW5uOmh1bnRlcjI=";

#[tokio::test]
async fn r009_an_anonymous_pull_gets_one_token_for_all_blobs() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let count = tokens.clone();
    let fake = Fake::start(move |r, c| guarded(r, c, &count, |t| t.starts_with('t'))).await;
    let blobs: Vec<Vec<u8>> = (0..32u8).map(|n| vec![n; 1000]).collect();
    for blob in &blobs {
        fake.content().add(blob);
    }
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    let pulls = blobs.iter().map(|bytes| {
        let (client, image) = (client.clone(), image.clone());
        async move { client.pull_bytes(&image, &layer(bytes)).await.unwrap() }
    });
    futures_util::future::join_all(pulls).await;
    assert_eq!(tokens.load(Ordering::SeqCst), 1);
    let asked = &fake.requests("GET", "/token")[0];
    assert_eq!(asked.queries("service"), ["svc"]);
    assert_eq!(asked.queries("scope"), ["repository:x:pull"]);
    assert!(asked.header("authorization").is_none());
}

#[tokio::test]
async fn r005_a_password_goes_to_the_token_service_and_not_to_the_registry() {
    let tokens = AtomicUsize::new(0);
    let fake = Fake::start(move |r, c| guarded(r, c, &tokens, |t| t.contains("push"))).await;
    let blob = noise(5000);
    let image = reference(fake.address, "x:1");
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    client
        .push_blob(&image, &layer(&blob), &bytes::Bytes::from(blob.clone()), &PushOptions::default())
        .await
        .unwrap();
    let asked = fake.requests("GET", "/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), Some(BASIC));
    assert_eq!(asked[0].queries("scope"), ["repository:x:pull,push"]);
    assert_eq!(asked[0].queries("account"), ["ann"]);
    for request in fake.requests("", "/v2/") {
        assert!(!request.header("authorization").unwrap_or_default().starts_with("Basic"));
    }
}

#[tokio::test]
async fn r007_a_refused_token_is_renewed_once_and_then_it_is_denied() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let count = tokens.clone();
    let fake = Fake::start(move |r, c| guarded(r, c, &count, |_| false)).await;
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    let error = client.resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("UNAUTHORIZED (authentication required)"), "{error}");
    assert_eq!(tokens.load(Ordering::SeqCst), 2);
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.to_string().contains("not found, or not open without credentials"), "{error}");
}

#[tokio::test]
async fn r009_a_token_that_expires_is_replaced_between_requests() {
    // The service says 300 s, the registry takes each token twice.
    let (tokens, uses) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let fake = Fake::start(move |r, c| {
        guarded(r, c, &tokens, |token| {
            let current = token.starts_with(&format!("t{}:", uses.load(Ordering::SeqCst) / 2 + 1));
            if current {
                uses.fetch_add(1, Ordering::SeqCst);
            }
            current
        })
    })
    .await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    for n in 0..6u8 {
        let blob = vec![n; 10];
        fake.content().add(&blob);
        client.pull_bytes(&image, &layer(&blob)).await.unwrap();
    }
    assert_eq!(fake.requests("GET", "/token").len(), 3);
}

#[tokio::test]
async fn r012_an_identity_token_is_traded_by_post_and_never_shown_to_the_registry() {
    for post_works in [true, false] {
        let tokens = AtomicUsize::new(0);
        let fake = Fake::start(move |r, c| {
            if r.is("POST", "/token") && !post_works {
                return Some(Reply::new(404));
            }
            guarded(r, c, &tokens, |t| t.starts_with('t'))
        })
        .await;
        fake.content().manifests.insert("1".into(), crate::common::fake::manifest(&sample()));
        let credential =
            Credential::IdentityToken { username: Some("ann".into()), token: Secret::new("re fresh") };
        let client = builder().credential(&fake.address.to_string(), credential).build();
        client.resolve(&reference(fake.address, "x:1")).await.unwrap();
        let post = &fake.requests("POST", "/token")[0];
        let form = String::from_utf8(post.body.clone()).unwrap();
        assert!(form.contains("grant_type=refresh_token"), "{form}");
        assert!(
            form.contains("refresh_token=re+fresh") && form.contains("scope=repository%3Ax%3Apull"),
            "{form}"
        );
        assert_eq!(fake.requests("GET", "/token").len(), usize::from(!post_works));
        assert!(fake.requests("", "/v2/").iter().all(|r| !format!("{r:?}").contains("fresh")));
    }
}

fn sample() -> Vec<u8> {
    manifest(&layer(b"config"), &layer(b"layer"))
}

#[tokio::test]
async fn r013_basic_is_sent_ahead_after_the_first_challenge() {
    let fake = Fake::start(|r, c| {
        if r.header("authorization") == Some(BASIC) {
            return Some(usual(c, r));
        }
        Some(Reply::new(401).header("www-authenticate", r#"Negotiate, Basic realm="x""#))
    })
    .await;
    fake.content().manifests.insert("1".into(), crate::common::fake::manifest(&sample()));
    let image = reference(fake.address, "x:1");
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    client.resolve(&image).await.unwrap();
    client.resolve(&image).await.unwrap();
    assert_eq!(fake.log().len(), 3);
    let error = builder().build().resolve(&image).await.unwrap_err();
    assert!(error.to_string().contains("no credentials"), "{error}");
    let wrong = Credential::Basic { username: "ann".into(), password: Secret::new("secret99") };
    let client = builder().credential(&fake.address.to_string(), wrong).build();
    let error = client.resolve(&image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(!format!("{error} {error:?}").contains("secret99"));
}

#[tokio::test]
async fn r014_a_foreign_token_service_gets_no_credentials() {
    let fake = Fake::start(|_, _| {
        let header = r#"Bearer realm="https://tokens.example.org/t?x=1",service="s""#;
        Some(Reply::new(401).header("www-authenticate", header))
    })
    .await;
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    let error = client.resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert!(
        matches!(&error, Error::UntrustedTokenService { realm, .. } if realm == "https://tokens.example.org/t"),
        "{error}"
    );
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn r019_a_token_service_that_fails_once_is_asked_again() {
    let tokens = AtomicUsize::new(0);
    let fake = Fake::start(move |r, c| {
        if r.path == "/token" && c.nth(r) == 1 {
            return Some(Reply::new(503));
        }
        guarded(r, c, &tokens, |t| t.starts_with('t'))
    })
    .await;
    fake.content().manifests.insert("1".into(), crate::common::fake::manifest(&sample()));
    builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap();
    assert_eq!(fake.requests("GET", "/token").len(), 2);
    // Nor is a failure that was told to somebody kept for the next.
    let tokens = AtomicUsize::new(0);
    let fake = Fake::start(move |r, c| {
        if r.path == "/token" && c.nth(r) == 1 {
            return Some(Reply::new(500));
        }
        guarded(r, c, &tokens, |t| t.starts_with('t'))
    })
    .await;
    fake.content().manifests.insert("1".into(), crate::common::fake::manifest(&sample()));
    let once = RetryPolicy { max_tries: 1, ..RetryPolicy::default() };
    let (client, name) = (builder().retry(once).build(), reference(fake.address, "x:1"));
    assert_eq!(client.resolve(&name).await.unwrap_err().kind(), ErrorKind::Network);
    client.resolve(&name).await.unwrap();
}

#[tokio::test]
async fn r004_a_token_service_that_refuses_is_named() {
    let fake = Fake::start(|r, _| {
        if r.path == "/token" {
            return Some(Reply::new(401).body(r#"{"details":"incorrect username or password"}"#));
        }
        Some(challenge(r, "pull"))
    })
    .await;
    let client = builder().credential(&fake.address.to_string(), basic()).build();
    let error = client.resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    let text = error.to_string();
    assert!(text.contains("incorrect username or password") && text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn r020_accounts_are_not_mixed() {
    let tokens = AtomicUsize::new(0);
    let fake = Fake::start(move |r, c| guarded(r, c, &tokens, |t| t.starts_with('t'))).await;
    for name in ["a", "b"] {
        fake.content().manifests.insert(name.into(), crate::common::fake::manifest(&sample()));
    }
    let host = fake.address.to_string();
    let other = Credential::Basic { username: "bob".into(), password: Secret::new("x") };
    let client = builder()
        .credential(&format!("{host}/one"), basic())
        .credential(&format!("{host}/two"), other)
        .build();
    for _ in 0..2 {
        client.resolve(&reference(&host, "one:a")).await.unwrap();
        client.resolve(&reference(&host, "two:b")).await.unwrap();
    }
    let accounts: Vec<_> =
        fake.requests("GET", "/token").iter().map(|r| r.queries("account").join("")).collect();
    assert_eq!(accounts, ["ann", "bob"], "one token each, whichever comes first");
    for (repository, token) in [("one", "Bearer t1:"), ("two", "Bearer t2:")] {
        let shown = fake.requests("GET", &format!("/v2/{repository}/"));
        let shown: Vec<_> = shown.iter().filter_map(|r| r.header("authorization")).collect();
        assert!(shown.len() == 2 && shown.iter().all(|t| t.starts_with(token)), "{shown:?}");
    }
    // A token for pushing is for pushing, and not for another repository.
    let blob = noise(10);
    let source = bytes::Bytes::from(blob.clone());
    let name = reference(&host, "one:a");
    client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
    client.resolve(&name).await.unwrap();
    client.resolve(&reference(&host, "two:b")).await.unwrap();
    assert_eq!(fake.requests("GET", "/token").len(), 3);
    let pulls = fake.requests("GET", "/manifests/");
    assert!(pulls.iter().filter_map(|r| r.header("authorization")).all(|t| !t.contains("push")));
}
