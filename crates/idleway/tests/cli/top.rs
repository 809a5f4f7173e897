//! `idleway top` in a terminal that a program reads: tmux.

use std::io;

use super::admin::{Desk, name};
use super::reload::folder;
use super::*;

/// A terminal of its own, with a server of its own, so that nobody's is met.
pub(super) struct Terminal {
    socket: String,
    /// Where the programs in it run.
    folder: PathBuf,
}

impl Terminal {
    /// Runs this in it; once that has ended, the terminal stays.
    pub(super) fn run(case: &str, command: &str) -> io::Result<Self> {
        let socket = format!("idleway-{case}-{}", std::process::id());
        let terminal = Self { socket, folder: folder(&format!("top-terminal-{case}")) };
        let size = ["new-session", "-d", "-x", "120", "-y", "40"];
        let shell = format!("stty -a >before; {command}; echo ended with $?; stty -a >after; cat");
        let (code, said) =
            terminal.tmux(&[&size[..], &["-c", terminal.folder.to_str().unwrap(), &shell]].concat())?;
        assert_eq!(code, Some(0), "{said}");
        Ok(terminal)
    }

    pub(super) fn tmux(&self, args: &[&str]) -> io::Result<(Option<i32>, String)> {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.socket, "-f", "/dev/null"]).args(args);
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let told = command.output()?;
        let said =
            String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
        Ok((told.status.code(), said))
    }

    fn press(&self, keys: &[&str]) {
        let (code, said) = self.tmux(&[&["send-keys"], keys].concat()).unwrap();
        assert_eq!(code, Some(0), "{said}");
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).unwrap().1
    }

    /// Reads the screen until it is as it should be.
    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(since.elapsed() < PATIENCE, "it does not come to: {what}; the screen is\n{screen}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.tmux(&["display-message", "-p", "#{socket_path}"]);
        let _ = self.tmux(&["kill-server"]);
        // It leaves that behind.
        if let Ok((Some(0), path)) = socket {
            let _ = std::fs::remove_file(path.trim());
        }
    }
}

