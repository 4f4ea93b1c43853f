//! The image config: what runs, and of which layers the root file system is made.
//!
//! Field order on writing is that of BuildKit's output (alphabetical at the top level, Go's struct order
//! inside). Reading takes `null` wherever Go writes it for an empty list, map or string.

#![allow(clippy::zero_sized_map_values, reason = "the document holds sets as maps of empty objects")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::extra::{Extra, is_default, keeps_layout, nullable};

/// The empty object `{}`, Go's way to write a set as a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Empty {}

/// An image config document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ImageConfig {
    /// CPU architecture, in Go's words.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// Who made the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What a container of this image runs.
    #[serde(default, deserialize_with = "nullable")]
    pub config: ContainerConfig,
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// How each layer came to be, oldest first.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Operating system, in Go's words.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// Needed features of the operating system.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Version of the operating system (Windows).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The layers.
    #[serde(default, deserialize_with = "nullable")]
    pub rootfs: RootFs,
    /// Variant of the CPU, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub other: Extra,
}
keeps_layout!(ImageConfig);

/// What a container runs, unless it is told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// User and group, `name|uid[:group|gid]`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports such as `80/tcp`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Environment, `NAME=value`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Command prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Command, or arguments to the entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that hold data of their own.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Directory to start in.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Signal that ends the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Whether the command is escaped already (Windows).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// How to ask the container whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for builds on top of this image.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Shell for shell-form commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub other: Extra,
}
keeps_layout!(ContainerConfig);

/// A health check. Durations are in nanoseconds; 0 means inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", args…]` or `["CMD-SHELL", command]`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between checks, ns.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub interval: i64,
    /// Time before a check counts as hung, ns.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub timeout: i64,
    /// Time for the container to start, ns.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub start_period: i64,
    /// Time between checks while it starts, ns.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub start_interval: i64,
    /// Failures in a row before the container is unhealthy.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub retries: i64,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub other: Extra,
}
keeps_layout!(Healthcheck);

/// The layers of the root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    /// Digests of the uncompressed layers, base first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub other: Extra,
}
keeps_layout!(RootFs);

impl Default for RootFs {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl RootFs {
    /// A root file system of these layers, base first.
    pub fn new(diff_ids: Vec<Digest>) -> Self {
        Self { kind: "layers".to_owned(), diff_ids, other: Extra::default() }
    }
}

/// How one layer, or one change of the config, came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether no layer belongs to this entry.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub empty_layer: bool,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub other: Extra,
}
keeps_layout!(History);
