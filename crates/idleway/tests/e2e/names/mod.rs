//! Names of backends, looked up by the real program with the system's own resolver: what they stand for changes while
//! clients send requests.

#![cfg(target_os = "linux")]

mod all;
mod one;
mod stage;

use std::net::{IpAddr, Ipv4Addr};

use self::stage::{Hosts, Program};
use crate::harness::*;

const NAME: &str = "workers.test";

/// What the log says each time.
const CHANGED: &str = "the name stands for these addresses now";

/// One address of the loopback network each, from 127.0.0.2 on.
fn loopback(count: u8) -> Vec<IpAddr> {
    (2..2 + count).map(|last| Ipv4Addr::new(127, 0, 0, last).into()).collect()
}

/// So many backends of one Slot on one port, which work behind the gate on what is asked for below `/work`.
fn backends(count: u8, gate: &Gate) -> Vec<Backend> {
    backends_at(&loopback(count), gate).unwrap()
}

fn backends_at(ips: &[IpAddr], gate: &Gate) -> std::io::Result<Vec<Backend>> {
    let door = gate.door();
    Backend::on_one_port(ips, move |visit| {
        if visit.path().starts_with("/work") {
            door.pass()?;
        }
        visit.answer("done")
    })
}

/// What a pool is given for all its backends.
fn named(backends: &[Backend], resolve: &str) -> String {
    format!("backends = [\"http://{NAME}:{}\"]\nresolve = \"{resolve}\"\n", backends[0].port())
}

fn served(backend: &Backend) -> usize {
    backend.seen().heads.len()
}

/// Waits until it has served more than now.
#[track_caller]
fn until_serving(backend: &Backend) {
    let before = served(backend);
    backend.until("requests", |seen| seen.heads.len() >= before + 10);
}

/// Does this while four clients send requests all the time, none of which fails.
fn under_traffic(program: &Program, then: impl FnOnce()) {
    crate::harness::under_traffic(program.address, 4, "/", then);
}
