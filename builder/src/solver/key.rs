//! Step keys: Merkle trees of named inputs.
//!
//! A key is the BLAKE3 hash of [`FORMAT`] and the inputs in order, each as length-prefixed name and value. The names
//! stay in the record, so that a miss can be explained by comparing with the nearest record.

use serde::{Deserialize, Serialize};

/// Changes whenever the meaning of a key changes; old records are then never found.
const FORMAT: &str = "cooper-step-1";

/// One named input of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What it is, such as `ARG GIT_SHA` or `src/a.ts`.
    pub name: String,
    /// Its value, or a digest of it.
    pub value: String,
}

/// The inputs of a step, in a fixed order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inputs(Vec<Input>);

impl Inputs {
    /// Adds one input.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push(Input { name: name.into(), value: value.into() });
    }

    /// The key: 64 hex digits.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut field = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        field(FORMAT);
        for input in &self.0 {
            field(&input.name);
            field(&input.value);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// What differs from an older set of inputs, in words: names only in one, and changed values (short).
    pub fn differences(&self, old: &Inputs) -> Vec<String> {
        let mut out = Vec::new();
        for new in &self.0 {
            match old.0.iter().find(|o| o.name == new.name) {
                None => out.push(format!("{} added", new.name)),
                Some(o) if o.value != new.value => {
                    out.push(if is_plain(&o.value) && is_plain(&new.value) {
                        format!("{} {}→{}", new.name, o.value, new.value)
                    } else {
                        format!("{} changed", new.name)
                    });
                }
                Some(_) => {}
            }
        }
        for o in &old.0 {
            if !self.0.iter().any(|n| n.name == o.name) {
                out.push(format!("{} removed", o.name));
            }
        }
        if out.is_empty() && self != old {
            out.push("order of inputs changed".into());
        }
        out
    }
}

/// Short text without digests can be shown as it is.
fn is_plain(value: &str) -> bool {
    value.len() <= 40 && !value.contains(['\n', '\u{1b}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        let mut out = Inputs::default();
        for (n, v) in pairs {
            out.add(*n, *v);
        }
        out
    }

    #[test]
    fn a_key_depends_on_names_values_order_and_boundaries() {
        let base = inputs(&[("a", "1"), ("b", "2")]);
        for other in [
            inputs(&[("a", "1"), ("b", "3")]),
            inputs(&[("a", "1"), ("c", "2")]),
            inputs(&[("b", "2"), ("a", "1")]),
            inputs(&[("a", "1b"), ("", "2")]),
            inputs(&[("a", "1")]),
        ] {
            assert_ne!(base.key(), other.key());
        }
        assert_eq!(base.key(), inputs(&[("a", "1"), ("b", "2")]).key());
    }

    #[test]
    fn the_key_format_is_pinned() {
        // Whoever changes this must change FORMAT: stores of users hold records under such keys.
        assert_eq!(inputs(&[("op", "run")]).key(), PINNED);
    }
    const PINNED: &str = "09ea58db12162aa96f32c52b308679cff7bd007f624704d2458b7bec56ab90dd";

    #[test]
    fn differences_name_what_changed() {
        let old = inputs(&[("ARG GIT_SHA", "a1"), ("src/a.ts", &"x".repeat(64)), ("gone", "1")]);
        let new = inputs(&[("ARG GIT_SHA", "b2"), ("src/a.ts", &"y".repeat(64)), ("new", "1")]);
        assert_eq!(
            new.differences(&old),
            ["ARG GIT_SHA a1→b2", "src/a.ts changed", "new added", "gone removed"]
        );
    }
}
