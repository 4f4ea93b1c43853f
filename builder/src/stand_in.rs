//! Base images that are not found, and empty ones that stand in for them while a Dockerfile is only checked.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cooper_frontend::graph::{ImageRequest, ImageResolver, ResolveError, ResolvedImage};
use cooper_oci::{Digest, ImageConfig};

/// A resolver that remembers what another one does not find.
pub(crate) struct StandIns<'r> {
    resolver: &'r dyn ImageResolver,
    missing: Mutex<BTreeSet<ImageRequest>>,
    standing_in: Mutex<bool>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'r> StandIns<'r> {
    /// Asks `resolver`.
    pub(crate) fn new(resolver: &'r dyn ImageResolver) -> StandIns<'r> {
        StandIns { resolver, missing: Mutex::default(), standing_in: Mutex::new(false) }
    }

    /// From now on answers with empty images instead of failures; whether there was a failure at all.
    pub(crate) fn stand_in(&self) -> bool {
        *locked(&self.standing_in) = true;
        !locked(&self.missing).is_empty()
    }
}

impl ImageResolver for StandIns<'_> {
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>> {
        let known_missing = locked(&self.missing).clone();
        let asked: Vec<ImageRequest> =
            requests.iter().filter(|request| !known_missing.contains(request)).cloned().collect();
        let mut found = self.resolver.resolve(&asked).into_iter();
        let standing_in = *locked(&self.standing_in);
        let answer = |request: &ImageRequest| {
            if known_missing.contains(request) {
                return Ok(empty(request));
            }
            let nothing = || ResolveError { message: "the image was not looked up".to_owned(), hint: None };
            let answer = found.next().unwrap_or_else(|| Err(nothing()));
            if answer.is_err() {
                locked(&self.missing).insert(request.clone());
                if standing_in {
                    return Ok(empty(request));
                }
            }
            answer
        };
        requests.iter().map(answer).collect()
    }
}

fn empty(request: &ImageRequest) -> ResolvedImage {
    let platform = &request.platform;
    let config = ImageConfig {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        ..ImageConfig::default()
    };
    ResolvedImage { manifest: Digest::sha256_of(format!("{request:?}").as_bytes()), config }
}
