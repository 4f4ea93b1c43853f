//! Exceptions from the proxy with a port.
//!
//! Proxies and their exceptions come from the environment, and the HTTP library reads them: names with all
//! below them, addresses, ranges, `*`. Only entries like `host:5000` in `NO_PROXY` it does not know.

use url::Url;

/// Host names of the proxies that the environment gives.
pub(crate) fn names_from_environment() -> Vec<String> {
    let variables = ["http_proxy", "https_proxy", "all_proxy"];
    let values = variables.iter().flat_map(|name| {
        [std::env::var(name), std::env::var(name.to_ascii_uppercase())].into_iter().flatten()
    });
    values.filter_map(|text| name_of(&text)).collect()
}

fn name_of(text: &str) -> Option<String> {
    let text = text.trim();
    let parsed = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    parsed.ok()?.host_str().map(str::to_owned)
}

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
    fn proxies_have_names() {
        let table = [
            ("http://ann:pw@Proxy.test:3128", Some("proxy.test")),
            ("proxy.test:3128", Some("proxy.test")),
            (" 10.0.0.1:80 ", Some("10.0.0.1")),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(name_of(text).as_deref(), want, "{text}");
        }
    }

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
