//! Finding what no compressor can make smaller: data that is compressed or encrypted already.
//!
//! deflate takes as long for it as for text, and gains nothing. Stretches of it are found unit by unit: all byte values
//! must be about as frequent, and nothing may come twice. What is found depends on the data alone.

use std::ops::Range;

/// Data is looked at in units of so many bytes.
const UNIT: usize = 1024;
/// Parts of a unit that are looked at first: closer to one another than the header of a tar member is long.
const PROBES: [Range<usize>; 4] = [0..64, 320..384, 640..704, 960..1024];
/// Shorter stretches are not worth a cut. Half of deflate's window, so that a cut costs nothing that counts.
const SHORTEST: usize = 16 * UNIT;
/// Where places that may be equal are looked for: after each byte of this value.
const ANCHOR: u8 = 0xa5;
/// Places that are remembered.
const PLACES: usize = 4096;

/// A part of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    /// It cannot be made smaller.
    pub(super) noise: bool,
}

/// Cuts a block into stretches of noise and the rest. An empty block is one piece.
pub(super) fn pieces(block: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = 0;
    let mut start = 0;
    while start + SHORTEST <= block.len() {
        let units = block[start..].chunks_exact(UNIT).take_while(|unit| may_be_noise(unit)).count();
        let end = start + units * UNIT;
        if units * UNIT >= SHORTEST && is_noise(&block[start..end]) {
            if rest < start {
                pieces.push(Piece { range: rest..start, noise: false });
            }
            pieces.push(Piece { range: start..end, noise: true });
            rest = end;
        }
        start = end.max(start + UNIT);
    }
    if rest < block.len() || pieces.is_empty() {
        pieces.push(Piece { range: rest..block.len(), noise: false });
    }
    pieces
}

/// A first look at a unit.
fn may_be_noise(unit: &[u8]) -> bool {
    let mut counts = [0u32; 256];
    for probe in PROBES {
        for byte in &unit[probe] {
            counts[usize::from(*byte)] += 1;
        }
    }
    // Of 256 bytes: 511 is expected of noise, with a deviation of 23. Machine code has more than 1000.
    counts.iter().map(|count| count * count).sum::<u32>() < 650
}

/// Whether all byte values are about as frequent, and nothing comes twice.
fn is_noise(bytes: &[u8]) -> bool {
    // Four counts side by side, so that equal neighbours do not wait for one another.
    let mut counts = [[0u32; 256]; 4];
    for four in bytes.chunks_exact(4) {
        for (count, byte) in counts.iter_mut().zip(four) {
            count[usize::from(*byte)] += 1;
        }
    }
    let squares: u64 =
        (0..256).map(|value| counts.iter().map(|count| u64::from(count[value])).sum::<u64>().pow(2)).sum();
    let length = bytes.len() as u64;
    // Even counts give 1/256 of the square of the length, chance adds 255/256 of the length, and anything else more.
    squares * 256 / length < length + length / 50 + 300 && !has_repeats(bytes)
}

/// Whether the four bytes from an anchor on were there before, more often than chance has it.
fn has_repeats(bytes: &[u8]) -> bool {
    let mut places = [0u32; PLACES];
    let (mut anchors, mut repeats) = (0usize, 0usize);
    for at in memchr::memchr_iter(ANCHOR, bytes) {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { break };
        let word = u32::from_le_bytes(*word);
        let place = &mut places[(word >> 8).wrapping_mul(0x9e37_79b1) as usize % PLACES];
        anchors += 1;
        repeats += usize::from(*place == word);
        *place = word;
    }
    // As many anchors as there are in noise, or they tell nothing.
    anchors < bytes.len() / 1024 || repeats > anchors / 16
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn noise(length: usize, mut state: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn noisy(block: &[u8]) -> usize {
        let pieces = pieces(block);
        // They cover the block in order.
        assert_eq!(
            pieces.iter().fold(0, |end, piece| {
                assert_eq!(piece.range.start, end);
                piece.range.end
            }),
            block.len()
        );
        pieces.iter().filter(|piece| piece.noise).map(|piece| piece.range.len()).sum()
    }

    #[test]
    fn noise_is_found_between_other_things() {
        let text = b"the quick brown fox jumps over the lazy dog. ".repeat(1000);
        assert_eq!(noisy(&text), 0);
        assert_eq!(noisy(b""), 0);
        let mixed = [&text[..], &noise(30_000, 1), &[0; 512], &noise(40_000, 2), &text].concat();
        let found = noisy(&mixed);
        assert!((66_000..=70_000).contains(&found), "{found} of 70000 bytes");
        assert_eq!(noisy(&noise(1 << 20, 3)), 1 << 20);
    }

    #[test]
    fn even_bytes_are_not_yet_noise() {
        // The same noise again and again.
        assert_eq!(noisy(&noise(5000, 4).repeat(100)), 0);
        // All values in a row.
        let row: Vec<u8> = (0..=255).collect();
        assert_eq!(noisy(&row.repeat(4000)), 0);
        // Words of four bytes out of a few hundred.
        let words: Vec<[u8; 4]> =
            noise(1200, 5).chunks_exact(4).map(|word| word.try_into().unwrap()).collect();
        let ids: Vec<u8> = noise(400_000, 6)
            .chunks_exact(2)
            .flat_map(|n| words[usize::from(u16::from_le_bytes([n[0], n[1]])) % 300])
            .collect();
        assert_eq!(noisy(&ids), 0);
        // Text in base64.
        let base64: Vec<u8> = noise(300_000, 7)
            .iter()
            .map(|byte| {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(byte % 64)]
            })
            .collect();
        assert_eq!(noisy(&base64), 0);
    }
}
