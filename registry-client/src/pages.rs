//! Pages of lists.
//!
//! Owns the way from one page to the next by `Link`: only within the registry's origin, and never with a
//! user name.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// The address of the next page in `Link: <…>; rel="next"`.
pub(crate) fn next_page(from: &Url, headers: &HeaderMap) -> Result<Option<Url>, &'static str> {
    for value in headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok()) {
        let mut rest = value;
        while let Some((_, after)) = rest.split_once('<') {
            let Some((address, tail)) = after.split_once('>') else { break };
            let parameters = tail.split('<').next().unwrap_or_default();
            rest = tail;
            let next = parameters.split([';', ',']).any(|parameter| {
                let Some((name, value)) = parameter.split_once('=') else { return false };
                let value = value.trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && value.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
            });
            if next {
                let url = from.join(address).map_err(|_| "link to something that is no URL")?;
                if url.origin() != from.origin() || !url.username().is_empty() || url.password().is_some() {
                    return Err("link to another origin refused");
                }
                return Ok(Some(url));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn r093_r094_links() {
        let from = Url::parse("https://reg.test/v2/a/tags/list").unwrap();
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, link.parse().unwrap());
            next_page(&from, &headers).map(|url| url.map(|u| u.to_string()))
        };
        let want = Ok(Some("https://reg.test/v2/a/tags/list?last=b&n=1".to_owned()));
        assert_eq!(next(r#"</v2/a/tags/list?last=b&n=1>; rel="next""#), want);
        assert_eq!(next("<https://reg.test/v2/a/tags/list?last=b&n=1>;rel=next"), want);
        assert_eq!(next(r#"</first>; rel="first", <?last=b&n=1>; title="x"; rel="prev NEXT""#), want);
        for none in ["", r#"</x>; rel="prev""#, "</x", "rel=next"] {
            assert_eq!(next(none), Ok(None), "{none}");
        }
        for bad in
            ["<https://evil.test/x>; rel=next", "<http://reg.test/x>; rel=next", "<//evil.test/x>; rel=next"]
        {
            assert!(next(bad).is_err(), "{bad}");
        }
    }
}
