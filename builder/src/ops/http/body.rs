//! The body of a download on its way into the store, which may come in several parts.
//!
//! What came before a connection broke is kept and continued (RFC 9110, section 14) if the server gave a strong validator:
//! then a later answer either continues the same bytes, or is a new whole.

use std::io::Write as _;

use cooper_oci::Digest;
use cooper_snapshotter::{BlobWriter, Store};
use reqwest::header::{CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};

use crate::error::{BuildError, Kind};
use crate::remote::headers::{is_strong, parse_content_range, parse_date};
use crate::remote::http::Answer;
use crate::task;

/// A date is a strong validator only if the file was at rest for so long when it was served (RFC 9110, section 8.8.2.2).
const AT_REST_SECONDS: i64 = 60;

/// What came of a body.
pub(super) struct Body {
    writer: BlobWriter,
    /// Names these bytes and no others.
    validator: Option<HeaderValue>,
    /// Of the whole, if the server says it.
    length: Option<u64>,
    /// `ETag` of the first answer.
    pub etag: Option<String>,
    /// `Last-Modified` of the first answer.
    pub last_modified: Option<String>,
    /// `Content-Disposition` of the first answer.
    pub disposition: Option<String>,
}

impl Body {
    /// Begins with the head of an answer.
    pub fn new(store: &Store, wanted: Option<&Digest>, answer: &Answer) -> Result<Body, BuildError> {
        let text = |name| answer.header(name).map(str::to_owned);
        let (etag, last_modified) = (text(&ETAG), text(&LAST_MODIFIED));
        Ok(Body {
            writer: store.blob_writer(wanted, None)?,
            validator: validator(etag.as_deref(), last_modified.as_deref(), answer.header(&DATE)),
            length: answer.length(),
            etag,
            last_modified,
            disposition: text(&reqwest::header::CONTENT_DISPOSITION),
        })
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.writer.written()
    }

    /// Bytes of the whole, if the server says it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The headers that ask for the rest; `None` if the bytes so far are of no use.
    pub fn rest(&self) -> Option<HeaderMap> {
        let validator = self.validator.clone().filter(|_| self.written() > 0)?;
        let range = HeaderValue::from_str(&format!("bytes={}-", self.written())).ok()?;
        Some(HeaderMap::from_iter([(RANGE, range), (IF_RANGE, validator)]))
    }

    /// Whether an answer holds just what is missing.
    pub fn is_continued_by(&self, answer: &Answer) -> bool {
        let range = answer.header(&CONTENT_RANGE).and_then(parse_content_range);
        answer.is_part()
            && range.is_some_and(|(first, length)| {
                first == self.written() && self.length.is_none_or(|known| known == length)
            })
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.writer
            .write_all(bytes)
            .map_err(|e| BuildError::new(Kind::Config, "cannot write into the store").caused_by(e))
    }

    /// Keeps the whole; its digest, also if another one was wanted, which is then not kept.
    pub async fn commit(self) -> Result<Digest, BuildError> {
        let writer = self.writer;
        // Syncs, which takes its time.
        task::blocking("keep a download", move || match writer.commit() {
            Err(cooper_snapshotter::Error::DigestMismatch { found, .. }) => Ok(found),
            other => Ok(other?),
        })
        .await
    }
}

fn validator(etag: Option<&str>, last_modified: Option<&str>, date: Option<&str>) -> Option<HeaderValue> {
    if let Some(etag) = etag {
        return HeaderValue::from_str(etag).ok().filter(|_| is_strong(Some(etag)));
    }
    let (changed, served) = (parse_date(last_modified?)?, parse_date(date?)?);
    (served - changed >= AT_REST_SECONDS).then(|| HeaderValue::from_str(last_modified?).ok()).flatten()
}
