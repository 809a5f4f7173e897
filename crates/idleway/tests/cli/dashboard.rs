//! The dashboard in a real browser, in front of a gateway that runs.

use std::io;

use super::admin::{Desk, name};
use super::chromium::{Browser, Tab};
use super::reload::folder;
use super::*;

/// A gateway before two backends that work for as long as the test wants, and a browser.
struct Show {
    file: PathBuf,
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
    Some(Show { browser, desk: Desk::start(&file), backends, file })
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The demo, the address of its dashboard, and its backends with their processes.
pub(super) struct Demo {
    pub(super) running: Running,
    pub(super) address: String,
    pids: Vec<(String, String)>,
}

impl Demo {
    pub(super) fn start(more: &[&str]) -> Self {
        let ports = [
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--first-port",
            "0",
            "--admin",
            "127.0.0.1:0",
            "--log",
            "off",
        ];
        let mut running = Running::start(&[&ports[..], more].concat());
        let (mut pids, mut address) = (Vec::new(), String::new());
        for line in running.output.by_ref().lines().map(Result::unwrap) {
            match line.trim().split_once("  pid ") {
                Some((url, pid)) => pids.push((url.trim_start_matches("http://").to_owned(), pid.to_owned())),
                None if line.contains("#key=") => line.trim().clone_into(&mut address),
                // Its ports are not the usual ones.
                None if line.starts_with("The dashboard") => {
                    assert!(line.contains("`idleway top --admin http://127.0.0.1:"), "{line}");
                }
                None if line.starts_with("Ctrl-C") => break,
                None => {}
            }
        }
        Self { running, address, pids }
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
        "[...document.querySelectorAll('.card .work')].every(work => /^POST \\/ .* 127\\.0\\.0\\.1$/.test(work.innerText))",
    );
    // Nothing moves for those who wait.
    let top = "document.querySelector('.charts').getBoundingClientRect().top";
    let before = show.browser.eval(&tab, top);
    let waiting: Vec<_> = (0..3).map(|_| send(show.gateway(), "POST /process", "{}")).collect();
    show.browser.until(&tab, &says(".line .words", "3 of 10 in line wait"));
    show.browser.until(&tab, &says("#verdict", "3 requests wait"));
    assert_eq!(show.browser.eval(&tab, "document.querySelectorAll('.line .people i').length"), json!(3));
    show.browser.until(&tab, &says("#verdict", "All slots are taken, and 3 requests wait"));
    assert_eq!(show.browser.eval(&tab, top), before);
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

/// All backends are up, and all the same nothing is well.
#[test]
fn who_is_refused_is_told_of() {
    let Some(mut show) = show("refused") else { return };
    let tab = show.page("");
    show.browser.until(&tab, &says("#verdict", "All is well: nobody waits"));
    let _held: Vec<_> = (0..12).map(|_| send(show.gateway(), "POST /process", "{}")).collect();
    show.browser.until(&tab, &says(".line .words", "10 of 10 in line wait"));
    assert_eq!(answer(send(show.gateway(), "POST /process", "{}")).0, 503);
    show.browser.until(&tab, &says("#verdict", "1 request refused within 15 s; 10 requests wait"));
    show.browser.until(&tab, &says(".pool .lately", "1 request refused within 15 s"));
    show.browser.until(&tab, "document.title.startsWith('Idleway: 1 request refused')");
    show.browser.picture(&tab, "refused");
    // The pool is a problem, its backends are none.
    show.browser.eval(&tab, "document.querySelector('#problems').click()");
    show.browser.until(&tab, "document.querySelectorAll('.card:not([hidden])').length === 0");
    assert_eq!(show.browser.eval(&tab, "document.querySelector('.pool').checkVisibility()"), json!(true));
    assert_eq!(show.browser.eval(&tab, "document.querySelector('#nothing').checkVisibility()"), json!(false));
}

/// What a newcomer does first.
#[test]
fn the_demo_is_a_show() {
    let Some(mut browser) = needs("Chromium", Browser::start("demo")) else { return };
    let Demo { running: mut demo, address, pids } = Demo::start(&["--no-events", "--delay", "500ms"]);
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

/// The browser of whoever sits there gets an address of its own: that which is printed works still.
#[test]
fn the_demo_opens_the_dashboard() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("opens");
    std::fs::create_dir_all(&folder).unwrap();
    let opened = folder.join("opened");
    let _ = std::fs::remove_file(&opened);
    for name in ["xdg-open", "open"] {
        let script = format!("#!/bin/sh\necho \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", opened.display());
        std::fs::write(folder.join(name), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.join(name), mode).unwrap();
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command =
        idleway(&["demo", "--open", "--no-load", "--listen", "127.0.0.1:0", "--first-port", "0"]);
    let mut demo = Running::of(command.args(["--admin", "127.0.0.1:0", "--log", "off"]).env("PATH", path));
    let printed =
        demo.output.by_ref().lines().map(Result::unwrap).find(|line| line.contains("#key=")).unwrap();
    let since = Instant::now();
    let told = loop {
        match std::fs::read_to_string(&opened) {
            Ok(told) => break told,
            Err(error) => assert!(since.elapsed() < PATIENCE, "nothing was opened: {error}"),
        }
    };
    assert_ne!(told.trim(), printed.trim());
    for address in [told.trim(), printed.trim()] {
        let (url, key) = address.split_once("/#key=").unwrap();
        let body = format!("{{\"key\":\"{key}\"}}");
        let mut stream = connect(url).unwrap();
        let host = url.trim_start_matches("http://");
        write!(stream, "POST /v1/session HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        assert_eq!(answer(stream).0, 200, "{address}");
    }
    demo.signal("-INT");
    assert_eq!(demo.exit_code(), Some(0));
}

/// It dies at work, and nothing is lost: another one does what it was at.
#[test]
fn a_backend_of_the_demo_dies_and_its_request_is_answered() {
    let Some(mut browser) = needs("Chromium", Browser::start("dies")) else { return };
    let Demo { running: mut demo, address, pids } = Demo::start(&["--no-load"]);
    let tab = browser.open(&address, 1440, 1000);
    browser.until(&tab, &cards("idle", 5));
    let mut running = connect(&demo.url).unwrap();
    running.set_read_timeout(Some(PATIENCE)).unwrap();
    let fields = "Host: h\r\nIdempotency-Key: one\r\nConnection: close\r\nContent-Length: 3";
    write!(running, "POST /process?delay=2s HTTP/1.1\r\n{fields}\r\n\r\n[1]").unwrap();
    browser.until(&tab, &cards("busy", 1));
    let name = browser.eval(&tab, "document.querySelector('.card[data-state=busy]').dataset.backend");
    let (_, pid) = pids.iter().find(|(url, _)| *url == name).unwrap();
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    let is_elsewhere = "document.querySelector('.card[data-state=busy]')?.dataset.backend";
    browser.until(&tab, &format!("(name => name && name !== {name})({is_elsewhere})"));
    let (status, body) = answer(running);
    assert_eq!((status, &body["data"]), (200, &json!([1])));
    // One that is idle dies, and nobody asks for anything.
    let (idle, pid) = pids.iter().find(|(url, _)| *url != name).unwrap();
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    for dead in [name.as_str().unwrap(), idle] {
        let is_down = format!("document.querySelector('[data-backend=\"{dead}\"]').dataset.state === 'down'");
        browser.until(&tab, &is_down);
    }
    browser.until(&tab, &cards("busy", 0));
    assert_eq!(browser.eval(&tab, "document.querySelector('#errors').children.length"), json!(0));
    demo.signal("-INT");
    assert_eq!(demo.exit_code(), Some(0));
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
    // The same in a tab that shows the page already.
    show.browser.eval(&tab, "document.querySelector('#sign').click()");
    for page in [&tab, &reader] {
        show.browser.until(page, "document.querySelector('#sign').innerText === 'Read only: sign in'");
    }
    show.browser.eval(&tab, &format!("location.hash = 'key={TOKEN}'"));
    for page in [&tab, &reader] {
        show.browser.until(page, &says("#sign", "Sign out"));
    }
    assert_eq!(show.browser.eval(&tab, "location.hash"), json!(""));
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
        ("wrong", says("#signing-outcome", "neither the token nor a key")),
        (TOKEN, says("#sign", "Sign out")),
    ] {
        show.browser.eval(&tab, &format!("document.querySelector('#token').value = {token:?}; document.querySelector('#signing-go').click()"));
        show.browser.until(&tab, &then);
    }
}

/// A browser has six connections for a gateway. What is behind them in a queue is not sent when nobody stands by it any more.
#[test]
fn an_order_that_was_given_up_is_never_carried_out() {
    let Some(mut show) = show("given-up") else { return };
    let tab = show.page(&format!("#key={TOKEN}"));
    show.browser.until(&tab, &says("#sign", "Sign out"));
    let held = "window.held = [1, 2, 3, 4, 5, 6].map(() => new EventSource('/v1/watch')); true";
    show.browser.eval(&tab, held);
    show.browser.until(&tab, "held.filter(source => source.readyState === 1).length === 5");
    show.browser.eval(
        &tab,
        "document.querySelector('.card-head').click(); document.querySelector('[data-order=drain]').click()",
    );
    show.browser.eval(&tab, "document.querySelector('#backend-yes').click()");
    show.browser.until(&tab, &says("#backend-outcome", "Sending"));
    assert_eq!(
        show.browser.eval(&tab, "document.querySelector('#backend-yes').checkVisibility()"),
        json!(false)
    );
    show.browser.press(&tab, "Escape");
    show.browser.until(&tab, "!document.querySelector('dialog[open]')");
    show.browser.eval(&tab, "held.forEach(source => source.close()); true");
    // What comes after it in the queue is answered.
    show.browser.until(&tab, "fetch('/livez').then(answer => answer.ok)");
    assert_eq!(show.desk.json(&["status"]).1["pools"][0]["backends"][0]["mode"], "ready");
    // Two clicks are one order.
    show.browser.eval(
        &tab,
        "document.querySelector('.card-head').click(); document.querySelector('[data-order=drain]').click()",
    );
    show.browser.eval(
        &tab,
        "document.querySelector('#backend-yes').click(); document.querySelector('#backend-yes').click()",
    );
    show.browser.until(&tab, &says("#backend-outcome", "Done"));
    show.browser.until(&tab, &says("#details", "1 of 2 backends up"));
    show.browser.until(&tab, &says(".pool-head", "1 of 2 backends up"));
    show.browser.picture(&tab, "drained");
}

/// A tab that nobody looks at leaves its connection to others, and comes back when somebody does.
#[test]
fn a_hidden_tab_hears_nothing_and_comes_back() {
    let Some(mut show) = show("hidden") else { return };
    let tab = show.page("");
    show.browser.until(&tab, &cards("idle", 2));
    let turn = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); document.dispatchEvent(new Event('visibilitychange')); true"
        )
    };
    show.browser.eval(&tab, &turn(true));
    let running = send(show.gateway(), "POST /process", "{}");
    show.browser.until(
        &tab,
        "fetch('/v1/status').then(answer => answer.json()).then(told => told.pools[0].slots.busy === 1)",
    );
    assert_eq!(show.browser.eval(&tab, &cards("busy", 0)), json!(true));
    show.browser.eval(&tab, &turn(false));
    show.browser.until(&tab, &cards("busy", 1));
    show.browser.until(&tab, &says("#link", "Live"));
    // What was asked before it was hidden is asked no more.
    show.browser.eval(
        &tab,
        "document.querySelector('.card-head').click(); document.querySelector('[data-order=drain]').disabled = false; document.querySelector('[data-order=drain]').click()",
    );
    let yes =
        |is_there: bool| format!("document.querySelector('#backend-yes').checkVisibility() === {is_there}");
    show.browser.until(&tab, &yes(true));
    show.browser.eval(&tab, &turn(true));
    assert_eq!(show.browser.eval(&tab, "document.title"), json!("Idleway"));
    show.browser.eval(&tab, &turn(false));
    show.browser.until(&tab, &yes(false));
    show.browser.until(&tab, &says("#backend-outcome", "look again"));
    show.browser.press(&tab, "Escape");
    // Where nothing is told, what was told before is shown as old.
    show.browser.eval(&tab, &turn(true));
    show.desk.gateway.running.signal("-STOP");
    show.browser.eval(&tab, &turn(false));
    assert_eq!(
        show.browser.eval(&tab, "[document.body.classList.contains('stale'), document.title]"),
        json!([true, "Idleway"])
    );
    show.browser.until(&tab, &says("#link", "No connection for"));
    show.desk.gateway.running.signal("-CONT");
    show.browser.until(&tab, &says("#link", "Live"));
    show.browser.until(&tab, "document.title.startsWith('Idleway: ')");
    drop(running);
}

