//! `idleway demo`: backends in processes of their own, so that one can be killed, and the gateway in this one.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use idleway::Stop;
use idleway::config::Overrides;

use crate::cli::{self, Failure, say};
use crate::{listener, log};

/// Backends of the demo.
const BACKENDS: u16 = 5;
/// The silence after which a backend is given up: that of the program Idleway grew from.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway demo                                  on the ports 5000 and 6000 to 6004
  idleway demo --listen 127.0.0.1:8080 --first-port 7000 --delay 500ms")]
pub(crate) struct DemoArgs {
    /// Where to accept clients [default: 127.0.0.1:5000].
    #[arg(short, long, value_name = "ADDRESS", env = "IDLEWAY_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// The port of the first backend, the others follow; 0 for free ones.
    #[arg(long, value_name = "PORT", default_value_t = 6000, value_parser = clap::value_parser!(u16).range(..=65_000))]
    first_port: u16,
    /// How long a backend works on a request.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = cli::duration)]
    delay: Duration,
    #[command(flatten)]
    log: log::LogArgs,
}

pub(crate) fn demo(args: &DemoArgs) -> Result<(), Failure> {
    log::start(&args.log);
    let stop = Stop::catch().context("cannot catch signals")?;
    let ports = (0..BACKENDS).map(|nth| if args.first_port == 0 { 0 } else { args.first_port + nth });
    let mut backends: Vec<Backend> =
        ports.map(|port| Backend::start(port, args.delay)).collect::<anyhow::Result<_>>()?;

    let urls: Vec<String> = backends.iter().map(|backend| backend.url.clone()).collect();
    let mut plan = Overrides { listen: args.listen, threads: None }.over_urls(&urls)?;
    for pool in &mut plan.pools {
        pool.timeout = TIMEOUT;
    }
    let gateway = cli::start(plan)?;
    let url = listener::url(gateway.address());
    say(&url);
    say(&welcome(&url, &backends, args.delay));
    for backend in &mut backends {
        backend.watch();
    }
    // Told twice, it has not ended in order.
    stop.end(gateway).map(|_| ()).ok_or(Failure::Found(1))
}

fn welcome(url: &str, backends: &[Backend], delay: Duration) -> String {
    let list: String =
        backends.iter().map(|backend| format!("  {}  pid {}\n", backend.url, backend.child.id())).collect();
    let (pid, witness) = backends.first().map_or((0, ""), |first| (first.child.id(), first.url.as_str()));
    let post = format!("curl -X POST {url}/process -H 'Content-Type: application/json'");
    format!(
        "
The gateway is in front of {count} backends; each works {delay:?} on a request, one at a time:
{list}
Try in another terminal:

  # One request, answered after {delay:?}.
  {post} -d '{{\"task\": \"data analysis\"}}'

  # Six at once: five are answered together, the sixth is refused at once.
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

impl Drop for Backend {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
