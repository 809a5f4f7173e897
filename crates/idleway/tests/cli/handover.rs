//! A newer process takes the place of one that runs.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;

/// A folder of the test's own, with a file that names the socket in it.
fn configuration(name: &str, backends: &[&Running], more: &str) -> (PathBuf, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("handover-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    // The path of a socket is short, and that of a build may be long.
    let socket = std::env::temp_dir().join(format!("idleway-{}-{name}", std::process::id()));
    let urls: Vec<_> = backends.iter().map(|backend| &backend.url).collect();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nhandover = {socket:?}\nthreads = 2\nbackends = {urls:?}\n\
         queue = {{ length = 50, wait = \"60s\" }}\n{more}"
    );
    let path = folder.join("idleway.toml");
    std::fs::write(&path, text).unwrap();
    (socket, path.to_str().unwrap().to_owned())
}

fn run(config: &str) -> Running {
    Running::start(&["run", "--config", config, "--log", "off"])
}

/// Sends on a connection that stays, and reads one answer with a length.
fn ask(stream: &mut TcpStream, request: &str, body: &str) -> (u16, String) {
    write!(stream, "{request} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {line:?}")).parse().unwrap();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut told = vec![0; length];
    reader.read_exact(&mut told).unwrap();
    (status, String::from_utf8(told).unwrap())
}

#[test]
fn a_newer_process_takes_all_and_the_older_ends_when_its_work_does() {
    let backend = Running::backend(&["--delay", "1s"]);
    let (socket, config) = configuration("all", &[&backend], "");
    let mut before = run(&config);
    let mut idle = connect(&before.url).unwrap();
    assert_eq!(ask(&mut idle, "GET /witness", "").0, 200);
    let running = send(&before.url, "POST /process", "[1]");
    backend.until(|witness| witness["now"] == 1);
    let waiting = send(&before.url, "POST /process", "[2]");
    let mut after = run(&config);
    assert_eq!(after.url, before.url);
    assert_eq!(ask(&mut idle, "GET /witness", "").0, 200);
    assert_eq!(answer(running).0, 200);
    assert_eq!(answer(waiting).1["data"], json!([2]));
    assert_eq!(before.exit_code(), Some(0));
    let witness = backend.witness();
    assert_eq!((&witness["overlaps"], &witness["executions"]), (&json!(0), &json!(2)));
    assert_eq!(after.call("GET /witness", "").0, 200);
    after.signal("-TERM");
    assert_eq!(after.exit_code(), Some(0));
    assert!(!socket.exists(), "who ends without an heir leaves no socket");
}

/// Who asks how it stands is answered by the newer one as soon as that has begun, at the same address; and the command line
/// finds its token.
#[test]
fn the_admin_api_goes_over_too() {
    let backend = Running::backend(&["--delay", "1s"]);
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_, config) = configuration("admin", &[&backend], &format!("admin = \"{admin}\"\n"));
    let runtime = std::env::temp_dir().join(format!("idleway-{}-runtime", std::process::id()));
    std::fs::create_dir_all(&runtime).unwrap();
    let start = || {
        let mut command = idleway(&["run", "--config", &config, "--log", "off"]);
        command.env_remove("IDLEWAY_ADMIN_LISTEN").env("RUNTIME_DIRECTORY", &runtime);
        Running::of(command.stderr(Stdio::null()))
    };
    let mut before = start();
    let running = send(&before.url, "POST /process", "[1]");
    backend.until(|witness| witness["now"] == 1);
    let after = start();
    let url = format!("http://{admin}");
    let (status, told) = answer(send_to(&url, "GET /v1/status", "127.0.0.1"));
    assert_eq!(status, 200);
    assert_eq!((&told["ready"], &told["pools"][0]["backends"][0]["elsewhere"]), (&json!(true), &json!(1)));
    let mut command = idleway(&["drain", "--no-wait", "--json", &backend.url.replace("http://", "default/")]);
    command.env("IDLEWAY_ADMIN", &url).env("RUNTIME_DIRECTORY", &runtime);
    let (code, stdout, stderr) = ended_on(command, "");
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(answer(running).0, 200);
    assert_eq!(before.exit_code(), Some(0));
    assert_eq!(after.call("POST /process", "[2]").0, 503, "its only backend drains");
    std::fs::remove_dir_all(&runtime).unwrap();
}

