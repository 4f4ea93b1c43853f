//! From rules to a program of classic BPF.
//!
//! Every test jumps over at most one answer, so that no distance ever exceeds what an instruction can hold. The kernel
//! runs the program once for each number beforehand and remembers which are always allowed; only loads, comparisons and
//! returns are used, as it must understand them for that.

use std::collections::BTreeSet;

use cooper_sys::seccomp::Instruction;

/// What the kernel does with a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow,
    /// The call fails with this error.
    Errno(u16),
}

/// A rule on the low 32 bits of the first argument.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Whatever the argument.
    Always(Answer),
    /// Allowed if none of these bits is set.
    NoBits(u32),
    /// Allowed if it is none of these.
    NotOneOf(&'static [u32]),
    /// Allowed if it is one of these.
    OneOf(&'static [u32]),
}

/// The rules of one system call interface.
#[derive(Debug)]
pub struct Abi {
    /// Its AUDIT_ARCH number.
    pub audit_arch: u32,
    /// Numbers that are allowed without a look at arguments.
    pub allowed: BTreeSet<u32>,
    /// Numbers with a rule of their own, which comes first.
    pub checks: Vec<(u32, Check)>,
    /// The newest number that is known.
    pub newest: u32,
    /// Answer to known calls that are not allowed.
    pub refused: Answer,
    /// Answer to calls beyond the newest.
    pub unknown: Answer,
}

// Operations of classic BPF.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_GREATER_OR_EQUAL: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// Offsets in struct seccomp_data; the architectures with a table are little-endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;

/// A program with one part for each interface; `foreign` is the answer to calls through any other.
pub fn program(abis: &[Abi], foreign: Answer) -> Vec<Instruction> {
    let mut program = vec![statement(LOAD, ARCH)];
    for abi in abis {
        let part = part(abi);
        program.push(branch(IF_EQUAL, abi.audit_arch, 1, 0));
        program.push(statement(JUMP, u32::try_from(part.len()).unwrap_or(u32::MAX)));
        program.extend(part);
    }
    program.push(answer(foreign));
    program
}

/// The rules of one interface. Every path through it ends in an answer.
fn part(abi: &Abi) -> Vec<Instruction> {
    let mut part = vec![statement(LOAD, NUMBER), branch(IF_GREATER, abi.newest, 0, 1), answer(abi.unknown)];
    for (number, check) in &abi.checks {
        let body = body(*check, abi.refused);
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        part.push(branch(IF_EQUAL, *number, 0, length));
        part.extend(body);
    }
    let ruled: BTreeSet<u32> = abi.checks.iter().map(|(number, _)| *number).collect();
    for (first, last) in runs(abi.allowed.difference(&ruled).copied()) {
        part.push(branch(IF_GREATER_OR_EQUAL, first, 1, 0));
        part.push(answer(abi.refused));
        part.push(branch(IF_GREATER, last, 1, 0));
        part.push(answer(Answer::Allow));
    }
    part.push(answer(abi.refused));
    part
}

/// The rule of one number. Every path through it ends in an answer.
fn body(check: Check, refused: Answer) -> Vec<Instruction> {
    let load = statement(LOAD, FIRST_ARGUMENT);
    let listed = |values: &[u32], hit: Answer, miss: Answer| {
        let tests = values.iter().flat_map(|value| [branch(IF_EQUAL, *value, 0, 1), answer(hit)]);
        [load].into_iter().chain(tests).chain([answer(miss)]).collect()
    };
    match check {
        Check::Always(always) => vec![answer(always)],
        Check::NoBits(bits) => {
            vec![load, branch(IF_ANY_BIT, bits, 0, 1), answer(refused), answer(Answer::Allow)]
        }
        Check::NotOneOf(values) => listed(values, refused, Answer::Allow),
        Check::OneOf(values) => listed(values, Answer::Allow, refused),
    }
}

/// Ascending numbers as runs of neighbours.
fn runs(numbers: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

const fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

const fn branch(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}

fn answer(answer: Answer) -> Instruction {
    statement(
        RETURN,
        match answer {
            Answer::Allow => RET_ALLOW,
            Answer::Errno(errno) => RET_ERRNO | u32::from(errno),
        },
    )
}
