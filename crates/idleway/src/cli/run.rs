//! `idleway run`: the gateway.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use idleway::config::{AdminPlan, Overrides, Plan, Source};
use idleway::{Gateway, Stop};

use super::{Failure, find, say};
use crate::desk::{Door, Shared};
#[cfg(unix)]
use crate::handover::{Offer, Predecessor, Staying};
use crate::supervisor::Opened;
#[cfg(unix)]
use crate::user::{self, Account};
use crate::{descriptors, listener, log, reload, supervisor};

/// How long a line on standard output is waited for.
const TELLING: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway run http://127.0.0.1:6000 http://127.0.0.1:6001    two backends, one slot each
  idleway run --config idleway.toml --listen 0.0.0.0:8080    as a file says, and where clients reach it
  IDLEWAY_LOG=debug idleway run                              the first file that is found, and a longer log

Without --config and without URLs it reads the file that IDLEWAY_CONFIG names, else the first that is there of
./idleway.toml, $XDG_CONFIG_HOME/idleway/idleway.toml (~/.config/idleway/idleway.toml), /etc/idleway/idleway.toml.

SIGTERM and SIGINT end it when what runs is finished; a second one at once. SIGHUP and a change of the file put the file
in force, as a whole or, where anything is wrong with it, not at all.")]
pub(super) struct RunArgs {
    /// The configuration file [default: IDLEWAY_CONFIG, else the first one that is found; see below].
    #[arg(short, long, value_name = "FILE", conflicts_with = "urls")]
    config: Option<PathBuf>,
    /// Where to accept clients [default: the file's `listen`, else 127.0.0.1:5000].
    #[arg(short, long, value_name = "ADDRESS", env = "IDLEWAY_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// How many cores to serve on [default: the file's `threads`, else all].
    #[arg(short, long, value_name = "N", env = "IDLEWAY_THREADS", hide_env_values = true)]
    threads: Option<NonZeroUsize>,
    /// Where the admin API answers, or `off` [default: the file's `admin`, else 127.0.0.1:5001].
    #[arg(long, value_name = "ADDRESS", env = "IDLEWAY_ADMIN_LISTEN", hide_env_values = true, value_parser = address_or_off)]
    admin: Option<AddressOrOff>,
    /// Whom to run as once the sockets are there, by name or number [default: nobody, where root listens on a port below 1024].
    #[cfg(unix)]
    #[arg(long, value_name = "USER[:GROUP]", env = "IDLEWAY_USER", hide_env_values = true)]
    user: Option<Account>,
    #[command(flatten)]
    log: log::LogArgs,
    /// Backends, one slot each, in place of a file: http://127.0.0.1:6000 …
    #[arg(value_name = "URL")]
    urls: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct AddressOrOff(Option<SocketAddr>);

fn address_or_off(text: &str) -> Result<AddressOrOff, String> {
    match text {
        "off" => Ok(AddressOrOff(None)),
        _ => text
            .parse()
            .map(|address| AddressOrOff(Some(address)))
            .map_err(|_| "write 127.0.0.1:5001, or off".to_owned()),
    }
}

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    log::start(&args.log);
    let overrides = Overrides { listen: args.listen, threads: args.threads };
    let file = args.urls.is_empty().then(|| args.config.clone().unwrap_or_else(find::find));
    let source = file.as_deref().map(Source::read).transpose()?;
    let mut plan = match &source {
        Some(source) => overrides.over(source)?,
        None => overrides.over_urls(&args.urls)?,
    };
    if let Some(file) = &file {
        tracing::info!(file = %file.display(), "the configuration is read");
    }
    let of_file = plan.admin.listen;
    if let Some(AddressOrOff(admin)) = args.admin {
        plan.admin.listen = admin;
    }
    let admin = plan.admin.clone();
    let mut stop = Stop::catch().context("cannot catch signals")?;
    // From here on SIGHUP is no reason to end, however long it takes to begin.
    let hangups = reload::Hangups::catch().context("cannot catch signals")?;
    let origin = reload::Origin { file, overrides, listen: plan.listen, admin: of_file };
    let path = plan.handover.clone();
    let begun = begin(plan, &admin, &Rights::of(args, origin.file.as_deref()))?;
    let (gateway, door) = (begun.gateway, begun.door);
    log::count_losses(gateway.handle());
    let wishes =
        reload::follow(origin, gateway.handle(), source, hangups).context("cannot wait for reloads")?;
    // Until the gateway has ended: whoever asks is told that it drains.
    let desk = door.map(|door| door.staff(&admin, gateway.handle(), wishes)).transpose()?;
    let desk = Shared::new(desk);
    #[cfg(unix)]
    let offer = offer(path.as_deref(), &gateway, &stop, &desk)?;
    #[cfg(unix)]
    drop(begun.before);
    #[cfg(not(unix))]
    let _ = path;
    let url = listener::url(gateway.address());
    supervisor::ready(&url);
    supervisor::watch(gateway.handle());
    tell_in_time(url);
    stop.wait();
    supervisor::stopping();
    // Told twice, it has not ended in order.
    stop.end(gateway).ok_or(Failure::Found(1))?;
    #[cfg(unix)]
    if let Some(offer) = offer {
        offer.end();
    }
    // Here and not with the last hold on it, which a thread may have that nobody waits for.
    drop(desk.take());
    Ok(())
}

