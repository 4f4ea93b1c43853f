//! Following a tar stream to know where large files begin and end.
//!
//! Blocks of compression begin anew there, so that those of a file do not depend on what stands beside it. Reads the
//! headers only (POSIX.1-2017, pax: ustar); what is no tar stream, or no longer, is not cut.

/// Files from this size on have blocks of their own, which makes layers a little smaller: what follows them is
/// seldom like them.
pub(super) const LARGE: u64 = 128 << 10;
/// Content is followed by zeros up to a multiple of so many bytes.
pub(super) const PADDED_TO: usize = HEADER;
const HEADER: usize = 512;

/// Where in the stream it is.
pub(super) struct Follower {
    state: State,
    /// The content of a large file begins or ends here.
    at_cut: bool,
    /// In the content of a large file.
    in_large: bool,
}

enum State {
    /// In a header, of which so much was seen.
    Header(Vec<u8>),
    /// In content and padding of which so much is left.
    Content(u64),
    /// This is no tar stream.
    Lost,
}

impl Follower {
    pub(super) fn new() -> Self {
        Self { state: State::Header(Vec::with_capacity(HEADER)), at_cut: false, in_large: false }
    }

    /// Goes on by some of `bytes`, and says by how many: never past a cut.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        self.at_cut = false;
        match &mut self.state {
            State::Lost => bytes.len(),
            State::Content(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                if *left == 0 {
                    self.at_cut = std::mem::take(&mut self.in_large);
                    self.state = State::Header(Vec::with_capacity(HEADER));
                }
                count
            }
            State::Header(seen) => {
                let count = (HEADER - seen.len()).min(bytes.len());
                seen.extend_from_slice(&bytes[..count]);
                if seen.len() == HEADER {
                    let (state, large) = next(std::mem::take(seen));
                    (self.state, self.at_cut, self.in_large) = (state, large, large);
                }
                count
            }
        }
    }

    /// Whether a block should begin with the next byte.
    pub(super) fn is_at_cut(&self) -> bool {
        self.at_cut
    }

    /// Whether the next byte belongs to the content of a large file.
    pub(super) fn is_in_large(&self) -> bool {
        self.in_large
    }
}

/// What follows a header, and whether it is the content of a large file.
fn next(mut header: Vec<u8>) -> (State, bool) {
    if header.iter().all(|byte| *byte == 0) {
        header.clear();
        return (State::Header(header), false);
    }
    let is_tar = header[257..262] == *b"ustar" && octal(&header[148..156]) == Some(checksum(&header));
    let (true, Some(size)) = (is_tar, octal(&header[124..136])) else { return (State::Lost, false) };
    let is_file = matches!(header[156], b'0' | 0 | b'7');
    // Links, directories and devices have no content, whatever their size says.
    if size == 0 || matches!(header[156], b'1'..=b'6') {
        header.clear();
        return (State::Header(header), false);
    }
    let padded = size.div_ceil(HEADER as u64) * HEADER as u64;
    (State::Content(padded), is_file && size >= LARGE)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(|c| c == '\0' || c == ' '), 8).ok().filter(|n| *n < 1 << 40)
}

/// The sum of all bytes, with blanks for the sum itself.
fn checksum(header: &[u8]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&header[..148]) + sum(&header[156..]) + 8 * u64::from(b' ')
}
