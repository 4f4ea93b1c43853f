//! Credential helpers: `docker-credential-<name> get|store|erase`.
//!
//! Wire: the server's name (or JSON for `store`) on standard input, JSON on standard output. Owns the
//! limits on a foreign program: time, bytes, and that it answers for the server it was asked for. It
//! is killed when we stop waiting.

use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::config_file::normalize;
use super::credentials::{Credential, CredentialError};
use crate::error::printable;
use crate::secret::Secret;

/// A person may have to unlock a key chain.
const TIME_LIMIT: Duration = Duration::from_mins(1);
const MAX_OUTPUT_BYTES: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Answer {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Store<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// Asks a helper for a server's credential.
pub(super) async fn get(helper: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
    let fail = |what: &str| CredentialError::Helper {
        helper: program(helper),
        server: server.to_owned(),
        what: what.to_owned(),
    };
    let output = match run(helper, "get", server, server.as_bytes()).await? {
        Ok(output) => output,
        // The words of Docker's own helper library; there is no exit code for it.
        Err(words) if words.to_ascii_lowercase().contains("credentials not found") => return Ok(None),
        Err(words) => return Err(fail(&words)),
    };
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| fail("its answer is not JSON"))?;
    if !answer.server_url.is_empty() && normalize(&answer.server_url) != normalize(server) {
        return Err(fail("it answered for another server"));
    }
    if answer.secret.is_empty() {
        return Ok(None);
    }
    let secret = Secret::new(answer.secret);
    Ok(Some(if answer.username == "<token>" {
        Credential::IdentityToken { username: None, token: secret }
    } else {
        Credential::Basic { username: answer.username, password: secret }
    }))
}

/// Gives a helper a credential to keep.
pub(super) async fn store(
    helper: &str,
    server: &str,
    username: &str,
    secret: &Secret,
) -> Result<(), CredentialError> {
    let request = Store { server_url: server, username, secret: secret.expose() };
    let fail =
        |what: String| CredentialError::Helper { helper: program(helper), server: server.into(), what };
    let input = serde_json::to_vec(&request).map_err(|e| fail(e.to_string()))?;
    run(helper, "store", server, &input).await?.map(drop).map_err(fail)
}

/// Makes a helper forget a server; `false` if it knew of none.
pub(super) async fn erase(helper: &str, server: &str) -> Result<bool, CredentialError> {
    match run(helper, "erase", server, server.as_bytes()).await? {
        Ok(_) => Ok(true),
        Err(words) if words.to_ascii_lowercase().contains("credentials not found") => Ok(false),
        Err(what) => Err(CredentialError::Helper { helper: program(helper), server: server.into(), what }),
    }
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// Runs a helper; the inner error is what a failing one said.
async fn run(
    helper: &str,
    action: &str,
    server: &str,
    input: &[u8],
) -> Result<Result<Vec<u8>, String>, CredentialError> {
    let name = program(helper);
    let fail = |what: String| CredentialError::Helper { helper: name.clone(), server: server.into(), what };
    if helper.contains('/') || helper.contains('\0') {
        return Err(fail("not a helper's name".into()));
    }
    let mut child = Command::new(&name)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| fail(format!("cannot be started: {e}")))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let work = async {
        if let Some(mut stdin) = stdin {
            // A helper may exit without reading; its exit status tells the rest.
            let _ = stdin.write_all(input).await;
        }
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_OUTPUT_BYTES + 1).read_to_end(&mut output).await?;
        }
        if output.len() as u64 > MAX_OUTPUT_BYTES {
            return Err(std::io::Error::other("its answer is too long"));
        }
        Ok((child.wait().await?, output))
    };
    let (status, output) = tokio::time::timeout(TIME_LIMIT, work)
        .await
        .map_err(|_| fail(format!("no answer in {} s", TIME_LIMIT.as_secs())))?
        .map_err(|e| fail(e.to_string()))?;
    if status.success() {
        return Ok(Ok(output));
    }
    // By the protocol a failing helper's words are on standard output; they are no secret.
    let words = printable(&String::from_utf8_lossy(&output));
    Ok(Err(if words.is_empty() { status.to_string() } else { words }))
}
