//! A case: its files, and what a builder makes of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use cooper_testkit::{Output, program};
use serde_json::{Map, Value, json};

use crate::compare::differences;
use crate::image::{Result, Tree, summarize};

/// So long one build may take, in seconds.
const PATIENCE_SECONDS: &str = "120";

/// A script that gives files to the user it is named by. The kernel then takes their set-ID bits: they get them back.
const GIVE_AWAY: &str = r#"for f; do m=$(stat -c %a "$f"); chown "$0" "$f"; chmod "$m" "$f"; done"#;

/// Who builds, and where.
pub struct Builder<'a> {
    /// Where the cases are, readable for the builder.
    pub cases: PathBuf,
    /// The layout of the base image.
    pub base: PathBuf,
    /// What that image holds.
    pub base_tree: &'a Tree,
    /// A directory for what cases need.
    pub work: PathBuf,
    /// `cooper`, not yet with arguments, as the user who builds.
    pub command: &'a (dyn Fn() -> Command + Sync),
    /// The user who builds, if another than ours.
    pub user: Option<&'static str>,
}

/// What a builder made of a case.
pub struct Verdict {
    /// One line for each difference; none if all is as expected.
    pub differences: Vec<String>,
    /// What the builder wrote.
    pub log: String,
}

impl Builder<'_> {
    /// Builds a case, named `area/name`, and compares.
    pub fn judge(&self, name: &str) -> Verdict {
        let place = self.work.join(name.replace('/', "-"));
        let mut log = String::new();
        let differences = match self.run(name, &place, &mut log) {
            Ok(got) => self.compare(name, &got, &log),
            Err(error) => vec![error],
        };
        // What a failed set-up leaves is removed with the directory above.
        let _ = std::fs::remove_dir_all(&place);
        Verdict { differences, log }
    }

    fn compare(&self, name: &str, got: &Value, log: &str) -> Vec<String> {
        let case = self.cases.join(name);
        let Some(expected) = read(&case.join("expected.json")) else {
            return vec![format!("there is no expected.json; got {got}")];
        };
        let want: Value = match serde_json::from_str(&expected) {
            Ok(want) => want,
            Err(error) => return vec![format!("expected.json: {error}")],
        };
        let mut found = differences(&want, &trimmed(got.clone(), &want));
        for line in read(&case.join("says")).unwrap_or_default().lines() {
            if !log.contains(line) {
                found.push(format!("output: does not say {line:?}"));
            }
        }
        found
    }

    /// The outcome, in the form of `expected.json`.
    fn run(&self, name: &str, place: &Path, log: &mut String) -> Result<Value> {
        let case = self.cases.join(name);
        // A name of its own: what a builder keeps of a context may hang on it.
        let context = place.join(format!("context-{}", name.replace('/', "-")));
        std::fs::create_dir_all(&context).map_err(|e| format!("{}: {e}", context.display()))?;
        if let Some(user) = self.user {
            Output::of(program("chown").arg(user).arg(place)).expect_success();
        }
        self.script(&case, "setup.sh", &context)?;
        let first = place.join("first.tar");
        if !self.build(&case, "args", &context, &first, log) {
            return Ok(json!({ "outcome": "error" }));
        }
        let mut platforms = summarize(&first, self.base_tree)?;
        let mut result = json!({ "outcome": "ok" });
        let flags = if case.join("args2").exists() { "args2" } else { "args" };
        if flags == "args2" || case.join("mutate.sh").exists() {
            self.script(&case, "mutate.sh", &context)?;
            let second = place.join("second.tar");
            result["second"] = if self.build(&case, flags, &context, &second, log) {
                json!({ "outcome": "ok", "rnd": kept(&platforms, &summarize(&second, self.base_tree)?) })
            } else {
                json!({ "outcome": "error" })
            };
        }
        for (_, tree) in trees(&mut platforms) {
            for (_, entry) in tree.iter_mut().filter(|(path, _)| is_random(path)) {
                *entry = json!({ "type": entry["type"] });
            }
        }
        result["platforms"] = Value::Object(platforms);
        Ok(result)
    }

    /// Runs a script of the case, if it has it, in the context.
    fn script(&self, case: &Path, name: &str, context: &Path) -> Result<()> {
        let script = case.join(name);
        if !script.exists() {
            return Ok(());
        }
        let mut command = program("sh");
        command.arg("-eu").arg(&script).current_dir(context).env("CASE", case);
        let output = Output::of(&mut command);
        if !output.success() {
            return Err(format!("{name} failed: {output}"));
        }
        let Some(user) = self.user else { return Ok(()) };
        // A user's context is the user's: what others may not read is given away.
        let mut command = program("find");
        command
            .arg(context)
            .args(["-user", "root", "!", "-type", "l", "(", "!", "-perm", "-o=r", "-o", "-type"]);
        command.args(["d", "!", "-perm", "-o=rx", ")", "-exec", "sh", "-euc", GIVE_AWAY, user, "{}", "+"]);
        Output::of(&mut command).expect_success();
        Ok(())
    }

    /// Builds into an archive; false if the builder fails.
    fn build(&self, case: &Path, flags: &str, context: &Path, archive: &Path, log: &mut String) -> bool {
        let flags = read(&case.join(flags)).unwrap_or_default();
        let place = context.display().to_string();
        let mut flags: Vec<String> = flags
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| line.replace("@CTX@", &place))
            .collect();
        let dockerfile = case.join("Dockerfile");
        let chosen = |flag: &String| flag == "-f" || flag.starts_with("-f=") || flag.starts_with("--file");
        if !flags.iter().any(chosen) && dockerfile.exists() {
            flags.extend(["-f".to_owned(), dockerfile.display().to_string()]);
        }
        let mut command = (self.command)();
        command.arg("--root").arg(context.with_file_name("store")).args(["build", "--progress=plain"]);
        command
            .arg(format!("--build-context=busybox=oci-layout://{}:latest", self.base.display()))
            .args(flags);
        command.arg(format!("--output=type=oci,dest={}", archive.display())).arg(context);
        // Some cases read this variable.
        command.env("DOCKER_BUILDKIT", "1");
        let output = Output::of(&mut in_time(&command));
        log.push_str(&output.stdout);
        log.push_str(&output.stderr);
        output.success()
    }
}