/// What is down comes first, whatever its pool, and a reload mixes nothing up.
#[test]
fn pools_with_something_down_come_first() {
    let Some(mut show) = show("pools") else { return };
    let tab = show.page(&format!("#key={TOKEN}"));
    let [up, _] = [&show.backends[0].url, &show.backends[1].url];
    let config = |pools: &[&str]| {
        let pools: String = pools.iter().map(|pool| {
            let backend = if *pool == "zz" { "http://127.0.0.1:1" } else { up };
            format!("[pools.{pool}]\nbackends = [{backend:?}]\nhealth = {{ failures = 1, pause = \"1h\", pause_max = \"1h\" }}\n[[routes]]\npath = \"/{pool}\"\npool = {pool:?}\n")
        }).collect();
        format!("listen = \"127.0.0.1:0\"\nadmin_token = \"{TOKEN}\"\n{pools}")
    };
    std::fs::write(&show.file, config(&["mm", "zz"])).unwrap();
    let order = |names: &str| {
        format!("[...document.querySelectorAll('.pool')].map(pool => pool.dataset.pool).join() === '{names}'")
    };
    show.browser.until(&tab, &order("mm,zz"));
    assert_eq!(answer(send(show.gateway(), "GET /zz", "")).0, 502);
    show.browser.until(&tab, &order("zz,mm"));
    std::fs::write(&show.file, config(&["aa", "zz"])).unwrap();
    show.browser.until(&tab, &order("zz,aa"));
    let ids = "new Set([...document.querySelectorAll('[id]')].map(one => one.id)).size === document.querySelectorAll('[id]').length";
    assert_eq!(show.browser.eval(&tab, ids), json!(true));
    // What is found is all that is seen, on a phone too.
    let phone = show.browser.open(&show.desk.url, 390, 844);
    show.browser.until(&phone, &order("zz,aa"));
    show.browser.press(&phone, "/");
    show.browser.eval(&phone, "document.execCommand('insertText', false, 'aa')");
    show.browser.until(&phone, "[...document.querySelectorAll('.pool')].filter(pool => pool.checkVisibility()).map(pool => pool.dataset.pool).join() === 'aa'");
    // One that a reload takes away is not asked about any more, and its dialog closes at once.
    let press = "document.querySelector('[data-pool=aa] .card-head').click(); document.querySelector('[data-order=drain]').click()";
    show.browser.eval(&tab, press);
    show.browser.until(&tab, &says("#backend-question", "Drain"));
    std::fs::write(&show.file, config(&["zz"])).unwrap();
    show.browser.until(&tab, &says("#backend-state", "It is gone"));
    assert_eq!(
        show.browser.eval(&tab, "[...document.querySelectorAll('#backend button')].filter(button => button.checkVisibility()).map(button => button.id)"),
        json!(["backend-close"])
    );
    show.browser.eval(&tab, "document.querySelector('#backend-close').click()");
    show.browser.until(&tab, "!document.querySelector('dialog[open]')");
    show.browser.until(&tab, "document.activeElement.id === 'find'");
}

