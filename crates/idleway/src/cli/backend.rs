//! `idleway backend`: the generic backend.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use idleway::generic_backend::{GenericBackend, GenericBackendOptions, Over};

use super::{duration, say};
use crate::{listener, stdin};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway backend 6000                          one request at a time, 3 s each
  idleway backend 6001 --slots 4 --delay 50ms   four at a time, 50 ms each
  curl http://127.0.0.1:6000/witness            what it has counted")]
pub(super) struct BackendArgs {
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

pub(super) fn backend(args: &BackendArgs) -> anyhow::Result<()> {
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
            backend.run(stdin::end_of_stdin()).await;
        } else {
            backend.run(std::future::pending()).await;
        }
        Ok(())
    })
}
