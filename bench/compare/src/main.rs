//! Measures Idleway against Debian's HAProxy and nginx, in the same interleaved rounds, on this machine.
//!
//! ```text
//! cpu busy memory   three measures: what is sampled from one peer in one round
//! wait              another: latency beside an ideal queue (`ideal`), with requests that come at random (`arrivals`)
//! kill              another: what fails when backends (`worker`) die (`killer`) under patient clients (`patients`)
//! limit             the last: `idleway witness` before each gateway, and its `chart`
//! rounds            the interleaving: every peer in every round, in rotating order
//! peer conf         a proxy as a child process, and the configuration it is given
//! backend load wire our own backends and clients, and the messages they exchange
//! usage             what the kernel says of a process: CPU time and memory
//! relay             the floor: a proxy that understands nothing
//! report            tables, JSON and Markdown
//! ```
//!
//! Nothing here asserts a timing: a figure is for people to judge.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the face of a command")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::peer::Program;
use crate::report::Report;
use crate::rounds::Rounds;

mod arrivals;
mod backend;
mod busy;
mod chart;
mod conf;
mod cpu;
mod ideal;
mod kill;
mod killer;
mod limit;
mod load;
mod memory;
mod patients;
mod peer;
mod relay;
mod report;
mod rounds;
mod usage;
mod wait;
mod wire;
mod worker;

/// Measure Idleway against HAProxy and nginx, side by side on this machine.
#[derive(Parser)]
#[command(name = "idleway-bench-compare", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// All measures.
    All,
    /// CPU time for each proxied request with a small answer.
    Cpu,
    /// The share of the time that one-slot backends work under more clients than slots.
    Busy,
    /// Memory for each idle client connection.
    Memory,
    /// Latency at 90 % load, beside a queue that loses no time.
    Wait,
    /// Requests that fail when one-slot backends are killed and come back.
    Kill,
    /// Requests at work at once on a one-slot backend behind a timeout, with a chart.
    Limit {
        /// A file that the chart is drawn to, beside the one among the results.
        #[arg(long, value_name = "FILE")]
        chart: Option<PathBuf>,
    },
    /// (inside) The bare TCP relay that the cpu measure uses as its floor.
    #[command(hide = true)]
    Relay { listen: SocketAddr, backend: SocketAddr },
    /// (inside) A backend as a process of its own, for the kill measure.
    #[command(hide = true)]
    Worker { listen: SocketAddr },
    /// (inside) Become PROGRAM, and end when the benchmark ends.
    #[command(hide = true)]
    Follow {
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct Options {
    /// Rounds; in each of them every peer has its turn (limit needs one only).
    #[arg(long, default_value_t = 5, global = true, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that one peer is measured for in one round (cpu and busy; wait and kill: at least 20).
    #[arg(long, default_value_t = 3, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Idle connections that the memory measure holds open.
    #[arg(long, default_value_t = 5000, global = true, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// The idleway binary; without it, the release binary is built and used.
    #[arg(long, global = true, value_name = "PATH")]
    idleway: Option<PathBuf>,
    /// Leave a peer out; may be given several times.
    #[arg(long, global = true, value_name = "PEER")]
    without: Vec<peer::Kind>,
    /// The folder that the JSON and the Markdown are written to.
    #[arg(long, default_value = "bench/results", global = true, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Relay { listen, backend } => relay::run(listen, backend),
        Command::Worker { listen } => worker::run(listen),
        Command::Follow { program, arguments } => peer::follow(&program, &arguments),
        command => {
            let report = compare(&cli.options, command.measures())?;
            if let (Command::Limit { chart: Some(file) }, Some(chart)) = (&command, report.chart()) {
                std::fs::write(file, chart).with_context(|| format!("drawing {}", file.display()))?;
            }
            Ok(())
        }
    }
}

impl Command {
    fn measures(&self) -> &'static [Measure] {
        match self {
            Command::All => {
                &[cpu::measure, busy::measure, wait::measure, kill::measure, memory::measure, limit::measure]
            }
            Command::Cpu => &[cpu::measure],
            Command::Busy => &[busy::measure],
            Command::Memory => &[memory::measure],
            Command::Wait => &[wait::measure],
            Command::Kill => &[kill::measure],
            Command::Limit { .. } => &[limit::measure],
            Command::Relay { .. } | Command::Worker { .. } | Command::Follow { .. } => &[],
        }
    }
}

/// One measure: runs its rounds and adds its table to the report.
type Measure = fn(&Rounds, &mut Report) -> Result<()>;

fn compare(options: &Options, measures: &[Measure]) -> Result<Report> {
    usage::raise_open_files()?;
    let rounds = Rounds {
        programs: find_programs(options)?,
        count: options.rounds,
        window: Duration::from_secs(options.seconds),
        connections: options.connections,
    };
    let mut report = Report::begin(&rounds)?;
    println!("{}", report.preface());
    for measure in measures {
        measure(&rounds, &mut report)?;
        println!("\n{}", report.latest());
    }
    let written = report.write(&options.out).context("writing the results")?;
    println!("\nwritten: {}", written.display());
    Ok(report)
}

/// The peers that are there and wanted; one that is missing is said and left out.
fn find_programs(options: &Options) -> Result<Vec<Program>> {
    if cfg!(debug_assertions) {
        eprintln!("note: a debug build; its clients and backends are slow. Use `cargo run --release`.");
    }
    let mut programs = Vec::new();
    for kind in peer::Kind::ALL {
        if options.without.contains(&kind) {
            continue;
        }
        match Program::find(kind, options.idleway.as_deref()) {
            Ok(program) => programs.push(program),
            Err(error) => eprintln!("left out: {}: {error:#}", kind.name()),
        }
    }
    anyhow::ensure!(!programs.is_empty(), "no peer to measure");
    Ok(programs)
}
