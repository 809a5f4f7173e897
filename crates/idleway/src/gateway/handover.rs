//! One gateway takes the place of another that runs, in the same program or, where whoever starts them carries what is
//! said from one process to the other, in another one.
//!
//! Nothing is lost on the way: whoever is connected goes to the new one, with a request that has not run; what runs ends
//! in the old one. And the limit holds, since the new one has the Slots that the old one has said it has let go.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use idleway_core::BackendKey;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use super::places::Places;
use crate::control::Order;
use crate::live::{Bequeathed, Heir, Live, LivePool, Taken};
use crate::net::{Admission, Already, Approach, CoreHandle, Cores, Passed};
use crate::proxy;

/// A core that does nothing for so long stands still.
const STANDS_STILL: Duration = Duration::from_secs(1);

/// What waits to be taken by the heir.
const WAITING: usize = 64;

/// What a gateway leaves to the one that takes its place: first all Slots that it has still, then what changes about that
/// and its clients, until [`Gateway::shutdown`] is done.
#[derive(Debug)]
pub struct Bequest(mpsc::Receiver<Bequeathed>);

impl Bequest {
    /// The next thing; none when there is nothing more to come.
    pub async fn next(&mut self) -> Option<Bequeathed> {
        self.0.recv().await
    }

    /// The same, where there is no runtime.
    pub fn blocking_next(&mut self) -> Option<Bequeathed> {
        self.0.blocking_recv()
    }
}

impl Bequest {
    /// What this gateway leaves, and where it hears what the one before it has still; none where it has an heir already.
    pub(super) fn of(live: &Live) -> Option<(Self, mpsc::Receiver<Bequeathed>)> {
        let (heir, bequest) = mpsc::channel(WAITING);
        let (more, told) = mpsc::channel(WAITING);
        live.set_heir(Heir::new(heir, more)).then_some((Self(bequest), told))
    }
}

/// The task that tells the heir what is held here still, once there is one.
#[derive(Debug, Default)]
pub(super) struct Telling(Mutex<Option<JoinHandle<()>>>);