/// It was told to stop, and works still: whoever starts next is told what is busy, and gets who waits.
#[test]
fn one_that_stops_hands_over_too() {
    let backend = Running::backend(&["--delay", "1s"]);
    for delay in ["0", "60s"] {
        let (_, config) =
            configuration(&format!("stops-{delay}"), &[&backend], &format!("drain_delay = \"{delay}\"\n"));
        let mut before = run(&config);
        // The port is the system's choice: the next one that has to listen itself has another.
        let running = send(&before.url, "POST /process", "[1]");
        backend.until(|witness| witness["now"] == 1);
        let waiting = send(&before.url, "POST /process", "[2]");
        before.signal("-TERM");
        let mut after = run(&config);
        let newcomer = send(&after.url, "POST /process", "[3]");
        for (data, client) in [(1, running), (2, waiting), (3, newcomer)] {
            let (status, told) = answer(client);
            assert_eq!((status, &told["data"]), (200, &json!([data])), "{delay}");
        }
        assert_eq!(before.exit_code(), Some(0));
        after.signal("-KILL");
        assert_eq!(after.exit_code(), None);
        assert_eq!(backend.witness()["overlaps"], 0);
    }
}

/// What somebody has at the path is his, and no reason to lose what runs.
#[test]
fn a_file_at_the_path_stays_and_the_older_one_goes_on() {
    let backend = Running::backend(&[]);
    let (socket, config) = configuration("file", &[&backend], "");
    std::fs::write(&socket, "precious").unwrap();
    let (code, _, stderr) = ended_on(idleway(&["run", "--config", &config]), "");
    assert!(code == 1 && stderr.contains("what is there is no socket, and stays"), "{code} {stderr}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    std::fs::remove_file(&socket).unwrap();
    // Another one has its place in a folder where nothing can be made.
    let before = run(&config);
    let folder = PathBuf::from(&config).with_file_name("none");
    std::os::unix::fs::symlink(&socket, &folder).unwrap();
    let other =
        std::fs::read_to_string(&config).unwrap().replace(socket.to_str().unwrap(), folder.to_str().unwrap());
    let path = PathBuf::from(&config).with_file_name("other.toml");
    std::fs::write(&path, other).unwrap();
    let (code, _, stderr) = ended_on(idleway(&["run", "--config", path.to_str().unwrap()]), "");
    assert!(code == 1 && stderr.contains("no process can ask for the handover"), "{code} {stderr}");
    assert_eq!(before.call("POST /process", "[1]").0, 200, "nothing has happened to it");
}

/// Whoever sends SIGHUP to all of them means a reload, also of one that waits for its turn.
#[test]
fn sighup_is_no_end_for_one_that_waits_for_its_turn() {
    let backend = Running::backend(&["--delay", "0"]);
    let (socket, config) = configuration("hangup", &[&backend], "");
    // Somebody who is asked, and does not answer.
    let busy = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let starting = thread::spawn(move || run(&config));
    let (asked, _) = busy.accept().unwrap();
    let asker = rustix::net::sockopt::socket_peercred(&asked).unwrap().pid;
    kill(&asker.as_raw_nonzero().to_string(), "-HUP");
    drop((asked, busy));
    std::fs::remove_file(&socket).unwrap();
    let mut gateway = starting.join().unwrap();
    assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    gateway.signal("-TERM");
    assert_eq!(gateway.exit_code(), Some(0));
}

/// One that asks and goes away, one that says nonsense, and one of which the file is bad.
#[test]
fn who_does_not_get_ready_changes_nothing() {
    let backend = Running::backend(&["--delay", "0"]);
    let (socket, config) = configuration("nothing", &[&backend], "");
    let mut gateway = run(&config);
    for said in ["", "{\"ask\":{\"pid\":1}}\n", "nonsense\n", "\"ready\"\n"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told);
    }
    let (code, _, stderr) = ended(&["run", "--config", &file("handover-bad.toml", "backends = 5")]);
    assert_eq!(code, 78, "{stderr}");
    assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    let mut after = run(&config);
    assert_eq!(gateway.exit_code(), Some(0));
    assert_eq!(after.call("POST /process", "[1]").0, 200);
    after.signal("-TERM");
    assert_eq!(after.exit_code(), Some(0));
}

