//! Measures what starting a container costs: time from [`start`](cooper_sandbox::start) to the command's exec, and to the
//! end of `/bin/true`. Give the number of rounds as argument.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/container/fixture.rs"]
mod fixture;

use std::time::{Duration, Instant};

use cooper_sandbox::{Network, start};

fn main() {
    cooper_sandbox::maybe_init();
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(100);
    println!("{:?}", cooper_sandbox::enter().unwrap());
    let copy = Instant::now();
    cooper_sys::executable::sealed_copy().unwrap();
    println!("copy of the program, once: {:?}", copy.elapsed());
    for network in [Network::Host, Network::None] {
        let root = fixture::Root::new();
        let (mut to_exec, mut to_end) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (_output, stdout) = cooper_sys::process::pipe().unwrap();
            let stderr = stdout.try_clone().unwrap();
            let mut spec = fixture::spec(root.mount(), &["/bin/true"], stdout, stderr);
            spec.network = network;
            let begin = Instant::now();
            let mut child = start(spec).unwrap();
            to_exec.push(begin.elapsed());
            child.wait().unwrap();
            to_end.push(begin.elapsed());
        }
        println!("network {network:?}: to exec {}, to end {}", summary(to_exec), summary(to_end));
    }
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("median {:?} (90%: {:?})", times[times.len() / 2], times[times.len() * 9 / 10])
}
