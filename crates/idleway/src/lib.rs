//! An API gateway that sends a request to an **idle** backend, never to a busy one, and tells the truth when there is
//! none: as a library.
//!
//! It is for backends that can do only so much at once. Each has *Slots*; a request that has no Slot waits in line or is
//! told 503 at once, and a backend never has more requests at work than Slots: not after a timeout, not after its client
//! has left. The program `idleway` is a face of this library; whatever it does a program of yours can do, too.
//!
//! # A gateway in your program
//!
//! A [`Plan`] says what to do, in the words of the configuration file. There are four ways to have it done:
//!
//! | call | for |
//! |---|---|
//! | [`run_gateway`] | a program that does nothing else: listens, and ends in order at SIGTERM or Ctrl-C |
//! | [`Gateway::start`] | any program: a listening socket of yours, threads of the gateway's own |
//! | [`Builder::serve`] | a task in a program that runs tokio: listener and shutdown are yours |
//! | [`Builder::mount`] | a program that has a server: hyper, axum or any other, on its runtime |
//!
//! ```
//! use std::net::TcpListener;
//! use idleway::{Gateway, Plan};
//!
//! let plan = Plan::from_toml(
//!     r#"
//!     backends = ["http://127.0.0.1:6000", { url = "http://127.0.0.1:6001", slots = 4 }]
//!     queue = { length = 100, wait = "30s" }
//!     "#,
//!     "my gateway",
//! )?;
//! let gateway = Gateway::start(plan, TcpListener::bind("127.0.0.1:0")?)?;
//! println!("http://{}", gateway.address());
//! assert_eq!(gateway.slots().idle, 5);
//! let drained = gateway.shutdown();
//! assert_eq!(drained.cut, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Mounted, it is a part of a server that is there already. What axum has no route for goes to the backends (feature
//! `tower`; with hyper alone it is a service by the feature `hyper`, and without either there is [`Mount::answer`]):
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use idleway::{Gateway, Plan, Reject};
//!
//! let gateway = Gateway::builder(Plan::from_urls(&["http://127.0.0.1:9".to_owned()])?).mount()?;
//! // axum::Router::new().route("/healthz", get(…)).fallback_service(gateway.clone())
//! let request = http::Request::get("http://example.com/process").body(http_body_util::Empty::<&[u8]>::new())?;
//! let answer = gateway.answer(request).await;
//! // Nobody listens there: the answer is the gateway's own, and says why.
//! assert_eq!(answer.status(), 502);
//! assert!(matches!(answer.extensions().get(), Some(Reject::BackendUnreachable { .. })));
//! # Ok(()) }
//! ```
//!
//! # Your own word about a request
//!
//! A [`Hook`] is asked about each request before it takes a route: it may refuse it, change it, choose its pool, give it
//! labels. And it hears how each request ended. The repository has two worth reading: API keys, and a bill by the second
//! of a Slot.
//!
//! # Looking on
//!
//! [`Gateway::slots`] and [`Gateway::pools`] tell how everything stands at this moment, [`Gateway::totals`] what was counted,
//! [`Gateway::events`] what happens to the backends. Everything else is told by [`tracing`](https://docs.rs/tracing): one
//! line a request under the target `idleway::access`, in your subscriber.
//!
//! # While it runs
//!
//! A [`Handle`] is a hold on a gateway for whoever tells it something: another [`Plan`], put in force without losing a request
//! ([`Handle::reload`]); another socket; all numbers for Prometheus ([`Handle::metrics`]); or that another gateway takes its place, in this
//! program or in another one ([`Handle::bequeath`], [`Builder::inherit`]): then the limit holds across the two.
//!
//! ```
//! # use std::net::TcpListener;
//! # use idleway::{Gateway, Plan};
//! # let plan = |backend: &str| Plan::from_urls(&[backend.to_owned()]);
//! # let gateway = Gateway::start(plan("http://127.0.0.1:6000")?, TcpListener::bind("127.0.0.1:0")?)?;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let handle = gateway.handle();
//! handle.reload(plan("http://127.0.0.1:6001")?).await?;
//! assert_eq!(gateway.pools()[0].backends[0].name, "127.0.0.1:6001");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What goes wrong
//!
//! A configuration that means nothing is told as [`config::Faults`]: all of them at once, each with line, column and a
//! hint. A request that no backend answers is answered by the gateway itself, with one reason: [`Reject`] names each, its
//! status and its words; `docs/answers.md` in the repository says what to do about it.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `cli` (default) | the program; leave it out by `default-features = false` |
//! | `admin` (with `cli`) | [`admin`]: how a gateway stands and what it is told, by HTTP |
//! | `hyper` | [`Mount`] is a service of hyper 1 |
//! | `tower` | [`Mount`] is a service of tower, and so of axum. Its trait is of a version 0.x: should that change, so may this feature, without a new major version here |
//!
//! No other type of a version 0.x of somebody else's stands in this crate's interface. `docs/api.txt` in the repository
//! lists the interface, and a test holds it to that.
//!
//! # Inside
//!
//! Floors: a lower one never imports a higher one (`tests/floors.rs`). 1: words and pure tables (`message`, `error`,
//! `edits`, `config`, `route`, `metrics`, `traces`, `hook`, `event`); 2: `live`, the current configuration at work, and `net`, sockets; 3: `proxy`,
//! a request's way, and `control`, what is done for the pools beside it; 4: `gateway`, composition; 5: `admin`, a face. Below them stand two crates
//! without sockets, clocks and tasks: [`idleway_core`] with the Slots and the line, [`idleway_h1`] with HTTP/1.1.

#[cfg(feature = "admin")]
pub mod admin;
pub mod config;
mod control;
mod edits;
mod error;
mod event;
mod gateway;
#[cfg(feature = "cli")]
pub mod generic_backend;
mod hook;
mod live;
mod message;
mod metrics;
mod net;
mod proxy;
pub mod route;
mod traces;

pub use config::Plan;
pub use edits::{Authority, EditFault, Edits};
pub use error::Reject;
pub use event::{Event, Events};
pub use gateway::{
    BackendCounts, BackendStatus, Bequest, Body, BodyError, Builder, Drained, Gateway, Handle, Heritage,
    Mount, NotReloaded, Peer, PoolStatus, Remaining, SlotCounts, Stop, Totals, Wish, run_gateway,
};
pub use hook::{Answered, Arrival, Denial, Hook, Verdict};
pub use live::{Bequeathed, Ordered, Taken};
pub use net::{Passed, Waiting};

// What stands in the types above.
pub use idleway_core::{Lane, Reason};
pub use idleway_h1::{Refusal, RefusalReason};

#[cfg(fuzzing)]
#[doc(hidden)]
pub use proxy::fuzzing;
