//! The dashboard in a real browser, in front of a gateway that runs.

use std::io;

use super::admin::{Desk, name};
use super::chromium::{Browser, Tab};
use super::reload::folder;
use super::*;

/// A gateway before two backends that work for as long as the test wants, and a browser.
struct Show {
    browser: Browser,
    desk: Desk,
    backends: [Running; 2],
}

fn show(case: &str) -> Option<Show> {
    let browser = needs("Chromium", Browser::start(case))?;
    let backends = [(); 2].map(|()| Running::backend(&["--delay", "1h"]));
    let file = folder(&format!("dashboard-{case}")).join("idleway.toml");
    let urls: Vec<_> = backends.iter().map(|backend| &backend.url).collect();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_token = \"{TOKEN}\"\nhealth = {{ failures = 1, pause = \"1h\", pause_max = \"1h\" }}\n\
         backends = {urls:?}\nqueue = {{ length = 10, wait = \"1h\" }}\n"
    );
    std::fs::write(&file, text).unwrap();
    Some(Show { browser, desk: Desk::start(&file), backends })
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What this machine lacks is said and not tried; where `CI` is set it has to be there.
fn needs<T>(what: &str, found: io::Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no {what}: {error}");
            println!("not tried, since there is no {what}: {error}");
            None
        }
    }
}

/// How many cards of backends are in this state.
fn cards(state: &str, count: usize) -> String {
    format!("document.querySelectorAll('.card[data-state=\"{state}\"]').length === {count}")
}

fn says(selector: &str, text: &str) -> String {
    format!("(document.querySelector({selector:?})?.innerText ?? '').includes({text:?})")
}

impl Show {
    fn page(&mut self, more: &str) -> Tab {
        let tab = self.browser.open(&format!("{}/{more}", self.desk.url), 1440, 1000);
        self.browser.until(&tab, &says("#link", "Live"));
        tab
    }

    fn gateway(&self) -> &str {
        &self.desk.gateway.running.url
    }
}

#[test]
fn slots_fill_the_line_grows_and_a_backend_dies() {
    let Some(mut show) = show("show") else { return };
    let tab = show.page("");
    show.browser.until(&tab, &cards("idle", 2));
    show.browser.until(&tab, &says("#verdict", "All is well: nobody waits"));
    let running: Vec<_> = (0..2).map(|_| send(show.gateway(), "POST /process", "{}")).collect();
    show.browser.until(&tab, &cards("busy", 2));
    show.browser.until(&tab, "document.querySelectorAll('.card .cell[data-state=busy]').length === 2");
    show.browser.until(
        &tab,
        "[...document.querySelectorAll('.card .work')].every(work => work.innerText.startsWith('POST /'))",
    );
    let waiting: Vec<_> = (0..3).map(|_| send(show.gateway(), "POST /process", "{}")).collect();
    show.browser.until(&tab, &says(".line .words", "3 of 10 in line wait"));
    show.browser.until(&tab, &says("#verdict", "3 requests wait"));
    assert_eq!(show.browser.eval(&tab, "document.querySelectorAll('.line .people i').length"), json!(3));
    show.browser.picture(&tab, "line");
    drop(waiting);
    show.browser.until(&tab, &says(".line .words", "Nobody waits"));
    let [dead, _] = &mut show.backends;
    dead.child.kill().unwrap();
    show.browser.until(&tab, &cards("down", 1));
    show.browser.until(&tab, &says("#verdict", "1 backend of 2 is down"));
    show.browser.until(&tab, &says("#feed", "down"));
    show.browser.until(&tab, &says("#errors", "POST /process"));
    // What is wrong comes first.
    assert_eq!(show.browser.eval(&tab, "document.querySelector('.card').dataset.state"), json!("down"));
    show.browser.picture(&tab, "down");
    // And is what is left where only problems are wanted, or what is looked for.
    show.browser.eval(&tab, "document.querySelector('#problems').click()");
    show.browser.until(&tab, "document.querySelectorAll('.card:not([hidden])').length === 1");
    show.browser.eval(&tab, "document.querySelector('#problems').click()");
    show.browser.press(&tab, "/");
    show.browser.eval(&tab, "document.execCommand('insertText', false, 'no such thing')");
    show.browser.until(&tab, "document.querySelector('#nothing').checkVisibility()");
    assert_eq!(show.browser.complaints, Vec::<String>::new());
    drop(running);
}

