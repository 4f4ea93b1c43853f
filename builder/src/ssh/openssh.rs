//! OpenSSH's own format of private keys (PROTOCOL.key of OpenSSH), and the data types of SSH (RFC 4251, section 5).

use super::key::{Curve, Key, KeyError, RsaParts};

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// SSH values one after the other.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// A 32 bit number.
    pub fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// Bytes with their length before them.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Appends a number.
pub fn put_number(to: &mut Vec<u8>, number: usize) {
    // Nothing here comes near 4 GiB: key files and questions are bounded.
    to.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

/// Appends bytes with their length before them.
pub fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len());
    to.extend_from_slice(bytes);
}

/// Appends a positive number, big-endian, as `mpint`.
pub fn put_integer(to: &mut Vec<u8>, bytes: &[u8]) {
    let digits = without_zeros(bytes);
    let sign = usize::from(digits.first().is_some_and(|first| first & 0x80 != 0));
    put_number(to, digits.len() + sign);
    to.extend_from_slice(&[0][..sign]);
    to.extend_from_slice(digits);
}

/// A big-endian number without zeros before it.
pub fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

/// The key of a file, and its comment.
pub fn parse(data: &[u8]) -> Result<Key, KeyError> {
    let mut file = Reader(data.strip_prefix(MAGIC).ok_or(KeyError::Damaged)?);
    let cipher = file.string().ok_or(KeyError::Damaged)?;
    if cipher != b"none" {
        return Err(KeyError::Protected);
    }
    let private = (|| {
        let (_derivation, _options) = (file.string()?, file.string()?);
        let 1 = file.number()? else { return None };
        let _public = file.string()?;
        let mut private = Reader(file.string()?);
        // Equal where decryption succeeded.
        (private.number()? == private.number()?).then_some(private)
    })();
    let mut private = private.ok_or(KeyError::Damaged)?;
    let mut next = || private.string().ok_or(KeyError::Damaged);
    let key = match next()? {
        b"ssh-ed25519" => {
            let _public = next()?;
            Key::ed25519(next()?.get(..32).ok_or(KeyError::Damaged)?)
        }
        b"ssh-rsa" => {
            let (modulus, public, private) = (next()?, next()?, next()?);
            let (inverse, primes) = (next()?, [next()?, next()?]);
            Key::rsa(&RsaParts { modulus, public, private, inverse, primes })
        }
        b"ecdsa-sha2-nistp256" => {
            let (_curve, public, secret) = (next()?, next()?, next()?);
            Key::elliptic(Curve::P256, secret, public)
        }
        b"ecdsa-sha2-nistp384" => {
            let (_curve, public, secret) = (next()?, next()?, next()?);
            Key::elliptic(Curve::P384, secret, public)
        }
        _ => Err(KeyError::KIND),
    }?;
    Ok(key.with_comment(next()?))
}
