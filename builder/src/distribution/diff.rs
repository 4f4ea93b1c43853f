//! What two images differ in: configs, layers, files.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cooper_oci::{Digest, Platform};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::name::ImageName;
use super::tree::{Layer, Node, Tree};
use super::{Image, Images};
use crate::error::BuildError;

/// Layers that are read at once.
const LAYERS_AT_ONCE: usize = 4;

/// What two images differ in.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The first image.
    pub before: Side,
    /// The second image.
    pub after: Side,
    /// Values of the config that differ, by key. History and layers are not among them.
    pub config: Vec<ConfigChange>,
    /// Files that differ, by path; `None` if nobody looked.
    pub files: Option<Vec<FileChange>>,
}

/// One of the two images.
#[derive(Debug, Clone)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it runs on.
    pub platform: String,
    /// Its layers, base first.
    pub layers: Vec<SideLayer>,
}

/// A layer of one of the images.
#[derive(Debug, Clone)]
pub struct SideLayer {
    /// Digest of its blob.
    pub digest: Digest,
    /// SHA-256 of its uncompressed tar.
    pub diff_id: Digest,
    /// Size of its blob in bytes.
    pub size_bytes: u64,
    /// The instruction that made it, if the history says so.
    pub created_by: Option<String>,
    /// Whether the other image has it too.
    pub shared: bool,
}

/// A value of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Such as `config.Env.PATH`.
    pub key: String,
    /// In the first image.
    pub before: Option<Value>,
    /// In the second image.
    pub after: Option<Value>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path, without a slash at the start.
    pub path: Vec<u8>,
    /// In the first image.
    pub before: Option<Node>,
    /// In the second image.
    pub after: Option<Node>,
}

impl FileChange {
    /// What differs of a file that both have: `type`, `content`, `target`, `device`, `mode`, `owner`, `xattrs`, `time`.
    pub fn aspects(&self) -> Vec<&'static str> {
        let (Some(a), Some(b)) = (&self.before, &self.after) else { return Vec::new() };
        if a.kind != b.kind {
            return vec!["type"];
        }
        let all = [
            ("content", a.content != b.content),
            ("target", a.link != b.link),
            ("device", a.device != b.device),
            ("mode", a.mode != b.mode),
            ("owner", (a.uid, a.gid) != (b.uid, b.gid)),
            ("xattrs", a.xattrs != b.xattrs),
            ("time", a.mtime != b.mtime),
        ];
        all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Whether nothing but the time differs.
    pub fn is_time_only(&self) -> bool {
        self.aspects() == ["time"]
    }
}

impl Difference {
    /// Whether the images are the same for whoever runs them: same config, same files but for their times.
    pub fn is_empty(&self) -> bool {
        let files_differ = match &self.files {
            Some(files) => files.iter().any(|f| !f.is_time_only()),
            None => self.before.layers.iter().chain(&self.after.layers).any(|l| !l.shared),
        };
        self.config.is_empty() && !files_differ
    }
}

impl Images {
    /// Compares two images for one platform, by default this machine's. Without `files` no layer is read.
    pub async fn diff(
        &self,
        before: &ImageName,
        after: &ImageName,
        platform: Option<&Platform>,
        files: bool,
    ) -> Result<Difference, BuildError> {
        let both = futures_util::future::try_join(self.image(before, platform), self.image(after, platform));
        let (a, b) = Box::pin(both).await?;
        let files = if files { Some(self.files([(before, &a), (after, &b)]).await?) } else { None };
        Ok(Difference {
            before: side(before, &a, &b),
            after: side(after, &b, &a),
            config: config_changes(&a.config_bytes, &b.config_bytes),
            files,
        })
    }

