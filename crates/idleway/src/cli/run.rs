//! `idleway run`: the gateway.

use std::io::{self, IsTerminal};
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
use crate::desk::{Desk, Door, Shared};
#[cfg(unix)]
use crate::handover::{Offer, Place, Predecessor, Succession};
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

/// Where the admin API listens, if anywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressOrOff(pub(crate) Option<SocketAddr>);

pub(crate) fn address_or_off(text: &str) -> Result<AddressOrOff, String> {
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
    let mut stop = Stop::catch().context("cannot catch signals")?;
    // From here on SIGHUP is no reason to end, however long it takes to begin.
    let hangups = reload::Hangups::catch().context("cannot catch signals")?;
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
    let origin = reload::Origin { file, overrides, listen: plan.listen, admin: of_file };
    let begun = begin(plan, &admin, &Rights::of(args, origin.file.as_deref()))?;
    let (gateway, door) = (begun.gateway, begun.door);
    log::count_losses(gateway.handle());
    let wishes =
        reload::follow(origin, gateway.handle(), source, hangups).context("cannot wait for reloads")?;
    // From here on clients count on this process, where there was one before: nothing is a reason to end any more.
    #[cfg(unix)]
    let before = begun.succession.map(Succession::take_place);
    #[cfg(unix)]
    let has_taken_place = before.is_some();
    #[cfg(not(unix))]
    let has_taken_place = false;
    if has_taken_place {
        tracing::info!("this process has taken the place of the one before");
    }
    // Until the gateway has ended: whoever asks is told that it drains.
    let desk = door.map(|door| door.staff(&admin, gateway.handle(), Some(wishes))).transpose();
    let desk = or_without(desk, has_taken_place)?;
    // For whoever sits in front of it; a file that keeps what is said here is not to keep this.
    let dashboard = desk.as_ref().filter(|_| io::stdout().is_terminal()).map(Desk::invitation);
    let desk = Shared::new(desk);
    #[cfg(unix)]
    let offer = begun.place.map(|place| {
        let offered = Offer::at(place, gateway.handle(), stop.wish(), desk.clone());
        offered.context("no process can ask for the handover")
    });
    #[cfg(unix)]
    let offer = or_without(offer.transpose(), has_taken_place)?;
    #[cfg(unix)]
    drop(before);
    let url = listener::url(gateway.address());
    supervisor::ready(&url);
    supervisor::watch(gateway.handle());
    tell_in_time(match dashboard {
        Some(dashboard) => format!("{url}\ndashboard, once: {dashboard}"),
        None => url,
    });
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

/// What there is; or nothing, and the reason in the log, where whoever has `no_way_back` goes on without it.
fn or_without<T>(made: anyhow::Result<Option<T>>, no_way_back: bool) -> anyhow::Result<Option<T>> {
    match made {
        Err(error) if no_way_back => {
            tracing::error!(error = format!("{error:#}"), "the gateway serves without it");
            Ok(None)
        }
        made => made,
    }
}

/// The gateway and the socket of its admin API; the process before, where there is one that hands over, and where the next one
/// asks.
struct Begun {
    gateway: Gateway,
    door: Option<Door>,
    #[cfg(unix)]
    succession: Option<Succession>,
    #[cfg(unix)]
    place: Option<Place>,
}

/// Begins, with the sockets of the process before, where there is one that hands over.
fn begin(plan: Plan, admin: &AdminPlan, rights: &Rights<'_>) -> Result<Begun, Failure> {
    let mut opened = Opened::take();
    #[cfg(unix)]
    let path = plan.handover.clone();
    #[cfg(unix)]
    if let Some(path) = &path
        && let Some(mut before) = Predecessor::find(path)?
    {
        let door = match Door::inherited(admin, before.take_admin()) {
            Some(door) => Some(door),
            None => Door::open(admin, |to| format!("admin = \"{to}\", or --admin {to}"))?,
        };
        let (gateway, succession, place) = follow(before, plan, rights, path)?;
        return Ok(Begun { gateway, door, succession: Some(succession), place: Some(place) });
    }
    let door = match opened.admin.take() {
        Some(socket) => Some(Door::of(socket)),
        None => Door::open(admin, |to| format!("admin = \"{to}\", or --admin {to}"))?,
    };
    let socket = match opened.clients.take() {
        Some(socket) => socket,
        None => listen(plan.listen)?,
    };
    rights.give_up(plan.listen)?;
    Ok(Begun {
        #[cfg(unix)]
        place: path.as_deref().map(place).transpose()?,
        gateway: start_at(plan, socket)?,
        door,
        #[cfg(unix)]
        succession: None,
    })
}

/// Where the next process will ask.
#[cfg(unix)]
fn place(path: &Path) -> anyhow::Result<Place> {
    Place::at(path).with_context(|| format!("no process can ask for the handover at {}", path.display()))
}

/// Gets ready to take the place of the process before.
#[cfg(unix)]
fn follow(
    before: Predecessor,
    mut plan: Plan,
    rights: &Rights<'_>,
    path: &Path,
) -> anyhow::Result<(Gateway, Succession, Place)> {
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
    let place = place(path)?;
    let (gateway, heritage) = Gateway::builder(plan).inherit(socket).context("cannot start the gateway")?;
    Ok((gateway, before.prepare(heritage)?, place))
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
