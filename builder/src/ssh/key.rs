//! One private key: read from a file's text, able to sign. ring does the mathematics.

use std::fmt;

use base64::Engine as _;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};

use super::openssh::{put_integer, put_string, without_zeros};
use super::{der, openssh};

/// Why a text is no key that can be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing between BEGIN and END.
    #[error("no key found: it is no private key in PEM or OpenSSH format")]
    NoKey,
    /// Encrypted.
    #[error("this private key is passphrase protected")]
    Protected,
    /// Something is missing or does not fit.
    #[error("the private key is damaged")]
    Damaged,
    /// A key of another kind.
    #[error("this private key cannot be used: {0}")]
    Unsupported(&'static str),
}

impl KeyError {
    pub(super) const KIND: KeyError =
        KeyError::Unsupported("it is neither RSA, nor ECDSA P-256 or P-384, nor Ed25519");
    const RSA: KeyError =
        KeyError::Unsupported("RSA keys must have 2048 to 4096 bits and an exponent from 65537 on");
}

/// Curves of ECDSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// Numbers of an RSA key, big-endian.
pub struct RsaParts<'a> {
    pub modulus: &'a [u8],
    pub public: &'a [u8],
    pub private: &'a [u8],
    /// Of the second prime modulo the first.
    pub inverse: &'a [u8],
    pub primes: [&'a [u8]; 2],
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
    Elliptic(Curve, EcdsaKeyPair),
}

/// A private key with its public half as SSH writes it.
pub struct Key {
    pair: Pair,
    public: Vec<u8>,
    comment: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads the first key of a text in PEM.
    pub fn parse(text: &[u8]) -> Result<Key, KeyError> {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines().map(str::trim);
        let label = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        let label = label.ok_or(KeyError::NoKey)?;
        let mut body = String::new();
        for line in lines.take_while(|line| !line.starts_with("-----END ")) {
            if line.starts_with("Proc-Type:") && line.ends_with("ENCRYPTED") {
                return Err(KeyError::Protected);
            }
            body.push_str(line);
        }
        let data = base64::engine::general_purpose::STANDARD.decode(body).map_err(|_| KeyError::Damaged);
        match label {
            "OPENSSH PRIVATE KEY" => openssh::parse(&data?),
            "RSA PRIVATE KEY" => der::pkcs1(&data?),
            "EC PRIVATE KEY" => der::sec1(&data?, None),
            "PRIVATE KEY" => der::pkcs8(&data?),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Protected),
            "DSA PRIVATE KEY" => Err(KeyError::KIND),
            _ => Err(KeyError::NoKey),
        }
    }

    /// From the 32 bytes that make an Ed25519 key.
    pub fn ed25519(seed: &[u8]) -> Result<Key, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Damaged)?;
        let mut public = Vec::new();
        put_string(&mut public, b"ssh-ed25519");
        put_string(&mut public, pair.public_key().as_ref());
        Ok(Key { pair: Pair::Ed25519(pair), public, comment: Vec::new() })
    }

    /// From the private number and the public point.
    pub fn elliptic(curve: Curve, private: &[u8], public: &[u8]) -> Result<Key, KeyError> {
        let (algorithm, bytes) = match curve {
            Curve::P256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, 32),
            Curve::P384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, 48),
        };
        let digits = without_zeros(private);
        let mut number = vec![0; bytes];
        let start = bytes.checked_sub(digits.len()).ok_or(KeyError::Damaged)?;
        number[start..].copy_from_slice(digits);
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &number, public, &SystemRandom::new())
                .map_err(|_| KeyError::Damaged)?;
        let mut blob = Vec::new();
        put_string(&mut blob, curve.algorithm().as_bytes());
        put_string(&mut blob, curve.name().as_bytes());
        put_string(&mut blob, public);
        Ok(Key { pair: Pair::Elliptic(curve, pair), public: blob, comment: Vec::new() })
    }

    /// From the numbers of an RSA key.
    pub fn rsa(parts: &RsaParts<'_>) -> Result<Key, KeyError> {
        let [first, second] = parts.primes.map(without_zeros);
        let private = without_zeros(parts.private);
        let (by_first, by_second) = (modulo_one_less(private, first)?, modulo_one_less(private, second)?);
        let components = KeyPairComponents {
            public_key: PublicKeyComponents {
                n: without_zeros(parts.modulus),
                e: without_zeros(parts.public),
            },
            d: private,
            p: first,
            q: second,
            dP: without_zeros(&by_first),
            dQ: without_zeros(&by_second),
            qInv: without_zeros(parts.inverse),
        };
        RsaKeyPair::from_components(&components).map_err(|_| KeyError::RSA).map(Key::of_rsa)
    }

    /// From `RSAPrivateKey` of PKCS#1.
    pub fn rsa_from_der(der: &[u8]) -> Result<Key, KeyError> {
        RsaKeyPair::from_der(der).map_err(|_| KeyError::RSA).map(Key::of_rsa)
    }

    fn of_rsa(pair: RsaKeyPair) -> Key {
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let mut public = Vec::new();
        put_string(&mut public, b"ssh-rsa");
        put_integer(&mut public, &e);
        put_integer(&mut public, &n);
        Key { pair: Pair::Rsa(Box::new(pair)), public, comment: Vec::new() }
    }

    /// With the words that go with a key.
    pub fn with_comment(mut self, comment: &[u8]) -> Key {
        self.comment = comment.to_vec();
        self
    }

    /// The public key as SSH writes it.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Words that go with the key.
    pub fn comment(&self) -> &[u8] {
        &self.comment
    }

    /// A signature as SSH writes it; `flags` as in a sign request of the agent protocol. `None` for RSA with SHA-1,
    /// which is broken.
    pub fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        const RSA_SHA2_256: u32 = 2;
        const RSA_SHA2_512: u32 = 4;
        let mut signature = Vec::new();
        match &self.pair {
            Pair::Ed25519(pair) => {
                put_string(&mut signature, b"ssh-ed25519");
                put_string(&mut signature, pair.sign(data).as_ref());
            }
            Pair::Elliptic(curve, pair) => {
                let fixed = pair.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                let mut numbers = Vec::new();
                put_integer(&mut numbers, r);
                put_integer(&mut numbers, s);
                put_string(&mut signature, curve.algorithm().as_bytes());
                put_string(&mut signature, &numbers);
            }
            Pair::Rsa(pair) => {
                let (name, encoding): (_, &'static dyn ring::signature::RsaEncoding) =
                    if flags & RSA_SHA2_512 != 0 {
                        ("rsa-sha2-512", &RSA_PKCS1_SHA512)
                    } else if flags & RSA_SHA2_256 != 0 {
                        ("rsa-sha2-256", &RSA_PKCS1_SHA256)
                    } else {
                        return None;
                    };
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), data, &mut bytes).ok()?;
                put_string(&mut signature, name.as_bytes());
                put_string(&mut signature, &bytes);
            }
        }
        Some(signature)
    }
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Curve::P256 => "nistp256",
            Curve::P384 => "nistp384",
        }
    }

    fn algorithm(self) -> &'static str {
        match self {
            Curve::P256 => "ecdsa-sha2-nistp256",
            Curve::P384 => "ecdsa-sha2-nistp384",
        }
    }
}

