//! The real program with names of its own: what stands in its `/etc/hosts`, the test writes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::*;

/// The length of the file, whatever stands in it: one write changes it as a whole.
const LENGTH: usize = 2048;

/// Mounts the files over those of the system, for itself alone, and becomes the program.
const BECOME: &str = "\
set -e
mount --bind \"$1/hosts\" /etc/hosts
if [ -e /etc/nsswitch.conf ]; then mount --bind \"$1/nsswitch.conf\" /etc/nsswitch.conf; fi
exec \"$2\" run --config \"$1/idleway.toml\"
";

/// What the resolver of the system reads, before and after the program has begun.
pub(super) struct Hosts {
    folder: PathBuf,
    file: File,
}

impl Hosts {
    /// Nothing where this machine lets nobody have names of his own, which is said.
    pub(super) fn new() -> Option<Self> {
        needs("private /etc/hosts", may_mount())?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("names-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // A name that is not in the file is unknown at once, with the network or without.
        std::fs::write(folder.join("nsswitch.conf"), "hosts: files\n").unwrap();
        let file = File::create(folder.join("hosts")).unwrap();
        let hosts = Self { folder, file };
        hosts.write(&[]);
        Some(hosts)
    }

    /// From now on the names stand for these addresses. The file stays the same one, since it is mounted.
    pub(super) fn write(&self, entries: &[(&str, &Backend)]) {
        let line = |(name, backend): &(&str, &Backend)| format!("{} {name}\n", backend.ip());
        let mut text: String = entries.iter().map(line).collect();
        assert!(text.len() < LENGTH);
        text.push_str(&"#".repeat(LENGTH - 1 - text.len()));
        text.push('\n');
        self.file.write_all_at(text.as_bytes(), 0).unwrap();
    }

    /// `name` stands for these, and there is no other name.
    pub(super) fn set(&self, name: &str, backends: &[&Backend]) {
        self.write(&backends.iter().map(|backend| (name, *backend)).collect::<Vec<_>>());
    }

    /// The gateway with these names. `config` is TOML of the pool; names are looked up often.
    pub(super) fn start(&self, config: &str) -> Program {
        let config = format!("listen = \"127.0.0.1:0\"\nthreads = 2\nresolve_every = \"50ms\"\n{config}\n");
        std::fs::write(self.folder.join("idleway.toml"), config).unwrap();
        let mut child = unshare("sh")
            .args(["-c", BECOME, "sh"])
            .args([&self.folder, Path::new(env!("CARGO_BIN_EXE_idleway"))])
            .env_remove("RUST_LOG")
            .env("IDLEWAY_ADMIN_LISTEN", "off")
            .env("IDLEWAY_LOG_FORMAT", "human")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (lines, written) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.lock().unwrap().extend([&line, "\n"]);
            }
        });
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let address = url.trim_end().strip_prefix("http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("it began with {url:?}: {}", log.lock().unwrap()));
        Program { child, address, log }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The gateway as a program. It ends with the test.
pub(super) struct Program {
    child: Child,
    pub(super) address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// One request on a connection of its own.
    #[track_caller]
    pub(super) fn ask(&self, path: &str) -> Response {
        self.asking(path).answer()
    }

    /// A client that has sent a request.
    pub(super) fn asking(&self, path: &str) -> Client {
        let mut client = Client::connect(self.address);
        client.send(get(path));
        client
    }

    /// The same of one that does not wait in line.
    #[track_caller]
    pub(super) fn ask_impatiently(&self, path: &str) -> Response {
        let mut client = Client::connect(self.address);
        client.send(head_of("GET", path, "Prefer: wait=0\r\n"));
        client.answer()
    }

    /// The lines of its log so far with this in them.
    pub(super) fn said(&self, what: &str) -> Vec<String> {
        self.log.lock().unwrap().lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }

    /// Waits until its log has so many lines with this in them.
    #[track_caller]
    pub(super) fn until_said(&self, what: &str, times: usize) {
        eventually(what, || self.said(what).len() >= times);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("its log:\n{}", self.log.lock().unwrap());
        }
    }
}

/// A command with mounts of its own: for anybody, where the system allows it.
fn unshare(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(if is_root() { &["-m"][..] } else { &["-r", "-m"] }).arg(program);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn may_mount() -> io::Result<()> {
    let output = unshare("sh").args(["-c", "mount --bind /etc/hosts /etc/hosts"]).output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(io::Error::other(told)) }
}