/// However small they are shown.
#[test]
fn many_backends_are_told_from_one_another() {
    let Some(mut show) = show("many") else { return };
    let urls: Vec<_> =
        (0..30).map(|nth| format!("http://127.100.100.{}:{}", nth / 2 + 1, 1 + nth % 2)).collect();
    let text = format!("listen = \"127.0.0.1:0\"\nadmin_token = \"{TOKEN}\"\nbackends = {urls:?}\n");
    std::fs::write(&show.file, text).unwrap();
    let tab = show.page("");
    show.browser.until(&tab, "document.querySelectorAll('.many .card').length === 30");
    let seen = "[...document.querySelectorAll('.card .last')].every(port => port.scrollWidth <= port.clientWidth + 1 && port.getBoundingClientRect().right <= port.closest('.name').getBoundingClientRect().right + 1)";
    for wide in [390, 1440] {
        show.browser.size(&tab, wide, 900);
        show.browser.picture(&tab, &format!("many-{wide}"));
        assert_eq!(show.browser.eval(&tab, seen), json!(true), "{wide}");
        assert_eq!(
            show.browser.eval(&tab, "document.documentElement.scrollWidth <= innerWidth"),
            json!(true)
        );
    }
    assert_eq!(show.browser.eval(&tab, "document.querySelector('.jump').checkVisibility()"), json!(false));
}

