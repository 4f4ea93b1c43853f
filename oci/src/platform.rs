//! Platforms: operating system, architecture, variant; parsing, normal form and choice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::extra::nullable;

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture, in Go's words.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// Operating system, in Go's words.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// Version of the operating system (Windows).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Needed features of the operating system.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the CPU, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// Not `os/arch[/variant]`.
    #[error("`{0}` is not a platform (expected os/arch or os/arch/variant)")]
    Malformed(String),
    /// One word that is neither an operating system nor an architecture.
    #[error("`{0}` is neither an operating system nor an architecture; write os/arch")]
    Unknown(String),
}

const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
];

const ARCHITECTURES: &[&str] = &[
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x", "wasm",
];

impl Platform {
    /// A platform in normal form.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = os.to_ascii_lowercase();
        let os = if os == "macos" { "darwin".to_owned() } else { os };
        let (architecture, variant) = normalize(architecture, variant.unwrap_or_default());
        Self {
            architecture,
            os,
            os_version: None,
            os_features: Vec::new(),
            variant: (!variant.is_empty()).then_some(variant),
        }
    }

    /// Reads `os/arch[/variant]`, or one word alone of which the other half is taken from the host.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let ok = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(|part| ok(part)) {
            return Err(PlatformError::Malformed(text.to_owned()));
        }
        match parts[..] {
            [word] => {
                let lower = word.to_ascii_lowercase();
                if SYSTEMS.contains(&lower.as_str()) || lower == "macos" {
                    let host = Self::host();
                    return Ok(Self::new(&lower, &host.architecture, host.variant.as_deref()));
                }
                let (architecture, variant) = normalize(&lower, "");
                if ARCHITECTURES.contains(&architecture.as_str()) {
                    return Ok(Self::new("linux", &architecture, Some(&variant)));
                }
                Err(PlatformError::Unknown(text.to_owned()))
            }
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError::Malformed(text.to_owned())),
        }
    }

    /// The platform that this program was built for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::new(std::env::consts::OS, architecture, None)
    }

    /// The same platform in normal form.
    pub fn normalized(&self) -> Self {
        Self {
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            ..Self::new(&self.os, &self.architecture, self.variant.as_deref())
        }
    }

    /// Whether an image for this platform runs on `want`.
    pub fn matches(&self, want: &Self) -> bool {
        self.score(want).is_some()
    }

    /// How well an image for this platform fits `want`: `None` if it does not run there, else the more the better.
    ///
    /// A variant runs on itself and on every later one: arm/v6 on arm/v7, amd64 on amd64/v3. Another
    /// architecture never fits, even where the CPU could run it (386 on amd64): who wants it asks by name.
    pub fn score(&self, want: &Self) -> Option<u32> {
        let (have, want) = (self.normalized(), want.normalized());
        if have.os != want.os || have.architecture != want.architecture {
            return None;
        }
        if let (Some(have), Some(want)) = (&have.os_version, &want.os_version) {
            // Windows: all but the last number must be equal.
            let build = |version: &str| version.splitn(4, '.').take(3).map(str::to_owned).collect::<Vec<_>>();
            if build(have) != build(want) {
                return None;
            }
        }
        let level = |platform: &Self| match &platform.variant {
            None => Some(default_level(&platform.architecture)),
            Some(text) => variant_level(text),
        };
        let exact = u32::from(have.os_version == want.os_version);
        match (level(&have), level(&want)) {
            (Some(have), Some(want)) if have <= want => Some(have * 2 + exact + 1),
            (None, _) | (_, None) if have.variant == want.variant => Some(1 + exact),
            _ => None,
        }
    }
}

/// The variant that an architecture without one means, in tenths.
fn default_level(architecture: &str) -> u32 {
    match architecture {
        "arm" => 70,
        "arm64" => 80,
        _ => 10,
    }
}

/// `v7` → 70, `v8.2` → 82.
fn variant_level(variant: &str) -> Option<u32> {
    let number = variant.strip_prefix('v')?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (major < 1000 && minor < 10).then_some(major * 10 + minor)
}

/// Architecture and variant in normal form.
fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "i686", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0" | "") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", v) => ("arm64", v),
        ("armhf", _) | ("arm", "7" | "") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        (a, v) => (a, v),
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn parsing_gives_the_normal_form() {
        for (text, normal) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
            ("Linux/AArch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(text).to_string(), normal, "{text}");
        }
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/amd 64", "nonsense"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_later_variant_runs_earlier_ones() {
        let v7 = platform("linux/arm/v7");
        assert!(platform("linux/arm/v6").matches(&v7));
        assert!(!platform("linux/arm/v8").matches(&v7));
        assert!(platform("linux/arm/v7").score(&v7) > platform("linux/arm/v6").score(&v7));
        let amd64 = platform("linux/amd64");
        assert!(amd64.matches(&platform("linux/amd64/v3")));
        assert!(!platform("linux/amd64/v3").matches(&amd64));
        assert!(!platform("windows/amd64").matches(&amd64));
        let bare = Platform { variant: None, ..platform("linux/arm/v7") };
        assert!(bare.matches(&v7), "arm without a variant is v7");
    }

    #[test]
    fn windows_builds_must_agree() {
        let version =
            |text: &str| Platform { os_version: Some(text.to_owned()), ..platform("windows/amd64") };
        assert!(version("10.0.17763.1").matches(&version("10.0.17763.2")));
        assert!(!version("10.0.17763.1").matches(&version("10.0.20348.1")));
    }
}
