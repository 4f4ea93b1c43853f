//! `--output`, `--push` and `--load`: what happens with the result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cooper_builder::request::{Output, OutputKind};

use super::{csv, units};

/// All outputs of a build, in order. Without any the image goes into the store.
pub fn outputs(values: &[String], push: bool, load: bool) -> Result<Vec<Output>, String> {
    let mut outputs = values.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    if push {
        let mut pushed = false;
        for output in &mut outputs {
            if matches!(output.kind, OutputKind::Image | OutputKind::Registry) {
                output.kind = OutputKind::Registry;
                pushed = true;
            }
        }
        if !pushed {
            outputs.push(plain(OutputKind::Registry));
        }
    }
    if load && !outputs.iter().any(|o| o.kind == OutputKind::Docker && o.dest.is_none()) {
        outputs.push(plain(OutputKind::Docker));
    }
    if outputs.is_empty() {
        outputs.push(plain(OutputKind::Image));
    }
    if outputs.iter().filter(|o| writes_to_stdout(o)).count() > 1 {
        return Err("multiple outputs configured to write to stdout".to_owned());
    }
    Ok(outputs)
}

/// Whether an output's bytes go to standard output. A `docker` output without a destination goes to an engine;
/// with `dest=-` it keeps that destination.
pub fn writes_to_stdout(output: &Output) -> bool {
    match output.kind {
        OutputKind::Oci | OutputKind::Tar => output.dest.is_none(),
        OutputKind::Docker => output.dest.as_deref() == Some(Path::new("-")),
        _ => false,
    }
}

fn plain(kind: OutputKind) -> Output {
    Output { kind, dest: None, names: Vec::new(), attributes: BTreeMap::new() }
}

fn parse(text: &str) -> Result<Output, String> {
    let fields = csv::split(text).map_err(|e| format!("--output: {e}"))?;
    if let [one] = fields.as_slice()
        && one == text
        && !one.starts_with("type=")
    {
        return match one.as_str() {
            "" => Err("--output needs a value".to_owned()),
            "-" => Ok(plain(OutputKind::Tar)),
            path => local(path.to_owned()),
        };
    }
    let mut kind = None;
    let mut attributes = BTreeMap::new();
    for (key, value) in csv::pairs(text).map_err(|e| format!("--output: {e}"))? {
        if key == "type" {
            kind = Some(value);
        } else {
            attributes.insert(key, value);
        }
    }
    let kind = match kind.as_deref() {
        Some("image") => OutputKind::Image,
        Some("registry") => OutputKind::Registry,
        Some("oci") => OutputKind::Oci,
        Some("docker") => OutputKind::Docker,
        Some("local") => OutputKind::Local,
        Some("tar") => OutputKind::Tar,
        Some("cacheonly") => OutputKind::CacheOnly,
        Some(other) => return Err(format!("--output {text:?}: unknown type {other:?}")),
        None => return Err(format!("--output {text:?}: type is required")),
    };
    let dest = attributes.remove("dest").filter(|d| !d.is_empty());
    let names = attributes.remove("name").map(|n| super::pairs::comma_lists(&[n])).unwrap_or_default();
    finish(text, kind, dest, names, attributes)
}

fn finish(
    text: &str,
    kind: OutputKind,
    dest: Option<String>,
    names: Vec<String>,
    mut attributes: BTreeMap<String, String>,
) -> Result<Output, String> {
    let directory = attributes
        .get("tar")
        .map(|v| units::truth(v))
        .transpose()
        .map_err(|e| format!("--output {text:?}: tar: {e}"))?
        == Some(false);
    match kind {
        OutputKind::Image | OutputKind::Registry => {
            if dest.is_some() {
                return Err(format!("--output {text:?}: this type takes no dest"));
            }
            let push = attributes.remove("push").map(|v| units::truth(&v)).transpose();
            let push = push.map_err(|e| format!("--output {text:?}: push: {e}"))?;
            let push = push.unwrap_or(kind == OutputKind::Registry);
            let kind = if push { OutputKind::Registry } else { OutputKind::Image };
            Ok(Output { kind, dest: None, names, attributes })
        }
        OutputKind::CacheOnly if dest.is_some() => Err(format!("--output {text:?}: this type takes no dest")),
        OutputKind::CacheOnly => Ok(Output { kind, dest: None, names, attributes }),
        OutputKind::Local => {
            let dest = dest.ok_or_else(|| "dest is required for local exporter".to_owned())?;
            Ok(Output { names, attributes, ..local(dest)? })
        }
        OutputKind::Oci | OutputKind::Docker if directory => {
            let dest = dest.filter(|d| d != "-");
            let dest = dest.ok_or_else(|| format!("--output {text:?}: tar=false needs a dest directory"))?;
            Ok(Output { kind, dest: Some(directory_path(&dest)?), names, attributes })
        }
        OutputKind::Oci | OutputKind::Tar | OutputKind::Docker => {
            let dest = match dest.as_deref() {
                Some("-") if kind == OutputKind::Docker => Some(PathBuf::from("-")),
                None | Some("-") => None,
                Some(path) if Path::new(path).is_dir() => {
                    return Err(format!("destination file {path} is a directory"));
                }
                Some(path) => Some(PathBuf::from(path)),
            };
            Ok(Output { kind, dest, names, attributes })
        }
    }
}

