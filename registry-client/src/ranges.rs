//! One blob over several connections.
//!
//! Owns the connections: each is asked for one segment of what a blob lacks, by a `Range` of its own. The sink still gets
//! all bytes in order: what comes before its turn waits in memory (see `segments`). The first segment may always be
//! fetched; the others only while the registry has idle connections, and after each refusal fewer of them. What came
//! stays when a connection breaks: the rest of its segment is asked for again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::pull::{End, Pull};
use crate::sink::BlobSink;
use crate::transport::{Reply, SendError};

/// A connection that brings a segment.
struct Line {
    id: u64,
    /// Where it began.
    from: u64,
    response: Response,
    /// Its place among the registry's transfers; the first connection has that of the pull.
    place: Option<OwnedSemaphorePermit>,
}

/// What a connection was asked for: the segment, and what of it.
#[derive(Clone, Copy)]
struct Asked {
    id: u64,
    from: u64,
    end: u64,
}

enum News {
    Answer { asked: Asked, place: Option<OwnedSemaphorePermit>, answer: Result<Reply> },
    Chunk { line: Line, chunk: Result<Option<Bytes>, SendError> },
}

type Lines<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = News> + Send + 'a>>>;

impl<'a> Pull<'a> {
    /// Whether a connection that brought `bytes`, for which it let us wait so long, should get company.
    pub(crate) fn wants_ranges(&self, bytes: u64, waited: Duration) -> bool {
        let limits = &self.client.inner.limits;
        let lacks = self.descriptor.size.saturating_sub(self.offset);
        let nanos = waited.as_nanos().max(1);
        let slow = u128::from(bytes) * 1_000_000_000 < u128::from(limits.fast_bytes_per_second) * nanos;
        self.ranges && self.ahead.most > 0 && lacks >= limits.ranged_from_bytes && slow
    }

    /// Goes on with `first`, whose next byte is the one whose turn it is, or with what an earlier call left.
    pub(crate) async fn in_ranges<S: BlobSink + ?Sized>(
        &mut self,
        first: Option<Response>,
        sink: &mut S,
    ) -> Result<End> {
        let mut lines = Lines::new();
        self.ahead.rest();
        // Whether the connection that every pull may have is in use.
        let mut own = false;
        if let Some(response) = first {
            self.ahead.clear();
            let id = self.ahead.append(self.offset, None);
            if let Some(segment) = self.ahead.segment(id) {
                segment.open = true;
            }
            own = true;
            lines.push(self.listen(Line { id, from: self.offset, response, place: None }));
        }
        let limits = &self.client.inner.limits;
        let (mut window, mut window_bytes) = (Duration::ZERO, 0u64);
        loop {
            if self.ahead.is_empty() {
                if self.offset == self.descriptor.size {
                    return Ok(End::Complete);
                }
                if !self.begin_two(&mut lines, &mut own) {
                    return Ok(End::Rest);
                }
            }
            self.begin_more(&mut lines, &mut own);
            let asked = Instant::now();
            let Some(news) = lines.next().await else { return Ok(End::Rest) };
            window += asked.elapsed();
            let (line, chunk) = match news {
                News::Answer { asked: Asked { id, from, end }, place, answer } => {
                    let first = place.is_none();
                    match self.judge((from, end), answer) {
                        // Somebody else may have brought it meanwhile.
                        Ok(_) if self.ahead.segment(id).is_none() => own &= !first,
                        Ok(response) => lines.push(self.listen(Line { id, from, response, place })),
                        Err(refusal) if first => return self.without_company(refusal).await,
                        Err(refusal) => self.ahead.fewer(id, matches!(refusal, Refusal::NoRanges)),
                    }
                    continue;
                }
                News::Chunk { line, chunk } => (line, chunk),
            };
            window_bytes += chunk.as_ref().map_or(0, |c| c.as_ref().map_or(0, Bytes::len)) as u64;
            if window >= limits.idle_timeout {
                if window_bytes < limits.slowest_bytes {
                    let error = Error::stalled(self.target, "the transfer is too slow");
                    return Ok(End::Broken(SendError::passing(error)));
                }
                (window, window_bytes) = (Duration::ZERO, 0);
            }
            let first = line.place.is_none();
            if let Some(line) = self.take(line, chunk, sink).await? {
                match line {
                    Ok(line) => lines.push(self.listen(line)),
                    Err(broken) => return Ok(End::Broken(broken)),
                }
            } else {
                own &= !first;
            }
            self.drain(sink).await?;
        }
    }

