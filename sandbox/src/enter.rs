//! The way into the namespaces that the builder itself works in, once, at start, while it has one thread.
//!
//! Root gets a private mount namespace. Anyone else gets a user namespace in which it is root and has its subordinate
//! ids too; those are mapped by newuidmap and newgidmap, which have to be run from outside: by a forked helper.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

use cooper_sys::namespace::{Namespaces, unshare};
use cooper_sys::process::{self, Ended, Fork};
use cooper_sys::{capability, mount};

use crate::{Error, Result};

/// How much of the system the builder may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Real root, in a private mount namespace.
    Root,
    /// Root of a user namespace with this many ids beside its own.
    UserNamespace {
        /// Number of subordinate user ids.
        ids: u64,
    },
}

/// Enters the best level that there is. Call it before any thread is made, and once only.
pub fn enter() -> Result<Level> {
    if process::thread_count()? != 1 {
        return Err(Error::Threads);
    }
    let privileged = process::effective_uid() == 0
        && capability::get().is_ok_and(|sets| sets.effective & (1 << capability::SYS_ADMIN) != 0);
    let level = if privileged {
        unshare(Namespaces { mount: true, ..Namespaces::default() })?;
        Level::Root
    } else {
        Level::UserNamespace { ids: enter_user_namespace()? }
    };
    mount::make_all_private()?;
    Ok(level)
}

/// Returns the number of subordinate user ids.
fn enter_user_namespace() -> Result<u64> {
    let (uid, gid) = (process::effective_uid(), process::effective_gid());
    let name = process::user_name(uid).unwrap_or_else(|| uid.to_string());
    let users = subordinate_ids(Path::new("/etc/subuid"), &name, uid)?;
    let groups = subordinate_ids(Path::new("/etc/subgid"), &name, uid)?;
    let pid = std::process::id();
    let (mut ready, ready_writer) = pipe()?;
    let (mut answer, answer_writer) = pipe()?;
    let helper = match process::fork()? {
        Fork::Parent(helper) => helper,
        Fork::Child => {
            drop((ready_writer, answer));
            let mut answer = answer_writer;
            // Waits for the other side to be in its new namespace, or gone.
            let entered = matches!(ready.read(&mut [0]), Ok(1));
            let result = if entered {
                map_ids("newuidmap", pid, uid, &users).and_then(|()| map_ids("newgidmap", pid, gid, &groups))
            } else {
                Ok(())
            };
            if let Err((program, message)) = &result {
                let _ = write!(answer, "{program}\n{message}");
            }
            process::exit_now(i32::from(result.is_err()));
        }
    };
    drop((ready, answer_writer));
    let entered = unshare(Namespaces { user: true, mount: true, ..Namespaces::default() });
    if entered.is_ok() {
        let mut ready = ready_writer;
        ready.write_all(&[1]).map_err(|e| cooper_sys::Error::new("write", "pipe", e))?;
    } else {
        drop(ready_writer);
    }
    let mut said = String::new();
    let _ = answer.read_to_string(&mut said);
    let ended = helper.wait()?;
    entered.map_err(|source| Error::UserNamespace { source })?;
    if ended != Ended::Code(0) {
        let (program, message) = said.split_once('\n').unwrap_or(("", &said));
        let program = if program == "newgidmap" { "newgidmap" } else { "newuidmap" };
        return Err(if message.is_empty() {
            Error::NoMapProgram { program }
        } else {
            Error::MapFailed { program, message: message.to_owned() }
        });
    }
    Ok(users.iter().map(|range| range.1).sum())
}

fn pipe() -> Result<(fs::File, fs::File)> {
    let (reader, writer): (OwnedFd, OwnedFd) = process::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// Maps 0 to the caller's own id, and from 1 on the subordinate ones. On failure: the program, and what it said, or
/// nothing if there is no such program.
#[expect(
    clippy::disallowed_methods,
    reason = "this process has one thread and no descriptors worth keeping back"
)]
fn map_ids(
    program: &'static str,
    pid: u32,
    own: u32,
    ranges: &[(u64, u64)],
) -> std::result::Result<(), (&'static str, String)> {
    let mut command = Command::new(program);
    command.arg(pid.to_string()).args(["0", &own.to_string(), "1"]);
    let mut next = 1;
    for (first, count) in ranges {
        command.args([next.to_string(), first.to_string(), count.to_string()]);
        next += count;
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err((program, format!("{}: {}", output.status, said.trim())))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err((program, String::new())),
        Err(e) => Err((program, e.to_string())),
    }
}

/// All ranges (first, count) that a file gives to a user, by name or number.
fn subordinate_ids(file: &Path, name: &str, uid: u32) -> Result<Vec<(u64, u64)>> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let ranges = parse_ranges(&text, name, uid);
    if ranges.is_empty() {
        return Err(Error::NoSubordinateIds { user: name.to_owned(), file: file.to_owned() });
    }
    Ok(ranges)
}

fn parse_ranges(text: &str, name: &str, uid: u32) -> Vec<(u64, u64)> {
    let number = uid.to_string();
    let line = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        if owner != name && owner != number {
            return None;
        }
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (count > 0).then_some((first, count))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::parse_ranges;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "# comment\nann:100000:65536\nbob:1:0\n1000:300000:10\nann:x:y\n";
        assert_eq!(parse_ranges(text, "ann", 1000), [(100_000, 65536), (300_000, 10)]);
        assert!(parse_ranges(text, "bob", 7).is_empty());
    }
}