/// Says where the gateway serves. Whoever has given it a standard output that nobody reads gets a gateway all the same.
fn tell_in_time(url: String) {
    let (said, is_said) = sync_channel(1);
    let speaker = thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        say(&url);
        let _ = said.send(());
    });
    if speaker.is_ok() {
        let _ = is_said.recv_timeout(TELLING);
    }
}

/// Where a newer process may ask for all that this one has.
#[cfg(unix)]
fn offer(
    path: Option<&Path>,
    gateway: &Gateway,
    stop: &Stop,
    desk: &Shared,
) -> anyhow::Result<Option<Offer>> {
    let Some(path) = path else { return Ok(None) };
    let offer = Offer::at(path, gateway.handle(), stop.wish(), desk.clone());
    offer.map(Some).with_context(|| format!("no process can ask for the handover at {}", path.display()))
}

/// The gateway, the socket of its admin API, and the process before, where there is one that hands over.
struct Begun {
    gateway: Gateway,
    door: Option<Door>,
    #[cfg(unix)]
    before: Option<Staying>,
}

/// Begins, with the sockets of the process before, where there is one that hands over.
fn begin(plan: Plan, admin: &AdminPlan, rights: &Rights<'_>) -> Result<Begun, Failure> {
    let mut opened = Opened::take();
    #[cfg(unix)]
    if let Some(path) = &plan.handover
        && let Some(mut before) = Predecessor::find(path)?
    {
        let door = match Door::inherited(admin, before.admin.take()) {
            Some(door) => Some(door),
            None => Door::open(admin)?,
        };
        let (gateway, before) = follow(before, plan, rights)?;
        return Ok(Begun { gateway, door, before: Some(before) });
    }
    let door = match opened.admin.take() {
        Some(socket) => Some(Door::of(socket)),
        None => Door::open(admin)?,
    };
    let socket = match opened.clients.take() {
        Some(socket) => socket,
        None => listen(plan.listen)?,
    };
    rights.give_up(plan.listen)?;
    Ok(Begun {
        gateway: start_at(plan, socket)?,
        door,
        #[cfg(unix)]
        before: None,
    })
}

/// Takes the place of the process before.
#[cfg(unix)]
fn follow(before: Predecessor, mut plan: Plan, rights: &Rights<'_>) -> anyhow::Result<(Gateway, Staying)> {
    descriptors::fit(&mut plan);
    let address = plan.listen;
    let is_here = |socket: &TcpListener| {
        let own = socket.local_addr();
        own.is_ok_and(|own| own == address || (address.port() == 0 && own.ip() == address.ip()))
    };
    let socket = match before.socket.as_ref().filter(|socket| is_here(socket)) {
        Some(socket) => socket.try_clone()?,
        // It listens elsewhere than this one is told to, or nowhere any more.
        None => listen(address)?,
    };
    rights.give_up(address)?;
    let (gateway, heritage) = Gateway::builder(plan).inherit(socket).context("cannot start the gateway")?;
    let before = before.take_over(heritage)?;
    tracing::info!("this process has taken the place of the one before");
    Ok((gateway, before))
}

/// Listens where the Plan says, and starts the gateway there.
pub(crate) fn start(plan: Plan) -> Result<Gateway, Failure> {
    let socket = listen(plan.listen)?;
    start_at(plan, socket)
}

/// Starts the gateway on this socket.
fn start_at(mut plan: Plan, socket: TcpListener) -> Result<Gateway, Failure> {
    descriptors::fit(&mut plan);
    Ok(Gateway::start(plan, socket).context("cannot start the gateway")?)
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::listen(address)
        .map_err(|error| listener::explain(address, &error, |to| format!("--listen {to}")))
}

/// What the program may do, and gives up once its sockets are there.
struct Rights<'a> {
    #[cfg(unix)]
    user: Option<&'a Account>,
    file: Option<&'a Path>,
}

impl<'a> Rights<'a> {
    fn of(args: &'a RunArgs, file: Option<&'a Path>) -> Self {
        #[cfg(not(unix))]
        let _ = args;
        Self {
            #[cfg(unix)]
            user: args.user.as_ref(),
            file,
        }
    }

    #[cfg(unix)]
    fn give_up(&self, listen: SocketAddr) -> anyhow::Result<()> {
        user::become_less(self.user, listen, self.file)
    }

    #[cfg(not(unix))]
    fn give_up(&self, _: SocketAddr) -> anyhow::Result<()> {
        let _ = self.file;
        Ok(())
    }
}
