//! `RUN --mount`.

use crate::ast::{MountFlag, MountType, MountValues, Sharing, Text};
use crate::error::{ParseError, did_you_mean_exactly};
use crate::expand::ExpandError;
use crate::gopath;
use crate::parser::go_bool;

use super::csv::fields;
use super::size;

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// What is known before variables are.
pub(super) fn read(value: Text) -> Result<MountFlag, ParseError> {
    let mut from = None;
    for field in mount_fields(&value)? {
        let Some((key, stage)) = field.split_once('=') else { continue };
        if !key.eq_ignore_ascii_case("from") {
            continue;
        }
        if stage.find('$').is_some_and(|at| at + 1 != stage.len()) {
            let message = "'from' doesn't support variable expansion, define alias stage instead";
            return Err(ParseError::new(value.span, message));
        }
        from = Some(stage.to_owned()).filter(|stage| !stage.is_empty());
    }
    Ok(MountFlag { value, from })
}

fn mount_fields(value: &Text) -> Result<Vec<String>, ParseError> {
    let error = |message| ParseError::new(value.span, format!("failed to parse csv mounts: {message}"));
    fields(&value.value).map_err(error)
}

impl MountType {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }

    const ALL: [Self; 5] = [Self::Bind, Self::Cache, Self::Tmpfs, Self::Secret, Self::Ssh];
}

impl MountFlag {
    /// Expands the values and reads them. Keys are read in order, so `type` stands before what depends on it.
    pub fn resolve(
        &self,
        mut expand: impl FnMut(&str) -> Result<String, ExpandError>,
    ) -> Result<MountValues, ParseError> {
        let mut reading = Reading::default();
        for field in mount_fields(&self.value)? {
            let (key, value) = match field.split_once('=') {
                None => (field.to_lowercase(), None),
                Some((key, value)) => {
                    let value = expand(value).map_err(|error| self.error(error.to_string()))?;
                    (key.to_lowercase(), Some(value))
                }
            };
            let result = match value {
                None => reading.bare(&key, &field),
                Some(value) => reading.pair(&key, value, &field),
            };
            result.map_err(|Wrong(message, hint)| self.error(message).with_hint(hint))?;
        }
        reading.finish().map_err(|message| self.error(message))
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.value.span, message)
    }
}

#[derive(Default)]
struct Reading {
    values: MountValues,
    read_only: Option<bool>,
    sharing: Option<Sharing>,
}

/// A message and a hint.
struct Wrong(String, Option<String>);

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self(message, None)
    }
}

impl Reading {
    fn bare(&mut self, key: &str, field: &str) -> Result<(), Wrong> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.required(key, true)?,
            _ => return Err(format!("invalid field '{field}' must be a key=value pair").into()),
        }
        Ok(())
    }

    fn required(&mut self, key: &str, required: bool) -> Result<(), String> {
        let kind = self.values.kind;
        if !matches!(kind, MountType::Secret | MountType::Ssh) {
            return Err(format!("unexpected key '{key}' for mount type '{}'", kind.as_str()));
        }
        self.values.required = required;
        Ok(())
    }

    fn pair(&mut self, key: &str, value: String, field: &str) -> Result<(), Wrong> {
        let boolean = || go_bool(&value).ok_or_else(|| format!("invalid value for {key}: {value}"));
        let number = |base| {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            let number = if digits { u32::from_str_radix(&value, base).ok() } else { None };
            number.ok_or_else(|| format!("invalid value {value} for {key}"))
        };
        let some = |value: String| Some(value).filter(|value| !value.is_empty());
        let values = &mut self.values;
        match key {
            "type" => {
                let lower = value.to_lowercase();
                values.kind =
                    *MountType::ALL.iter().find(|kind| kind.as_str() == lower).ok_or_else(|| {
                        let hint = did_you_mean_exactly(&value, MountType::ALL.map(MountType::as_str));
                        Wrong(format!("unsupported mount type {value:?}"), hint)
                    })?;
            }
            "from" => values.from = some(value),
            "source" | "src" => values.source = some(value),
            "target" | "dst" | "destination" => values.target = value,
            "readonly" | "ro" => self.read_only = Some(boolean()?),
            "readwrite" | "rw" => self.read_only = Some(!boolean()?),
            "required" => {
                // The type is judged before the value.
                self.required(key, true)?;
                self.values.required =
                    go_bool(&value).ok_or_else(|| format!("invalid value for {key}: {value}"))?;
            }
            "size" if values.kind == MountType::Tmpfs => {
                values.size_bytes =
                    size::parse(&value).ok_or_else(|| format!("invalid value for {key}: {value}"))?;
            }
            "size" => {
                return Err(
                    format!("unexpected key '{key}' for mount type '{}'", values.kind.as_str()).into()
                );
            }
            "id" => values.id = some(value),
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => {
                        let hint = did_you_mean_exactly(&value, ["shared", "private", "locked"]);
                        return Err(Wrong(format!("unsupported sharing value {value:?}"), hint));
                    }
                });
            }
            "mode" => values.mode = Some(number(8)?),
            "uid" => values.uid = Some(number(10)?),
            "gid" => values.gid = Some(number(10)?),
            "env" => values.env = Some(value),
            _ => {
                let hint = did_you_mean_exactly(key, KEYS);
                return Err(Wrong(format!("unexpected key '{key}' in '{field}'"), hint));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<MountValues, String> {
        let Self { mut values, read_only, sharing } = self;
        let kind = values.kind;
        if matches!(kind, MountType::Bind | MountType::Tmpfs) {
            let owners = [("mode", values.mode), ("uid", values.uid), ("gid", values.gid)];
            if let Some((key, _)) = owners.iter().find(|(_, value)| value.is_some()) {
                return Err(format!("{key} not allowed for \"{}\" type mounts", kind.as_str()));
            }
        }
        values.read_only = read_only.unwrap_or(!matches!(kind, MountType::Cache | MountType::Tmpfs));
        if kind == MountType::Tmpfs
            && values.source.as_deref().is_some_and(|path| gopath::join(&["/", path]) != "/")
        {
            return Err("tmpfs does not support source".to_owned());
        }
        if kind == MountType::Secret {
            if values.from.is_some() {
                return Err("secret mount should not have a from".to_owned());
            }
            if sharing.is_some() {
                return Err("secret mount should not define sharing".to_owned());
            }
            if values.source.is_none() && values.target.is_empty() && values.id.is_none() {
                return Err("invalid secret mount. one of source, target required".to_owned());
            }
            if values.source.is_some() && values.id.is_some() {
                return Err("both source and id can't be set".to_owned());
            }
            values.id = values.source.take().or(values.id);
        }
        if sharing.is_some() && kind != MountType::Cache {
            return Err(format!("invalid cache sharing set for {} mount", kind.as_str()));
        }
        values.sharing = sharing.unwrap_or_default();
        Ok(values)
    }
}
