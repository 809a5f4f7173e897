//! The admin API by the command line, and what the program says of it.

use std::path::Path;

use super::reload::{Gateway, folder, of};
use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A gateway with an admin API on a port of its own, and the folder of its user.
pub(super) struct Desk {
    pub(super) gateway: Gateway,
    pub(super) url: String,
}

impl Desk {
    pub(super) fn start(file: &Path) -> Self {
        let gateway = Gateway::with(file.to_str().unwrap(), &["--admin", "127.0.0.1:0"]);
        let line = gateway.says(&["the admin API answers here"]);
        let url = word(&line, "url=");
        Self { gateway, url }
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = idleway(args);
        command.env("IDLEWAY_ADMIN", &self.url);
        command
    }

    pub(super) fn ended(&self, args: &[&str]) -> (i32, String, String) {
        ended_on(self.command(args), "")
    }

    pub(super) fn json(&self, args: &[&str]) -> (i32, Value) {
        let (code, stdout, stderr) = self.ended(&[args, &["--json"]].concat());
        (code, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout} {stderr}")))
    }
}

/// What follows this in a line of the log, whatever colours it has.
fn word(line: &str, name: &str) -> String {
    let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("{line}"));
    rest.split_whitespace().next().unwrap().trim_matches('"').to_owned()
}

pub(super) fn name(backend: &Running) -> &str {
    backend.url.strip_prefix("http://").unwrap()
}

fn setting(case: &str, backend: &Running, more: &str) -> (PathBuf, Desk) {
    let file = folder(&format!("admin-{case}")).join("idleway.toml");
    std::fs::write(&file, format!("{}{more}", of(backend))).unwrap();
    let desk = Desk::start(&file);
    (file, desk)
}

#[test]
fn the_command_line_of_the_same_user_just_works() {
    let backend = Running::backend(&["--delay", "0"]);
    let (file, mut desk) = setting("works", &backend, "");
    let ready = name(&backend).to_owned();
    let since = Instant::now();
    let told = loop {
        let (code, told) = desk.json(&["status"]);
        if code == 0 {
            break told;
        }
        assert!(since.elapsed() < PATIENCE, "{told}");
    };
    assert_eq!(
        (&told["ready"], &told["pools"][0]["backends"][0]["name"]),
        (&true.into(), &name(&backend).into())
    );
    let (code, stdout, _) = desk.ended(&["status"]);
    assert!(code == 0 && stdout.starts_with("ready (version"), "{stdout}");
    assert!(stdout.contains(&format!("  {ready} up: 1 idle")), "{stdout}");

    let (code, stdout, stderr) = desk.ended(&["drain", &format!("default/{ready}")]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        format!("default/{ready} drains: up, drain: 1 idle, 0 busy, 0 lingering, 0 resting\n")
    );
    assert_eq!(desk.gateway.running.call("POST /process", "{}").0, 503);
    assert_eq!(desk.json(&["status"]).0, 1, "no backend is up and ready");
    let (code, told) = desk.json(&["maintenance", &ready]);
    assert_eq!((code, &told["mode"]), (0, &"maintenance".into()));
    let (code, stdout, _) = desk.ended(&["ready", &backend.url]);
    assert_eq!((code, stdout), (0, format!("default/{ready}: up: 1 idle, 0 busy, 0 lingering, 0 resting\n")));
    assert_eq!(desk.gateway.running.call("POST /process", "{}").0, 200);
    desk.gateway.says(&["an order to the admin API", "/mode", "drain", "done"]);

    assert_eq!(desk.ended(&["reload"]), (0, "the configuration is in force\n".to_owned(), String::new()));
    assert_eq!(desk.json(&["reload"]).1["reloaded"], true);
    std::fs::write(&file, "slots = 0\n").unwrap();
    let (code, stdout, stderr) = desk.ended(&["reload"]);
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(stderr.contains("what is in force stays") && stderr.contains("0 is out of range"), "{stderr}");
    assert_eq!(desk.gateway.running.call("POST /process", "{}").0, 200);

    let (code, told) = desk.json(&["drain", "none/127.0.0.1:1", "--no-wait"]);
    assert_eq!((code, &told["status"]), (1, &404.into()));
    desk.gateway.running.signal("-TERM");
    assert_eq!(desk.gateway.running.exit_code(), Some(0));
    let (code, stdout, stderr) = desk.ended(&["status"]);
    assert_eq!((code, stdout.as_str()), (69, ""));
    assert!(stderr.contains("no gateway answers") && stderr.contains("hint: does it run?"), "{stderr}");
}