    /// Takes what a connection brought. Gives it back if it has more; an error if it broke off and nothing else can be
    /// done at once.
    async fn take<S: BlobSink + ?Sized>(
        &mut self,
        line: Line,
        chunk: Result<Option<Bytes>, SendError>,
        sink: &mut S,
    ) -> Result<Option<Result<Line, SendError>>> {
        let is_first = self.ahead.is_first(line.id);
        let target = self.target;
        let Some(segment) = self.ahead.segment(line.id) else {
            // Somebody else has brought it.
            if !matches!(chunk, Ok(Some(_))) {
                self.ahead.fewer(line.id, false);
            }
            return Ok(None);
        };
        let error = match chunk {
            Ok(Some(chunk)) => {
                let more = self.bring(line.id, chunk, is_first, sink).await?;
                return Ok(more.then_some(Ok(line)));
            }
            Ok(None) if segment.at == segment.end => {
                segment.busy = false;
                return Ok(None);
            }
            Ok(None) => SendError::passing(Error::stalled(target, "the transfer broke off")),
            Err(error) => error,
        };
        (segment.busy, segment.open) = (false, false);
        let enough = ((segment.end - segment.id) / 8).max(1);
        if error.failure().is_some() && segment.at - line.from >= enough {
            return Ok(None);
        }
        if is_first {
            return Ok(Some(Err(error)));
        }
        self.ahead.fewer(line.id, false);
        Ok(None)
    }

    /// Adds bytes to a segment; `false` if its connection has done its part.
    async fn bring<S: BlobSink + ?Sized>(
        &mut self,
        id: u64,
        mut chunk: Bytes,
        is_first: bool,
        sink: &mut S,
    ) -> Result<bool> {
        loop {
            let Some(segment) = self.ahead.segment(id) else { return Ok(false) };
            let lacks = usize::try_from(segment.end - segment.at).unwrap_or(usize::MAX);
            let now = chunk.split_to(chunk.len().min(lacks));
            segment.at += now.len() as u64;
            let full = segment.at == segment.end;
            if is_first {
                self.accept(now, sink).await?;
            } else {
                segment.keep(&now);
                self.observe();
            }
            if full && !(is_first && self.reach_on(!chunk.is_empty())?) {
                if let Some(segment) = self.ahead.segment(id) {
                    (segment.busy, segment.open) = (false, false);
                }
                return Ok(false);
            }
            if chunk.is_empty() {
                return Ok(true);
            }
        }
    }

    /// The first segment is full. An answer that goes on to the blob's end brings the next one, too, unless somebody
    /// does that already.
    fn reach_on(&mut self, more: bool) -> Result<bool> {
        if more && self.offset == self.descriptor.size {
            let (target, expected) = (self.target.boxed(), self.descriptor.size);
            return Err(Error::SizeMismatch { target, expected, actual: expected + 1 });
        }
        Ok(self.ahead.reach_on())
    }

    /// Gives the sink what has its turn now.
    async fn drain<S: BlobSink + ?Sized>(&mut self, sink: &mut S) -> Result<()> {
        while let Some(block) = self.ahead.next_block() {
            self.accept(block, sink).await?;
        }
        Ok(())
    }

    /// Begins with a new first segment, if there is company for it; alone, it is better asked for without an end.
    fn begin_two(&mut self, lines: &mut Lines<'a>, own: &mut bool) -> bool {
        let inner = &self.client.inner;
        let lacks = self.descriptor.size - self.offset;
        if self.ahead.most == 0 || lacks <= inner.limits.range_bytes {
            return false;
        }
        let Ok(place) = inner.slot(self.endpoint).try_acquire_owned() else { return false };
        let Ok(room) = inner.ahead.clone().try_acquire_owned() else { return false };
        let first = self.ahead.append(self.offset, None);
        let second = self.ahead.append(self.offset, Some(room));
        *own = true;
        lines.push(self.ask(first, None));
        lines.push(self.ask(second, Some(place)));
        true
    }

