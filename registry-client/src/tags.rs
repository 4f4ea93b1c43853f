//! Listing tags.
//!
//! Owns the walk over the pages of the list: by `Link`, or where a full page has none by `last=`; each page once, with
//! something new on it, and no more pages and tags than the limits say.

use std::collections::BTreeSet;

use cooper_oci::Reference;
use reqwest::Method;
use serde::Deserialize;

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::error::{Error, Result, Target};
use crate::pages::next_page;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

/// The largest page that every registry agrees to.
const MAX_PAGE: usize = 1000;

impl Client {
    /// All tags of a repository, sorted.
    pub async fn list_tags(&self, reference: &Reference) -> Result<Vec<String>> {
        let target = target_of(reference, "");
        self.unless_cancelled(&target, self.tags(reference, &target, None, usize::MAX)).await
    }

    /// At most `most` tags of a repository that come after `last` in its registry's order, sorted. Ask again
    /// with the last of them for more; fewer than `most` are the end.
    ///
    /// ```no_run
    /// # async fn example(client: cooper_registry_client::Client) -> Result<(), cooper_registry_client::Error> {
    /// let reference = "localhost:5000/app".parse().expect("a valid name");
    /// let first = client.list_tags_after(&reference, None, 20).await?;
    /// let second = client.list_tags_after(&reference, first.last().map(String::as_str), 20).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_tags_after(
        &self,
        reference: &Reference,
        last: Option<&str>,
        most: usize,
    ) -> Result<Vec<String>> {
        let target = target_of(reference, "");
        self.unless_cancelled(&target, self.tags(reference, &target, last, most)).await
    }

    async fn tags(
        &self,
        reference: &Reference,
        target: &Target,
        last: Option<&str>,
        most: usize,
    ) -> Result<Vec<String>> {
        let endpoint = self.upstream(reference).await?;
        let limits = &self.inner.limits;
        let asked = (most < usize::MAX).then(|| most.min(MAX_PAGE));
        let page_after = |last: Option<&str>| {
            let mut url = endpoint.url("tags/list");
            if let Some(asked) = asked {
                url.query_pairs_mut().append_pair("n", &asked.to_string());
            }
            if let Some(last) = last {
                url.query_pairs_mut().append_pair("last", last);
            }
            url
        };
        let mut url = page_after(last);
        let mut tags = BTreeSet::new();
        for _ in 0..limits.pages {
            let scopes = Scopes::pull(&endpoint.repository);
            let call = Call::new(&endpoint, target, scopes, Method::GET, url.clone());
            let (headers, body) = self.inner.fetch(&call, "tag list", limits.page_bytes).await?;
            let next = next_page(&url, &headers).map_err(|what| Error::protocol(target, what))?;
            let page: Page = serde_json::from_slice(&body)
                .map_err(|_| Error::protocol(target, "the answer is not a tag list"))?;
            let before = tags.len();
            let page = page.tags.unwrap_or_default();
            // Some give as many as were asked for, and do not say that there are more.
            let cut = page.last().filter(|_| asked == Some(page.len())).map(|end| page_after(Some(end)));
            // Digests are listed too by some; they are no tags. Others know neither `last` nor `n`.
            let new = page.into_iter().filter(|t| Reference::is_tag(t));
            tags.extend(new.filter(|t| last.is_none_or(|last| t.as_str() > last)));
            if tags.len() > limits.tags {
                return Err(Error::protocol(target, format!("more than {} tags", limits.tags)));
            }
            let fresh = tags.len() > before;
            url = match (next, cut) {
                (Some(_), _) if !fresh && tags.len() < most => {
                    return Err(Error::protocol(target, "a page of the tag list has nothing new"));
                }
                (Some(next), _) if tags.len() < most => next,
                (None, Some(cut)) if fresh && tags.len() < most => cut,
                _ => return Ok(tags.into_iter().take(most).collect()),
            };
        }
        Err(Error::protocol(target, format!("tag list has more than {} pages", limits.pages)))
    }
}