/// `number` modulo `prime - 1`; OpenSSH's format leaves these two numbers out. Big-endian. Bit by bit: it is done once
/// for a key, on the machine that holds the key.
fn modulo_one_less(number: &[u8], prime: &[u8]) -> Result<Vec<u8>, KeyError> {
    // An odd prime, so that nothing is borrowed.
    let mut modulus = prime.to_vec();
    match modulus.last_mut() {
        Some(last) if *last & 1 == 1 && prime.len() > 1 => *last -= 1,
        _ => return Err(KeyError::Damaged),
    }
    // One byte more than the modulus: the doubled rest must fit.
    modulus.insert(0, 0);
    let mut rest = vec![0_u8; modulus.len()];
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)) {
        let mut carry = bit;
        for digit in rest.iter_mut().rev() {
            let next = *digit >> 7;
            *digit = *digit << 1 | carry;
            carry = next;
        }
        if rest >= modulus {
            let mut borrow = false;
            for (digit, minus) in rest.iter_mut().zip(&modulus).rev() {
                let (value, first) = digit.overflowing_sub(*minus);
                let (value, second) = value.overflowing_sub(u8::from(borrow));
                (*digit, borrow) = (value, first || second);
            }
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn remainders() {
        let of = |number: u32, prime: u16| {
            let rest = modulo_one_less(&number.to_be_bytes(), &prime.to_be_bytes()).unwrap();
            rest.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte))
        };
        for (number, prime) in [(0, 257), (255, 257), (256, 257), (u32::MAX, 65_521), (123_456_789, 509)] {
            assert_eq!(of(number, prime), number % (u32::from(prime) - 1), "{number} {prime}");
        }
        assert_eq!(modulo_one_less(&[1], &[2, 2]), Err(KeyError::Damaged));
    }

    #[test]
    fn what_is_no_key() {
        let of = |text: &str| Key::parse(text.as_bytes()).unwrap_err();
        assert_eq!(of(""), KeyError::NoKey);
        assert_eq!(of("ssh-ed25519 AAAA a@b"), KeyError::NoKey);
        assert_eq!(of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), KeyError::NoKey);
        for label in ["OPENSSH", "RSA", "EC"] {
            let pem = |body: &str| {
                format!("-----BEGIN {label} PRIVATE KEY-----\n{body}\n-----END {label} PRIVATE KEY-----\n")
            };
            for body in
                ["", "!", "AAAA", "MIIC", "MP8=", "b3BlbnNzaC1rZXktdjEA", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU="]
            {
                let error = of(&pem(body));
                assert!(matches!(error, KeyError::Damaged | KeyError::RSA), "{label} {body}: {error}");
            }
        }
    }
}
