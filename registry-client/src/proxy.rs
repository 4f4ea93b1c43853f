//! Exceptions from the proxy with a port.
//!
//! Proxies and their exceptions come from the environment, and the HTTP library reads them: names with all
//! below them, addresses, ranges, `*`. Only entries like `host:5000` in `NO_PROXY` it does not know.

use url::Url;

/// The entries of `NO_PROXY` that name a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exceptions(Vec<(String, u16)>);

impl Exceptions {
    pub(crate) fn from_environment() -> Self {
        let text = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
        Self::parse(&text.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let entries = text.split(',').filter_map(|entry| {
            let (host, port) = entry.trim().rsplit_once(':')?;
            let host = host.trim_start_matches('.');
            let bare = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
            Some((host.to_ascii_lowercase(), port.parse().ok().filter(|_| bare)?))
        });
        Self(entries.collect())
    }

    pub(crate) fn holds(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        self.0.iter().any(|(name, number)| {
            let below =
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            *number == port && below
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ports_are_part_of_an_exception() {
        let exceptions =
            Exceptions::parse("plain.test, reg.test:5000,.sub.test:443, [::1]:7, ::1, 10.0.0.0/8,*:x");
        let table = [
            ("https://reg.test:5000/", true),
            ("https://a.reg.test:5000/", true),
            ("https://reg.test/", false),
            ("https://notreg.test:5000/", false),
            ("https://x.sub.test/", true),
            ("https://[::1]:7/", true),
            ("https://plain.test/", false),
        ];
        for (url, want) in table {
            assert_eq!(exceptions.holds(&Url::parse(url).unwrap()), want, "{url}");
        }
    }
}
