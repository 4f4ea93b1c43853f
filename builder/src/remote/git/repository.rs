//! Asking a server for a commit, and checking it out.

use std::path::{Path, PathBuf};

use cooper_sys::fs;

use super::location::is_full_id;
use super::{Git, Location};
use crate::error::{BuildError, Kind};

/// What a location stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit's full id.
    pub commit: String,
    /// Full name of the ref that leads to it; `None` if the location names the commit.
    pub name: Option<String>,
    /// Id of the annotated tag between them.
    pub tag: Option<String>,
}

/// Finds the commit, with one question to the server; with none if the location names it in full.
pub async fn resolve(git: &Git<'_>, location: &Location) -> Result<Resolved, BuildError> {
    let resolved = match location.commit() {
        Some(commit) => Resolved { commit: commit.to_owned(), name: None, tag: None },
        None => ask(git, location).await?,
    };
    if let Some(want) = &location.checksum
        && !resolved.commit.starts_with(want.as_str())
        && !resolved.tag.as_ref().is_some_and(|tag| tag.starts_with(want.as_str()))
    {
        let tag = resolved.tag.as_ref().map_or_else(String::new, |tag| format!("{tag} or "));
        let message =
            format!("expected checksum to match {want}, got {tag}{} ({})", resolved.commit, location.shown());
        return Err(BuildError::user(message).hint("the ref moved, or the checksum is wrong"));
    }
    Ok(resolved)
}

async fn ask(git: &Git<'_>, location: &Location) -> Result<Resolved, BuildError> {
    git.judge(location).await?;
    let names = candidates(location.reference.as_deref());
    let mut arguments = vec!["ls-remote", "--quiet", "--", location.remote.as_str()];
    let patterns: Vec<String> =
        names.iter().flat_map(|name| [name.clone(), format!("{name}^{{}}")]).collect();
    arguments.extend(patterns.iter().map(String::as_str));
    let answer = git.run(&arguments).await?;
    let find = |wanted: &str| {
        let mut lines = answer.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(id, name)| *name == wanted && is_full_id(id)).map(|(id, _)| id.to_owned())
    };
    for name in names {
        let Some(id) = find(&name) else { continue };
        return Ok(match find(&format!("{name}^{{}}")) {
            Some(commit) => Resolved { commit, name: Some(name), tag: Some(id) },
            None => Resolved { commit: id, name: Some(name), tag: None },
        });
    }
    let reference = location.reference.as_deref().unwrap_or("HEAD");
    let hex = reference.len() >= 4 && reference.bytes().all(|b| b.is_ascii_hexdigit());
    let hint = if hex { "give a commit's full id" } else { "check the name of the branch or tag" };
    let message = format!("repository {} does not contain ref {reference}", location.remote);
    Err(BuildError::user(message).hint(hint))
}

/// Full names that a ref may have, the first that exists counts: branches before tags, as for `git checkout`.
fn candidates(reference: Option<&str>) -> Vec<String> {
    match reference {
        None | Some("HEAD") => vec!["HEAD".into()],
        Some(full) if full.starts_with("refs/") => vec![full.to_owned()],
        Some(name) => ["refs/heads/", "refs/tags/", "refs/"].map(|prefix| format!("{prefix}{name}")).into(),
    }
}

/// Checks a commit out into a new directory below that of `git`; gives the directory and the commit's time.
pub async fn check_out(
    git: &Git<'_>,
    location: &Location,
    resolved: &Resolved,
    keep_git_dir: bool,
) -> Result<(PathBuf, i64), BuildError> {
    let Resolved { commit, name, .. } = resolved;
    let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run(&["init", "--quiet", format, "--", "tree"]).await?;
    git.run(&["-C", "tree", "remote", "add", "--", "origin", &location.remote]).await?;
    git.judge(location).await?;
    fetch(git, commit, name.as_deref()).await?;
    git.run(&["-C", "tree", "checkout", "--quiet", "--force", "--detach", commit]).await?;
    let tree = git.dir().join("tree");
    if location.submodules && std::fs::symlink_metadata(tree.join(".gitmodules")).is_ok_and(|m| m.is_file()) {
        let update = ["-C", "tree", "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
        git.run(&update).await?;
    }
    let time = git.run(&["-C", "tree", "show", "--no-patch", "--format=%ct", commit]).await?;
    let time = time.trim().parse().unwrap_or(0);
    let cleaned = tree.clone();
    crate::task::blocking("clean a checkout", move || {
        if keep_git_dir {
            for leftover in ["FETCH_HEAD", "ORIG_HEAD"] {
                // Mostly not there.
                let _ = std::fs::remove_file(cleaned.join(".git").join(leftover));
            }
            return Ok(());
        }
        fs::remove_tree(&cleaned.join(".git"))?;
        remove_links_to_git_dirs(&cleaned)
            .map_err(|e| BuildError::new(Kind::Config, "cannot clean a checkout").caused_by(e))
    })
    .await?;
    Ok((tree, time))
}

/// Gets a commit, as little beside it as the server allows.
async fn fetch(git: &Git<'_>, commit: &str, name: Option<&str>) -> Result<(), BuildError> {
    const FETCH: [&str; 7] = ["-C", "tree", "fetch", "--quiet", "--no-tags", "--update-head-ok", "--force"];
    let fetch = |depth: &'static [&'static str], refs: &[&str]| {
        let mut arguments = FETCH.to_vec();
        arguments.extend(depth);
        arguments.extend(["--", "origin"]);
        let all: Vec<String> = arguments.into_iter().chain(refs.iter().copied()).map(str::to_owned).collect();
        async move {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            git.try_run(&all).await
        }
    };
    let there = async || {
        let object = format!("{commit}^{{commit}}");
        Ok::<bool, BuildError>(git.try_run(&["-C", "tree", "cat-file", "-e", &object]).await?.is_ok())
    };
    if let Some(name) = name {
        let same = if name == "HEAD" { name.to_owned() } else { format!("{name}:{name}") };
        fetch(&["--depth=1"], &[&same]).await?.map_err(|failure| git.refused(failure))?;
        if there().await? {
            return Ok(());
        }
        // The ref moved since we asked.
    }
    let by_id = fetch(&["--depth=1"], &[commit]).await?;
    if by_id.is_ok() && there().await? {
        return Ok(());
    }
    // A server that serves nothing but its refs.
    let all = ["refs/heads/*:refs/remotes/origin/*", "refs/tags/*:refs/tags/*"];
    fetch(&[], &all).await?.map_err(|failure| git.refused(failure))?;
    if there().await? {
        return Ok(());
    }
    let error = BuildError::user(format!("the repository does not contain commit {commit}"));
    Err(match by_id {
        Err(failure) => error.caused_by(failure),
        Ok(_) => error,
    })
}

/// Submodules hold a file `.git` that names a directory which is gone.
fn remove_links_to_git_dirs(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            remove_links_to_git_dirs(&entry.path())?;
        } else if kind.is_file() && entry.file_name() == ".git" {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
