//! The command line: what it takes, and what the program's end says to the shell.
//!
//! Standard output is for answers (the address a thing listens on comes first), standard error for the log and for
//! what went wrong.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use idleway::Gateway;
use idleway::config::{Faults, Overrides, Plan};
use idleway::generic_backend::{GenericBackend, GenericBackendOptions, Over};

use crate::{demo, descriptors, listener, log, signals, witness};

/// An API gateway that sends a request to an idle backend, never to a busy one.
#[derive(Debug, Parser)]
#[command(name = "idleway", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Run(RunArgs),
    /// Run five backends and the gateway in front of them, and say what to try.
    Demo(demo::DemoArgs),
    /// Run a generic backend: one request at a time, and a count of it at /witness.
    Backend(BackendArgs),
    /// Show whether a gateway keeps to the limits of its backends, whichever gateway it is.
    Witness(witness::WitnessArgs),
    /// Check a configuration file, and say what it means.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration file [default: idleway.toml, where no URL is given].
    #[arg(short, long, value_name = "FILE", conflicts_with = "urls")]
    config: Option<PathBuf>,
    /// Where to accept clients [default: the file's `listen`, else 127.0.0.1:5000].
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How many cores to serve on [default: the file's `threads`, else all].
    #[arg(short, long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Backends, one slot each, in place of a file: http://127.0.0.1:6000 …
    #[arg(value_name = "URL")]
    urls: Vec<String>,
}

#[derive(Debug, Args)]
struct BackendArgs {
    /// The port to listen on; 0 for a free one.
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// How many requests it works on at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    /// How long it works on each.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    delay: Duration,
    /// Work on what is over its limit too, and only count it, instead of refusing it.
    #[arg(long)]
    overlap: bool,
    /// End when standard input ends: with whoever holds its other side.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration file.
    file: PathBuf,
}

/// Why the program did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 78 (`EX_CONFIG`).
    Misconfigured(String),
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
        Failure::Misconfigured(faults.to_string())
    }
}

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Backend(args) => backend(&args).map_err(Failure::from),
        Command::Witness(args) => witness::witness(&args),
        Command::Check(args) => check(&args.file),
    };
    let (code, text) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Found(code)) => return ExitCode::from(code),
        Err(Failure::Misconfigured(faults)) => (78, faults),
        Err(Failure::Failed(error)) => (1, format!("idleway: {error:#}")),
    };
    // Where standard error is closed, the code has to say it all.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(code)
}

fn run(args: &RunArgs) -> Result<(), Failure> {
    log::start();
    let overrides = Overrides { listen: args.listen, threads: args.threads };
    let plan = match (&args.config, args.urls.as_slice()) {
        (Some(file), _) => read(file, overrides)?,
        (None, []) if Path::new(USUAL_FILE).exists() => read(Path::new(USUAL_FILE), overrides)?,
        (None, []) => {
            let missing = clap::error::ErrorKind::MissingRequiredArgument;
            let text = "there is no idleway.toml here: name a file with --config, or backends by their URLs,\n  \
                        idleway run http://127.0.0.1:6000 http://127.0.0.1:6001";
            Cli::command().error(missing, text).exit()
        }
        (None, urls) => overrides.over_urls(urls)?,
    };
    let stop = signals::Stop::catch().context("cannot catch signals")?;
    let gateway = start(plan)?;
    say(&listener::url(gateway.address()));
    stop.end(gateway);
    Ok(())
}

/// What `run` reads where it is told nothing.
const USUAL_FILE: &str = "idleway.toml";

/// Listens where the Plan says, and starts the gateway there.
pub(crate) fn start(mut plan: Plan) -> Result<Gateway, Failure> {
    descriptors::fit(&mut plan);
    let address = plan.listen;
    let socket = listener::listen(address)
        .map_err(|error| listener::explain(address, &error, |to| format!("--listen {to}")))?;
    Ok(Gateway::start(plan, socket).context("cannot start the gateway")?)
}

fn read(file: &Path, overrides: Overrides) -> Result<Plan, Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Misconfigured(format!("{name}: cannot be read: {error}")))?;
    Ok(overrides.over_toml(&text, &name)?)
}

fn check(file: &Path) -> Result<(), Failure> {
    let plan = read(file, Overrides::default())?;
    say(&format!("{} is good: it listens on {}", file.display(), plan.listen));
    for pool in &plan.pools {
        let slots: u64 = pool.backends.iter().map(|backend| u64::from(backend.slots)).sum();
        let when_busy = match pool.queue.length {
            0 => "refuses when all are busy".to_owned(),
            length => format!("{length} may wait {:?} when all are busy", pool.queue.wait),
        };
        let backends = counted(pool.backends.len() as u64, "backend");
        say(&format!("pool {}: {backends}, {}, {when_busy}", pool.name, counted(slots, "slot")));
    }
    for route in plan.routes.iter() {
        let pool = plan.pools.get(route.pool).map_or("", |pool| pool.name.as_str());
        say(&format!("route {route} -> {pool}"));
    }
    Ok(())
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn backend(args: &BackendArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = SocketAddr::new(args.host, args.port);
        let over = if args.overlap { Over::Work } else { Over::Refuse };
        let options = GenericBackendOptions { slots: args.slots, delay: args.delay, over };
        let backend = GenericBackend::bind(address, options).await.map_err(|error| {
            listener::explain(address, &error, |to| format!("idleway backend {}", to.port()))
        })?;
        say(&listener::url(backend.address()));
        if args.until_stdin_ends {
            backend.run(signals::end_of_stdin()).await;
        } else {
            backend.run(std::future::pending()).await;
        }
        Ok(())
    })
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
