//! Downloads that are no registry's: the same rules for where they lead.

use std::time::Duration;

use cooper_registry_client::{NetworkPolicy, Web};
use url::Url;

use crate::common::fake::{Fake, Reply};
use crate::common::in_own_network;

#[test]
fn r108_downloads_lead_to_no_inner_address() {
    let hosts = "11.22.33.44 files.test\n10.9.8.7 inner.test\n169.254.169.254 meta.test\n127.0.0.1 local.test localhost\n\
                 10.9.8.8 office.test\n11.22.33.44 both.test\n10.9.8.7 both.test\n";
    in_own_network(
        "web::downloads_child",
        &["11.22.33.44", "10.9.8.7", "10.9.8.8", "169.254.169.254"],
        hosts,
    );
}

/// Goes from one address to another, as a redirect would lead; why it does not.
async fn travel(policy: NetworkPolicy, from: &str, to: Option<&str>) -> Result<(), String> {
    let web = Web::new("test", Duration::from_secs(10), policy);
    let urls: Vec<Url> = [Some(from), to].into_iter().flatten().map(|u| u.parse().unwrap()).collect();
    let mut journey = web.begin(&urls[0]);
    for url in urls {
        let client = web.client(&journey, &url)?;
        let response = client.get(url).send().await;
        let response = response.map_err(|e| web.refusal(&e).unwrap_or_else(|| format!("{e:?}")))?;
        assert_eq!(response.status(), 200);
        web.met(&mut journey, &response);
    }
    Ok(())
}

#[tokio::test]
#[ignore = "run by r108_downloads_lead_to_no_inner_address"]
async fn downloads_child() {
    let fake = Fake::start_at("[::]:0", |_, _| Some(Reply::new(200)), |_, _| None).await;
    let port = fake.address.port();
    let at = |host: &str| format!("http://{host}:{port}/");
    let (usual, public) = (NetworkPolicy::Usual, NetworkPolicy::Public);
    // Each with what each policy makes of it: at the beginning, behind files.test, behind office.test.
    let table = [
        ("11.22.33.44", [(true, true), (true, true), (true, true)]),
        ("both.test", [(true, true), (true, true), (true, true)]),
        ("10.9.8.7", [(true, false), (true, false), (true, false)]),
        ("inner.test", [(true, false), (true, false), (true, false)]),
        ("local.test", [(true, false), (false, false), (false, false)]),
        ("127.0.0.1", [(true, false), (false, false), (false, false)]),
        ("localhost", [(true, false), (false, false), (false, false)]),
        ("[::1]", [(true, false), (false, false), (false, false)]),
        ("[::ffff:127.0.0.1]", [(true, false), (false, false), (false, false)]),
        ("meta.test", [(true, false), (false, false), (false, false)]),
        ("169.254.169.254", [(true, false), (false, false), (false, false)]),
    ];
    for (host, [first, from_files, from_office]) in table {
        for (policy, wanted) in [(usual, first.0), (public, first.1)] {
            fake.forget();
            let result = travel(policy, &at(host), None).await;
            assert_eq!(result.is_ok(), wanted, "{host} {policy:?}: {result:?}");
            assert_eq!(fake.log().len(), usize::from(wanted), "{host}: nothing is connected to");
            let web = Web::new("test", Duration::from_secs(10), policy);
            let judged = web.judge(host).await;
            // Who connects by himself may choose any of a name's addresses.
            assert_eq!(
                judged.is_ok(),
                wanted && (host != "both.test" || policy == usual),
                "{host}: {judged:?}"
            );
        }
        for (start, (of_usual, of_public)) in [("files.test", from_files), ("office.test", from_office)] {
            for (policy, wanted) in [(usual, of_usual), (public, of_public)] {
                if start == "office.test" && policy == public {
                    continue;
                }
                fake.forget();
                let result = travel(policy, &at(start), Some(&at(host))).await;
                assert_eq!(result.is_ok(), wanted, "{start} to {host} {policy:?}: {result:?}");
                assert_eq!(fake.log().len(), 1 + usize::from(wanted), "{start} to {host}");
                if let Err(why) = result {
                    assert!(why.contains("the network policy lets no download go"), "{why}");
                }
            }
        }
    }
    // From this machine to this machine.
    travel(usual, &at("127.0.0.1"), Some(&at("local.test"))).await.unwrap();
    assert!(travel(usual, &at("127.0.0.1"), Some(&at("meta.test"))).await.is_err());
    // What cannot be looked up leads nowhere.
    Web::new("test", Duration::from_secs(10), public).judge("nowhere.test").await.unwrap();
}
