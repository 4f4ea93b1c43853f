//! Private keys in DER (PKCS#1, SEC 1, PKCS#8), as far as needed to find the parts of a key.

use super::key::{Curve, Key, KeyError};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// Context-specific, constructed, numbers 0 and 1.
const PARAMETERS: u8 = 0xa0;
const PUBLIC_KEY: u8 = 0xa1;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// Values one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value: its tag and content.
    fn next(&mut self) -> Result<(u8, &'a [u8]), KeyError> {
        let [tag, first, rest @ ..] = self.0 else { return Err(KeyError::Damaged) };
        let (length, rest) = match usize::from(*first) {
            short @ ..=0x7f => (short, rest),
            long @ 0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(long & 0x7f).ok_or(KeyError::Damaged)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(KeyError::Damaged),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(KeyError::Damaged)?;
        self.0 = rest;
        Ok((*tag, content))
    }

    /// The next value, which must have this tag.
    fn expect(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(KeyError::Damaged),
        }
    }
}

/// RFC 8017, A.1.2.
pub fn pkcs1(der: &[u8]) -> Result<Key, KeyError> {
    Key::rsa_from_der(der)
}

/// RFC 5915. `curve` is known from outside in PKCS#8.
pub fn sec1(der: &[u8], curve: Option<Curve>) -> Result<Key, KeyError> {
    let mut fields = Reader(Reader(der).expect(SEQUENCE)?);
    fields.expect(INTEGER)?;
    let private = fields.expect(OCTET_STRING)?;
    let (mut curve, mut public) = (curve, None);
    while !fields.0.is_empty() {
        match fields.next()? {
            (PARAMETERS, id) => curve = Some(curve_of(Reader(id).expect(OBJECT_ID)?)?),
            (PUBLIC_KEY, bits) => public = Reader(bits).expect(BIT_STRING)?.get(1..),
            _ => {}
        }
    }
    let public = public.ok_or(KeyError::Unsupported("it lacks its public half"))?;
    Key::elliptic(curve.ok_or(KeyError::Damaged)?, private, public)
}

/// RFC 5208 and 5958.
pub fn pkcs8(der: &[u8]) -> Result<Key, KeyError> {
    let mut fields = Reader(Reader(der).expect(SEQUENCE)?);
    fields.expect(INTEGER)?;
    let mut algorithm = Reader(fields.expect(SEQUENCE)?);
    let id = algorithm.expect(OBJECT_ID)?;
    let key = fields.expect(OCTET_STRING)?;
    match id {
        RSA => pkcs1(key),
        ELLIPTIC => sec1(key, Some(curve_of(algorithm.expect(OBJECT_ID)?)?)),
        ED25519 => Key::ed25519(Reader(key).expect(OCTET_STRING)?),
        _ => Err(KeyError::KIND),
    }
}

fn curve_of(id: &[u8]) -> Result<Curve, KeyError> {
    match id {
        P256 => Ok(Curve::P256),
        P384 => Ok(Curve::P384),
        _ => Err(KeyError::KIND),
    }
}