/// Who hands over stays at the path until the newer one is there: a third one would take itself for the first otherwise.
#[test]
fn there_is_always_somebody_at_the_path() {
    let backend = Running::backend(&["--delay", "0"]);
    let (socket, config) = configuration("always", &[&backend], "");
    let mut before = run(&config);
    let mut newer = UnixStream::connect(&socket).unwrap();
    newer.set_read_timeout(Some(PATIENCE)).unwrap();
    newer.write_all(b"{\"ask\":{\"pid\":1}}\n\"ready\"\n").unwrap();
    let mut told = BufReader::new(&newer).lines();
    assert!(told.any(|line| line.unwrap() == "\"over\""));
    let mut third = UnixStream::connect(&socket).expect("it has told all, and stays");
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(before.child.try_wait().unwrap(), None);
    drop(newer);
    let mut nothing = Vec::new();
    // Its end, or that it was cut: never an answer.
    let _ = third.read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
    assert_eq!(before.exit_code(), Some(0));
}

/// They take turns: one of them has it in the end.
#[test]
fn two_at_once_follow_one_another() {
    let backend = Running::backend(&["--delay", "0"]);
    let (_, config) = configuration("two", &[&backend], "");
    let mut first = run(&config);
    let url = first.url.clone();
    let both: Vec<_> = (0..2)
        .map(|_| {
            let config = config.clone();
            thread::spawn(move || run(&config))
        })
        .collect();
    let mut both: Vec<_> = both.into_iter().map(|starting| starting.join().unwrap()).collect();
    assert_eq!(first.exit_code(), Some(0));
    let since = Instant::now();
    let ended = loop {
        if let Some(ended) = both.iter_mut().position(|running| running.child.try_wait().unwrap().is_some()) {
            break ended;
        }
        assert!(since.elapsed() < PATIENCE, "both go on");
        thread::yield_now();
    };
    assert_eq!(both.remove(ended).exit_code(), Some(0));
    assert_eq!(both[0].url, url);
    assert_eq!(both[0].call("POST /process", "[1]").0, 200);
}

/// A backend with one thread: it reads from the next connection when it has ended the one before. Answers `/process` when
/// it is let.
fn one_thread() -> (String, mpsc::Receiver<String>, mpsc::SyncSender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ((seen, asked), (go, may_go)) = (mpsc::sync_channel(64), mpsc::sync_channel(64));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let mut rest = String::new();
            while rest != "\r\n"
                && reader
                    .read_line({
                        rest.clear();
                        &mut rest
                    })
                    .unwrap()
                    > 0
            {}
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            // The test may have ended.
            if seen.send(path.clone()).is_err() || (path == "/process" && may_go.recv().is_err()) {
                return;
            }
            let _ = write!(
                reader.into_inner(),
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
            );
        }
    });
    (url, asked, go)
}

/// Told to stop while it finishes for a newer one, it ends at once, and the newer one does not believe that its backend is
/// idle: it asks.
#[test]
fn a_stop_during_a_handover_ends_the_older_at_once() {
    let (url, asked, go) = one_thread();
    let (_, config) = configuration("stop", &[], "");
    let text =
        std::fs::read_to_string(&config).unwrap().replace("backends = []", &format!("backends = [{url:?}]"));
    std::fs::write(&config, text).unwrap();
    let mut before = run(&config);
    let _cut = send(&before.url, "GET /process", "");
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), "/process");
    let after = run(&config);
    before.signal("-TERM");
    assert_eq!(before.exit_code(), Some(1));
    let waiting = send(&after.url, "GET /process", "");
    go.send(()).unwrap();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), "/", "the proof");
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), "/process");
    go.send(()).unwrap();
    assert_eq!(answer(waiting).0, 200);
}

