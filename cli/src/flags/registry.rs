//! Flags and names that all commands on registries share.

use clap::{ArgAction, Args};
use cooper_oci::{Platform, Reference};

use crate::backend::distribution::{ImageName, RegistryOptions};
use crate::ui;

/// How registries are spoken to.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryFlags {
    /// Speak plain HTTP: with this registry, or with all that the command names (this machine's need no flag)
    #[arg(long, value_name = "HOST[:PORT]", num_args = 0..=1, require_equals = true,
          default_missing_value = "", action = ArgAction::Append)]
    plain_http: Vec<String>,
    /// Let --plain-http send credentials, for anybody on the way to read
    #[arg(long, requires = "plain_http")]
    plain_http_credentials: bool,
    /// Take any certificate: of this registry, or of all that the command names
    #[arg(long, value_name = "HOST[:PORT]", num_args = 0..=1, require_equals = true,
          default_missing_value = "", action = ArgAction::Append)]
    skip_verify: Vec<String>,
}

impl RegistryFlags {
    /// Options for a command that names these registries.
    pub fn options<'a>(&self, named: impl IntoIterator<Item = &'a str> + Clone) -> RegistryOptions {
        let all = |flag: &[String]| {
            let mut hosts: Vec<String> = flag.iter().filter(|h| !h.is_empty()).cloned().collect();
            if flag.iter().any(String::is_empty) {
                hosts.extend(named.clone().into_iter().map(str::to_owned));
            }
            hosts.sort();
            hosts.dedup();
            hosts
        };
        RegistryOptions {
            plain_http: all(&self.plain_http),
            plaintext_credentials: self.plain_http_credentials,
            skip_verify: all(&self.skip_verify),
            on_notice: Some(ui::note),
            ..RegistryOptions::default()
        }
    }

    /// Options for a command on one image, named as the user wrote it; whether the name is right is found out later.
    pub fn options_for(&self, name: &str) -> RegistryOptions {
        let reference = name.parse::<Reference>().ok();
        self.options(reference.iter().map(|r| r.registry.as_str()))
    }
}

/// The images that a command names.
pub trait Names {
    /// Those images.
    fn names(&self) -> Vec<&ImageName>;

    /// How registries are spoken to.
    fn flags(&self) -> &RegistryFlags;

    /// Whether the store must be open.
    fn need_store(&self) -> bool {
        self.names().iter().any(|name| name.needs_store())
    }

    /// The flags, applied to the registries of the names.
    fn registries(&self) -> RegistryOptions {
        let names = self.names();
        self.flags().options(names.iter().filter_map(|n| n.registry()).map(|r| r.registry.as_str()))
    }
}

/// For clap: an image in a registry.
pub fn remote(text: &str) -> Result<ImageName, String> {
    match text.parse()? {
        name @ ImageName::Registry(_) => Ok(name),
        _ => Err("this command works on images in registries only".to_owned()),
    }
}

/// For clap: an image outside of the store.
pub fn outside(text: &str) -> Result<ImageName, String> {
    match text.parse()? {
        ImageName::Store(_) => Err("images of the store are sent by `cooper push`".to_owned()),
        name => Ok(name),
    }
}

/// For clap: a repository, without tag and digest.
pub fn repository(text: &str) -> Result<ImageName, String> {
    let name = remote(text)?;
    match name.registry() {
        Some(r) if r.tag.is_some() || r.digest.is_some() => {
            Err(format!("this is one image; its repository is {}", r.familiar_name()))
        }
        _ => Ok(name),
    }
}

/// For clap: a platform.
pub fn platform(text: &str) -> Result<Platform, String> {
    Platform::parse(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_http_is_for_those_named_or_for_one() {
        let flags = |hosts: &[&str]| RegistryFlags {
            plain_http: hosts.iter().map(|h| (*h).to_owned()).collect(),
            ..RegistryFlags::default()
        };
        let named = ["a.test", "b.test:5000", "a.test"];
        assert!(flags(&[]).options(named).plain_http.is_empty());
        assert_eq!(flags(&[""]).options(named).plain_http, ["a.test", "b.test:5000"]);
        assert_eq!(flags(&["c.test"]).options(named).plain_http, ["c.test"]);
        assert_eq!(flags(&[""]).options_for("a.test/x:1").plain_http, ["a.test"]);
        assert!(flags(&[""]).options_for("BAD name").plain_http.is_empty());
    }

    #[test]
    fn repositories_are_no_images() {
        assert!(repository("a.test/x").is_ok());
        for text in ["a.test/x:1", "store://x", "oci-layout://x"] {
            assert!(repository(text).is_err(), "{text}");
        }
    }
}
