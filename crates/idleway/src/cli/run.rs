//! `idleway run`: the gateway.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory};
use idleway::Gateway;
use idleway::config::{Overrides, Plan, Source};

use super::{Cli, Failure, say};
use crate::{descriptors, listener, log, signals};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
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

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    log::start();
    let overrides = Overrides { listen: args.listen, threads: args.threads };
    let plan = match (&args.config, args.urls.as_slice()) {
        (Some(file), _) => overrides.over(&Source::read(file)?)?,
        (None, []) if Path::new(USUAL_FILE).exists() => {
            overrides.over(&Source::read(Path::new(USUAL_FILE))?)?
        }
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