/// What a newcomer does first.
#[test]
fn the_demo_is_a_show() {
    let Some(mut browser) = needs("Chromium", Browser::start("demo")) else { return };
    let arguments = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--first-port",
        "0",
        "--admin",
        "127.0.0.1:0",
        "--no-events",
        "--delay",
        "500ms",
    ];
    let mut demo = Running::start(&arguments);
    let (mut pids, mut address) = (Vec::new(), String::new());
    for line in demo.output.by_ref().lines().map(Result::unwrap) {
        match line.trim().split_once("  pid ") {
            Some((url, pid)) => pids.push((url.trim_start_matches("http://").to_owned(), pid.to_owned())),
            None if line.contains("#key=") => line.trim().clone_into(&mut address),
            None if line.starts_with("Ctrl-C") => break,
            None => {}
        }
    }
    let tab = browser.open(&address, 1440, 1000);
    browser.until(&tab, &says("#sign", "Sign out"));
    browser.until(&tab, "document.querySelectorAll('.card[data-state=busy]').length > 0");
    let (dead, pid) = &pids[0];
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    browser.until(
        &tab,
        &format!("document.querySelector('[data-backend=\"{dead}\"]').dataset.state === 'down'"),
    );
    browser.until(&tab, &says("#feed", dead));
    // Once.
    let again = browser.open(&address, 800, 600);
    browser.until(&again, &says("#sign", "Sign out"));
    demo.signal("-INT");
    assert_eq!(demo.exit_code(), Some(0));
    browser.until(&tab, &says("#link", "No connection for"));
}