/// Who cannot look on is told why.
#[test]
fn who_finds_no_place_is_told_so() {
    let Some(mut show) = show("full") else { return };
    let authority = show.desk.url.trim_start_matches("http://").to_owned();
    let held: Vec<_> = (0..32)
        .map(|_| {
            let mut stream = connect(&show.desk.url).unwrap();
            write!(stream, "GET /v1/watch HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            assert!(line.contains("200"), "{line}");
            stream
        })
        .collect();
    let tab = show.browser.open(&show.desk.url, 1440, 1000);
    show.browser.until(&tab, &says("#link", "Too many look on already: close another dashboard"));
    drop(held);
    show.browser.until(&tab, &says("#link", "Live"));
}

#[test]
fn a_connection_that_breaks_is_told_and_comes_back() {
    let Some(mut show) = show("breaks") else { return };
    let tab = show.page("");
    show.browser.until(&tab, &cards("idle", 2));
    show.desk.gateway.running.signal("-STOP");
    show.browser.until(&tab, &says("#link", "No connection for"));
    show.browser.until(&tab, "document.title === 'Idleway: no connection'");
    show.browser.until(&tab, "document.querySelector('#spoken').textContent.startsWith('No connection')");
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
    // More than is seen at once.
    let refused: Vec<_> = (0..28).map(|_| send(show.gateway(), "POST /process", "{}")).collect();
    show.browser.until(&tab, "document.querySelectorAll('#errors li').length >= 20");
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
    // Where the system has its own colours, and on paper, what a slot is at is seen all the same.
    show.browser.prefer(&tab, "forced-colors", "active");
    let looks = "new Set([...document.querySelectorAll('.legend .cell')].map(cell => getComputedStyle(cell)).map(look => [look.backgroundColor, look.backgroundImage, look.borderStyle].join())).size";
    assert_eq!(show.browser.eval(&tab, looks), json!(5));
    show.browser.picture(&tab, "forced");
    drop((running, refused));
}

/// What is at work in which slot, of a backend that has several; and what a pool that a reload took away has still, once.
#[test]
fn several_slots_are_told_apart() {
    let Some(mut show) = show("several") else { return };
    let backend = Running::backend(&["--slots", "5", "--delay", "1h"]);
    let config = |pool: &str| {
        format!(
            "listen = \"127.0.0.1:0\"\nadmin_token = \"{TOKEN}\"\n[pools.{pool}]\nbackends = [{:?}]\nslots = 5\nfair_by = \"header:x-api-key\"\n[[routes]]\npool = \"{pool}\"\n",
            backend.url
        )
    };
    std::fs::write(&show.file, config("before")).unwrap();
    let tab = show.page("");
    show.browser.until(&tab, &says(".pool h2", "before"));
    let ask = |nth: usize, delay: &str| {
        let sent = send(
            show.desk.gateway.running.url.as_str(),
            &format!("POST /process?delay={delay}&id={nth}"),
            "{}",
        );
        backend.until(|witness| witness["executions"].as_u64() > Some(nth as u64));
        sent
    };
    let _held = [ask(0, "1h"), ask(1, "3s"), ask(2, "1h"), ask(3, "1h")];
    let cells = "[...document.querySelectorAll('.card .cell')].map(cell => cell.dataset.state).join()";
    show.browser.until(&tab, &format!("{cells} === 'busy,busy,busy,busy,idle'"));
    show.browser.until(
        &tab,
        "/^POST \\/ .*key [0-9a-f]{8}, from 127.0.0.1$/.test(document.querySelector('.work p').innerText)",
    );
    show.browser.until(&tab, "document.querySelector('.work').lastChild.innerText === 'and 2 more'");
    // What goes on stays where it is.
    show.browser.until(&tab, &format!("{cells} === 'busy,idle,busy,busy,idle'"));
    show.browser.until(&tab, "document.querySelectorAll('.work p').length === 3");
    std::fs::write(&show.file, config("after")).unwrap();
    show.browser.until(&tab, &says("[data-pool^=before]", "leaving: 3 requests at work still"));
    show.browser.until(&tab, &says("#details", "1 of 1 backend up, 3 of 5 usable slots taken"));
    show.browser.picture(&tab, "several");
}

/// The show, at its most dramatic.
#[test]
#[ignore = "it makes the picture of the README: cargo test --test cli -- --ignored picture"]
fn a_picture_for_the_readme() {
    let mut browser = Browser::start("picture").unwrap();
    let Demo { running: mut demo, address, .. } = Demo::start(&[]);
    let tab = browser.open(&address, 1280, 860);
    browser.patience(Duration::from_secs(300));
    browser.until(&tab, "document.querySelectorAll('.feed .mark.good').length > 1");
    browser.until(&tab, "/^[1-9]\\.. s$/.test(document.querySelector('.card[data-state=down] .age')?.textContent) && document.querySelectorAll('.line .people i').length > 5");
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
