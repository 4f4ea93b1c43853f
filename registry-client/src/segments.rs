//! What is left of a blob, cut into segments.
//!
//! Owns their order and the bytes that wait for their turn: at most [`crate::Limits::range_bytes`] in each but the first,
//! for which each but the first needs room that all blobs share.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::Limits;

/// Waiting bytes lie in blocks of this size, so that they are freed as they are written.
const BLOCK_BYTES: usize = 256 << 10;

/// The segments that somebody fetches, or that wait.
pub(crate) struct Ahead {
    /// In order and without gaps; the first begins at the byte whose turn it is.
    segments: VecDeque<Segment>,
    /// Connections beyond the first that may be tried.
    pub(crate) most: usize,
    /// Bytes of a segment.
    step: u64,
    /// Bytes of the blob.
    size: u64,
}

pub(crate) struct Segment {
    /// Where it began: what it is known by.
    pub(crate) id: u64,
    /// The next byte to be fetched.
    pub(crate) at: u64,
    pub(crate) end: u64,
    /// What came before its turn.
    blocks: VecDeque<BytesMut>,
    /// Somebody fetches it, or waits for the end of its answer.
    pub(crate) busy: bool,
    /// The answer that brings it goes on to the blob's end. Only of the first.
    pub(crate) open: bool,
    /// Room for what may wait; the first segment needs none.
    room: Option<OwnedSemaphorePermit>,
}

impl Segment {
    /// Keeps bytes for later.
    pub(crate) fn keep(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if self.blocks.back().is_none_or(|block| block.len() == BLOCK_BYTES) {
                self.blocks.push_back(BytesMut::with_capacity(BLOCK_BYTES));
            }
            let Some(block) = self.blocks.back_mut() else { return };
            let (now, later) = chunk.split_at(chunk.len().min(BLOCK_BYTES - block.len()));
            block.extend_from_slice(now);
            chunk = later;
        }
    }
}

impl Ahead {
    pub(crate) fn new(limits: &Limits, size: u64) -> Self {
        let most = limits.ranges.saturating_sub(1);
        Self { segments: VecDeque::new(), most, step: limits.range_bytes.max(1), size }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.segments.clear();
    }

    /// Nobody fetches anything any more.
    pub(crate) fn rest(&mut self) {
        for segment in &mut self.segments {
            (segment.busy, segment.open) = (false, false);
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.segments.iter().flat_map(|segment| &segment.blocks).map(|block| block.len() as u64).sum()
    }

    pub(crate) fn segment(&mut self, id: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.id == id)
    }

    pub(crate) fn is_first(&self, id: u64) -> bool {
        self.segments.front().is_some_and(|segment| segment.id == id)
    }

    /// The first segment that somebody should fetch.
    pub(crate) fn idle(&self) -> Option<u64> {
        self.segments.iter().find(|segment| !segment.busy && segment.at < segment.end).map(|s| s.id)
    }

    pub(crate) fn reaches_end(&self) -> bool {
        self.segments.back().is_some_and(|segment| segment.end == self.size)
    }

    /// Cuts one more segment off what is left, which begins at `offset` if there is none yet.
    pub(crate) fn append(&mut self, offset: u64, room: Option<OwnedSemaphorePermit>) -> u64 {
        let at = self.segments.back().map_or(offset, |segment| segment.end);
        let end = (at + self.step).min(self.size);
        self.segments.push_back(Segment {
            id: at,
            at,
            end,
            blocks: VecDeque::new(),
            busy: true,
            open: false,
            room,
        });
        at
    }

    /// The first segment is full. An answer that goes on to the blob's end brings the next one, too, unless somebody
    /// does that already; `false` if it is not needed any more.
    pub(crate) fn reach_on(&mut self) -> bool {
        let begun = self.segments.get(1).is_some_and(|next| next.at > next.id);
        let Some(first) = self.segments.front_mut().filter(|first| first.open) else { return false };
        // The end of such an answer is waited for, to see that there is no more.
        if first.end < self.size {
            if begun {
                return false;
            }
            first.end = (first.end + self.step).min(self.size);
            // An answer for it may still come, and is not needed.
            self.segments.remove(1);
        }
        true
    }

    /// Bytes whose turn it is now. Segments that are done with are taken off.
    pub(crate) fn next_block(&mut self) -> Option<Bytes> {
        while let Some(segment) = self.segments.front_mut() {
            if let Some(block) = segment.blocks.pop_front() {
                return Some(block.freeze());
            }
            segment.room = None;
            if segment.busy || segment.at < segment.end {
                return None;
            }
            self.segments.pop_front();
        }
        None
    }

    /// A further connection was refused, or broke off early: one less, or none if this can never do.
    pub(crate) fn fewer(&mut self, id: u64, never: bool) {
        self.most = if never { 0 } else { self.most.saturating_sub(1) };
        if let Some(segment) = self.segment(id) {
            segment.busy = false;
        }
        if self.most > 0 {
            return;
        }
        // What was begun for nothing need not be fetched in a range.
        while self.segments.len() > 1
            && self.segments.back().is_some_and(|segment| !segment.busy && segment.blocks.is_empty())
        {
            self.segments.pop_back();
        }
        if self.segments.len() == 1
            && let Some(first) = self.segments.front_mut().filter(|segment| segment.open)
        {
            first.end = self.size;
        }
    }
}
