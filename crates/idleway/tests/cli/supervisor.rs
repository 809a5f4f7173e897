//! Under a supervisor: systemd, or what speaks like it.

use std::os::unix::net::UnixDatagram;

use super::*;

/// What is told, message by message.
struct Told(UnixDatagram, PathBuf);

impl Told {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("idleway-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket, path)
    }

    /// Waits for a message with this line in it.
    #[track_caller]
    fn until(&self, line: &str) -> String {
        loop {
            let mut bytes = [0; 4096];
            let length = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("never told {line}: {error}"));
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.lines().any(|told| told.starts_with(line)) {
                return message;
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.1);
    }
}

#[test]
fn it_is_told_when_the_gateway_serves_reloads_lives_and_stops() {
    let backend = Running::backend(&["--delay", "0"]);
    let told = Told::new("notify");
    let path = file(
        "supervised.toml",
        &format!("listen = \"127.0.0.1:0\"\nthreads = 1\nbackends = [\"{}\"]", backend.url),
    );
    let mut command = idleway(&["run", "--config", &path, "--log", "off"]);
    command.env("NOTIFY_SOCKET", &told.1).env("WATCHDOG_USEC", "200000");
    let mut gateway = Running::of(&mut command);
    assert!(told.until("READY=1").contains(&format!("STATUS=serving at {}", gateway.url)));
    for _ in 0..3 {
        told.until("WATCHDOG=1");
    }
    gateway.signal("-HUP");
    let reloading = told.until("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC=") || cfg!(not(target_os = "linux")), "{reloading}");
    assert!(told.until("READY=1").contains("STATUS=the configuration is in force"));
    std::fs::write(&path, "backends = 5").unwrap();
    assert!(told.until("READY=1").contains("STATUS=the configuration was not reloaded"));
    gateway.signal("-TERM");
    told.until("STOPPING=1");
    assert_eq!(gateway.exit_code(), Some(0));
}

/// The supervisor listens, and gives its sockets to whoever it starts: as the third descriptor and those behind it.
#[test]
fn sockets_that_are_open_already_are_served_on() {
    let backend = Running::backend(&["--delay", "0"]);
    let path = file(
        "opened.toml",
        &format!(
            "listen = \"192.0.2.1:1\"\nadmin = \"192.0.2.1:2\"\nadmin_token = \"0123456789abcdef\"\nthreads = 1\nbackends = [\"{}\"]",
            backend.url
        ),
    );
    let script = "
import os, socket, sys
sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets), file=sys.stderr, flush=True)
fds = [os.dup(s.fileno()) for s in sockets]
for place, fd in enumerate(fds):
    os.dup2(fd, 3 + place)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='admin:clients')
os.execv(sys.argv[1], sys.argv[1:])
";
    let mut command = Command::new("python3");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_idleway"), "run", "--config", &path, "--log", "off"])
        .env_remove("IDLEWAY_ADMIN_LISTEN")
        .stderr(Stdio::piped());
    let mut gateway = Running::of(&mut command);
    let mut ports = String::new();
    BufReader::new(gateway.child.stderr.take().unwrap()).read_line(&mut ports).unwrap();
    let [admin, clients] = ports.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{ports}") };
    assert_eq!(gateway.url, format!("http://127.0.0.1:{clients}"));
    assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    let (status, told) = answer(send_to(&format!("http://127.0.0.1:{admin}"), "GET /readyz", "127.0.0.1"));
    assert_eq!((status, &told["ready"]), (200, &json!(true)));
    gateway.signal("-TERM");
    assert_eq!(gateway.exit_code(), Some(0));
}

/// As far as systemd itself can say, where it is there.
#[test]
fn the_units_are_what_systemd_reads() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("units");
    std::fs::create_dir_all(&folder).unwrap();
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dist/systemd");
    for name in ["idleway.service", "idleway.socket"] {
        let text = std::fs::read_to_string(own.join(name)).unwrap();
        // It looks whether the program is there.
        std::fs::write(
            folder.join(name),
            text.replace("/usr/local/bin/idleway", env!("CARGO_BIN_EXE_idleway")),
        )
        .unwrap();
    }
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .args(["idleway.service", "idleway.socket"].map(|name| folder.join(name)))
        .output();
    match verify {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.trim().is_empty(), "{told}");
        }
        Err(error) => println!("not tried, since there is no systemd-analyze: {error}"),
    }
}
