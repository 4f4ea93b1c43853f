//! OCI archives and layouts, flattened to what a container of the image would see.
//!
//! A tree maps paths (bytes as text; `\xNN` where they are not UTF-8) to JSON objects, the form in which
//! `expected.json` holds them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use cooper_oci::Digest;
use cooper_oci::compress::auto_decoder;
use cooper_oci::tar::{Budget, Entry, EntryKind, Reader};
use serde_json::{Map, Value, json};

/// Something failed to be what it should be; the text says what.
pub type Result<T> = std::result::Result<T, String>;

/// Path to what is there.
pub type Tree = BTreeMap<String, Value>;

/// The parts of a config that tell how a container runs.
const CONFIG_KEYS: [&str; 12] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "OnBuild",
    "Healthcheck",
    "Shell",
];

/// Modification times before this (July 2017) were set on purpose; later ones are those of the build.
const CHOSEN_TIMES_END: i64 = 1_500_000_000;

/// The files of an OCI layout.
pub struct Layout {
    files: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    /// Of an archive.
    pub fn of_archive(path: &Path) -> Result<Layout> {
        let file = std::fs::File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut reader = Reader::new(std::io::BufReader::new(file), Budget::layer());
        let mut files = BTreeMap::new();
        while let Some(entry) = reader.next().map_err(text)? {
            if entry.kind == EntryKind::File {
                let mut content = Vec::new();
                reader.read_to_end(&mut content).map_err(text)?;
                files.insert(name(&entry.path), content);
            }
        }
        Ok(Layout { files })
    }

    /// Of a directory.
    pub fn of_directory(path: &Path) -> Result<Layout> {
        let mut files = BTreeMap::new();
        let blobs = path.join("blobs/sha256");
        for entry in std::fs::read_dir(&blobs).map_err(text)? {
            let entry = entry.map_err(text)?;
            let key = format!("blobs/sha256/{}", entry.file_name().to_string_lossy());
            files.insert(key, std::fs::read(entry.path()).map_err(text)?);
        }
        let index = std::fs::read(path.join("index.json")).map_err(text)?;
        files.insert("index.json".to_owned(), index);
        Ok(Layout { files })
    }

    /// The content of a descriptor, checked against its digest.
    fn blob(&self, descriptor: &Value) -> Result<&[u8]> {
        let digest: Digest = descriptor["digest"].as_str().unwrap_or_default().parse().map_err(text)?;
        let path = format!("blobs/{}", digest.as_str().replace(':', "/"));
        let data = self.files.get(&path).ok_or_else(|| format!("{path} is missing"))?;
        let mut hasher = Digest::hasher(&digest);
        hasher.update(data);
        if hasher.finish() != digest {
            return Err(format!("{path} has other content than its name says"));
        }
        Ok(data)
    }

    fn json(&self, descriptor: &Value) -> Result<Value> {
        serde_json::from_slice(self.blob(descriptor)?).map_err(text)
    }

    /// All image manifests, those inside nested indexes too; no attestations.
    pub fn manifests(&self) -> Result<Vec<Value>> {
        let index = self.files.get("index.json").ok_or("there is no index.json")?;
        let index: Value = serde_json::from_slice(index).map_err(text)?;
        let mut manifests = Vec::new();
        self.collect(&index, &mut manifests)?;
        Ok(manifests)
    }

    fn collect(&self, index: &Value, manifests: &mut Vec<Value>) -> Result<()> {
        for descriptor in list(&index["manifests"]) {
            let document = self.json(descriptor)?;
            let purpose = &descriptor["annotations"]["vnd.docker.reference.type"];
            if document.get("manifests").is_some() {
                self.collect(&document, manifests)?;
            } else if purpose != "attestation-manifest" {
                manifests.push(document);
            }
        }
        Ok(())
    }

    /// The file tree and the config of an image.
    pub fn flatten(&self, manifest: &Value) -> Result<(Tree, Value)> {
        let config = self.json(&manifest["config"])?;
        let layers = list(&manifest["layers"]);
        let diff_ids = list(&config["rootfs"]["diff_ids"]);
        if layers.len() != diff_ids.len() {
            return Err(format!("{} layers but {} diff IDs", layers.len(), diff_ids.len()));
        }
        let mut tree = Tree::new();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let (_, mut decoder) = auto_decoder(self.blob(layer)?).map_err(text)?;
            let mut archive = Vec::new();
            decoder.read_to_end(&mut archive).map_err(text)?;
            if Digest::sha256_of(&archive).as_str() != diff_id {
                return Err(format!("{} does not unpack to {diff_id}", layer["digest"]));
            }
            apply(&mut tree, &archive)?;
        }
        Ok((tree, config))
    }
}