#[test]
fn who_has_signed_in_drains_a_backend_and_another_tab_follows() {
    let Some(mut show) = show("orders") else { return };
    let reader = show.page("");
    show.browser.until(&reader, &cards("idle", 2));
    show.browser.until(&reader, &says("#sign", "Read only"));
    show.browser.eval(&reader, "document.querySelector('.card-head').click()");
    assert_eq!(
        show.browser.eval(&reader, "document.querySelector('[data-order=drain]').disabled"),
        json!(true)
    );
    show.browser.press(&reader, "Escape");
    // The token in the fragment, which is gone from there at once.
    let tab = show.page(&format!("#key={TOKEN}"));
    show.browser.until(&tab, &says("#sign", "Sign out"));
    assert_eq!(show.browser.eval(&tab, "location.hash"), json!(""));
    assert_eq!(show.browser.eval(&tab, "document.cookie"), json!(""), "no script reads it");
    show.browser.until(&reader, &says("#sign", "Sign out"));
    let own = name(&show.backends[0]).to_owned();
    show.browser
        .eval(&tab, &format!("document.querySelector('[data-backend=\"{own}\"] .card-head').click()"));
    show.browser.eval(&tab, "document.querySelector('[data-order=drain]').click()");
    show.browser.until(&tab, &says("#backend-question", &format!("Drain {own}?")));
    show.browser.picture(&tab, "question");
    // Nothing is done before it is confirmed, by the keyboard.
    assert_eq!(show.desk.json(&["status"]).1["pools"][0]["backends"][0]["mode"], "ready");
    show.browser.press(&tab, "Enter");
    for page in [&tab, &reader] {
        show.browser.until(
            page,
            &format!("document.querySelector('[data-backend=\"{own}\"]').dataset.state === 'drain'"),
        );
    }
    show.browser.until(&tab, &says("#backend-outcome", "Done"));
    show.browser.until(&reader, &says("#feed", "drained"));
    let told = show.desk.json(&["status"]).1;
    let modes: Vec<_> = told["pools"][0]["backends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backend| (&backend["name"], &backend["mode"]))
        .collect();
    assert!(modes.contains(&(&json!(own), &json!("drain"))), "{modes:?}");
    show.desk.gateway.says(&["an order to the admin API", "drain", "done"]);
    // Signed out in one tab, signed out in both.
    show.browser.press(&tab, "Escape");
    show.browser.eval(&tab, "document.querySelector('#sign').click()");
    for page in [&tab, &reader] {
        show.browser.until(page, &says("#sign", "Read only"));
    }
    // With the token, as somebody types it.
    show.browser.eval(&tab, "document.querySelector('#sign').click()");
    for (token, then) in [
        ("wrong", says("#signing-outcome", "This address was used already")),
        (TOKEN, says("#sign", "Sign out")),
    ] {
        show.browser.eval(&tab, &format!("document.querySelector('#token').value = {token:?}; document.querySelector('#signing-go').click()"));
        show.browser.until(&tab, &then);
    }
}

#[test]
fn a_connection_that_breaks_is_told_and_comes_back() {
    let Some(mut show) = show("breaks") else { return };
    let tab = show.page("");
    show.browser.until(&tab, &cards("idle", 2));
    show.desk.gateway.running.signal("-STOP");
    show.browser.until(&tab, &says("#link", "No connection for"));
    show.browser.picture(&tab, "lost");
    show.desk.gateway.running.signal("-CONT");
    show.browser.until(&tab, &says("#link", "Live"));
    let running = send(show.gateway(), "POST /process", "{}");
    show.browser.until(&tab, &cards("busy", 1));
    drop(running);
}

/// In light and dark, on a wide screen and on a telephone, for whoever sees and for whoever does not.
#[test]
fn everybody_can_read_it() {
    let Some(mut show) = show("reads") else { return };
    let Some(axe) = needs("axe-core", axe()) else { return };
    let running: Vec<_> = (0..4).map(|_| send(show.gateway(), "POST /process", "{}")).collect();
    let tab = show.page(&format!("#key={TOKEN}"));
    show.browser.until(&tab, &cards("busy", 2));
    let order =
        "document.querySelector('.card-head').click(); document.querySelector('[data-order=drain]').click()";
    for scheme in ["light", "dark"] {
        show.browser.prefer(&tab, "prefers-color-scheme", scheme);
        for (wide, high) in [(1920, 1080), (1024, 768), (390, 844)] {
            show.browser.size(&tab, wide, high);
            let overflow = "document.documentElement.scrollWidth <= innerWidth";
            show.browser.until(&tab, overflow);
            show.browser.picture(&tab, &format!("{scheme}-{wide}"));
            for dialog in [false, true] {
                if dialog {
                    show.browser.eval(&tab, order);
                }
                // Once for each page: it is large.
                show.browser.eval(&tab, &format!("if (!window.axe) {{ {axe} }}; true"));
                let found = show.browser.eval(&tab, "axe.run().then(told => told.violations.map(found => found.id + ': ' + found.nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')))");
                assert_eq!(found, json!([]), "{scheme} {wide} {dialog}");
            }
            show.browser.press(&tab, "Escape");
            show.browser.until(&tab, "!document.querySelector('dialog[open]')");
        }
    }
    drop(running);
}

/// The show, at its most dramatic.
#[test]
#[ignore = "it makes the picture of the README: cargo test --test cli -- --ignored picture"]
fn a_picture_for_the_readme() {
    let mut browser = Browser::start("picture").unwrap();
    let mut command = idleway(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--first-port",
        "0",
        "--admin",
        "127.0.0.1:0",
        "--log",
        "off",
    ]);
    let mut demo = Running::of(command.stderr(Stdio::null()));
    let line = demo.output.by_ref().lines().map(Result::unwrap).find(|line| line.contains("#key=")).unwrap();
    let tab = browser.open(line.trim(), 1280, 860);
    browser.patience(Duration::from_secs(300));
    browser.until(&tab, "document.querySelectorAll('.feed .mark.good').length > 1");
    browser.until(&tab, "document.querySelector('.card[data-state=down]') && document.querySelectorAll('.line .people i').length > 5");
    browser.picture(&tab, "readme");
    let picture = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard/readme.png");
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/dashboard.png");
    std::fs::copy(picture, docs).unwrap();
    demo.signal("-TERM");
    assert_eq!(demo.exit_code(), Some(0));
}

/// The script of axe-core, from the registry of Python's packages.
fn axe() -> io::Result<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let python = python::with(&folder, &["axe-core-python==0.1.0"])?;
    let script = "import axe_core_python, pathlib; print(next(pathlib.Path(axe_core_python.__file__).parent.rglob('axe.min.js')))";
    let output = Command::new(python).args(["-c", script]).output()?;
    std::fs::read_to_string(String::from_utf8_lossy(&output.stdout).trim())
}
