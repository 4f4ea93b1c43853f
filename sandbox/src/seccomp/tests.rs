//! The program is run here, instruction by instruction, for every number of every interface.
#![allow(clippy::unwrap_used, reason = "tests")]

use cooper_sys::seccomp::Instruction;

use super::filter;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

#[cfg(target_arch = "x86_64")]
const NATIVE: (u32, &str) = (0xc000_003e, include_str!("x86_64.txt"));
#[cfg(target_arch = "aarch64")]
const NATIVE: (u32, &str) = (0xc000_00b7, include_str!("aarch64.txt"));
const I386: (u32, &str) = (0x4000_0003, include_str!("i386.txt"));

/// What the kernel would answer.
fn run(program: &[Instruction], arch: u32, number: u32, argument: u64) -> u32 {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let Instruction { code, jump_true, jump_false, k } = program[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jump_true } else { jump_false });
        match code {
            0x20 => {
                #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
                let low = argument as u32;
                accumulator = match k {
                    0 => number,
                    4 => arch,
                    16 => low,
                    other => panic!("load of {other}"),
                };
            }
            0x05 => at += k as usize,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x45 => jump(accumulator & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn number(table: &str, name: &str) -> u32 {
    let line = table.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

fn answer((arch, table): (u32, &str), name: &str, argument: u64) -> u32 {
    run(filter().unwrap(), arch, number(table, name), argument)
}

#[test]
fn each_number_gets_the_answer_of_the_list() {
    let program = filter().unwrap();
    let allowed: Vec<&str> = super::lines(super::ALLOWED).flat_map(str::split_whitespace).collect();
    assert_eq!(allowed.len(), 361);
    let mut tables = vec![NATIVE];
    if cfg!(target_arch = "x86_64") {
        tables.push(I386);
    }
    for (arch, table) in tables {
        for number in 0..1000 {
            let names = || {
                let lines = super::lines(table).filter_map(|line| line.split_once(' '));
                lines.filter(|(_, n)| n.parse() == Ok(number)).map(|(name, _)| name)
            };
            let also = [
                "chroot",
                "process_vm_readv",
                "process_vm_writev",
                "ptrace",
                "clone",
                "socket",
                "personality",
            ];
            let x86 = ["arch_prctl", "modify_ldt"];
            let expected = if number > 466 || names().any(|name| name == "clone3" || name == "socketcall") {
                ENOSYS
            } else if names().any(|name| {
                allowed.contains(&name)
                    || also.contains(&name)
                    || (cfg!(target_arch = "x86_64") && x86.contains(&name))
            }) {
                ALLOW
            } else {
                EPERM
            };
            assert_eq!(run(program, arch, number, 0), expected, "{arch:#x} {number} {:?}", names().next());
        }
    }
}

#[test]
fn namespaces_cannot_be_made() {
    assert_eq!(answer(NATIVE, "clone", 0x0100_0011), ALLOW);
    for flag in [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(answer(NATIVE, "clone", flag | 0x11), EPERM, "{flag:#x}");
    }
    for name in ["unshare", "setns", "mount", "open_tree", "bpf", "keyctl", "io_uring_setup", "kexec_load"] {
        assert_eq!(answer(NATIVE, name, 0), EPERM, "{name}");
    }
}

#[test]
fn kernel_crypto_and_vm_sockets_are_refused_whatever_the_high_bits() {
    for (family, expected) in
        [(1, ALLOW), (2, ALLOW), (16, ALLOW), (38, EPERM), (39, ALLOW), (40, EPERM), (44, ALLOW)]
    {
        for high in [0, 1 << 32, 0xdead_beef << 32] {
            assert_eq!(answer(NATIVE, "socket", family | high), expected, "{family}");
        }
    }
}

#[test]
fn only_known_personalities_can_be_set() {
    for (persona, expected) in
        [(0, ALLOW), (8, ALLOW), (0x2_0008, ALLOW), (0xffff_ffff, ALLOW), (0x4_0000, EPERM)]
    {
        assert_eq!(answer(NATIVE, "personality", persona), expected, "{persona:#x}");
    }
}

#[test]
fn other_interfaces_do_not_exist() {
    let program = filter().unwrap();
    assert_eq!(run(program, 0x4000_0028, 1, 0), ENOSYS);
    // x32: same architecture number, a bit in the system call's.
    assert_eq!(run(program, NATIVE.0, 0x4000_0001, 0), ENOSYS);
}

#[test]
fn the_program_fits_into_the_kernels_limit() {
    assert!(filter().unwrap().len() < 4096);
}
