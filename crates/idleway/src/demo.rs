//! `idleway demo`, the show: backends in processes of their own, so that one can be killed; the gateway, a load and the dashboard
//! in this one.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use idleway::Stop;
use idleway::config::{AdminPlan, HttpProbe, Overrides, ProbeKind, ProbePlan};

use crate::cli::{self, AddressOrOff, Failure, say};
use crate::desk::{Desk, Door};
use crate::load::{Load, Wave};
use crate::{listener, log};

/// Backends of the demo.
const BACKENDS: u16 = 5;
/// The silence after which a backend is given up: that of the program Idleway grew from.
const TIMEOUT: Duration = Duration::from_secs(10);

/// So much longer than the others the slow request takes.
const SLOW: u32 = 3;
/// How often a backend is asked whether it is there.
const PROBE: Duration = Duration::from_secs(1);
/// The part of what the backends can do that is asked of them, on the average; at the height of the wave nearly all of it.
const SHARE: f64 = 0.45;
/// What the gateway lets wait while there is a load.
const LINE: usize = 50;
const WAIT: Duration = Duration::from_secs(60);
/// How long what runs at the end may take beyond the work on one request.
const CURTAIN: Duration = Duration::from_secs(1);
/// Who may wait for an answer of the demo at once.
const CLIENTS: usize = 80;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway demo --open                           and look at it in the browser
  idleway demo --no-load                        as quiet as it can be, to try things by hand
  idleway demo --listen 127.0.0.1:8080 --first-port 7000 --delay 500ms

The show: a gentle load that swells and ebbs; now and then a burst of requests, one that takes long, a backend that is killed and comes
back. Each is told in the log.")]
pub(crate) struct DemoArgs {
    /// Where to accept clients [default: 127.0.0.1:5000].
    #[arg(short, long, value_name = "ADDRESS", env = "IDLEWAY_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// Where the dashboard and the admin API answer, or `off` [default: 127.0.0.1:5001].
    #[arg(long, value_name = "ADDRESS", env = "IDLEWAY_ADMIN_LISTEN", hide_env_values = true, value_parser = cli::address_or_off)]
    admin: Option<AddressOrOff>,
    /// The port of the first backend, the others follow; 0 for free ones.
    #[arg(long, value_name = "PORT", default_value_t = 6000, value_parser = clap::value_parser!(u16).range(..=65_000))]
    first_port: u16,
    /// How long a backend works on a request.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = cli::duration)]
    delay: Duration,
    /// No load but yours, no line and no events.
    #[arg(long)]
    no_load: bool,
    /// The load alone: no burst, no slow request, no backend that dies.
    #[arg(long)]
    no_events: bool,
    /// Open the dashboard in the browser. Other users of this machine can read the address it is started with, and a key that works once is in that.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    log: log::LogArgs,
}