    /// Begins what can be begun: first what broke off, then what comes next.
    fn begin_more(&mut self, lines: &mut Lines<'a>, own: &mut bool) {
        let inner = &self.client.inner;
        loop {
            let others = lines.len() - usize::from(*own);
            let idle = self.ahead.idle();
            if idle.is_none() && (self.ahead.reaches_end() || self.ahead.most == 0) {
                return;
            }
            let place = if *own {
                if others >= self.ahead.most {
                    return;
                }
                let Ok(place) = inner.slot(self.endpoint).try_acquire_owned() else { return };
                Some(place)
            } else {
                None
            };
            let id = match idle {
                Some(id) => id,
                None => match inner.ahead.clone().try_acquire_owned() {
                    Ok(room) => self.ahead.append(self.offset, Some(room)),
                    Err(_) => return,
                },
            };
            *own |= place.is_none();
            lines.push(self.ask(id, place));
        }
    }

    fn listen(&self, mut line: Line) -> Pin<Box<dyn Future<Output = News> + Send + 'a>> {
        let (client, target) = (self.client, self.target);
        Box::pin(async move {
            let chunk = client.inner.transport.chunk(target, &mut line.response).await;
            News::Chunk { line, chunk }
        })
    }

    /// Asks for what a segment lacks. Only the connection that every pull has is patient.
    fn ask(
        &mut self,
        id: u64,
        place: Option<OwnedSemaphorePermit>,
    ) -> Pin<Box<dyn Future<Output = News> + Send + 'a>> {
        let mut asked = Asked { id, from: id, end: id };
        if let Some(segment) = self.ahead.segment(id) {
            segment.busy = true;
            (asked.from, asked.end) = (segment.at, segment.end);
        }
        let range = format!("bytes={}-{}", asked.from, asked.end.saturating_sub(1));
        let mut call = self.request(Some(range));
        call.once = place.is_some();
        let client = self.client;
        Box::pin(async move { News::Answer { asked, place, answer: client.inner.call(&call).await } })
    }

    /// Looks at the answer to a request for bytes `from` to `end`.
    fn judge(&self, (from, end): (u64, u64), answer: Result<Reply>) -> Result<Response, Refusal> {
        let reply = answer.map_err(|error| Refusal::Failed(Box::new(error)))?;
        let headers = reply.response.headers();
        match reply.response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => return Err(Refusal::NoRanges),
            _ => return Err(Refusal::Answered(Box::new(reply))),
        }
        let right = content_range(headers, self.descriptor.size).is_some_and(|(first, behind)| {
            let length = reply.response.content_length();
            first == from && behind <= end && length.is_none_or(|n| n == behind - first)
        });
        if right && !Self::is_encoded(headers) { Ok(reply.response) } else { Err(Refusal::NoRanges) }
    }

    /// The first segment was refused: there is one connection from here on, or an error.
    async fn without_company(&mut self, refusal: Refusal) -> Result<End> {
        match refusal {
            Refusal::NoRanges => Ok(self.without_ranges("answer has another range than was asked for")),
            Refusal::Failed(error) => Err(*error),
            Refusal::Answered(reply) => self.refused(*reply).await,
        }
    }
}

/// Why a range was not brought.
enum Refusal {
    /// The server has no ranges, or other ones than it is asked for.
    NoRanges,
    Failed(Box<Error>),
    Answered(Box<Reply>),
}

/// First byte and the one behind the last of `bytes 7-99/100`, if the whole has `size` bytes.
fn content_range(headers: &HeaderMap, size: u64) -> Option<(u64, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (start.trim().parse().ok()?, last.trim().parse().ok()?);
    let right = total.trim() == "*" || total.trim().parse() == Ok(size);
    (right && start <= last && last < size).then_some((start, last + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn content_ranges_must_fit_their_blob() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_RANGE, text.parse().unwrap())]);
            content_range(&headers, 100)
        };
        assert_eq!(read("bytes 7-98/100"), Some((7, 99)));
        assert_eq!(read("bytes 0-0/*"), Some((0, 1)));
        for bad in
            ["", "bytes */100", "7-99/100", "bytes 7-99", "bytes 7-99/200", "bytes 9-7/100", "bytes 7-100/*"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