impl Telling {
    pub(super) fn begin(&self, task: JoinHandle<()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Waits until there is nothing more to tell, or until the time is over: then the heir has to find out itself.
    pub(super) async fn end(&self, at: Instant) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout_at(at, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

/// Tells the heir which Slots are taken here still, and by the process before this one, until none is or it has gone.
pub(super) async fn tell_what_is_held(
    live: Arc<Live>,
    mut more: mpsc::Receiver<Bequeathed>,
    orders: mpsc::Sender<Order>,
    cores: Vec<Arc<CoreHandle>>,
) {
    let Some(heir) = live.heir() else { return };
    let pools = live.pools();
    let mut held = Held::default();
    let (done, mut is_done) = oneshot::channel();
    // Where nobody takes the order there is no past.
    let _ = orders.send(Order::TellHeir { done }).await;
    loop {
        let told = tokio::select! {
            biased;
            Some(told) = more.recv() => told,
            _ = &mut is_done => break,
        };
        if !pass_on(heir, &mut held, told).await {
            return;
        }
    }
    for (nth, pool) in pools.iter().enumerate() {
        for change in pool.slots.cede() {
            if !heir.give(held.note_own(nth, pool, change)).await {
                return;
            }
        }
        // Whoever stands in line has not run: it goes to the heir.
        pool.slots.dismiss();
    }
    if !heir.give(Bequeathed::AllTold).await {
        return;
    }
    pass_each(&cores).await;
    if !heir.give(Bequeathed::AllMoved).await {
        return;
    }
    let mut changes: Vec<_> = pools.iter().map(|pool| pool.slots.held_changes()).collect();
    while !held.is_nothing() {
        let changed = poll_fn(|cx| {
            let ready =
                changes.iter_mut().enumerate().find_map(|(nth, changes)| match Pin::new(changes).poll(cx) {
                    Poll::Ready(changed) => Some((nth, changed)),
                    Poll::Pending => None,
                });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            (nth, changed) = changed => {
                for change in changed {
                    if !heir.give(held.note_own(nth, &pools[nth], change)).await {
                        return;
                    }
                }
            }
            Some(told) = more.recv() => {
                if !pass_on(heir, &mut held, told).await {
                    return;
                }
            }
        }
    }
}

/// Resolves when each core has come to the end of what it had to do: whoever was woken before has taken its first step, and
/// that is all it takes to be on the way to the heir.
async fn pass_each(cores: &[Arc<CoreHandle>]) {
    let end = Instant::now() + STANDS_STILL;
    for core in cores {
        // One that has ended has nothing to do, and one that stands still is not waited for.
        let _ = timeout_at(end, core.runtime().spawn(async {})).await;
    }
}

/// Tells the heir what this process was told to tell it; answers whether it is there.
async fn pass_on(heir: &Heir, held: &mut Held, told: Bequeathed) -> bool {
    match told {
        Bequeathed::Held(taken) => heir.give(held.note_past(taken)).await,
        Bequeathed::Doubted(taken) => {
            let left = held.doubt_past(&taken);
            // First what is doubted: a Slot is never free in between.
            heir.give(Bequeathed::Doubted(taken)).await && heir.give(left).await
        }
        told => heir.give(told).await,
    }
}

/// How many Slots of each backend are held, whatever pools it is in.
#[derive(Debug, Default)]
struct Held {
    parts: HashMap<Part, (String, u32)>,
    sums: HashMap<String, Sum>,
}

/// What all holders have of a backend.
#[derive(Debug, Default)]
struct Sum {
    slots: u32,
    /// Where it is found; known to the end, when the pool has forgotten it.
    addresses: Vec<SocketAddr>,
}

/// Who holds Slots of a backend.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Part {
    /// This gateway, in one of its pools.
    Own(usize, BackendKey),
    /// The process before this one.
    Past(String),
}

impl Held {
    fn note_own(&mut self, pool: usize, of: &LivePool, change: idleway_core::Held) -> Bequeathed {
        let part = Part::Own(pool, change.backend);
        // In the end the pool has forgotten it.
        let backend = of.backend(change.backend);
        let known = self.parts.get(&part).map(|(name, _)| name.clone());
        let name = known.or_else(|| backend.as_ref().map(|backend| backend.name.clone())).unwrap_or_default();
        let addresses = backend.map(|backend| backend.addresses.all()).unwrap_or_default();
        self.note(part, Taken { backend: name, addresses, slots: change.slots })
    }

    fn note_past(&mut self, taken: Taken) -> Bequeathed {
        self.note(Part::Past(taken.backend.clone()), taken)
    }

    /// So many of those that the process before had are nobody's any more; answers what is left of the backend's.
    fn doubt_past(&mut self, taken: &Taken) -> Bequeathed {
        let part = Part::Past(taken.backend.clone());
        let before = self.parts.get(&part).map_or(0, |(_, slots)| *slots);
        let slots = before.saturating_sub(taken.slots);
        self.note(part, Taken { slots, ..taken.clone() })
    }

    fn note(&mut self, part: Part, Taken { backend, addresses, slots }: Taken) -> Bequeathed {
        let (_, part) = self.parts.entry(part).or_insert_with(|| (backend.clone(), 0));
        let sum = self.sums.entry(backend.clone()).or_default();
        sum.slots = sum.slots.saturating_sub(*part).saturating_add(slots);
        *part = slots;
        for address in addresses {
            if !sum.addresses.contains(&address) {
                sum.addresses.push(address);
            }
        }
        Bequeathed::Held(Taken { backend, addresses: sum.addresses.clone(), slots: sum.slots })
    }

    fn is_nothing(&self) -> bool {
        self.parts.values().all(|(_, slots)| *slots == 0)
    }
}

/// How a gateway that takes the place of another learns of it.
#[derive(Debug)]
pub struct Heritage {
    host: Arc<Host>,
    orders: mpsc::Sender<Order>,
    begin: Option<oneshot::Sender<()>>,
    /// Clients, until all of them have come who stood in line.
    arrivals: Vec<Passed>,
    /// Ends when each of them has its place, and nobody else can come.
    all_placed: mpsc::Receiver<()>,
}

impl Heritage {
    pub(super) fn new(gateway: &Gateway, begin: oneshot::Sender<()>) -> Self {
        let engine = &gateway.engine;
        engine.live.begin_past();
        let (placing, all_placed) = mpsc::channel(1);
        Self {
            all_placed,
            host: Arc::new(Host {
                live: Arc::clone(&engine.live),
                places: Arc::clone(&engine.places),
                cores: engine.cores.all().to_vec(),
                placing,
            }),
            orders: engine.orders.clone(),
            begin: Some(begin),
            arrivals: Vec::new(),
        }
    }

    /// Takes what the one before leaves.
    pub async fn take(&mut self, bequeathed: Bequeathed) {
        // An order is lost only where this gateway has ended itself.
        let order = match bequeathed {
            Bequeathed::Held(taken) => Order::Held(taken),
            Bequeathed::Doubted(taken) => Order::Doubted(taken),
            Bequeathed::Ordered(ordered) => Order::Ordered(ordered),
            Bequeathed::AllTold => {
                let (done, is_done) = oneshot::channel();
                let _ = self.orders.send(Order::AllTold { done }).await;
                let _ = is_done.await;
                return;
            }
            Bequeathed::Client(client) if self.begin.is_some() => return self.arrivals.push(client),
            Bequeathed::Client(client) => {
                self.host.welcome(client);
                return;
            }
            Bequeathed::AllMoved => return self.begin().await,
        };
        let _ = self.orders.send(order).await;
    }

    /// The one before has ended: what it has not let go rests until a probe is answered.
    pub async fn end(mut self) {
        let _ = self.orders.send(Order::PastOver).await;
        self.begin().await;
        let Self { host, mut all_placed, .. } = self;
        let live = Arc::clone(&host.live);
        drop(host);
        // Whoever waits for a place in a full house is somebody who comes, still.
        let _ = all_placed.recv().await;
        live.end_past();
    }

    /// Whoever stood in line before comes first; then clients are accepted.
    async fn begin(&mut self) {
        let (host, arrivals) = (Arc::clone(&self.host), std::mem::take(&mut self.arrivals));
        // Where its own time is kept.
        let runtime = host.cores.first().map(|core| core.runtime().clone());
        if let Some(runtime) = runtime {
            let _ = runtime.spawn(async move { host.welcome_all(arrivals).await }).await;
        }
        if let Some(begin) = self.begin.take() {
            let _ = begin.send(());
        }
    }
}

/// A gateway, for the clients of the one before.
#[derive(Debug)]
struct Host {
    live: Arc<Live>,
    places: Arc<Places>,
    cores: Vec<Arc<CoreHandle>>,
    /// Held by whoever waits for a place.
    placing: mpsc::Sender<()>,
}

impl Host {
    /// Serves all of them: first those who stood in line, the one who had come first before the others.
    async fn welcome_all(&self, mut clients: Vec<Passed>) {
        let in_line = |client: &Passed| client.waiting.and_then(|waiting| waiting.in_line);
        clients.sort_by_key(|client| in_line(client).map_or((1, None), |since| (0, Some(since))));
        let end = Instant::now() + STANDS_STILL;
        for client in clients {
            let is_in_line = in_line(&client).is_some();
            if let Some(core) = self.welcome(client).filter(|_| is_in_line) {
                // One after the other, whatever their cores.
                let _ = timeout_at(end, core.runtime().spawn(async {})).await;
            }
        }
    }

    /// Who was connected to the one before is served as if it had come here; answers on which core. It may have to wait for its
    /// place; what the one before has to tell does not wait for that.
    fn welcome(&self, Passed { stream, read, waiting }: Passed) -> Option<&Arc<CoreHandle>> {
        // One that has gone meanwhile has no peer.
        let peer = stream.peer_addr().ok()?;
        let core = Cores::least_busy(&self.cores);
        let seat = core.seat();
        let (live, free, placing) =
            (Arc::clone(&self.live), Arc::clone(self.places.free()), self.placing.clone());
        core.runtime().spawn(async move {
            let Ok(place) = free.acquire_owned().await else { return };
            drop(placing);
            let admission = Admission::new(seat, place);
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => {
                    let already = Already { read, waiting };
                    proxy::serve(live, Approach::Tcp(stream), peer, admission, already).await;
                }
                Err(error) => tracing::debug!(%peer, %error, "the connection was gone before it was served"),
            }
        });
        Some(core)
    }
}