    async fn files(&self, images: [(&ImageName, &Image); 2]) -> Result<Vec<FileChange>, BuildError> {
        let [(_, a), (_, b)] = images;
        let ids = [&a.config.rootfs.diff_ids, &b.config.rootfs.diff_ids];
        if ids[0] == ids[1] {
            return Ok(Vec::new());
        }
        let mut seen = BTreeSet::new();
        let mut reads = Vec::new();
        for (name, image) in images {
            for (diff_id, layer) in image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers) {
                if seen.insert(diff_id) {
                    reads.push(async move {
                        let read = self.read_layer(name, diff_id, layer, Layer::read).await?;
                        Ok::<_, BuildError>((diff_id, read))
                    });
                }
            }
        }
        let layers: HashMap<&Digest, Layer> =
            futures_util::stream::iter(reads).buffer_unordered(LAYERS_AT_ONCE).try_collect().await?;
        let common = ids[0].iter().zip(ids[1]).take_while(|(a, b)| a == b).count();
        let mut base = Tree::default();
        ids[0][..common].iter().filter_map(|id| layers.get(id)).for_each(|layer| base.apply(layer));
        let [a, b] = ids.map(|ids| {
            let mut tree = base.clone();
            ids[common..].iter().filter_map(|id| layers.get(id)).for_each(|layer| tree.apply(layer));
            tree
        });
        Ok(compare(a, b))
    }
}

fn compare(a: Tree, mut b: Tree) -> Vec<FileChange> {
    let mut changes = Vec::new();
    for (path, before) in a.0 {
        let after = b.0.remove(&path);
        if after.as_ref() != Some(&before) {
            changes.push(FileChange { path, before: Some(before), after });
        }
    }
    changes.extend(b.0.into_iter().map(|(path, after)| FileChange {
        path,
        before: None,
        after: Some(after),
    }));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

fn side(name: &ImageName, image: &Image, other: &Image) -> Side {
    let mut steps = image.config.history.iter().filter(|h| !h.empty_layer).map(|h| h.created_by.clone());
    let layers = image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers);
    Side {
        name: name.to_string(),
        digest: image.descriptor.digest.clone(),
        platform: image.platform().to_string(),
        layers: layers
            .map(|(diff_id, layer)| SideLayer {
                digest: layer.digest.clone(),
                diff_id: diff_id.clone(),
                size_bytes: layer.size,
                created_by: steps.next().flatten(),
                shared: other.config.rootfs.diff_ids.contains(diff_id),
            })
            .collect(),
    }
}

fn config_changes(a: &[u8], b: &[u8]) -> Vec<ConfigChange> {
    let (mut a, b) = (values(a), values(b));
    let mut changes = Vec::new();
    for (key, after) in b {
        let before = a.remove(&key);
        if before.as_ref() != Some(&after) {
            changes.push(ConfigChange { key, before, after: Some(after) });
        }
    }
    changes.extend(a.into_iter().map(|(key, before)| ConfigChange {
        key,
        before: Some(before),
        after: None,
    }));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// The values of a config, each under the names that lead to it.
fn values(config: &[u8]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let Ok(Value::Object(mut top)) = serde_json::from_slice::<Value>(config) else { return all };
    top.shift_remove("history");
    top.shift_remove("rootfs");
    gather("", &Value::Object(top), &mut all);
    all
}

fn gather(key: &str, value: &Value, all: &mut BTreeMap<String, Value>) {
    let under = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        value if says_nothing(key, value) => {}
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| gather(&under(name), value, all));
        }
        Value::Array(items) if key == "config.Env" => {
            for item in items.iter().filter_map(Value::as_str) {
                let (name, value) = item.split_once('=').unwrap_or((item, ""));
                all.insert(under(name), value.into());
            }
        }
        other => drop(all.insert(key.to_owned(), other.clone())),
    }
}

/// Whether a value means what a missing one does. An empty object does unless it is a member of a set, such as
/// `config.ExposedPorts.80/tcp`.
fn says_nothing(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty() && key.matches('.').count() < 2,
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn configs_are_compared_by_meaning() {
        let a = br#"{"os":"linux","config":{"Env":["PATH=/bin","A=1"],"Volumes":null,"Cmd":["sh"],
            "ExposedPorts":{"80/tcp":{}}},"history":[{}]}"#;
        let b = br#"{"config":{"Env":["A=2","PATH=/bin"],"Labels":{"a.b":"c"},"Cmd":["sh"],"User":""},"os":"linux"}"#;
        let changes = config_changes(a, b);
        let shown: Vec<String> = changes
            .iter()
            .map(|c| {
                let text = |v: &Option<Value>| v.as_ref().map_or("-".to_owned(), Value::to_string);
                format!("{} {} {}", c.key, text(&c.before), text(&c.after))
            })
            .collect();
        assert_eq!(
            shown,
            [r#"config.Env.A "1" "2""#, "config.ExposedPorts.80/tcp {} -", r#"config.Labels.a.b - "c""#]
        );
        assert!(config_changes(a, a).is_empty());
    }
}