/// Does this while clients ask, some on connections that stay and some on new ones. Each request is served, 200, or the test
/// fails; answers how many were.
fn under_traffic(url: &str, then: impl FnOnce()) -> u32 {
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        let _stop = StopAtEnd(&stop);
        let clients: Vec<_> = (0..6)
            .map(|nth| {
                let stop = &stop;
                threads.spawn(move || {
                    let mut served = 0;
                    let mut stays = connect(url).unwrap();
                    stays.set_read_timeout(Some(PATIENCE)).unwrap();
                    while !stop.load(Ordering::SeqCst) {
                        let sent = format!("[{nth}]");
                        let (status, told) = if nth % 2 == 0 {
                            let (status, told) = ask(&mut stays, "POST /process", &sent);
                            (status, serde_json::from_str(&told).unwrap())
                        } else {
                            answer(send(url, "POST /process", &sent))
                        };
                        assert_eq!((status, &told["data"]), (200, &json!([nth])), "{told}");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        then();
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

/// Stops the clients also where the test has failed, which would wait for them otherwise.
struct StopAtEnd<'s>(&'s AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// No backend had more at once than it has slots, and what was served was done once.
#[track_caller]
fn assert_kept(backends: &[Running], served: u32) {
    let mut executions = 0;
    for backend in backends {
        let witness = backend.witness();
        assert_eq!(witness["overlaps"], 0, "{witness}");
        executions += witness["executions"].as_u64().unwrap();
    }
    assert_eq!(executions, u64::from(served));
}

/// Twenty processes, one after another.
#[test]
fn twenty_in_a_row_lose_no_request_and_keep_the_limit() {
    let backends: Vec<_> = (0..3).map(|_| Running::backend(&["--delay", "2ms"])).collect();
    let (_, config) = configuration("twenty", &backends.iter().collect::<Vec<_>>(), "");
    let mut gateway = run(&config);
    let url = gateway.url.clone();
    let served = under_traffic(&url, || {
        let mut before: Vec<_> = (0..20).map(|_| std::mem::replace(&mut gateway, run(&config))).collect();
        let codes: Vec<_> = before.iter_mut().map(Running::exit_code).collect();
        assert_eq!(codes, [Some(0); 20]);
    });
    assert!(served > 100, "{served} requests in all that time");
    assert_kept(&backends, served);
}

/// What an operator does in a bad month, in some seconds: 200 times the file is another one, good or not, 20 times the program
/// is. Backends come, go, move to another pool and back, and have more slots and fewer.
#[test]
fn two_hundred_reloads_and_twenty_upgrades_lose_no_request_and_keep_the_limit() {
    let backends: Vec<_> = (0..4).map(|_| Running::backend(&["--delay", "2ms", "--slots", "2"])).collect();
    let (_, config) = configuration("month", &[], "");
    let head = std::fs::read_to_string(&config).unwrap();
    let head: String = head.lines().take(3).map(|line| format!("{line}\n")).collect();
    let good = |round: usize| {
        // The first one is in every file, in a pool of one of two names; the others come and go.
        let (main, slots) = (["main", "other"][round / 7 % 2], 1 + round / 3 % 2);
        let aside = round % 4;
        let listed: Vec<_> =
            (0..4).filter(|nth| *nth == 0 || (round >> nth) & 1 == 1 && *nth != aside).collect();
        let urls = listed.iter().map(|nth| backends[*nth].url.as_str()).collect::<Vec<_>>();
        let length = 40 + round % 9;
        let mut text = format!(
            "{head}[pools.{main}]\nbackends = {urls:?}\nslots = {slots}\nqueue = {{ length = {length}, wait = \"60s\" }}\n"
        );
        if aside > 0 {
            text += &format!(
                "[pools.aside]\nbackends = [{:?}]\n[[routes]]\npath = \"/aside\"\npool = \"aside\"\n",
                backends[aside].url
            );
        }
        text + &format!("[[routes]]\npool = {main:?}\n")
    };
    let beside = format!("{config}.new");
    let put = |text: &str| {
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &config).unwrap();
    };
    put(&good(0));
    let start = || reload::Gateway::with(&config, &["--log", "info,idleway::access=off"]);
    let mut gateway = start();
    let url = gateway.running.url.clone();
    let (mut in_force, mut kept, mut before) = (0, 0, Vec::new());
    let served = under_traffic(&url, || {
        for round in 1..=200 {
            let good = good(round);
            let is_good = match round % 8 {
                3 => {
                    put("");
                    false
                }
                5 => {
                    // Within a list: at the end of a line what is left would be a file too.
                    let (left, _) = good.split_once("http:").unwrap();
                    put(left);
                    false
                }
                7 => {
                    put(&good.replace("backends =", "backend ="));
                    false
                }
                _ => {
                    put(&good);
                    true
                }
            };
            gateway.running.signal("-HUP");
            if is_good {
                gateway.says(&["the configuration is in force", "SIGHUP"]);
                in_force += 1;
            } else {
                gateway.says(&["not reloaded: what is in force stays", "SIGHUP"]);
                kept += 1;
            }
            if round % 10 == 0 {
                before.push(std::mem::replace(&mut gateway, start()));
            }
        }
        let codes: Vec<_> = before.iter_mut().map(|gateway| gateway.running.exit_code()).collect();
        assert_eq!(codes, [Some(0); 20]);
    });
    assert_eq!((in_force, kept), (125, 75));
    assert!(served > 200, "{served} requests in all that time");
    assert_kept(&backends, served);
}