pub(crate) fn demo(args: &DemoArgs) -> Result<(), Failure> {
    log::start(&args.log);
    let mut stop = Stop::catch().context("cannot catch signals")?;
    let ports = (0..BACKENDS).map(|nth| if args.first_port == 0 { 0 } else { args.first_port + nth });
    let mut backends: Vec<Backend> =
        ports.map(|port| Backend::start(port, args.delay)).collect::<anyhow::Result<_>>()?;

    let urls: Vec<String> = backends.iter().map(|backend| backend.url.clone()).collect();
    let mut plan = Overrides { listen: args.listen, threads: None }.over_urls(&urls)?;
    for pool in &mut plan.pools {
        // The slow request of the show is no silent backend.
        pool.timeout = TIMEOUT.max(args.delay * (SLOW + 1));
        // What was at work where a backend dies is done by another one: nothing of the load is lost.
        pool.idempotency_key = true;
        // Whoever kills one while nobody asks sees it die all the same.
        let mut probe = ProbePlan::new(ProbeKind::Http(HttpProbe::new("/")));
        (probe.every, probe.fall) = (PROBE, 1);
        pool.health.probe = Some(probe);
        if !args.no_load {
            (pool.queue.length, pool.queue.wait) = (LINE, WAIT);
        }
    }
    // What waits at the end is told so: nobody wants to wait for a show to end.
    plan.drain_timeout = args.delay + CURTAIN;
    if let Some(AddressOrOff(admin)) = args.admin {
        plan.admin.listen = admin;
    }
    let admin = plan.admin.clone();
    let door = Door::open(&admin, |to| format!("--admin {to}"))?;
    let gateway = cli::start(plan)?;
    log::count_losses(gateway.handle());
    let desk = door.map(|door| door.staff(&admin, gateway.handle(), None)).transpose()?;
    let dashboard = desk.as_ref().map(Desk::invitation);
    let url = listener::url(gateway.address());
    say(&url);
    say(&welcome(&url, dashboard.as_deref(), &backends, args));
    match &desk {
        // A key of its own: the address above works still. Everybody on this machine can read what a program is started with; a file of
        // this user's alone would hide it, and browsers in a sandbox could not read that.
        Some(desk) if args.open => open(&desk.invitation()),
        None if args.open => tracing::warn!("there is no dashboard to open: --admin says where it could be"),
        _ => {}
    }
    backends.iter_mut().for_each(Backend::watch);
    let mut show = None;
    let mut quiet = None;
    match args.no_load {
        true => quiet = Some(backends),
        false => show = Some(Show::begin(&url, backends, args)?),
    }
    stop.wait();
    // First whoever asks, then whoever answers.
    let backends = show.map(Show::end).or(quiet);
    // Told twice, it has not ended in order.
    let ended = stop.end(gateway).map(|_| ()).ok_or(Failure::Found(1));
    drop((backends, desk));
    ended
}

/// Shows a page to whoever sits in front of this machine.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        // It may be the browser itself, and run for long.
        Ok(mut child) => _ = thread::spawn(move || child.wait()),
        Err(error) => tracing::warn!(program, %error, "the browser cannot be opened: use the address above"),
    }
}

fn welcome(url: &str, dashboard: Option<&str>, backends: &[Backend], args: &DemoArgs) -> String {
    let delay = args.delay;
    let list: String =
        backends.iter().map(|backend| format!("  {}  pid {}\n", backend.url, backend.child.id())).collect();
    let (pid, witness) = backends.first().map_or((0, ""), |first| (first.child.id(), first.url.as_str()));
    let post = format!("curl -X POST {url}/process -H 'Content-Type: application/json'");
    let dashboard = dashboard.map_or_else(String::new, |dashboard| {
        let at = dashboard.split("/#").next().unwrap_or_default();
        let is_usual = at == listener::url(AdminPlan::LISTEN);
        let top = if is_usual { "idleway top".to_owned() } else { format!("idleway top --admin {at}") };
        format!("\nThe dashboard, where you may change something by this address once (or `{top}`):\n\n  {dashboard}\n")
    });
    let load = match args.no_load {
        true => "",
        false => "\nA load swells and ebbs, and what cannot be answered waits in line; --no-load for none.\n",
    };
    let six = match args.no_load {
        true => "Six at once: five are answered together, the sixth is refused at once.",
        false => "Six at once: whoever finds no idle backend waits in line.",
    };
    format!(
        "
The gateway is in front of {count} backends; each works {delay:?} on a request, one at a time:
{list}{dashboard}{load}
Try in another terminal:

  # One request, answered after {delay:?} of work.
  {post} -d '{{\"task\": \"data analysis\"}}'

  # {six}
  for i in 1 2 3 4 5 6; do {post} -sd \"{{\\\"task\\\": $i}}\" & done; wait

  # What a backend has counted: never more than one at once.
  curl {witness}/witness

  # Kill it, and ask again: the client notices nothing.
  kill {pid}

Ctrl-C ends the demo.
",
        count = backends.len(),
    )
}

/// What goes on while somebody looks: a load, and the events that are told of in the log.
struct Show {
    end: SyncSender<()>,
    thread: JoinHandle<Vec<Backend>>,
    wave: Wave,
}

/// What happens, and how long after the one before.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Burst,
    Slow,
    Kill,
    Return,
}

/// The delay for which the scenes are written.
const USUAL: Duration = Duration::from_secs(3);
/// Again and again.
const SCENES: [(u64, Scene); 5] =
    [(8, Scene::Burst), (14, Scene::Slow), (10, Scene::Kill), (6, Scene::Burst), (14, Scene::Return)];

