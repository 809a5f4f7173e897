//! `idleway witness`: shows whether a gateway, whichever it is, keeps to the limits of its backends.
//!
//! ```text
//! this file   the backends, the waiting for the gateway, the run
//! target      where the gateway is
//! visitor     one request and its client, which may leave before its answer
//! course      what a backend had at work, from moment to moment
//! finding     what was seen, and what follows from it
//! ```
//!
//! The backends count how much they have at work, and work on whatever their connection does, as those do that Idleway
//! is for. The clients do what makes gateways forget that: they leave while they wait and while they are worked for,
//! they come in bursts, and their work outlives the gateway's timeout.

mod course;
mod finding;
mod target;
mod visitor;

use std::cell::Cell;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use idleway::generic_backend::{GenericBackend, GenericBackendOptions, Over, Work};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{self, Instant};

use crate::cli::{self, Failure, say};
use crate::listener;

use course::Course;
use finding::{Finding, Verdict};
use target::Target;
use visitor::{End, Visit};

/// How often the backends' counts are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long to wait before the next try to get through the gateway.
const AGAIN: Duration = Duration::from_millis(250);
/// What a run may take beyond twice the time that its work takes.
const SPARE: Duration = Duration::from_secs(10);

/// Starts backends that count what they have at work, sends requests to them through a gateway, by clients that leave
/// early and with work that outlives its timeouts, and says whether a backend ever had more at work than it should.
///
/// Ends with 0 where the limit held, 1 where it did not, 2 for wrong usage, 3 where nothing could be shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway witness --through http://127.0.0.1:8080                    backends on the ports 6001 and 6002
  idleway witness --through http://127.0.0.1:8080 --backends 7001,7002,7003 --slots 4 --json")]
pub(crate) struct WitnessArgs {
    /// Where the gateway is: http://HOST:PORT, with a path where /process leads elsewhere.
    #[arg(long, value_name = "URL")]
    through: Target,
    /// The ports of the backends, to be put behind the gateway; 0 for a free one.
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', default_value = "6001,6002")]
    backends: Vec<u16>,
    /// The address that the backends listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// How many requests each backend should get at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    /// How long a backend works on a request; more than the gateway's timeout.
    #[arg(long, value_name = "DURATION", default_value = "2500ms", value_parser = work)]
    work: Duration,
    /// Requests to send; one that is refused is not counted, and sent again a little later.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=5000))]
    requests: u32,
    /// Clients that send them.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    clients: u32,
    /// How long to wait for the first request to come through the gateway.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = cli::duration)]
    patience: Duration,
    /// Write what was found as JSON; what there is to do meanwhile goes to standard error.
    #[arg(long)]
    json: bool,
}

impl WitnessArgs {
    fn tell(&self, line: &str) {
        if self.json {
            // Where nobody listens, the finding is still to come.
            let _ = writeln!(io::stderr(), "{line}");
        } else {
            say(line);
        }
    }

    /// How long the requests may take: twice what the work takes on all slots.
    fn bound(&self) -> Duration {
        let slots = self.slots.saturating_mul(u32::try_from(self.backends.len()).unwrap_or(u32::MAX));
        self.work * self.requests.div_ceil(slots) * 2 + SPARE
    }
}

/// Less is over before it can be seen, and nobody waits for more.
fn work(text: &str) -> Result<Duration, String> {
    let work = cli::duration(text)?;
    let right = (Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&work);
    if right { Ok(work) } else { Err("it is 10ms to 1h".to_owned()) }
}

pub(crate) fn witness(args: &WitnessArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let finding = LocalSet::new().block_on(&runtime, observe(args));
    let finding = finding.map_err(|error| {
        // Where nobody listens, the exit code says it.
        let _ = writeln!(io::stderr(), "idleway: {error:#}");
        Failure::Found(Verdict::Unproven.exit_code())
    })?;
    if args.json {
        say(&finding.json());
    } else {
        say(&finding.text());
    }
    match finding.verdict().exit_code() {
        0 => Ok(()),
        code => Err(Failure::Found(code)),
    }
}