fn local(dest: String) -> Result<Output, String> {
    if dest == "-" {
        return Err("dest cannot be stdout for local exporter".to_owned());
    }
    Ok(Output { dest: Some(directory_path(&dest)?), ..plain(OutputKind::Local) })
}

fn directory_path(dest: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(dest);
    if path.exists() && !path.is_dir() {
        return Err(format!("destination directory {dest} is a file"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(text: &str) -> Output {
        let mut all = outputs(&[text.to_owned()], false, false).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    fn error(text: &str) -> String {
        outputs(&[text.to_owned()], false, false).unwrap_err()
    }

    #[test]
    fn short_forms() {
        assert_eq!(one("out"), Output { dest: Some("out".into()), ..plain(OutputKind::Local) });
        assert_eq!(one("-"), plain(OutputKind::Tar));
    }

    #[test]
    fn long_forms() {
        let table = [
            ("type=image", OutputKind::Image, None),
            ("type=image,push=true", OutputKind::Registry, None),
            ("type=registry", OutputKind::Registry, None),
            ("type=registry,push=false", OutputKind::Image, None),
            ("type=oci,dest=a.tar", OutputKind::Oci, Some("a.tar")),
            ("type=oci", OutputKind::Oci, None),
            ("type=oci,dest=-", OutputKind::Oci, None),
            ("type=oci,tar=false,dest=layout", OutputKind::Oci, Some("layout")),
            ("type=docker", OutputKind::Docker, None),
            ("type=docker,dest=-", OutputKind::Docker, Some("-")),
            ("dest=out,type=local", OutputKind::Local, Some("out")),
            ("type=tar,\"dest=a,b.tar\"", OutputKind::Tar, Some("a,b.tar")),
            ("type=cacheonly", OutputKind::CacheOnly, None),
        ];
        for (text, kind, dest) in table {
            let got = one(text);
            assert_eq!((got.kind, got.dest), (kind, dest.map(PathBuf::from)), "{text}");
        }
    }

    #[test]
    fn names_and_other_attributes() {
        let got = one("type=image,\"name=a:1,b:2\",compression=zstd");
        assert_eq!(got.names, ["a:1", "b:2"]);
        assert_eq!(got.attributes.into_iter().collect::<Vec<_>>(), [("compression".into(), "zstd".into())]);
    }

    #[test]
    fn refusals() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f");
        std::fs::write(&file, "").unwrap();
        let (directory, file) = (directory.path().display(), file.display());
        let table = [
            ("", "needs a value".to_owned()),
            ("type=local", "dest is required for local exporter".to_owned()),
            ("type=local,dest=-", "dest cannot be stdout".to_owned()),
            ("type=nydus", "unknown type".to_owned()),
            ("dest=x,name=y", "type is required".to_owned()),
            ("type=image,dest=x", "takes no dest".to_owned()),
            ("type=oci,tar=maybe", "neither true nor false".to_owned()),
            ("type=oci,tar=false", "needs a dest directory".to_owned()),
        ];
        for (text, want) in table {
            assert!(error(text).contains(&want), "{text}: {}", error(text));
        }
        assert_eq!(error(&file.to_string()), format!("destination directory {file} is a file"));
        assert_eq!(
            error(&format!("type=tar,dest={directory}")),
            format!("destination file {directory} is a directory")
        );
    }

    #[test]
    fn push_and_load() {
        let kinds = |values: &[&str], push, load| {
            let values: Vec<_> = values.iter().map(|v| (*v).to_owned()).collect();
            outputs(&values, push, load).unwrap().into_iter().map(|o| o.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&[], false, false), [OutputKind::Image]);
        assert_eq!(kinds(&[], true, false), [OutputKind::Registry]);
        assert_eq!(kinds(&["type=image"], true, false), [OutputKind::Registry]);
        assert_eq!(
            kinds(&["type=oci,dest=a"], true, true),
            [OutputKind::Oci, OutputKind::Registry, OutputKind::Docker]
        );
        assert_eq!(kinds(&["type=docker"], false, true), [OutputKind::Docker]);
        assert_eq!(kinds(&["type=docker,dest=x"], false, true), [OutputKind::Docker, OutputKind::Docker]);
    }

    #[test]
    fn only_one_output_may_use_stdout() {
        let two = ["-".to_owned(), "type=oci".to_owned()];
        assert!(outputs(&two, false, false).unwrap_err().contains("stdout"));
    }
}
