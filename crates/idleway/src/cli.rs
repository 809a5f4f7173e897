//! The command line: what it takes, and what the program's end says to the shell.
//!
//! Standard output is for answers (the address a thing listens on comes first), standard error for the log and for
//! what went wrong.

mod admin;
mod backend;
mod check;
mod explain;
mod find;
mod made;
mod run;
mod top;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use idleway::config::Faults;

pub(crate) use self::run::{AddressOrOff, address_or_off, start};
use crate::{colour, demo, load, witness};

/// An API gateway that sends a request to an idle backend, never to a busy one.
#[derive(Debug, Parser)]
#[command(name = "idleway", version = env!("IDLEWAY_VERSION"), after_help = "\
Examples:
  idleway demo                          see it at work: five backends and the gateway
  idleway run http://127.0.0.1:6000     the gateway in front of one backend
  idleway run --config idleway.toml     the gateway as a file says
  idleway check idleway.toml            what is wrong with a file, or what it means
  idleway status                        how the gateway stands, and what each slot is at
  idleway top                           the same, live

Exit codes:
  0   all is well
  1   it failed while it ran, or was told to stop at once
  2   wrong usage
  3   `idleway witness` could show nothing
  4   `idleway drain` waited in vain for work to end
  69  no gateway answers
  77  the token of the admin API is missing or wrong
  78  the configuration is at fault

Colours follow NO_COLOR and CLICOLOR_FORCE.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Run(run::RunArgs),
    /// Run five backends, the gateway in front of them and a load, and show all of it in a dashboard.
    Demo(demo::DemoArgs),
    /// Send a gateway a gentle and changing load, whichever gateway it is.
    Load(load::LoadArgs),
    /// Run a generic backend: one request at a time, and a count of it at /witness.
    Backend(backend::BackendArgs),
    /// Show how a gateway that runs stands: its pools, its backends, what each slot is at, who waits.
    Status(admin::StatusArgs),
    /// Look at a gateway while it runs, live: the same and more, on a terminal.
    Top(top::TopArgs),
    /// Send a backend no new requests, and wait until nothing is at work there.
    Drain(admin::DrainArgs),
    /// Send a backend requests again.
    Ready(admin::ModeArgs),
    /// Send a backend neither requests nor probes.
    Maintenance(admin::ModeArgs),
    /// Have a gateway that runs read its file again.
    Reload(admin::ReloadArgs),
    /// Show whether a gateway keeps to the limits of its backends, whichever gateway it is.
    Witness(witness::WitnessArgs),
    /// Check a configuration file, and say what it means.
    Check(check::CheckArgs),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema(made::SchemaArgs),
    /// Print the completions of a shell.
    Completions(made::CompletionsArgs),
    /// Print the manual page, in roff.
    Man(made::ManArgs),
}

/// Why the program did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 78 (`EX_CONFIG`).
    Misconfigured(Faults),
    /// Exit code 1.
    Failed(anyhow::Error),
    /// What was found is said already; this is its exit code.
    Found(u8),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Failure::Misconfigured(faults)
    }
}

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Load(args) => load::load(&args),
        Command::Backend(args) => backend::backend(&args).map_err(Failure::from),
        Command::Status(args) => admin::status(&args),
        Command::Top(args) => top::top(&args),
        Command::Drain(args) => admin::drain(&args),
        Command::Ready(args) => admin::set_mode(&args, "ready"),
        Command::Maintenance(args) => admin::set_mode(&args, "maintenance"),
        Command::Reload(args) => admin::reload(&args),
        Command::Witness(args) => witness::witness(&args),
        Command::Check(args) => check::check(&args),
        Command::Schema(_) => made::schema(),
        Command::Completions(args) => {
            made::completions(&args);
            Ok(())
        }
        Command::Man(args) => made::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Found(code)) => ExitCode::from(code),
        Err(Failure::Misconfigured(faults)) => {
            tell(&faults);
            ExitCode::from(78)
        }
        Err(Failure::Failed(error)) => {
            complain(&format!("idleway: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The faults on standard error.
fn tell(faults: &Faults) {
    let mut out = io::stderr().lock();
    let _ = if colour::on(&out) { writeln!(out, "{}", faults.coloured()) } else { writeln!(out, "{faults}") };
}

/// A line on standard error. Where that is closed, the exit code has to say it all.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line on standard output. Where nobody reads it any more, the program goes on.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    idleway::config::duration(text).map_err(|fault| match fault.hint {
        Some(hint) => format!("{}: {hint}", fault.message),
        None => fault.message,
    })
}
