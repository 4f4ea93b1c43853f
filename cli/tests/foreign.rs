//! Images of another architecture: run through the kernel's emulator hook, or refused with the way out.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use cooper_testkit::{Context, Output, find_program, is_root, program, skip};

const HOOKS: &str = "/proc/sys/fs/binfmt_misc";
/// Recognises ELF executables for 64-bit ARM (ELF header, e_machine 183).
const MAGIC: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
const MASK: &str = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";

/// An emulator that the kernel knows until this is dropped.
struct Hook;

impl Hook {
    fn register(emulator: &Path) -> Option<Hook> {
        let line = format!(":cooper-test:M::{MAGIC}:{MASK}:{}:OCF", emulator.display());
        // The kernel takes the line in one write, without a line end.
        std::fs::OpenOptions::new()
            .write(true)
            .open(format!("{HOOKS}/register"))
            .ok()?
            .write_all(line.as_bytes())
            .ok()?;
        Some(Hook)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("{HOOKS}/cooper-test"), "-1");
    }
}

fn hooks_available() -> bool {
    if !Path::new(HOOKS).join("register").exists() {
        Output::of(program("mount").args(["-t", "binfmt_misc", "none", HOOKS]));
    }
    Path::new(HOOKS).join("register").exists()
}

/// A real arm64 root filesystem from the machine's own package mirror.
fn arm64_root(context: &Context) -> Option<PathBuf> {
    let root = context.dir().join("root.tar");
    let mut command = program("mmdebstrap");
    command.args([
        "--quiet",
        "--architectures=arm64",
        "--variant=extract",
        "--include=busybox-static,base-files",
    ]);
    let made = Output::of(command.arg(suite()).arg(&root));
    if made.success() {
        return Some(root);
    }
    skip(&format!("no arm64 root could be made from the package mirror: {}", made.stderr.trim()));
    None
}

/// The machine's own Debian release, whose packages its mirror has.
fn suite() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or("stable").trim_matches('"').to_owned()
}

#[test]
fn a_foreign_image_runs_through_an_emulator_and_is_explained_without_one() {
    if std::env::consts::ARCH == "aarch64" || !is_root() {
        return skip("registering an emulator needs root on another machine than arm64");
    }
    let Some(emulator) = find_program("qemu-aarch64-static") else {
        return skip("qemu-aarch64-static is missing");
    };
    if find_program("mmdebstrap").is_none() {
        return skip("mmdebstrap is missing");
    }
    if !hooks_available() {
        return skip("the kernel has no binfmt_misc");
    }
    if std::fs::read_dir(HOOKS)
        .unwrap()
        .flatten()
        .any(|e| e.file_name().to_string_lossy().contains("aarch64"))
    {
        return skip("another emulator for arm64 is registered already");
    }
    let context = Context::new("foreign");
    let Some(root) = arm64_root(&context) else { return };
    context.write("base.Dockerfile", "FROM scratch\nADD root.tar /\n");
    context.write(
        "Dockerfile",
        "FROM root\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox uname -m > /machine\"]\n",
    );
    let layout = context.dir().join("layout");
    let dir = context.dir().display().to_string();
    let arm = "--platform=linux/arm64";
    let base = format!("{dir}/base.Dockerfile");
    let to_layout = format!("type=oci,tar=false,dest={}", layout.display());
    context.build([arm, "-t", "root:latest", "-f", &base, "--output", &to_layout, &dir]).expect_success();
    std::fs::remove_file(root).unwrap();

    let named = format!("root=oci-layout://{}", layout.display());
    let out = format!("{dir}/out");
    let arguments = [arm, "--build-context", &named, "-o", &out, &dir];
    let refused = context.build(arguments).expect_code(1);
    for words in ["exec format error", "another architecture", "Dockerfile:2"] {
        assert!(refused.stderr.contains(words), "{words} is missing: {refused}");
    }

    let Some(_hook) = Hook::register(&emulator) else { return skip("the emulator could not be registered") };
    context.build(arguments).expect_success();
    assert_eq!(std::fs::read_to_string(format!("{out}/machine")).unwrap(), "aarch64\n");
}
