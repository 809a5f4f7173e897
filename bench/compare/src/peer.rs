//! A proxy as a child process: found, configured, started, waited for, ended.

use std::env;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::conf::{self, Setting};
use crate::load;
use crate::rounds::pass;
use crate::usage;

/// The proxies that are compared.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Idleway,
    Haproxy,
    Nginx,
    /// Our own floor, in this binary.
    Relay,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Idleway, Kind::Haproxy, Kind::Nginx, Kind::Relay];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Idleway => "idleway",
            Kind::Haproxy => "haproxy",
            Kind::Nginx => "nginx",
            Kind::Relay => "relay",
        }
    }
}

/// A proxy that is there and can be started.
pub(crate) struct Program {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

impl Program {
    /// Finds a proxy and asks for its version. Idleway is built unless its binary is named.
    pub(crate) fn find(kind: Kind, idleway: Option<&Path>) -> Result<Program> {
        let path = match kind {
            Kind::Idleway => idleway.map_or_else(build_idleway, |path| Ok(path.to_owned()))?,
            Kind::Haproxy | Kind::Nginx => installed(kind.name())?,
            Kind::Relay => env::current_exe()?,
        };
        let question = match kind {
            Kind::Idleway | Kind::Relay => "--version",
            Kind::Haproxy | Kind::Nginx => "-v",
        };
        let answer = Command::new(&path).arg(question).output();
        let answer = answer.with_context(|| format!("starting {}", path.display()))?;
        let text = if answer.stdout.is_empty() { answer.stderr } else { answer.stdout };
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next().unwrap_or_default();
        let version = line.split(" - ").next().unwrap_or_default().trim().to_owned();
        Ok(Program { kind, version, path })
    }

    /// The arguments that make it serve, after its configuration was written to `folder`.
    fn configure(&self, folder: &Path, listen: SocketAddr, setting: &Setting<'_>) -> Result<Vec<String>> {
        let write = |name: &str, text: String| -> Result<String> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let words: Vec<String> = match self.kind {
            Kind::Idleway => {
                vec!["run".into(), "--config".into(), write("idleway.toml", conf::idleway(listen, setting))?]
            }
            Kind::Haproxy => {
                vec!["-db".into(), "-f".into(), write("haproxy.cfg", conf::haproxy(listen, setting))?]
            }
            Kind::Nginx => {
                let file = write("nginx.conf", conf::nginx(listen, setting))?;
                let folder = folder.display().to_string();
                vec!["-e".into(), "stderr".into(), "-p".into(), folder, "-c".into(), file]
            }
            Kind::Relay => {
                let backend = setting.backends.first().context("the relay needs a backend")?;
                vec!["relay".into(), listen.to_string(), backend.to_string()]
            }
        };
        Ok(words)
    }
}

/// A running proxy; it and what it started end when this is dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    child: Child,
    /// Its configuration and what it says.
    folder: TempDir,
}

/// The file that a peer's output goes to.
const SAID: &str = "said";

impl Peer {
    /// Starts a proxy on a free port and returns when it has answered a request.
    pub(crate) fn start(program: &Program, setting: &Setting<'_>) -> Result<Peer> {
        let mut peer = Peer::start_at(free_address()?, program, setting)?;
        peer.wait_until_ready()
            .with_context(|| format!("{} did not serve; it said:\n{}", program.kind.name(), peer.said()))?;
        Ok(peer)
    }

    /// Starts a proxy, and does not wait until it is there.
    pub(crate) fn start_at(address: SocketAddr, program: &Program, setting: &Setting<'_>) -> Result<Peer> {
        let folder = tempfile::Builder::new().prefix("idleway-bench-").tempdir()?;
        let words = program.configure(folder.path(), address, setting)?;
        let output = File::create(folder.path().join(SAID))?;
        let child = following(&program.path)?
            .args(words)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", program.kind.name()))?;
        Ok(Peer { address, child, folder })
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join(SAID)).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}");
            }
            match load::ask_once(self.address) {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > START => return Err(error).context("no answer"),
                Err(_) => pass(POLL),
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        let processes = usage::tree(self.child.id())?;
        kill(self.child.id(), Signal::SIGTERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > END {
                // Children first: once their parent is gone, their numbers may belong to others.
                for process in processes.into_iter().rev() {
                    let _ = kill(process, Signal::SIGKILL);
                }
                self.child.wait()?;
                break;
            }
            pass(POLL);
        }
        Ok(())
    }
}

/// How long a peer may take to serve, and to end.
const START: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

impl Drop for Peer {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.end();
        }
    }
}

/// A port that was free a moment ago is the best there is: these programs cannot be told "any, and say which".
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// A command that runs `program` and lets it end with the benchmark; its arguments follow.
pub(crate) fn following(program: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("follow").arg(program);
    Ok(command)
}

/// Becomes `program`, which then gets a SIGTERM when the benchmark ends, however it ends.
pub(crate) fn follow(program: &Path, arguments: &[String]) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    Err(Command::new(program).args(arguments).exec()).context(program.display().to_string())
}

fn kill(process: u32, signal: Signal) -> Result<()> {
    Ok(signal::kill(Pid::from_raw(process.try_into()?), signal)?)
}

/// Looks where Debian puts daemons too, which a user's PATH may lack.
fn installed(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("not installed; on Debian: apt-get install {name}"))
}

/// Builds the release binary, so that no old one is measured, and finds it beside the benchmark's own.
fn build_idleway() -> Result<PathBuf> {
    if let Some(cargo) = env::var_os("CARGO") {
        let built = Command::new(cargo).args(["build", "--release", "--quiet", "-p", "idleway"]).status()?;
        ensure!(built.success(), "it does not build");
    }
    let own = env::current_exe()?;
    let folder = own.parent().context("no folder")?.with_file_name("release");
    let path = folder.join("idleway");
    ensure!(path.is_file(), "no binary {}; build it, or name it with --idleway", path.display());
    Ok(path)
}