/// Lays a layer over a tree. Whiteouts act on what is below the layer, wherever they stand in it.
fn apply(tree: &mut Tree, archive: &[u8]) -> Result<()> {
    let (mut added, mut opaque, mut gone) = (Tree::new(), Vec::new(), Vec::new());
    let mut reader = Reader::new(archive, Budget::layer());
    while let Some(entry) = reader.next().map_err(text)? {
        let path = clean(&name(&entry.path));
        let (parent, base) = path.rsplit_once('/').unwrap_or(("", &path));
        if base == ".wh..wh..opq" {
            opaque.push(if parent.is_empty() { "/".to_owned() } else { parent.to_owned() });
        } else if let Some(hidden) = base.strip_prefix(".wh.") {
            gone.push(format!("{parent}/{hidden}"));
        } else if path != "/" {
            let value = describe(&entry, &mut reader, &mut added, tree)?;
            added.insert(path, value);
        }
    }
    for path in opaque {
        remove(tree, &path, false);
    }
    for path in gone {
        remove(tree, &path, true);
    }
    for (path, value) in added {
        if tree.get(&path).is_some_and(|old| old["type"] != "dir" || value["type"] != "dir") {
            remove(tree, &path, true);
        }
        tree.insert(path, value);
    }
    Ok(())
}

fn describe(entry: &Entry, data: &mut impl Read, added: &mut Tree, below: &Tree) -> Result<Value> {
    let mut value = json!({ "mode": format!("0o{:o}", entry.mode), "uid": entry.uid, "gid": entry.gid });
    match entry.kind {
        EntryKind::Dir => value["type"] = json!("dir"),
        EntryKind::Fifo => value["type"] = json!("fifo"),
        EntryKind::Symlink => {
            value =
                json!({ "type": "symlink", "link": name(&entry.link), "uid": entry.uid, "gid": entry.gid });
        }
        EntryKind::CharDevice | EntryKind::BlockDevice => {
            value["type"] = json!("device");
            value["major"] = json!(entry.dev_major);
            value["minor"] = json!(entry.dev_minor);
        }
        EntryKind::File => {
            let mut content = Vec::new();
            data.read_to_end(&mut content).map_err(text)?;
            value["type"] = json!("file");
            value["size"] = json!(content.len());
            value["sha256"] = json!(Digest::sha256_of(&content).hex());
            if entry.mtime < CHOSEN_TIMES_END {
                value["mtime"] = json!(entry.mtime);
            }
        }
        EntryKind::HardLink => {
            let target = clean(&name(&entry.link));
            let missing = || json!({ "type": "missing-link-target" });
            value = added.get(&target).or_else(|| below.get(&target)).cloned().unwrap_or_else(missing);
            value["hardlink"] = json!(true);
            if let Some(first) = added.get_mut(&target) {
                first["hardlink"] = json!(true);
            }
        }
    }
    if !entry.xattrs.is_empty() {
        let pairs = entry.xattrs.iter().map(|(key, value)| (name(key), json!(hex(value))));
        value["xattrs"] = Value::Object(pairs.collect());
    }
    Ok(value)
}

/// What an archive's images add to, change in and remove from the base, by platform.
pub fn summarize(archive: &Path, base: &Tree) -> Result<Map<String, Value>> {
    let layout = Layout::of_archive(archive)?;
    let mut platforms = Map::new();
    for manifest in layout.manifests()? {
        let (tree, document) = layout.flatten(&manifest)?;
        let on_base = base.keys().any(|path| tree.contains_key(path));
        let removed: Vec<&String> = base.keys().filter(|path| on_base && !tree.contains_key(*path)).collect();
        let history = list(&document["history"]);
        let kinds: Vec<&str> =
            history.iter().map(|h| if h["empty_layer"] == true { "empty" } else { "layer" }).collect();
        let config: Map<String, Value> = CONFIG_KEYS
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), document["config"].get(*key)?.clone())))
            .filter(|(_, value)| !is_empty(value))
            .collect();
        let created_by: Vec<&Value> = history.iter().map(|h| &h["created_by"]).collect();
        let summary = json!({
            "config": config,
            "created_by": created_by,
            "history": kinds,
            "layers": list(&manifest["layers"]).len(),
            "removed": removed,
            "tree": tree.iter().filter(|(path, value)| base.get(*path) != Some(value)).collect::<BTreeMap<_, _>>(),
        });
        let parts = ["os", "architecture", "variant"].map(|key| document[key].as_str().unwrap_or_default());
        let platform = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        platforms.insert(platform, summary);
    }
    Ok(platforms)
}

fn remove(tree: &mut Tree, path: &str, itself: bool) {
    let below = format!("{}/", path.trim_end_matches('/'));
    tree.retain(|other, _| !(other.starts_with(&below) || itself && other == path));
}

fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn name(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        text
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