impl Show {
    fn begin(url: &str, mut backends: Vec<Backend>, args: &DemoArgs) -> anyhow::Result<Self> {
        let load = Load::start(url, CLIENTS)?;
        // So many that most backends are at work, and now and then all.
        let rate = (f64::from(BACKENDS) * SHARE / args.delay.as_secs_f64().max(0.05)).min(20.0);
        let wave = load.wave(rate, "/process")?;
        let (delay, has_events) = (args.delay, !args.no_events);
        // Where work takes longer so does everything: what came at once is done before more comes.
        let pace = (delay.as_secs_f64() / USUAL.as_secs_f64()).max(1.0);
        let (end, ended) = sync_channel::<()>(1);
        let thread = thread::Builder::new().name("show".to_owned()).spawn(move || {
            for (pause, scene) in SCENES.iter().cycle() {
                if ended.recv_timeout(Duration::from_secs(*pause).mul_f64(pace))
                    != Err(RecvTimeoutError::Timeout)
                {
                    break;
                }
                if has_events {
                    play(*scene, &load, &mut backends, delay);
                }
            }
            // Nobody waits for what is left of the show.
            load.leave();
            backends
        })?;
        Ok(Self { end, thread, wave })
    }

    /// Sends and does nothing more; answers the backends, which end when they are dropped.
    fn end(self) -> Vec<Backend> {
        self.wave.end();
        drop(self.end);
        // It has said so itself, if it panicked.
        self.thread.join().unwrap_or_default()
    }
}

fn play(scene: Scene, load: &Load, backends: &mut [Backend], delay: Duration) {
    const MANY: usize = 10;
    let Some(one) = backends.get_mut(1) else { return };
    match scene {
        Scene::Burst => {
            tracing::info!("the show: {MANY} requests at once");
            load.send(MANY, "/process");
        }
        Scene::Slow => {
            let long = delay * SLOW;
            tracing::info!("the show: a request that takes {long:?}");
            load.send(1, &format!("/process?delay={}ms", long.as_millis()));
        }
        Scene::Kill => {
            tracing::info!("the show: the backend {} is killed", one.url);
            one.kill();
        }
        Scene::Return => match Backend::start(one.port(), delay) {
            Ok(mut again) => {
                tracing::info!("the show: the backend {} comes back", again.url);
                again.watch();
                *one = again;
            }
            Err(error) => tracing::warn!("the show: the backend {} does not come back: {error:#}", one.url),
        },
    }
}

/// One backend of the demo, in a process that ends with this one, however this one ends.
struct Backend {
    url: String,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    ending: Arc<AtomicBool>,
}

impl Backend {
    fn start(port: u16, delay: Duration) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg("backend").arg(port.to_string()).arg("--delay").arg(format!("{}ms", delay.as_millis()));
        // Its standard input ends when this process does.
        command.arg("--until-stdin-ends").stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C goes to a whole process group: without one of its own the backend would die of it first.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().context("cannot start a backend")?;
        let output = child.stdout.take().map(BufReader::new);
        let mut backend = Backend { url: String::new(), child, output, ending: Arc::default() };
        backend.url = backend.first_line().ok_or_else(|| {
            anyhow!(
                "the backend on port {port} did not start\n    hint: choose other ports (--first-port 7000)"
            )
        })?;
        Ok(backend)
    }

    fn first_line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.as_mut()?.read_line(&mut line).ok()?;
        line.strip_suffix('\n').map(str::to_owned)
    }

    /// Says so when the process dies.
    fn watch(&mut self) {
        let Some(mut output) = self.output.take() else {
            return;
        };
        let (url, pid, ending) = (self.url.clone(), self.child.id(), Arc::clone(&self.ending));
        thread::spawn(move || {
            // Its end closes its standard output; an error says the same.
            let _ = io::copy(&mut output, &mut io::sink());
            if !ending.load(Ordering::Acquire) {
                tracing::warn!("backend {url} (pid {pid}) is gone: the others do its work");
            }
        });
    }
}

impl Backend {
    fn kill(&mut self) {
        self.ending.store(true, Ordering::Release);
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn port(&self) -> u16 {
        self.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}
