//! The address of one place that is asked for a repository.
//!
//! Owns the way from the name that users write to the origin that is talked to: Docker Hub's API lives
//! on another host, loopback and listed hosts may speak plain HTTP, all others TLS.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use crate::auth::is_loopback;
use crate::error::{Error, Result, Target};
use crate::hosts::Place;

/// Where a registry's API is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Name as users write it, the key of its credentials.
    pub(crate) registry: String,
    /// The repository's name there.
    pub(crate) repository: String,
    /// `https://host[:port]/`.
    pub(crate) base: Url,
    /// Path of the API, `/v2/` nearly always.
    api_path: String,
    /// The registry that a mirror stands for, if it is told.
    namespace: Option<String>,
    /// What the settings of the host add to each request.
    pub(crate) headers: HeaderMap,
    /// Whether it stands in for the registry that was named.
    pub(crate) mirror: bool,
    /// Whether what is sent stays on this machine.
    local: bool,
}

/// Sent to mirrors beside `?ns=`.
const NAMESPACE_HEADER: HeaderName = HeaderName::from_static("oci-namespace");

impl Endpoint {
    /// The endpoint of a place that speaks plain HTTP or TLS; `local` if it is reached by a socket file.
    pub(crate) fn new(place: &Place, plain: bool, local: bool) -> Result<Self> {
        let target = Target { registry: place.host.clone(), ..Target::default() };
        let wrong = |what: &str| Error::protocol(&target, what);
        let base = base_url(&place.host, plain).ok_or_else(|| wrong("not the name of a registry"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &place.headers {
            let name =
                HeaderName::try_from(name).map_err(|_| wrong("its settings have a bad header name"))?;
            let value =
                HeaderValue::try_from(value).map_err(|_| wrong("its settings have a bad header value"))?;
            headers.append(name, value);
        }
        if let Some(namespace) = &place.namespace {
            let value = HeaderValue::try_from(namespace).map_err(|_| wrong("not the name of a registry"))?;
            headers.insert(NAMESPACE_HEADER, value);
        }
        let local = local || base.host().is_some_and(|h| is_loopback(&h));
        Ok(Self {
            registry: place.host.clone(),
            repository: place.repository.clone(),
            base,
            api_path: place.api_path.clone().unwrap_or_else(|| "/v2/".to_owned()),
            namespace: place.namespace.clone(),
            headers,
            mirror: place.mirror,
            local,
        })
    }

    /// A stable text for maps by origin.
    pub(crate) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The address of something of the repository, such as `tags/list`.
    pub(crate) fn url(&self, path: &str) -> Url {
        self.api(&format!("{}/{path}", self.repository))
    }

    /// `/v2/<path>`; the path is made of validated names and digests.
    pub(crate) fn api(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.api_path));
        if let Some(namespace) = &self.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        url
    }

    /// Whether credentials would cross a network in clear.
    pub(crate) fn exposes_credentials(&self) -> bool {
        self.base.scheme() == "http" && !self.local
    }
}

/// `scheme://host[:port]/` of a registry's name.
pub(crate) fn base_url(registry: &str, plain: bool) -> Option<Url> {
    if registry.is_empty() || registry.contains(['/', '@', '?', '#', '\\', '%']) {
        return None;
    }
    let host = match registry {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        other => other,
    };
    Url::parse(&format!("{}://{host}/", if plain { "http" } else { "https" })).ok()
}

/// Whether a registry's name is a loopback address.
pub(crate) fn names_loopback(registry: &str) -> bool {
    base_url(registry, false).is_some_and(|url| url.host().is_some_and(|h: Host<&str>| is_loopback(&h)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn place(host: &str) -> Place {
        Place::new(host, "a/b")
    }

    #[test]
    fn names_become_addresses() {
        let table = [
            ("docker.io", "https://registry-1.docker.io/", false),
            ("quay.io", "https://quay.io/", false),
            ("reg.test:5000", "https://reg.test:5000/", false),
            ("localhost:5000", "https://localhost:5000/", true),
            ("127.8.0.1:5000", "https://127.8.0.1:5000/", true),
            ("[::1]:5000", "https://[::1]:5000/", true),
            ("x.localhost", "https://x.localhost/", false),
            ("localhost.test", "https://localhost.test/", false),
        ];
        for (name, want, loopback) in table {
            assert_eq!(base_url(name, false).unwrap().as_str(), want);
            assert_eq!(names_loopback(name), loopback, "{name}");
        }
        for bad in ["", "a/b", "user@host", "a?b", "[fe80::1%25eth0]:5000", "[fe80::1%eth0]"] {
            assert!(base_url(bad, false).is_none(), "{bad}");
        }
    }

    #[test]
    fn addresses_have_path_and_namespace_of_their_place() {
        let endpoint = Endpoint::new(&place("quay.io"), false, false).unwrap();
        assert_eq!(endpoint.url("tags/list").as_str(), "https://quay.io/v2/a/b/tags/list");
        let mirror = Place {
            api_path: Some("/hub/v2/".into()),
            namespace: Some("docker.io".into()),
            ..place("m.test")
        };
        let endpoint = Endpoint::new(&mirror, false, false).unwrap();
        assert_eq!(endpoint.url("tags/list").as_str(), "https://m.test/hub/v2/a/b/tags/list?ns=docker.io");
        assert_eq!(endpoint.headers["oci-namespace"], "docker.io");
        assert!(Endpoint::new(&place("m.test"), true, false).unwrap().exposes_credentials());
        assert!(!Endpoint::new(&place("m.test"), true, true).unwrap().exposes_credentials());
        assert!(!Endpoint::new(&place("localhost:1"), true, false).unwrap().exposes_credentials());
    }
}