/// The same command, ended when it takes too long.
fn in_time(command: &Command) -> Command {
    let mut timed = program("timeout");
    timed.args(["--kill-after=10", PATIENCE_SECONDS]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(key, value),
            None => timed.env_remove(key),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        timed.current_dir(directory);
    }
    timed
}

/// Whether files with random content stayed what they were.
fn kept(first: &Map<String, Value>, second: &Map<String, Value>) -> Value {
    let mut kept = Map::new();
    for (platform, summary) in second {
        for (path, entry) in
            summary["tree"].as_object().into_iter().flatten().filter(|(path, _)| is_random(path))
        {
            let old = first.get(platform).and_then(|summary| summary["tree"].get(path));
            let same = old.is_some_and(|old| old["sha256"] == entry["sha256"]);
            kept.insert(path.clone(), json!(if same { "same" } else { "changed" }));
        }
    }
    Value::Object(kept)
}

/// Leaves out what only some cases ask for: the words of the history.
fn trimmed(mut got: Value, want: &Value) -> Value {
    for (platform, summary) in got.get_mut("platforms").and_then(Value::as_object_mut).into_iter().flatten() {
        if want["platforms"][platform].get("created_by").is_none() {
            let _ = summary.as_object_mut().and_then(|summary| summary.remove("created_by"));
        }
    }
    got
}

fn trees(platforms: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Map<String, Value>)> {
    platforms.iter_mut().filter_map(|(platform, summary)| Some((platform, summary["tree"].as_object_mut()?)))
}

fn is_random(path: &str) -> bool {
    path.starts_with("/rnd/")
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
