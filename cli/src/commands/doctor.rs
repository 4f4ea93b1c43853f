//! `cooper doctor`: can this machine build, and if not, what to do. Reads; changes nothing.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Failure, Kind};
use crate::ui;

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Some builds will not work.
    Limited,
    /// No RUN will work.
    Bad,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Limited => "limited",
            Verdict::Bad => "missing",
        }
    }
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    advice: Option<String>,
}

/// What the checks look at; a test hands in its own.
struct Machine {
    /// Root of the files below /proc and /etc.
    root: PathBuf,
    uid: u32,
    user: String,
    path: Vec<PathBuf>,
}

/// Runs `cooper doctor`: fails if no RUN can work.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let checks = examine(&Machine::this());
    if args.json {
        let values: Vec<_> = checks
            .iter()
            .map(|c| {
                serde_json::json!({
                    "name": c.name,
                    "verdict": c.verdict.word(),
                    "detail": c.detail,
                    "advice": c.advice,
                })
            })
            .collect();
        ui::json(&serde_json::Value::Array(values))?;
    } else {
        for check in &checks {
            ui::print(&format!("{:8} {}: {}\n", check.verdict.word(), check.name, check.detail))?;
            if let Some(advice) = &check.advice {
                ui::print(&format!("         -> {advice}\n"))?;
            }
        }
    }
    match checks.iter().find(|c| c.verdict == Verdict::Bad) {
        Some(check) => {
            Err(Failure::new(Kind::Config, format!("this machine cannot run build steps: {}", check.name)))
        }
        None => Ok(()),
    }
}

impl Machine {
    fn this() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let uid =
            status.lines().find_map(|l| l.strip_prefix("Uid:")).and_then(|l| l.split_whitespace().nth(1));
        let uid = uid.and_then(|u| u.parse().ok()).unwrap_or(u32::MAX);
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        Machine {
            root: PathBuf::from("/"),
            uid,
            user: user_name(&passwd, uid),
            path: std::env::split_paths(&path).collect(),
        }
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(path)).ok().map(|t| t.trim().to_owned())
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let mut places: Vec<PathBuf> = self.path.clone();
        places.extend(["/usr/bin", "/bin", "/usr/sbin"].map(PathBuf::from));
        places.into_iter().map(|d| d.join(name)).find(|p| p.is_file())
    }
}

fn user_name(passwd: &str, uid: u32) -> String {
    let id = uid.to_string();
    let line = passwd.lines().find(|l| l.split(':').nth(2) == Some(&id));
    line.and_then(|l| l.split(':').next()).map_or(id.clone(), str::to_owned)
}

fn examine(machine: &Machine) -> Vec<Check> {
    let mut checks = vec![kernel(machine), overlay(machine), cgroups(machine)];
    if machine.uid == 0 {
        checks.push(capability(machine));
    } else {
        checks.extend([user_namespaces(machine), subordinate_ids(machine), uidmap(machine)]);
    }
    checks.push(git(machine));
    checks
}

fn check(name: &'static str, verdict: Verdict, detail: impl Into<String>, advice: Option<&str>) -> Check {
    Check { name, verdict, detail: detail.into(), advice: advice.map(str::to_owned) }
}

fn kernel(machine: &Machine) -> Check {
    let release = machine.read("proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 11) {
        check("kernel", Verdict::Good, release, None)
    } else {
        let advice = "Linux 5.11 or newer is needed (openat2, overlay in user namespaces)";
        check("kernel", Verdict::Bad, release, Some(advice))
    }
}

fn overlay(machine: &Machine) -> Check {
    let known = machine.read("proc/filesystems").unwrap_or_default();
    if known.lines().any(|l| l.split_whitespace().last() == Some("overlay")) {
        check("overlay", Verdict::Good, "known to the kernel", None)
    } else {
        let advice =
            "load the module (modprobe overlay); without it every step copies its whole root file system";
        check("overlay", Verdict::Limited, "not known to the kernel", Some(advice))
    }
}

