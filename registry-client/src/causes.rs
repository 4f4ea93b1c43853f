//! What lies below an error of the HTTP library.

use std::error::Error;
use std::io;

/// The causes of an error, from the outermost inwards, without the error itself. What an [`io::Error`] wraps is not its
/// source but the error itself: it counts as a cause all the same.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let below = |error: &'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    };
    std::iter::successors(below(error), move |inner| below(*inner))
}
