//! A gateway that is a part of another program: its requests come by a call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use idleway::{Body, Event, Gateway, Mount, Peer, Plan, Reject};
use tokio::sync::mpsc;

use crate::harness::{Backend, CUT, Gate, PATIENCE};

type Sent = Result<Frame<Bytes>, io::Error>;

fn mount(backends: &[&Backend], more: &str) -> Mount {
    let urls: Vec<String> = backends.iter().map(|backend| backend.url()).collect();
    let plan = Plan::from_toml(&format!("backends = {urls:?}\n{more}"), "test.toml");
    Gateway::builder(plan.unwrap_or_else(|faults| panic!("{faults}"))).mount().unwrap()
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", "a").body(Empty::new()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Only a test that fails waits so long.
async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}

async fn until_idle(mount: &Mount, slots: u64) {
    in_time(async {
        while mount.slots().idle != slots {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A body whose frames the test sends when it likes.
fn by_hand() -> (mpsc::Sender<Sent>, Frames) {
    let (sender, frames) = mpsc::channel(1);
    (sender, Frames { frames, length: None })
}

struct Frames {
    frames: mpsc::Receiver<Sent>,
    /// What it promises to be, whatever comes.
    length: Option<u64>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        self.frames.poll_recv(cx)
    }
    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn data(text: &'static str) -> Sent {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_on_the_runtime_of_the_program() {
    let backend = Backend::new(|visit| {
        let body = visit.body()?;
        let length = body.len();
        visit.finish(format!("HTTP/1.1 201 Made\r\nContent-Length: {length}\r\nX-Own: yes\r\n\r\n"))?;
        visit.write(body)
    });
    let mount = mount(&[&backend], "");
    let mut request = Request::post("http://host.example/path?query")
        .header("x-mine", "1")
        .header("connection", "x-mine-alone")
        .header("x-mine-alone", "1")
        .body(Full::new(Bytes::from_static(b"content")))
        .unwrap();
    request.extensions_mut().insert(Peer(SocketAddr::from(([10, 0, 0, 7], 1234))));
    let response = in_time(mount.answer(request)).await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-own"], "yes");
    assert_eq!(response.headers()["content-length"], "7");
    assert!(response.headers().contains_key("x-request-id") && response.headers().contains_key("via"));
    assert!(response.extensions().get::<Reject>().is_none());
    assert_eq!(text(response).await, "content");
    let head = backend.seen().heads[0].clone();
    assert_eq!(head.line, "POST /path?query HTTP/1.1");
    assert_eq!(head.fields.one("Host"), Some("host.example"));
    assert_eq!(head.fields.one("Content-Length"), Some("7"));
    assert_eq!((head.fields.one("x-mine"), head.fields.one("x-mine-alone")), (Some("1"), None));
    assert_eq!(head.fields.one("X-Forwarded-For"), Some("10.0.0.7"));
}

#[tokio::test]
async fn a_body_without_a_length_streams_both_ways() {
    let backend = Backend::new(|visit| {
        let body = visit.body()?;
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")?;
        visit.write(format!("{:x}\r\n{}\r\n", body.len(), String::from_utf8_lossy(&body)))?;
        visit.finish("0\r\nX-Sum: 42\r\n\r\n")
    });
    let mount = mount(&[&backend], "");
    let (sender, body) = by_hand();
    let request = Request::put("/").header("host", "a").header("te", "trailers").body(body).unwrap();
    let send = async move {
        sender.send(data("two")).await.unwrap();
        sender.send(data("")).await.unwrap();
        sender.send(data("three")).await.unwrap();
    };
    let (response, ()) = in_time(async { tokio::join!(mount.answer(request), send) }).await;
    let collected = in_time(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "42");
    assert_eq!(collected.to_bytes(), "onetwothree");
}

#[tokio::test]
async fn trailers_of_a_request_go_with_it() {
    let backend = Backend::raw(|connection| {
        let Some(mut visit) = connection.request()? else { return Ok(()) };
        let head = visit.head.clone();
        let (_, trailers) = visit.wire.body(&head)?;
        let sum = trailers.one("x-sum").unwrap_or("none").to_owned();
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{sum}", sum.len()))
    });
    let mount = mount(&[&backend], "request_buffer = \"0\"");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let (sender, body) = by_hand();
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let send = async move {
        sender.send(data("x")).await.unwrap();
        sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
    };
    let (response, ()) = in_time(async { tokio::join!(mount.answer(request), send) }).await;
    assert_eq!(text(response).await, "42");
}

/// The same as with a client that closes its connection: the backend is at work until it has ended.
#[tokio::test]
async fn who_drops_its_future_has_left_and_the_slot_stays_taken() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("late")
    });
    let mount = mount(&[&backend], "");
    let mut answer = Box::pin(mount.answer(get("/slow")));
    in_time(async {
        tokio::select! {
            _ = &mut answer => panic!("nothing has been answered"),
            () = async { while mount.slots().busy == 0 { tokio::task::yield_now().await } } => {}
        }
    })
    .await;
    drop(answer);
    in_time(async {
        while mount.slots().lingering == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = in_time(mount.answer(get("/next"))).await;
    assert_eq!(refused.status(), 503);
    assert!(matches!(refused.extensions().get(), Some(Reject::NoSlot { .. })));
    assert!(refused.headers().contains_key("retry-after"));
    assert!(text(refused).await.contains("All servers are busy"));
    gate.open();
    until_idle(&mount, 1).await;
    assert_eq!(text(in_time(mount.answer(get("/again"))).await).await, "late");
}

#[tokio::test]
async fn who_drops_the_answer_has_left() {
    let gate = Gate::new();
    let backend = Backend::in_two_halves(gate.door());
    let mount = mount(&[&backend], "");
    let response = in_time(mount.answer(get("/"))).await;
    let mut body = response.into_body();
    let first = in_time(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "half");
    drop(body);
    in_time(async {
        while mount.slots().lingering == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.open();
    until_idle(&mount, 1).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_of_its_body() {
    let backend = Backend::new(|visit| {
        visit.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
        visit.close()
    });
    let mount = mount(&[&backend], "");
    let mut body = in_time(mount.answer(get("/"))).await.into_body();
    let first = in_time(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "half");
    let broken = in_time(body.frame()).await.unwrap().unwrap_err();
    assert_eq!(broken.to_string(), "the answer broke off before its end");
    assert!(in_time(body.frame()).await.is_none());
}

/// The backend must never take what has come for the whole.
#[tokio::test]
async fn a_request_whose_body_fails_is_cut() {
    let backend = Backend::new(|visit| {
        assert!(visit.body().is_err());
        visit.tell(1);
        visit.finish(CUT)?;
        visit.close()
    });
    let mount = mount(&[&backend], "request_buffer = \"0\"");
    for by_length in [false, true] {
        let (sender, mut body) = by_hand();
        let seen = backend.seen().told;
        sender.send(data("begun")).await.unwrap();
        let failing = async {
            while mount.slots().busy == 0 {
                tokio::task::yield_now().await;
            }
            if !by_length {
                let _ = sender.send(Err(io::Error::other("the disk is gone"))).await;
            }
            drop(sender);
        };
        body.length = by_length.then_some(100);
        let request = Request::post("/").header("host", "a").body(body).unwrap();
        let (response, ()) = in_time(async { tokio::join!(mount.answer(request), failing) }).await;
        assert_eq!(response.status(), 500, "by_length {by_length}");
        assert!(matches!(response.extensions().get(), Some(Reject::Internal { .. })));
        in_time(async {
            while backend.seen().told == seen {
                tokio::task::yield_now().await;
            }
        })
        .await;
        until_idle(&mount, 1).await;
    }
}

/// The server that has the body sends 100 when it is asked for it: not before there is a Slot.
#[tokio::test]
async fn a_body_that_waits_for_a_word_is_not_asked_for_before_there_is_a_slot() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let mount = mount(&[&backend], "queue = { length = 5 }");
    let first = tokio::spawn({
        let mount = mount.clone();
        async move { text(mount.answer(get("/first")).await).await }
    });
    in_time(async {
        while mount.slots().busy == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let asked = Arc::new(AtomicUsize::new(0));
    let body = Asked { asked: Arc::clone(&asked), body: Full::new(Bytes::from_static(b"content")) };
    let request =
        Request::post("/second").header("host", "a").header("expect", "100-continue").body(body).unwrap();
    let second = tokio::spawn({
        let mount = mount.clone();
        async move { text(mount.answer(request).await).await }
    });
    in_time(async {
        while mount.slots().waiting == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "it stands in line");
    gate.open();
    assert_eq!(in_time(first).await.unwrap(), "done");
    assert_eq!(in_time(second).await.unwrap(), "done");
    assert!(asked.load(Ordering::SeqCst) > 0);
}

/// Nobody says a word to these, so nothing is to wait for one.
#[tokio::test]
async fn an_expectation_that_is_none_holds_nothing_up() {
    let backend = Backend::answering("ok");
    let mount = mount(&[&backend], "");
    let body = || Full::new(Bytes::from_static(b"content"));
    let empty = Request::post("/").header("host", "a").header("expect", "").body(body()).unwrap();
    let old = Request::post("/").version(http::Version::HTTP_10).header("expect", "100-continue");
    let unknown = Request::post("/").header("host", "a").header("expect", "miracles").body(body()).unwrap();
    for (request, status) in [(empty, 200), (old.body(body()).unwrap(), 200), (unknown, 417)] {
        assert_eq!(in_time(mount.answer(request)).await.status(), status);
    }
    assert_eq!(backend.seen().heads[0].fields.one("Content-Length"), Some("7"));
}

/// A head that is larger than the connection holds at once must not be overtaken by its body.
#[tokio::test]
async fn no_body_becomes_a_part_of_a_large_head() {
    let backend = Backend::answering("ok");
    let mount = mount(&[&backend], "limits = { head = \"512KiB\" }");
    let large = || Request::post("/").header("host", "a").header("x-large", "b".repeat(200_000));
    let smuggled = Full::new(Bytes::from_static(b"\r\nX-Admin: yes\r\nContent-Length: 0\r\n\r\n"));
    for request in [large().body(smuggled.boxed()).unwrap(), large().body(Empty::new().boxed()).unwrap()] {
        assert_eq!(text(in_time(mount.answer(request)).await).await, "ok");
    }
    assert!(backend.seen().heads.iter().all(|head| head.fields.one("x-admin").is_none()));
    let beyond = Request::get("/").header("host", "a").header("x-large", "b".repeat(2_000_000));
    assert_eq!(in_time(mount.answer(beyond.body(Empty::<Bytes>::new()).unwrap())).await.status(), 431);
}

/// The gateway has answered and goes, while the program still sends.
#[tokio::test]
async fn an_answer_that_comes_early_is_not_lost() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let mount = mount(&[&backend], "limits = { body = \"4MiB\" }");
    let holding = tokio::spawn({
        let mount = mount.clone();
        async move { mount.answer(get("/holds")).await.status() }
    });
    in_time(async {
        while mount.slots().busy == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (size, status) in [(3 << 20, 503), (5 << 20, 413)] {
        for _ in 0..20 {
            let body = Full::new(Bytes::from(vec![0; size]));
            let request = Request::post("/").header("host", "a").body(body).unwrap();
            let answer = in_time(mount.answer(request)).await;
            assert_eq!(answer.status(), status);
            assert!(answer.extensions().get::<Reject>().is_some_and(|reject| reject.status() == status));
            assert!(text(answer).await.ends_with('}'));
        }
    }
    gate.open();
    assert_eq!(in_time(holding).await.unwrap(), 200);
}

struct Asked {
    asked: Arc<AtomicUsize>,
    body: Full<Bytes>,
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.body).poll_frame(cx)
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_on_a_runtime_whose_tasks_move() {
    // Each fails above its one Slot, and says so when it is dropped.
    let backends: Vec<Backend> = (0..3).map(|_| Backend::answering("ok")).collect();
    let mount = mount(&backends.iter().collect::<Vec<_>>(), "queue = { length = 1000 }");
    let visits: Vec<_> = (0..300)
        .map(|visit| {
            let mount = mount.clone();
            tokio::spawn(async move {
                let response = mount.answer(get("/")).await;
                // Some leave with their answer unread.
                if visit % 7 == 0 { String::from("ok") } else { text(response).await }
            })
        })
        .collect();
    for visit in visits {
        assert_eq!(in_time(visit).await.unwrap(), "ok");
    }
    until_idle(&mount, 3).await;
    let served: usize = backends.iter().map(|backend| backend.seen().heads.len()).sum();
    assert_eq!(served, 300);
}

#[tokio::test]
async fn what_has_no_body_has_none() {
    let backend = Backend::new(|visit| {
        visit.body()?;
        let head = match visit.path() {
            "/head" => "200 OK\r\nContent-Length: 7",
            "/none" => "204 No Content",
            _ => "304 Not Modified\r\nContent-Length: 9",
        };
        visit.finish(format!("HTTP/1.1 {head}\r\n\r\n"))
    });
    let mount = mount(&[&backend], "");
    for (method, path, status, length) in [
        (Method::HEAD, "/head", 200, Some("7")),
        (Method::GET, "/none", 204, None),
        (Method::GET, "/same", 304, Some("9")),
    ] {
        let request = Request::builder().method(method).uri(path).header("host", "a");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = in_time(mount.answer(request)).await;
        assert_eq!(response.status(), status);
        let told = response.headers().get("content-length").map(|length| length.to_str().unwrap());
        assert_eq!(told, length, "{path}");
        assert!(http_body::Body::is_end_stream(response.body()));
        assert_eq!(text(response).await, "");
    }
}

/// Whatever a program puts together gets no further than the reader of heads.
#[tokio::test]
async fn what_would_be_refused_from_a_socket_is_refused_here() {
    let backend = Backend::answering("ok");
    let mount = mount(&[&backend], "");
    let many = || {
        let mut request = get("/");
        for count in 0..200 {
            request.headers_mut().append(
                http::HeaderName::from_bytes(format!("x-{count}").as_bytes()).unwrap(),
                HeaderValue::from_static("1"),
            );
        }
        request
    };
    let two_hosts = Request::get("/").header("host", "a").header("host", "b").body(Empty::new()).unwrap();
    let connect = Request::connect("a:443").body(Empty::new()).unwrap();
    let no_host = Request::get("/").body(Empty::new()).unwrap();
    for (request, status) in [(two_hosts, 400), (no_host, 400), (connect, 405), (many(), 431)] {
        let response = in_time(mount.answer(request)).await;
        assert_eq!(response.status(), status);
        assert!(matches!(response.extensions().get(), Some(Reject::Refused(_))));
    }
    // HTTP/1.0 knows no Host.
    let old = Request::get("/").version(http::Version::HTTP_10).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(text(in_time(mount.answer(old)).await).await, "ok");
    // A length that a middleware has left behind is not what frames the message.
    let odd = Request::post("/")
        .header("host", "a")
        .header("content-length", "5")
        .header("transfer-encoding", "chunked")
        .body(Full::new(Bytes::from_static(b"content")))
        .unwrap();
    assert_eq!(in_time(mount.answer(odd)).await.status(), 200);
    assert_eq!(backend.seen().heads[1].fields.one("Content-Length"), Some("7"));
}

#[tokio::test]
async fn a_shutdown_lets_end_what_runs_and_tells_the_others() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let mount = mount(&[&backend], "");
    let running = tokio::spawn({
        let mount = mount.clone();
        async move { text(mount.answer(get("/")).await).await }
    });
    in_time(async {
        while mount.slots().busy == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut shutdown = Box::pin(mount.shutdown());
    let told = in_time(async {
        tokio::select! {
            biased;
            _ = &mut shutdown => panic!("something runs"),
            response = mount.answer(get("/late")) => response,
        }
    })
    .await;
    assert_eq!(told.status(), 503);
    assert!(text(told).await.contains("shutting down"));
    gate.open();
    let drained = in_time(shutdown).await;
    assert_eq!((drained.cut, drained.abandoned), (0, 0));
    assert_eq!(in_time(running).await.unwrap(), "done");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let gate = Gate::new();
    let backend = Backend::in_two_halves(gate.door());
    let mount = mount(&[&backend], "drain_timeout = \"1ms\"");
    let mut body = in_time(mount.answer(get("/"))).await.into_body();
    in_time(body.frame()).await.unwrap().unwrap();
    assert_eq!(in_time(mount.shutdown()).await.cut, 1);
    assert!(in_time(body.frame()).await.unwrap().is_err());
}

/// Nothing of it goes on in a program that has let it go.
#[tokio::test]
async fn what_is_let_go_leaves_nothing_behind() {
    let backend = Backend::answering("ok");
    let mount = mount(&[&backend], "health = { path = \"/\", every = \"1ms\" }");
    assert_eq!(text(in_time(mount.answer(get("/"))).await).await, "ok");
    drop(mount);
    let runtime = tokio::runtime::Handle::current();
    in_time(async {
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn without_a_runtime_there_is_no_mount() {
    let plan = Plan::from_urls(&["http://127.0.0.1:1".to_owned()]).unwrap();
    assert!(Gateway::builder(plan).mount().is_err());
}

#[tokio::test]
async fn who_looks_on_hears_of_the_backends() {
    let mut backend = Backend::answering("ok");
    let mount = mount(&[&backend], "");
    let mut events = mount.events();
    backend.kill();
    assert_eq!(in_time(mount.answer(get("/"))).await.status(), 502);
    let name = backend.url().trim_start_matches("http://").to_owned();
    let Some(Event::BackendDown { pool, backend: down, cause, fault, .. }) = in_time(events.next()).await
    else {
        panic!("not what was to be told")
    };
    assert_eq!((pool.as_str(), down.as_str(), cause.as_str()), ("default", name.as_str(), "unreachable"));
    assert!(fault.contains("connect"), "{fault}");
    let status = &mount.pools()[0];
    assert_eq!((status.backends[0].name.as_str(), status.backends[0].is_up), (name.as_str(), false));
    backend.restart();
    assert!(matches!(in_time(events.next()).await, Some(Event::BackendUp { .. })));
    assert!(mount.pools()[0].backends[0].is_up);
    drop(mount);
    assert_eq!(in_time(events.next()).await, None);
}
