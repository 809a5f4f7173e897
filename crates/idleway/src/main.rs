//! The `idleway` program: see `idleway --help`.

mod cli;
mod colour;
mod demo;
mod descriptors;
mod desk;
#[cfg(unix)]
mod handover;
mod listener;
mod load;
mod log;
#[cfg(unix)]
mod parcels;
mod reload;
mod stdin;
mod supervisor;
mod token;
#[cfg(unix)]
mod user;
mod watch;
mod witness;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let code = cli::main();
    log::finish();
    code
}
