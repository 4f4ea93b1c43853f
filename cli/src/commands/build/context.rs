//! The context argument and `--file`: what is read from where.

use std::io::Read;
use std::path::{Path, PathBuf};

use cooper_builder::request::{ContextSource, DockerfileSource};

use crate::failure::Failure;

/// A Dockerfile on standard input may be so large.
const LONGEST_DOCKERFILE_BYTES: u64 = 16 << 20;

/// Decides context and Dockerfile; reads `stdin` only if one of them is `-`.
pub fn resolve(
    context: Option<&str>,
    file: Option<&str>,
    stdin: &mut dyn Read,
) -> Result<(ContextSource, Option<DockerfileSource>), Failure> {
    let Some(context) = context else {
        return Err(Failure::usage("please specify build context (e.g. \".\" for the current directory)"));
    };
    if let Some(url) = file.filter(|f| f.starts_with("http://") || f.starts_with("https://")) {
        return Err(Failure::usage(format!("a URL as --file is not supported yet: {url}")));
    }
    match (context, file) {
        ("-", Some("-")) => {
            Err(Failure::usage("invalid argument: can't use stdin for both build context and dockerfile"))
        }
        ("-", Some(_)) => {
            Err(Failure::usage("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"))
        }
        ("-", None) => {
            let text = read_all(stdin)?;
            if is_archive(&text) {
                return Err(Failure::usage(
                    "a tar archive on standard input as context is not supported yet",
                ));
            }
            Ok((ContextSource::Empty, Some(DockerfileSource::Text(text))))
        }
        (path, file) => {
            let directory = directory(path)?;
            let dockerfile = match file {
                None => None,
                Some("-") => Some(DockerfileSource::Text(read_all(stdin)?)),
                Some(file) => Some(DockerfileSource::Path(PathBuf::from(file))),
            };
            Ok((ContextSource::Directory(directory), dockerfile))
        }
    }
}

fn directory(path: &str) -> Result<PathBuf, Failure> {
    const REMOTE: [&str; 6] = ["http://", "https://", "git://", "ssh://", "git@", "github.com/"];
    let local = Path::new(path);
    match std::fs::metadata(local) {
        Ok(found) if found.is_dir() => Ok(local.to_owned()),
        Ok(_) => Err(Failure::user(format!("unable to prepare context: path {path:?} is not a directory"))),
        Err(_) if REMOTE.iter().any(|start| path.starts_with(start)) => {
            Err(Failure::usage(format!("a git or HTTP URL as context is not supported yet: {path}")))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::user(format!("unable to prepare context: path {path:?} not found")))
        }
        Err(e) => Err(Failure::user(format!("unable to prepare context: path {path:?}: {e}"))),
    }
}

fn read_all(stdin: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    stdin
        .take(LONGEST_DOCKERFILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|e| Failure::user(format!("cannot read standard input: {e}")))?;
    if text.len() as u64 > LONGEST_DOCKERFILE_BYTES {
        return Err(Failure::user("the Dockerfile on standard input is larger than 16 MiB"));
    }
    Ok(text)
}

/// Compressed data or a tar, judged as BuildKit does.
fn is_archive(bytes: &[u8]) -> bool {
    const MAGIC: [&[u8]; 3] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0"];
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(257..262) == Some(b"ustar")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(
        context: Option<&str>,
        file: Option<&str>,
        stdin: &[u8],
    ) -> Result<(ContextSource, Option<DockerfileSource>), String> {
        resolve(context, file, &mut &*stdin).map_err(|f| f.message)
    }

    #[test]
    fn sources() {
        let text = || Some(DockerfileSource::Text(b"FROM x".to_vec()));
        let here = || ContextSource::Directory(PathBuf::from("."));
        assert_eq!(with(Some("."), None, b"").unwrap(), (here(), None));
        assert_eq!(
            with(Some("."), Some("a/b"), b"").unwrap(),
            (here(), Some(DockerfileSource::Path("a/b".into())))
        );
        assert_eq!(with(Some("."), Some("-"), b"FROM x").unwrap(), (here(), text()));
        assert_eq!(with(Some("-"), None, b"FROM x").unwrap(), (ContextSource::Empty, text()));
    }

    #[test]
    fn refusals_are_buildkits() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        type Case<'a> = (Option<&'a str>, Option<&'a str>, &'a [u8], &'a str);
        let table: [Case<'_>; 9] = [
            (None, None, b"", "please specify build context"),
            (Some("-"), Some("-"), b"", "can't use stdin for both"),
            (Some("-"), Some("x"), b"", "ambiguous Dockerfile source"),
            (Some("/no/such"), None, b"", "unable to prepare context: path \"/no/such\" not found"),
            (Some("/dev/null"), None, b"", "is not a directory"),
            (Some("https://x/y.git"), None, b"", "not supported yet"),
            (Some("."), Some("https://x/Dockerfile"), b"", "not supported yet"),
            (Some("-"), None, &tar, "tar archive"),
            (Some("-"), None, b"\x1f\x8b\x08\0", "tar archive"),
        ];
        for (context, file, stdin, want) in table {
            let got = with(context, file, stdin).unwrap_err();
            assert!(got.contains(want), "{context:?} {file:?}: {got}");
        }
    }
}
