//! Which token services may see a registry's credentials.
//!
//! A challenge comes from whoever answers, so its realm is a request to send a password there. It is
//! followed with credentials only to the registry's own origin, to the same site over TLS, between
//! loopback addresses, or to a host that the caller listed. Without credentials any public TLS host
//! will do. Plain HTTP is never used where the registry itself has TLS.

use url::{Host, Url};

use crate::reach::Range;

/// Judges the realm of a challenge from `registry`; the error says which rule it breaks.
pub(super) fn judge(
    registry: &Url,
    realm: &str,
    with_credentials: bool,
    allowed: &[String],
) -> Result<Url, &'static str> {
    let named = of_unknown_scheme(registry, realm);
    let realm = Url::parse(named.as_deref().unwrap_or(realm)).map_err(|_| "not an absolute URL")?;
    let (Some(own), Some(other)) = (registry.host(), realm.host()) else {
        return Err("has no host");
    };
    if !matches!(realm.scheme(), "https" | "http") {
        return Err("neither https nor http");
    }
    if !realm.username().is_empty() || realm.password().is_some() {
        return Err("has a user name");
    }
    if realm.origin() == registry.origin() {
        return Ok(realm);
    }
    let both_loopback = is_loopback(&own) && is_loopback(&other);
    if both_loopback && (realm.scheme() == "https" || registry.scheme() == "http") {
        return Ok(realm);
    }
    if realm.scheme() != "https" {
        return Err("plain http");
    }
    if allowed.iter().any(|host| realm.host_str().is_some_and(|h| h.eq_ignore_ascii_case(host))) {
        return Ok(realm);
    }
    if same_site(&own, &other) {
        return Ok(realm);
    }
    if with_credentials {
        return Err("on another site than the registry, which must not get its credentials");
    }
    // A name is judged when its addresses are known.
    if Range::of_host(&other).is_some_and(|range| range != Range::Public) {
        return Err("on a private address");
    }
    Ok(realm)
}

/// An address beginning with `null://` from a registry that does not know how it was reached, as it is meant if it
/// names the registry itself.
pub(crate) fn of_unknown_scheme(registry: &Url, text: &str) -> Option<String> {
    let rest = text.strip_prefix("null://")?;
    let meant = format!("{}://{rest}", registry.scheme());
    Url::parse(&meant).is_ok_and(|url| url.origin() == registry.origin()).then_some(meant)
}

/// `localhost`, `127.0.0.0/8` or `::1`.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Suffixes under which each name belongs to somebody else, as far as registries live there.
const TENANT_SUFFIXES: &[&str] =
    &["azurecr.io", "amazonaws.com", "pkg.dev", "github.io", "jfrog.io", "cloudfront.net", "ocir.io"];

/// Whether two names lie in one registered domain. Without the public suffix list, so rather too
/// narrow: the common part must have two labels, three under names like `co.uk` and tenant suffixes.
fn same_site(a: &Host<&str>, b: &Host<&str>) -> bool {
    let (Host::Domain(a), Host::Domain(b)) = (a, b) else { return a == b };
    let common: Vec<&str> =
        a.rsplit('.').zip(b.rsplit('.')).take_while(|(x, y)| x == y).map(|(x, _)| x).collect();
    let suffix = common.iter().take(2).rev().copied().collect::<Vec<_>>().join(".");
    let shared_suffix = match common.get(..2) {
        Some([top, second]) => {
            top.len() == 2
                && matches!(*second, "co" | "com" | "net" | "org" | "gov" | "edu" | "ac" | "or" | "ne" | "go")
        }
        _ => return false,
    };
    let needed = if shared_suffix || TENANT_SUFFIXES.contains(&suffix.as_str()) { 3 } else { 2 };
    common.len() >= needed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn trusted(registry: &str, realm: &str, with_credentials: bool) -> bool {
        judge(&Url::parse(registry).unwrap(), realm, with_credentials, &["id.example.net".into()]).is_ok()
    }

    #[test]
    fn r014_credentials_go_only_to_the_same_site() {
        let table = [
            ("https://registry-1.docker.io", "https://auth.docker.io/token", true),
            ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", true),
            ("https://ghcr.io", "https://ghcr.io/token", true),
            ("https://reg.test:5000", "https://reg.test/token", true),
            ("https://reg.example.com", "https://id.example.net/token", true),
            ("https://reg.example.com", "https://evil.org/token", false),
            ("https://reg.example.com", "http://reg.example.com/token", false),
            ("https://reg.example.com", "http://auth.example.com/token", false),
            ("https://reg.example.com", "https://user@auth.example.com/token", false),
            ("https://reg.example.com", "file:///etc/passwd", false),
            ("https://reg.example.com", "//auth.example.com/token", false),
            ("https://reg.example.com", "", false),
            ("https://reg.example.com", "https://10.0.0.1/token", false),
            ("https://reg.example.com", "https://[fe80::1%25eth0]/token", false),
            ("https://example.co.uk", "https://evil.co.uk/token", false),
            ("https://reg.example.co.uk", "https://auth.example.co.uk/token", true),
            ("https://mine.azurecr.io", "https://evil.azurecr.io/token", false),
            ("https://reg.example.com", "https://reg.example.com.evil.org/token", false),
            ("https://10.0.0.1", "https://10.0.0.1:8443/token", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", true),
            ("http://localhost:5000", "http://127.0.0.1:5001/token", true),
            ("http://10.0.0.1:5000", "http://10.0.0.1:5001/token", false),
            ("http://localhost:5000", "https://evil.org/token", false),
            ("https://reg.test:5000", "null://reg.test:5000/v2/token", true),
            ("https://reg.test:5000", "null://reg.test/v2/token", false),
            ("https://reg.test", "null://evil.org/v2/token", false),
        ];
        for (registry, realm, want) in table {
            assert_eq!(trusted(registry, realm, true), want, "{registry} {realm}");
        }
    }

    #[test]
    fn r014_anonymous_requests_stay_off_private_networks() {
        for realm in
            ["https://10.1.2.3/t", "https://169.254.169.254/t", "https://[::1]/t", "https://localhost/t"]
        {
            assert!(!trusted("https://reg.example.com", realm, false), "{realm}");
        }
        for realm in ["https://[::ffff:10.0.0.1]/t", "https://[64:ff9b::a00:1]/t", "https://100.64.0.1/t"] {
            assert!(!trusted("https://reg.example.com", realm, false), "{realm}");
        }
        assert!(trusted("https://reg.example.com", "https://tokens.example.org/t", false));
        assert!(!trusted("https://reg.example.com", "http://tokens.example.org/t", false));
    }
}
