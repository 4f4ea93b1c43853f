//! Flags of an instruction, checked against the ones that it knows.

use crate::ast::Text;
use crate::error::{ParseError, did_you_mean_exactly};
use crate::parser::node::Node;
use crate::parser::words::RawFlag;

/// How a flag takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Many,
    Bool,
}

/// The flags of one instruction. Each is declared by asking for its value; [`Flags::check`] then reports the first
/// that is wrong, in the order in which they are written.
pub(super) struct Flags<'a> {
    node: &'a Node,
    known: Vec<(&'static str, Kind)>,
}

impl<'a> Flags<'a> {
    /// Starts without any flag.
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, known: Vec::new() }
    }

    /// Checks that there are no flags.
    pub(super) fn none(node: &'a Node) -> Result<(), ParseError> {
        Self::new(node).check()
    }

    fn declare(&mut self, name: &'static str, kind: Kind) -> impl DoubleEndedIterator<Item = &'a RawFlag> {
        self.known.push((name, kind));
        self.node.flags.iter().filter(move |flag| flag.name == name)
    }

    /// A flag with one value. An empty value counts as none, as everywhere in BuildKit.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Text> {
        self.text_or_empty(name).filter(|text| !text.value.is_empty())
    }

    /// A flag with one value, which may be empty.
    pub(super) fn text_or_empty(&mut self, name: &'static str) -> Option<Text> {
        let node = self.node;
        self.declare(name, Kind::Text).find_map(|flag| flag.value.as_ref()).map(|value| node.text(value))
    }

    /// A flag that may be repeated.
    pub(super) fn many(&mut self, name: &'static str) -> Vec<Text> {
        let node = self.node;
        self.declare(name, Kind::Many)
            .filter_map(|flag| flag.value.as_ref())
            .map(|value| node.text(value))
            .collect()
    }

    /// A switch, if written.
    pub(super) fn switch(&mut self, name: &'static str) -> Option<bool> {
        self.declare(name, Kind::Bool).next().map(|flag| match &flag.value {
            None => true,
            Some(value) => value.text.eq_ignore_ascii_case("true"),
        })
    }

    /// Reports the first wrong flag.
    pub(super) fn check(&self) -> Result<(), ParseError> {
        for (index, flag) in self.node.flags.iter().enumerate() {
            let RawFlag { name, value, range } = flag;
            let error = |message: String| ParseError::new(self.node.span_of(range), message);
            let Some((_, kind)) = self.known.iter().find(|(known, _)| known == name) else {
                let hint = did_you_mean_exactly(name, self.known.iter().map(|(known, _)| *known));
                return Err(error(format!("unknown flag: --{name}")).with_hint(hint));
            };
            let repeated = self.node.flags[..index].iter().any(|earlier| earlier.name == *name);
            if repeated && *kind != Kind::Many {
                return Err(error(format!("duplicate flag specified: --{name}")));
            }
            match (kind, value) {
                (Kind::Bool, None) | (Kind::Text | Kind::Many, Some(_)) => {}
                (Kind::Text | Kind::Many, None) => {
                    return Err(error(format!("missing a value on flag: --{name}")));
                }
                (Kind::Bool, Some(value)) => match value.text.to_lowercase().as_str() {
                    "" => return Err(error(format!("missing a value on flag: --{name}"))),
                    "true" | "false" => {}
                    _ => {
                        let value = &value.text;
                        return Err(error(format!(
                            "expecting boolean value for flag --{name}, not: {value}"
                        )));
                    }
                },
            }
        }
        Ok(())
    }
}