async fn observe(args: &WitnessArgs) -> anyhow::Result<Finding> {
    let options = GenericBackendOptions { slots: args.slots, delay: args.work, over: Over::Work };
    let (mut courses, mut works) = (Vec::new(), Vec::new());
    for &port in &args.backends {
        let address = SocketAddr::new(args.host, port);
        let backend = GenericBackend::bind(address, options)
            .await
            .map_err(|error| listener::explain(address, &error, |to| format!("--backends {}", to.port())))?;
        works.push(backend.work());
        courses.push(Course::of(listener::url(backend.address()), backend.work()));
        tokio::task::spawn_local(backend.run(std::future::pending()));
    }
    args.tell(&finding::task(args, &courses));

    // What an earlier run has left in the gateway is not ours.
    let run = std::process::id();
    come_through(args, &works, run).await?;
    let bound = args.bound();
    args.tell(&format!(
        "It is there. {} requests of {} clients follow; they take at most {bound:?}.",
        args.requests, args.clients
    ));
    let end = Instant::now() + bound;
    let ends = tokio::select! {
        ends = visit_all(args, &works, run, end) => ends,
        () = course::follow(&mut courses) => Vec::new(),
    };
    tokio::select! {
        () = rest(args.work, &works, Instant::now() + bound) => {}
        () = course::follow(&mut courses) => {}
    }
    Ok(Finding::of(args, &courses, &ends))
}

/// Sends requests of no work until a backend has got one.
async fn come_through(args: &WitnessArgs, works: &[Arc<Work>], run: u32) -> anyhow::Result<()> {
    let mut last = "no answer yet".to_owned();
    let tries = async {
        for number in 0_u64.. {
            let visit = Visit::hello(&args.through, format!("hello-{run}-{number}"));
            let told = time::timeout(Duration::from_secs(5), visit.told()).await;
            if works.iter().any(|work| work.begun(visit.id()) > 0) {
                return;
            }
            last = told
                .unwrap_or_else(|_| Ok("no answer within 5s".to_owned()))
                .unwrap_or_else(|error| error.to_string());
            time::sleep(AGAIN).await;
        }
    };
    time::timeout(args.patience, tries).await.map_err(|_| {
        anyhow::anyhow!(
            "no request came through {} to a backend within {:?}; the last try: {last}",
            args.through,
            args.patience
        )
    })
}

/// All clients, each with its next request when it is done with the one before.
async fn visit_all(args: &WitnessArgs, works: &[Arc<Work>], run: u32, end: Instant) -> Vec<(String, End)> {
    let left = Rc::new(Cell::new(args.requests));
    let mut clients = JoinSet::new();
    for client in 0..args.clients {
        let (through, works, left) = (args.through.clone(), works.to_vec(), Rc::clone(&left));
        let (work, requests) = (args.work, args.requests);
        clients.spawn_local(async move {
            let mut ends = Vec::new();
            let mut tries = 0_u64;
            while left.get() > 0 && Instant::now() < end {
                let number = requests - left.get();
                left.set(left.get() - 1);
                tries += 1;
                let visit = Visit::new(&through, format!("witness-{run}-{client}-{tries}"), number, work);
                let ended = visit.pay(&works, end).await;
                if ended == End::Refused {
                    // Not counted, and no reason to hammer: the backends need time to be overtaken.
                    left.set(left.get() + 1);
                    time::sleep((work / 10).max(LOOK)).await;
                }
                ends.push((visit.into_id(), ended));
            }
            ends
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// Until no backend has had anything at work for a while: what clients have left behind in a gateway's line may still
/// come.
async fn rest(work: Duration, works: &[Arc<Work>], end: Instant) {
    let quiet = (work / 2).max(20 * LOOK);
    let mut since = Instant::now();
    let mut looks = time::interval(LOOK);
    while Instant::now() < end && since.elapsed() < quiet {
        looks.tick().await;
        if works.iter().any(|work| work.now() > 0) {
            since = Instant::now();
        }
    }
}
