//! Listing tags.
//!
//! Owns pagination by `Link`: only within the registry's origin, each page once, with something new on
//! it, and no more pages and tags than the limits say.

use std::collections::BTreeSet;

use cooper_oci::Reference;
use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

impl Client {
    /// All tags of a repository, sorted.
    pub async fn list_tags(&self, reference: &Reference) -> Result<Vec<String>> {
        let target = target_of(reference, "");
        let work = async {
            let endpoint = self.endpoint(&reference.registry)?;
            let limits = &self.inner.limits;
            let mut url = endpoint.url(&format!("{}/tags/list", reference.repository));
            let mut tags = BTreeSet::new();
            for _ in 0..limits.pages {
                let scopes = Scopes::pull(&reference.repository);
                let call = Call::new(&endpoint, &target, scopes, Method::GET, url.clone());
                let reply = self.inner.call(&call).await?;
                if reply.response.status() != 200 {
                    return Err(self.inner.refuse(&target, reply).await);
                }
                let next = next_page(&url, reply.response.headers())
                    .map_err(|what| Error::protocol(&target, what))?;
                let body =
                    self.inner.transport.body(&target, reply.response, "tag list", limits.page_bytes).await?;
                let page: Page = serde_json::from_slice(&body)
                    .map_err(|_| Error::protocol(&target, "the answer is not a tag list"))?;
                let before = tags.len();
                // Digests are listed too by some; they are no tags.
                tags.extend(page.tags.unwrap_or_default().into_iter().filter(|t| Reference::is_tag(t)));
                if tags.len() > limits.tags {
                    return Err(Error::protocol(&target, format!("more than {} tags", limits.tags)));
                }
                match next {
                    None => return Ok(tags.into_iter().collect()),
                    Some(_) if tags.len() == before => {
                        return Err(Error::protocol(&target, "a page of the tag list has nothing new"));
                    }
                    Some(next) => url = next,
                }
            }
            Err(Error::protocol(&target, format!("tag list has more than {} pages", limits.pages)))
        };
        self.unless_cancelled(&target, work).await
    }
}

/// The address of the next page in `Link: <…>; rel="next"`.
fn next_page(from: &Url, headers: &HeaderMap) -> Result<Option<Url>, &'static str> {
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
    fn links() {
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
