//! What a JSON object said beyond the fields that we know.
//!
//! [`Extra`] sits in each document type as `other`. It keeps unknown fields with their values, and the order
//! of all fields as they were read, including known ones that were there but empty (`"Volumes": null`).
//! Writing puts everything back in that order, so that a document that nobody changed is written as it was
//! read; fields that are new go behind their neighbour in the order of the type's definition.

use std::ops::{Deref, DerefMut};

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The fields of a JSON object that its type does not know, and the layout that it was read with.
///
/// Works as the map of unknown fields. The layout takes no part in comparisons.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    fields: Map<String, Value>,
    /// All keys in reading order; with the value of those that were empty.
    layout: Vec<(String, Option<Value>)>,
}

impl Deref for Extra {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.fields
    }
}

impl DerefMut for Extra {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.fields
    }
}

impl From<Map<String, Value>> for Extra {
    fn from(fields: Map<String, Value>) -> Self {
        Self { fields, layout: Vec::new() }
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Eq for Extra {}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

/// Reads an object by `parse` and notes its layout in the `Extra` that `extra` finds in the result.
pub(crate) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(Value) -> Result<T, serde_json::Error>,
    extra: impl FnOnce(&mut T) -> &mut Extra,
) -> Result<T, D::Error> {
    let object = Map::<String, Value>::deserialize(deserializer)?;
    let layout =
        object.iter().map(|(key, value)| (key.clone(), is_empty(value).then(|| value.clone()))).collect();
    let mut parsed = parse(Value::Object(object)).map_err(D::Error::custom)?;
    extra(&mut parsed).layout = layout;
    Ok(parsed)
}

/// Writes what `value` made of an object in the layout that was read.
pub(crate) fn write<S: Serializer>(
    serializer: S,
    value: Result<Value, serde_json::Error>,
    extra: &Extra,
) -> Result<S::Ok, S::Error> {
    let Value::Object(object) = value.map_err(S::Error::custom)? else {
        return Err(S::Error::custom("not an object"));
    };
    if extra.layout.is_empty() {
        return object.serialize(serializer);
    }
    // What was read and is still there, in the old order.
    let mut keys: Vec<&str> = Vec::with_capacity(object.len());
    let mut blanks: Map<String, Value> = Map::new();
    for (key, blank) in &extra.layout {
        let value = object.get(key);
        match blank {
            // What was empty and still is stays as it was written.
            Some(blank) if value.is_none_or(is_empty) => {
                keys.push(key);
                blanks.insert(key.clone(), blank.clone());
            }
            _ if value.is_some() => keys.push(key),
            _ => {}
        }
    }
    let mut previous: Option<&str> = None;
    for key in object.keys() {
        if !extra.layout.iter().any(|(known, _)| known == key) {
            let at = previous
                .and_then(|p| keys.iter().position(|k| *k == p))
                .map_or(if previous.is_none() { 0 } else { keys.len() }, |i| i + 1);
            keys.insert(at, key);
        }
        previous = Some(key);
    }
    serializer.collect_map(
        keys.iter().filter_map(|key| Some((key, blanks.get(*key).or_else(|| object.get(*key))?))),
    )
}

/// Whether a value says no more than a missing field does.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// For `deserialize_with`: `null` reads as the default.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// For `skip_serializing_if`: whether a value is its type's default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Gives a type that derives with `#[serde(remote = "Self")]` and has a field `other: Extra` the reading and
/// writing that keep layout.
macro_rules! keeps_layout {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::extra::read(
                    deserializer,
                    |value| <$type>::deserialize(value),
                    |parsed| &mut parsed.other,
                )
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let value = <$type>::serialize(self, serde_json::value::Serializer);
                $crate::extra::write(serializer, value, &self.other)
            }
        }
    };
}
pub(crate) use keeps_layout;
