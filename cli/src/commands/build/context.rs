//! The context argument and `--file`: what is read from where.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use cooper_builder::request::{
    ARCHIVE_HEAD_BYTES, ArchiveStream, ContextSource, DockerfileSource, is_archive,
};

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
    match (context, file) {
        ("-", Some("-")) => {
            Err(Failure::usage("invalid argument: can't use stdin for both build context and dockerfile"))
        }
        ("-", file) => {
            let head = read_head(stdin)?;
            if is_archive(&head) {
                // What `stdin` has buffered is behind every handle of it.
                let stream = ArchiveStream::new(Cursor::new(head).chain(std::io::stdin()));
                return Ok((ContextSource::Tar(stream), file.map(dockerfile)));
            }
            if file.is_some() {
                return Err(Failure::usage(
                    "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
                ));
            }
            let text = read_all(&mut Cursor::new(head).chain(stdin))?;
            Ok((ContextSource::Empty, Some(DockerfileSource::Text(text))))
        }
        (path, file) => {
            let context = place(path)?;
            let dockerfile = match file {
                None => None,
                Some("-") => Some(DockerfileSource::Text(read_all(stdin)?)),
                Some(file) => Some(dockerfile(file)),
            };
            Ok((context, dockerfile))
        }
    }
}

fn dockerfile(file: &str) -> DockerfileSource {
    if file.starts_with("http://") || file.starts_with("https://") {
        DockerfileSource::Url(file.to_owned())
    } else {
        DockerfileSource::Path(PathBuf::from(file))
    }
}

/// A directory, or else something on the network.
fn place(path: &str) -> Result<ContextSource, Failure> {
    let local = Path::new(path);
    match std::fs::metadata(local) {
        Ok(found) if found.is_dir() => return Ok(ContextSource::Directory(local.to_owned())),
        Ok(_) => {
            return Err(Failure::user(format!(
                "unable to prepare context: path {path:?} is not a directory"
            )));
        }
        Err(_) => {}
    }
    if let Some(remote) = ContextSource::remote(path) {
        return Ok(remote);
    }
    match std::fs::metadata(local) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::user(format!("unable to prepare context: path {path:?}: {e}")))
        }
        _ => Err(Failure::user(format!("unable to prepare context: path {path:?} not found"))),
    }
}

/// As much as tells an archive from a Dockerfile.
fn read_head(stdin: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    stdin
        .take(ARCHIVE_HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|e| Failure::user(format!("cannot read standard input: {e}")))?;
    Ok(head)
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
        let url = DockerfileSource::Url("https://x.test/Dockerfile".into());
        assert_eq!(with(Some("."), Some("https://x.test/Dockerfile"), b"").unwrap(), (here(), Some(url)));
        assert_eq!(with(Some("."), Some("-"), b"FROM x").unwrap(), (here(), text()));
        assert_eq!(with(Some("-"), None, b"FROM x").unwrap(), (ContextSource::Empty, text()));
        let git = ContextSource::Git("https://x.test/y.git#main".into());
        assert_eq!(with(Some("https://x.test/y.git#main"), None, b"").unwrap(), (git, None));
        let (context, file) = with(Some("-"), Some("in/it"), b"\x1f\x8b\x08\0").unwrap();
        assert!(matches!(context, ContextSource::Tar(_)));
        assert_eq!(file, Some(DockerfileSource::Path("in/it".into())));
    }

    #[test]
    fn refusals_are_buildkits() {
        type Case<'a> = (Option<&'a str>, Option<&'a str>, &'a [u8], &'a str);
        let table: [Case<'_>; 5] = [
            (None, None, b"", "please specify build context"),
            (Some("-"), Some("-"), b"", "can't use stdin for both"),
            (Some("-"), Some("x"), b"", "ambiguous Dockerfile source"),
            (Some("/no/such"), None, b"", "unable to prepare context: path \"/no/such\" not found"),
            (Some("/dev/null"), None, b"", "is not a directory"),
        ];
        for (context, file, stdin, want) in table {
            let got = with(context, file, stdin).unwrap_err();
            assert!(got.contains(want), "{context:?} {file:?}: {got}");
        }
    }
}
