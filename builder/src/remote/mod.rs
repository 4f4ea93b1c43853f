//! Sources on the network: files by HTTP and git repositories, for ADD and for build contexts.
//!
//! Owns: the HTTP and git clients, their limits, and which secret goes to which server. What was fetched lies in the
//! store: a download as a blob, a checkout as a layer, each with a record that lets the next build do without it.
//! Must not: let a credential out to another origin, into an error, a record or a file; take options from a URL.

pub mod git;
pub mod headers;
pub mod http;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_snapshotter::Store;
use url::Url;

use crate::cancel::CancelToken;
use crate::error::BuildError;
use crate::event::{Event, EventSender};
use crate::ops::mounts::secret;
use crate::request::BuildRequest;
use crate::session::Inner;

/// What fetching needs of a build.
#[derive(Clone)]
pub struct Fetcher {
    /// Store and clients.
    pub session: Arc<Inner>,
    /// Secrets and agents.
    pub request: Arc<BuildRequest>,
    /// Listeners.
    pub events: EventSender,
    /// The switch.
    pub cancel: CancelToken,
    /// The step that fetches, for events.
    pub step: Option<usize>,
}

impl Fetcher {
    /// A secret as text without white space around it.
    pub fn secret(&self, id: &str) -> Result<Option<String>, BuildError> {
        let Some(bytes) = secret(&self.request, id, false)? else { return Ok(None) };
        let text =
            String::from_utf8(bytes).map_err(|_| BuildError::user(format!("the secret {id} is not text")))?;
        Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty()))
    }

    /// Tells how far a transfer is.
    pub fn progress(&self, item: &str, current_bytes: u64, total_bytes: Option<u64>) {
        if let Some(step) = self.step {
            let item = item.to_owned();
            self.events.send(Event::StepProgress { step, item, current_bytes, total_bytes });
        }
    }

    /// Waits for `work`, or for the end of the build.
    pub async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        tokio::select! {
            done = work => done,
            () = self.cancel.cancelled() => Err(BuildError::cancelled()),
        }
    }
}

/// A temporary directory that goes with its owner.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(store: &Store, prefix: &str) -> Result<Scratch, BuildError> {
        Ok(Scratch(store.temp_dir(prefix)?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: the store removes what stays when it is closed.
        let _ = cooper_sys::fs::remove_tree(&self.0);
    }
}

/// A URL as people may see it: without user name and password.
pub fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // Fails for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// The names under which secrets for a server are looked up: with its port, if the URL has one, and without.
pub fn host_names(url: &Url) -> Vec<String> {
    let Some(host) = url.host_str() else { return Vec::new() };
    let mut names = Vec::new();
    names.extend(url.port().map(|port| format!("{host}:{port}")));
    names.push(host.to_owned());
    names
}

/// Text with `%xx` undone.
pub fn percent_decoded(text: &str) -> String {
    // What the form decoder reads as more than a byte.
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_decoded() {
        assert_eq!(percent_decoded("a%40b+c=d&e"), "a@b+c=d&e");
    }
}
