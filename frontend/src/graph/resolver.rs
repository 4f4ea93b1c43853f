//! What the planner asks about images, and what it is told.

use cooper_oci::{Digest, ImageConfig, Platform};

use super::ImageSource;

/// Asks for the config of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRequest {
    /// Where to look.
    pub source: ImageSource,
    /// The platform wanted.
    pub platform: Platform,
}

/// An image found.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// Digest of the platform's manifest.
    pub manifest: Digest,
    /// Its config.
    pub config: ImageConfig,
}

/// Why an image was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ResolveError {
    /// One line for people, naming the image.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Finds images for the planner. Called from synchronous code with all requests of one wave, so that they can be
/// looked up in parallel; answers in the same order.
pub trait ImageResolver {
    /// Looks up each request.
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>>;
}