#[test]
fn a_drain_waits_and_shows_what_for() {
    let backend = Running::backend(&["--delay", "1h"]);
    let (_file, desk) = setting("waits", &backend, "");
    let backend_name = format!("default/{}", name(&backend));
    let running = send(&desk.gateway.running.url, "POST /process", "{}");
    backend.until(|witness| witness["now"] == 1);
    let (code, stdout, stderr) = desk.ended(&["drain", &backend_name, "--timeout", "1ms"]);
    assert_eq!(code, 4, "{stdout} {stderr}");
    assert!(stdout.contains("drain: 0 idle, 1 busy"), "{stdout}");
    let (code, told) = desk.json(&["drain", &backend_name, "--no-wait"]);
    assert_eq!((code, &told["work"][0]["request"]["method"]), (0, &"POST".into()));

    let mut command = desk.command(&["drain", &backend_name]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(
        said.starts_with(&format!("{backend_name}: 1 request, ")) && said.ends_with(" s so far\n"),
        "{said}"
    );
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    let (code, stdout, _) = desk.ended(&["status"]);
    assert!(code == 1 && stdout.contains("    POST / of 127.0.0.1, "), "{stdout}");
    // The backend dies: its connection tells that nothing is at work any more.
    drop(backend);
    assert_eq!(exit_code(&mut child), Some(0));
    drop(running);
}

#[test]
fn who_has_no_token_or_a_wrong_one_is_told() {
    let backend = Running::backend(&[]);
    let (file, desk) = setting("token", &backend, &format!("admin_token = \"{TOKEN}\"\n"));
    let order = ["ready", name(&backend)];
    let with = |token: &str| {
        let mut command = desk.command(&order);
        command.env("IDLEWAY_ADMIN_TOKEN", token);
        ended_on(command, "")
    };
    let (code, _, stderr) = desk.ended(&order);
    assert!(
        code == 77 && stderr.contains("the token is missing or wrong")
            || stderr.contains("The token is missing or wrong"),
        "{stderr}"
    );
    assert_eq!(with("fedcba9876543210fedcba9876543210").0, 77);
    assert_eq!(with(TOKEN).0, 0);
    let (code, _, stderr) = with("short");
    assert!(code == 1 && stderr.contains("IDLEWAY_ADMIN_TOKEN is no token"), "{stderr}");

    let path = file.with_extension("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let from_file = || desk.ended(&[&order[..], &["--token-file", path.to_str().unwrap()]].concat());
    let mode = |mode: &str| assert!(Command::new("chmod").arg(mode).arg(&path).status().unwrap().success());
    mode("644");
    let (code, _, stderr) = from_file();
    assert!(code == 1 && stderr.contains(&format!("hint: chmod 600 {}", path.display())), "{stderr}");
    mode("600");
    assert_eq!(from_file().0, 0);
    desk.gateway.says(&["WARN", "an order to the admin API", "/mode", "token"]);
    // The secret stands in no log.
    let shown = desk.gateway.says(&["an order to the admin API", "done"]);
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn the_token_file_is_its_users_alone_and_goes_with_the_gateway() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let backend = Running::backend(&[]);
    let file = folder("admin-file").join("idleway.toml");
    std::fs::write(&file, of(&backend)).unwrap();
    let mut gateway = Gateway::with(file.to_str().unwrap(), &["--admin", "127.0.0.1:0"]);
    let path = PathBuf::from(word(&gateway.says(&["the admin API answers here"]), "token="));
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.permissions().mode() & 0o077), (0o600, 0));
    let token = std::fs::read_to_string(&path).unwrap();
    assert!(token.trim().len() == 64 && token.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    gateway.running.signal("-TERM");
    assert_eq!(gateway.running.exit_code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn an_address_that_was_set_has_to_be_free_and_safe() {
    let backend = Running::backend(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = ended(&["run", "--listen", "127.0.0.1:0", "--admin", &at, &backend.url]);
    assert_eq!(code, 1);
    assert!(stderr.contains("the admin API") && stderr.contains("is taken by another program"), "{stderr}");
    let (code, _, stderr) = ended(&["run", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0", &backend.url]);
    assert_eq!(code, 1);
    assert!(stderr.contains("needs a token") && stderr.contains("hint: admin_token"), "{stderr}");
    let (code, _, stderr) = ended(&["run", "--admin", "here", &backend.url]);
    assert!(code == 2 && stderr.contains("write 127.0.0.1:5001, or off"), "{stderr}");
    for url in ["https://127.0.0.1:1", "127.0.0.1:1"] {
        let (code, _, stderr) = ended(&["status", "--admin", url]);
        assert!(code == 1 && stderr.contains("is not where an admin API answers"), "{stderr}");
    }
}