fn cgroups(machine: &Machine) -> Check {
    if machine.root.join("sys/fs/cgroup/cgroup.controllers").exists() {
        check("cgroup v2", Verdict::Good, "mounted", None)
    } else {
        check("cgroup v2", Verdict::Limited, "not mounted at /sys/fs/cgroup", None)
    }
}

fn capability(machine: &Machine) -> Check {
    const SYS_ADMIN: u32 = 21;
    let status = machine.read("proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap_or(0);
    if effective & (1 << SYS_ADMIN) != 0 {
        check(
            "privilege",
            Verdict::Good,
            "root with CAP_SYS_ADMIN: steps run in namespaces of their own",
            None,
        )
    } else {
        let advice = "give the container CAP_SYS_ADMIN, or run as a user with subordinate ids";
        check("privilege", Verdict::Limited, "root without CAP_SYS_ADMIN", Some(advice))
    }
}

fn user_namespaces(machine: &Machine) -> Check {
    let name = "user namespaces";
    let number = |path: &str| machine.read(path).and_then(|t| t.parse::<u64>().ok());
    if number("proc/sys/user/max_user_namespaces") == Some(0) {
        let advice = "as root: sysctl -w user.max_user_namespaces=15000";
        return check(name, Verdict::Bad, "switched off (user.max_user_namespaces is 0)", Some(advice));
    }
    if number("proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        let advice = "as root: sysctl -w kernel.unprivileged_userns_clone=1";
        return check(name, Verdict::Bad, "not for unprivileged users", Some(advice));
    }
    if number("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let advice = "give cooper an AppArmor profile that allows userns, or as root: \
                      sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
        return check(name, Verdict::Limited, "restricted by AppArmor", Some(advice));
    }
    check(name, Verdict::Good, "allowed", None)
}

fn subordinate_ids(machine: &Machine) -> Check {
    let name = "subordinate ids";
    for (file, flag) in [("etc/subuid", "--del-subuids"), ("etc/subgid", "--del-subgids")] {
        if let Some((one, other)) = overlap(&ranges(machine, file)) {
            let detail = format!(
                "/{file}: {}-{} and {}-{} of {} overlap, so that the kernel refuses them",
                one.0,
                one.0 + one.1 - 1,
                other.0,
                other.0 + other.1 - 1,
                machine.user
            );
            let advice = format!("as root: take one away with usermod {flag} FIRST-LAST {}", machine.user);
            return check(name, Verdict::Bad, detail, Some(&advice));
        }
    }
    let (users, groups) = (count(machine, "etc/subuid"), count(machine, "etc/subgid"));
    if users >= 65536 && groups >= 65536 {
        return check(name, Verdict::Good, format!("{users} uids, {groups} gids for {}", machine.user), None);
    }
    let advice =
        format!("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}", machine.user);
    check(name, Verdict::Bad, format!("{users} uids and {groups} gids for {}", machine.user), Some(&advice))
}

/// The ids (first, count) that a file like /etc/subuid gives to the user.
fn ranges(machine: &Machine, path: &str) -> Vec<(u64, u64)> {
    let uid = machine.uid.to_string();
    let text = machine.read(path).unwrap_or_default();
    let of_line = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        (owner == machine.user || owner == uid).then_some(())?;
        let (first, count) =
            (fields.next()?.parse::<u64>().ok()?, fields.next()?.trim().parse::<u64>().ok()?);
        (count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    };
    text.lines().filter_map(of_line).collect()
}

/// How many ids a file like /etc/subuid gives to the user.
fn count(machine: &Machine, path: &str) -> u64 {
    ranges(machine, path).iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// Two ranges that have an id in common.
fn overlap(ranges: &[(u64, u64)]) -> Option<((u64, u64), (u64, u64))> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0).map(|pair| (pair[0], pair[1]))
}

fn uidmap(machine: &Machine) -> Check {
    let missing: Vec<_> =
        ["newuidmap", "newgidmap"].into_iter().filter(|p| machine.program(p).is_none()).collect();
    if missing.is_empty() {
        check("uidmap", Verdict::Good, "newuidmap and newgidmap found", None)
    } else {
        let detail = format!("{} not found", missing.join(" and "));
        check("uidmap", Verdict::Bad, detail, Some("install the package uidmap (or shadow-utils)"))
    }
}