/// Whether a line of the screen contains all this.
fn has(screen: &str, parts: &[&str]) -> bool {
    screen.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

fn needs_tmux() -> bool {
    needs("tmux", Command::new("tmux").arg("-V").output()).is_some()
}

/// A gateway in front of two backends: one ends no request by itself, one does at once.
fn setting(case: &str) -> ([Running; 2], Desk) {
    let backends = [Running::backend(&["--delay", "1h"]), Running::backend(&["--delay", "0"])];
    let file = folder(&format!("top-{case}")).join("idleway.toml");
    let urls: Vec<_> = backends.iter().map(|backend| &backend.url).collect();
    std::fs::write(&file, format!("listen = \"127.0.0.1:0\"\nbackends = {urls:?}\n")).unwrap();
    (backends, Desk::start(&file))
}

fn command(desk: &Desk, args: &str) -> String {
    let runtime = concat!(env!("CARGO_TARGET_TMPDIR"), "/runtime");
    let environment =
        format!("env -u NO_COLOR LC_ALL=C.UTF-8 XDG_RUNTIME_DIR='{runtime}' IDLEWAY_ADMIN={}", desk.url);
    format!("{environment} '{}' top {args}", env!("CARGO_BIN_EXE_idleway"))
}

#[test]
fn a_person_at_a_terminal_sees_and_orders() {
    if !needs_tmux() {
        return;
    }
    let ([slow, quick], mut desk) = setting("person");
    let (slow_name, quick_name) = (name(&slow).to_owned(), name(&quick).to_owned());
    let terminal = Terminal::run("person", &command(&desk, "")).unwrap();
    terminal.until("all is well", |screen| {
        screen.starts_with("all is well: 2 of 2 backends up, 0 of 2 slots busy, nobody waits")
            && has(screen, &[&slow_name, "up", "□"])
            && has(screen, &["q quit", "? help"])
    });

    // However small it gets.
    for (width, height) in [("40", "10"), ("120", "40")] {
        terminal.tmux(&["resize-window", "-x", width, "-y", height]).unwrap();
        terminal.until("the same in another size", |screen| {
            let fits = |line: &str| line.chars().count() <= width.parse().unwrap();
            has(screen, &["▸", ":"]) && has(screen, &["q quit"]) && screen.lines().all(fits)
        });
    }

    // A request at work: who, what and how long.
    desk.json(&["drain", &quick_name, "--no-wait"]);
    let client = send(&desk.gateway.running.url, "POST /process", "{}");
    slow.until(|witness| witness["now"] == 1);
    terminal.until("work with its route and its client", |screen| {
        has(screen, &[&slow_name, "up", "■", "POST / 127.0.0.1", " s"])
            && has(screen, &[&quick_name, "drained", "–"])
    });
    assert_eq!(desk.json(&["ready", &quick_name]).0, 0);

    // A filter leaves one; what is selected is drained, after a yes.
    terminal.press(&["/", &slow_name]);
    terminal.until("the filter", |screen| {
        has(screen, &["filter:", &slow_name]) && !has(screen, &[&quick_name, "□"])
    });
    terminal.press(&["Enter", "d"]);
    terminal.until("the question", |screen| has(screen, &["Drain default/", &slow_name, "y yes"]));
    assert_ne!(desk.json(&["status"]).1["pools"][0]["backends"][0]["mode"], "drain");
    terminal.press(&["y"]);
    terminal.until("the outcome", |screen| {
        has(screen, &[&slow_name, "drains: 1 slot is still taken"])
            && has(screen, &["▸", &slow_name, "draining"])
    });
    let told = desk.json(&["status"]).1;
    let backends = told["pools"][0]["backends"].as_array().unwrap();
    assert!(
        backends.iter().any(|backend| backend["name"] == slow_name && backend["mode"] == "drain"),
        "{told}"
    );
    terminal.press(&["Enter"]);
    terminal.until("all its work", |screen| has(screen, &["default/", &slow_name, "1 of 1 slots taken"]));
    terminal.press(&["Escape"]);
    terminal.until("the list again", |screen| has(screen, &["▸", &slow_name]));
    terminal.press(&["Escape"]);
    terminal.until("all of it", |screen| has(screen, &[&quick_name, "up", "□"]));

    // A backend dies. It is known once somebody was sent there.
    drop(quick);
    let refused = send(&desk.gateway.running.url, "POST /process", "{}");
    terminal.until("a backend that is down", |screen| {
        screen.starts_with("not ready, no backend is up") || screen.starts_with("1 backend down")
    });
    terminal.until("why it is down", |screen| has(screen, &[&quick_name, "down", "×", "unreachable"]));
    terminal.until("an event", |screen| has(screen, &[&quick_name, "is down"]));

    // The gateway dies too: the last picture stays, and says so.
    desk.gateway.running.signal("-KILL");
    desk.gateway.running.exit_code();
    terminal.until("what was heard last", |screen| {
        screen.starts_with("last heard: ")
            && has(screen, &["no connection for", "trying again"])
            && has(screen, &[&slow_name])
    });
    drop((client, refused));

    terminal.press(&["q"]);
    terminal
        .until("the shell again", |screen| screen.starts_with("ended with 0") && !has(screen, &["q quit"]));
    terminal.until("how the terminal is", |_| !terminal.file("after").is_empty());
    assert_eq!(terminal.file("before"), terminal.file("after"));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    if !needs_tmux() {
        return;
    }
    let (_backends, desk) = setting("signal");
    let inner = format!("{} & echo $! >top.pid; fg >/dev/null", command(&desk, ""));
    let terminal = Terminal::run("signal", &format!("set -m; {inner}")).unwrap();
    terminal.until("all is well", |screen| screen.starts_with("all is well"));
    kill(terminal.file("top.pid").trim(), "-TERM");
    terminal.until("the shell again", |screen| has(screen, &["ended with 143"]) && !has(screen, &["q quit"]));
}

#[test]
fn without_a_terminal_it_is_told_in_lines() {
    let ([slow, _quick], desk) = setting("lines");
    let (code, stdout, stderr) = desk.ended(&["top", "--once"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("all is well: 2 of 2 backends up, 0 of 2 slots busy, nobody waits\n"),
        "{stdout}"
    );
    assert!(stdout.contains(&format!("\n  {} up: 0 of 1 slots taken\n", name(&slow))), "{stdout}");

    // Where nobody reads any more it ends, and says nothing.
    let mut child = desk.command(&["top", "--every", "250ms"]);
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let verdicts = lines.by_ref().map_while(Result::ok).filter(|line| line.starts_with("all is well"));
    assert_eq!(verdicts.take(2).count(), 2);
    drop(lines);
    assert_eq!(exit_code(&mut child), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");

    drop(desk);
    let (code, _, stderr) = ended(&["top", "--once", "--admin", "http://127.0.0.1:1"]);
    assert!(code == 69 && stderr.starts_with("no gateway answers: "), "{stderr}");
}

#[test]
fn what_is_no_admin_api_is_said_at_once() {
    let ([_slow, quick], desk) = setting("stranger");
    // A backend that answers whatever it is asked for, and the gateway in front of it.
    for (url, answered) in [(&quick.url, "it answered 404"), (&desk.gateway.running.url, "it answered 404")] {
        for args in [&["top", "--once"][..], &["top", "--plain", "--every", "250ms"]] {
            let (code, stdout, stderr) = ended(&[args, &["--admin", url]].concat());
            assert_eq!((code, stdout.as_str()), (69, ""), "{stderr}");
            let said = format!("{url} is no admin API of Idleway: {answered}");
            assert!(stderr.starts_with(&said) && stderr.contains("hint: "), "{stderr}");
        }
    }
}

/// The words on the screen, however they are broken into lines.
fn flat(screen: &str) -> String {
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_order_without_an_answer_is_told_of() {
    if !needs_tmux() {
        return;
    }
    let (backends, desk) = setting("silence");
    let ports = backends.each_ref().map(|backend| format!(":{}", backend.url.rsplit(':').next().unwrap()));
    let terminals = ["leaves", "waits"].map(|case| Terminal::run(case, &command(&desk, "")).unwrap());
    for terminal in &terminals {
        terminal.until("all is well", |screen| screen.starts_with("all is well"));
        terminal.tmux(&["resize-window", "-x", "30", "-y", "12"]).unwrap();
    }
    // Now it answers nobody any more.
    desk.gateway.running.signal("-STOP");
    for terminal in &terminals {
        terminal.press(&["d"]);
        let screen = terminal.until("the question", |screen| has(screen, &["y yes  n no"]));
        let is_asked = ports.iter().any(|port| has(&screen, &[" Drain def", &format!("{port}?")]));
        assert!(is_asked, "{screen}");
        terminal.press(&["y"]);
        terminal.until("that it is on its way", |screen| flat(screen).contains(": it is told so"));
    }
    let [leaves, waits] = terminals;
    let left = |terminal: &Terminal, key: &str| {
        terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]).unwrap();
        terminal.press(&[key]);
        terminal.until("the order, where the shell is again", |screen| {
            let unknown = "no answer came to the order to drain it: it may be done yet";
            has(screen, &["default/127.0.0.1:", unknown]) && has(screen, &["ended with 0"])
        });
    };
    left(&leaves, "C-c");
    waits.until("that no answer came", |screen| {
        let came = |port| flat(screen).ends_with(&format!("{port}: no answer came: it may be done yet"));
        ports.iter().any(came)
    });
    left(&waits, "q");
}
