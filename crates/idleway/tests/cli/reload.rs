//! The file changes while the program runs.

use std::io::Lines;
use std::path::Path;
use std::process::ChildStderr;
use std::sync::mpsc;
use std::thread;

use super::*;

/// A gateway that reads a file, and its log.
pub(super) struct Gateway {
    pub(super) running: Running,
    log: mpsc::Receiver<String>,
}

impl Gateway {
    /// Reads this file.
    fn start(file: &str) -> Self {
        Self::with(file, &[])
    }

    /// Reads this file, and is told this besides.
    pub(super) fn with(file: &str, args: &[&str]) -> Self {
        let args = [&["run", "--config", file], args].concat();
        let mut running = Running::start_logging_to(Stdio::piped(), &args);
        let stderr = running.child.stderr.take().unwrap();
        let (sender, log) = mpsc::sync_channel(1024);
        thread::spawn(move || {
            let lines: Lines<BufReader<ChildStderr>> = BufReader::new(stderr).lines();
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { running, log }
    }

    /// Waits for a line in the log that says all this.
    #[track_caller]
    pub(super) fn says(&self, parts: &[&str]) -> String {
        let since = Instant::now();
        let mut seen = String::new();
        while let Some(left) = PATIENCE.checked_sub(since.elapsed()) {
            let Ok(line) = self.log.recv_timeout(left) else { break };
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
        panic!("the log does not say {parts:?} but:\n{seen}");
    }

    /// Which of the backends answers: they are told apart by their slots.
    fn backend(&self) -> u64 {
        let (status, body) = self.running.call("GET /witness", "");
        assert_eq!(status, 200);
        body["slots"].as_u64().unwrap()
    }
}

/// Two backends, of one slot and of two.
fn backends() -> [Running; 2] {
    ["1", "2"].map(|slots| Running::backend(&["--slots", slots]))
}

pub(super) fn of(backend: &Running) -> String {
    format!("listen = \"127.0.0.1:0\"\nbackends = [\"{}\"]\n", backend.url)
}

/// A folder of the test's own, so that no other test's files change in it.
pub(super) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reload-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const IN_FORCE: &str = "the configuration is in force";
const KEPT: &str = "not reloaded: what is in force stays";

#[test]
fn a_file_that_changes_is_put_in_force_and_a_bad_one_changes_nothing() {
    let [a, b] = backends();
    let path = folder("changes").join("idleway.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write(&of(&a));
    let gateway = Gateway::start(path.to_str().unwrap());
    assert_eq!(gateway.backend(), 1);
    write(&of(&b));
    gateway.says(&[IN_FORCE, "change"]);
    assert_eq!(gateway.backend(), 2);
    // Each kind of bad file: wrong, cut off, empty, and none.
    write("listen = \"127.0.0.1:0\"\nbackend = []\nslots = 0\n");
    let line = gateway.says(&[KEPT, "unknown key `backend`"]);
    assert!(line.contains("line=2") && line.contains("column=1"), "{line}");
    gateway.says(&[KEPT, "0 is out of range", "line=3"]);
    assert_eq!(gateway.backend(), 2);
    write(&of(&a)[..50]);
    gateway.says(&[KEPT, "line=2"]);
    write("");
    gateway.says(&[KEPT]);
    std::fs::remove_file(&path).unwrap();
    gateway.running.signal("-HUP");
    gateway.says(&[KEPT, "SIGHUP", "cannot be read"]);
    assert_eq!(gateway.backend(), 2);
    // As editors do it: another file takes its place.
    let beside = path.with_extension("new");
    std::fs::write(&beside, of(&a)).unwrap();
    std::fs::rename(&beside, &path).unwrap();
    gateway.says(&[IN_FORCE, "change"]);
    assert_eq!(gateway.backend(), 1);
    // Told to, it reads it again although it is the same.
    gateway.running.signal("-HUP");
    gateway.says(&[IN_FORCE, "SIGHUP"]);
}

#[cfg(unix)]
#[test]
fn a_link_that_kubernetes_swaps_is_a_change() {
    use std::os::unix::fs::symlink;

    let [a, b] = backends();
    let folder = folder("swap");
    for (version, backend) in [("1", &a), ("2", &b)] {
        std::fs::create_dir(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("idleway.toml"), of(backend)).unwrap();
    }
    symlink("1", folder.join("..data")).unwrap();
    symlink("..data/idleway.toml", folder.join("idleway.toml")).unwrap();
    let gateway = Gateway::start(folder.join("idleway.toml").to_str().unwrap());
    assert_eq!(gateway.backend(), 1);
    symlink("2", folder.join("..new")).unwrap();
    std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    std::fs::remove_dir_all(folder.join("1")).unwrap();
    gateway.says(&[IN_FORCE, "change"]);
    assert_eq!(gateway.backend(), 2);
}

#[test]
fn a_listener_moves_and_one_that_is_taken_changes_nothing() {
    let [a, b] = backends();
    let path = folder("listener").join("idleway.toml");
    std::fs::write(&path, of(&a)).unwrap();
    let mut gateway = Gateway::start(path.to_str().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = |address: &str| of(&b).replace("127.0.0.1:0", address);
    std::fs::write(&path, at(&taken.local_addr().unwrap().to_string())).unwrap();
    gateway.says(&[KEPT, "is taken by another program"]);
    assert_eq!(gateway.backend(), 1);
    std::fs::write(&path, at("127.0.0.2:0")).unwrap();
    let line = gateway.says(&["clients are accepted here now", "http://127.0.0.2:"]);
    let url = &line[line.find("http://").unwrap()..];
    let before = std::mem::replace(&mut gateway.running.url, url.trim_end_matches('"').to_owned());
    assert_eq!(gateway.backend(), 2);
    let since = Instant::now();
    while connect(&before).is_ok() {
        assert!(since.elapsed() < PATIENCE, "the socket before listens still");
    }
}

#[test]
fn what_cannot_change_without_a_restart_is_named() {
    let a = Running::backend(&[]);
    let path = folder("restart").join("idleway.toml");
    std::fs::write(&path, of(&a) + "threads = 1\n").unwrap();
    let gateway = Gateway::start(path.to_str().unwrap());
    std::fs::write(&path, of(&a) + "threads = 2\n").unwrap();
    gateway.says(&[KEPT, "`threads` cannot change without a restart"]);
    assert_eq!(gateway.backend(), 1);
}

/// The default action of the signal would end it.
#[test]
fn what_changes_with_a_restart_alone_is_named() {
    let backend = Running::backend(&[]);
    let file = folder("restart").join("idleway.toml");
    std::fs::write(&file, of(&backend)).unwrap();
    let gateway = Gateway::start(file.to_str().unwrap());
    gateway.says(&["the configuration is read"]);
    for (line, key) in [("admin = false\n", "admin"), ("handover = \"/path\"\n", "handover")] {
        std::fs::write(&file, format!("{line}{}", of(&backend))).unwrap();
        gateway.says(&[KEPT, &format!("`{key}` cannot change without a restart")]);
    }
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let a = Running::backend(&[]);
    let mut running = Running::start_logging_to(Stdio::piped(), &["run", "--listen", "127.0.0.1:0", &a.url]);
    let log = BufReader::new(running.child.stderr.take().unwrap());
    running.signal("-HUP");
    let told = log.lines().map_while(Result::ok).find(|line| line.contains(KEPT)).unwrap();
    assert!(told.contains("the backends were named on the command line"), "{told}");
    assert_eq!(running.call("GET /witness", "").0, 200);
}
