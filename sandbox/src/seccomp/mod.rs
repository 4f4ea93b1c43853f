//! The system call filter of a container.
//!
//! Anything that is not allowed answers EPERM; a system call newer than the newest that the lists know answers ENOSYS, so
//! that programs fall back. The decisions (also for 32-bit programs) are those of the profile that Docker and BuildKit use,
//! for a container without CAP_SYS_ADMIN, but for three that are stricter:
//! - `socketcall` of i386 answers ENOSYS: it passes its arguments by pointer, where a filter cannot see the family;
//! - x32 and 32-bit ARM answer ENOSYS to everything: no image for amd64 or arm64 uses them;
//! - arguments are judged by the 32 bits that the kernel uses, so that high bits cannot hide a family.
//!
//! `allowed.txt` and the tables beside it are data: name and number by architecture.

mod emit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cooper_sys::seccomp::Instruction;
use emit::{Abi, Answer, Check};

const ALLOWED: &str = include_str!("allowed.txt");

/// Allowed beside the list on every architecture: for kernels since 4.8 (tracing) and by CAP_SYS_CHROOT.
const ALLOWED_TOO: [&str; 4] = ["chroot", "process_vm_readv", "process_vm_writev", "ptrace"];

/// Flags of clone(2) that make namespaces: mount, cgroup, UTS, IPC, user, PID, network.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;
/// Personalities that containers may set: Linux, 32-bit Linux, both with a UNAME26 release, and the query.
const PERSONALITIES: [u32; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// The whole filter, made once in a process and its forks; `None` on an architecture without a table.
pub fn filter() -> Option<&'static [Instruction]> {
    static FILTER: OnceLock<Option<Vec<Instruction>>> = OnceLock::new();
    let make = || {
        let abis = abis();
        (!abis.is_empty()).then(|| emit::program(&abis, Answer::Errno(ENOSYS)))
    };
    FILTER.get_or_init(make).as_deref()
}

/// Makes the filter, so that it is there in every fork of this process.
pub fn prepare() {
    let _ = filter();
}

#[cfg(target_arch = "x86_64")]
fn abis() -> Vec<Abi> {
    /// Allowed beside the list.
    const ALLOWED_X86: [&str; 2] = ["arch_prctl", "modify_ldt"];
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    const AUDIT_ARCH_I386: u32 = 0x4000_0003;
    vec![
        abi(AUDIT_ARCH_X86_64, include_str!("x86_64.txt"), &ALLOWED_X86),
        abi(AUDIT_ARCH_I386, include_str!("i386.txt"), &ALLOWED_X86),
    ]
}

#[cfg(target_arch = "aarch64")]
fn abis() -> Vec<Abi> {
    const AUDIT_ARCH_AARCH64: u32 = 0xc000_00b7;
    vec![abi(AUDIT_ARCH_AARCH64, include_str!("aarch64.txt"), &[])]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn abis() -> Vec<Abi> {
    Vec::new()
}

/// The rules of one architecture from its table.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
fn abi(audit_arch: u32, table: &str, more: &[&str]) -> Abi {
    let numbers: BTreeMap<&str, u32> = lines(table)
        .filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name, number.parse().ok()?))
        })
        .collect();
    let names = lines(ALLOWED).flat_map(str::split_whitespace).chain(ALLOWED_TOO).chain(more.iter().copied());
    let allowed = names.filter(|name| *name != "socketcall").filter_map(|name| numbers.get(name).copied());
    let mut checks = Vec::new();
    let mut check =
        |name: &str, check: Check| checks.extend(numbers.get(name).map(|number| (*number, check)));
    check("clone", Check::NoBits(CLONE_NAMESPACES));
    check("clone3", Check::Always(Answer::Errno(ENOSYS)));
    check("socketcall", Check::Always(Answer::Errno(ENOSYS)));
    check("socket", Check::NotOneOf(&[AF_ALG, AF_VSOCK]));
    check("personality", Check::OneOf(&PERSONALITIES));
    Abi {
        audit_arch,
        allowed: allowed.collect(),
        checks,
        newest: numbers.values().copied().max().unwrap_or(0),
        refused: Answer::Errno(EPERM),
        unknown: Answer::Errno(ENOSYS),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}
