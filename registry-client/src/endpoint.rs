//! A registry's address.
//!
//! Owns the way from the name that users write to the origin that is talked to: Docker Hub's API lives
//! on another host, loopback and listed hosts speak plain HTTP, all others TLS.

use url::Url;

use crate::auth::is_loopback;
use crate::error::{Error, Result, Target};

/// Where a registry's API is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Name as users write it, the key of its credentials.
    pub(crate) registry: String,
    /// `https://host[:port]/`.
    pub(crate) base: Url,
}

impl Endpoint {
    pub(crate) fn new(registry: &str, insecure: &[String]) -> Result<Self> {
        let target = Target { registry: registry.to_owned(), ..Target::default() };
        let wrong = |what: &str| Error::protocol(&target, what);
        if registry.is_empty() || registry.contains(['/', '@', '?', '#', '\\']) {
            return Err(wrong("not the name of a registry"));
        }
        let host = match registry {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        };
        let mut base =
            Url::parse(&format!("https://{host}/")).map_err(|_| wrong("not the name of a registry"))?;
        let plain = base.host().is_some_and(|h| is_loopback(&h)) || insecure.iter().any(|i| i == registry);
        if plain {
            base = Url::parse(&format!("http://{host}/")).map_err(|_| wrong("not the name of a registry"))?;
        }
        Ok(Self { registry: registry.to_owned(), base })
    }

    /// A stable text for maps by origin.
    pub(crate) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// `/v2/<path>`; the path is made of validated names and digests.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{path}"));
        url
    }

    /// Whether credentials would cross a network in clear.
    pub(crate) fn exposes_credentials(&self) -> bool {
        self.base.scheme() == "http" && !self.base.host().is_some_and(|h| is_loopback(&h))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Endpoint;

    #[test]
    fn names_become_addresses() {
        let table = [
            ("docker.io", "https://registry-1.docker.io/"),
            ("quay.io", "https://quay.io/"),
            ("reg.test:5000", "https://reg.test:5000/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("127.8.0.1:5000", "http://127.8.0.1:5000/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("listed.test", "http://listed.test/"),
            ("x.localhost", "https://x.localhost/"),
            ("localhost.test", "https://localhost.test/"),
        ];
        for (name, want) in table {
            assert_eq!(Endpoint::new(name, &["listed.test".into()]).unwrap().base.as_str(), want);
        }
        for bad in ["", "a/b", "user@host", "a?b"] {
            assert!(Endpoint::new(bad, &[]).is_err(), "{bad}");
        }
        let url = Endpoint::new("quay.io", &[]).unwrap().url("a/b/tags/list");
        assert_eq!(url.as_str(), "https://quay.io/v2/a/b/tags/list");
    }
}