fn git(machine: &Machine) -> Check {
    match machine.program("git") {
        Some(path) => check("git", Verdict::Good, path.display().to_string(), None),
        None => check("git", Verdict::Limited, "not found", Some("needed for git URLs in ADD and contexts")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn machine(uid: u32, files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = directory.path().to_owned();
        (directory, Machine { root, uid, user: "ann".to_owned(), path: Vec::new() })
    }

    #[test]
    fn kernels() {
        for (release, verdict) in [
            ("6.1.0-18-amd64", Verdict::Good),
            ("5.11.0", Verdict::Good),
            ("5.4.0", Verdict::Bad),
            ("", Verdict::Bad),
        ] {
            let (_keep, machine) = machine(0, &[("proc/sys/kernel/osrelease", release)]);
            assert_eq!(kernel(&machine).verdict, verdict, "{release}");
        }
    }

    #[test]
    fn subordinate_ids_are_counted_by_name_and_number() {
        let subuid = "bob:100000:65536\nann:200000:65536\n1000:300000:10\n";
        let (_keep, all) = machine(1000, &[("etc/subuid", subuid), ("etc/subgid", subuid)]);
        assert_eq!(count(&all, "etc/subuid"), 65546);
        assert_eq!(subordinate_ids(&all).verdict, Verdict::Good);
        let (_keep, none) = machine(1000, &[("etc/subuid", "bob:1:65536\n")]);
        let bad = subordinate_ids(&none);
        assert_eq!(bad.verdict, Verdict::Bad);
        assert!(bad.advice.unwrap().contains("--add-subuids"));
    }

    #[test]
    fn subordinate_ids_that_overlap_are_told() {
        let good = "ann:100000:65536\nann:165536:10\nbob:100000:65536\n";
        for (bad, want) in [
            ("ann:100000:65536\n1000:165535:10\n", "100000-165535 and 165535-165544 of ann overlap"),
            ("ann:100000:65536\nann:100000:65536\n", "100000-165535 and 100000-165535"),
        ] {
            for files in
                [[("etc/subuid", bad), ("etc/subgid", good)], [("etc/subuid", good), ("etc/subgid", bad)]]
            {
                let (_keep, machine) = machine(1000, &files);
                let told = subordinate_ids(&machine);
                assert_eq!(told.verdict, Verdict::Bad);
                assert!(told.detail.contains(want), "{}", told.detail);
                assert!(told.advice.unwrap().contains("usermod --del-sub"));
            }
        }
        let (_keep, machine) = machine(1000, &[("etc/subuid", good), ("etc/subgid", good)]);
        assert_eq!(subordinate_ids(&machine).verdict, Verdict::Good);
    }

    #[test]
    fn each_way_to_forbid_user_namespaces_has_its_advice() {
        let table = [
            ("proc/sys/user/max_user_namespaces", "0", "max_user_namespaces"),
            ("proc/sys/kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone"),
            ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor"),
        ];
        for (path, value, advice) in table {
            let (_keep, machine) = machine(1000, &[(path, value)]);
            let got = user_namespaces(&machine);
            assert_ne!(got.verdict, Verdict::Good);
            assert!(got.advice.unwrap().contains(advice));
        }
        let (_keep, machine) = machine(1000, &[]);
        assert_eq!(user_namespaces(&machine).verdict, Verdict::Good);
    }

    #[test]
    fn root_needs_the_capability() {
        for (set, verdict) in [("000001ffffffffff", Verdict::Good), ("00000000a80425fb", Verdict::Limited)] {
            let (_keep, machine) =
                machine(0, &[("proc/self/status", &format!("Name:\tx\nCapEff:\t{set}\n"))]);
            assert_eq!(capability(&machine).verdict, verdict);
        }
    }

    #[test]
    fn users_are_found_by_number() {
        assert_eq!(user_name("root:x:0:0::/:\nann:x:1000:1000::/:\n", 1000), "ann");
        assert_eq!(user_name("", 7), "7");
    }
}
