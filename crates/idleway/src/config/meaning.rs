//! What a configuration means: from the file's shape, or a list of URLs, to the [`Plan`].
//!
//! Every fault is noted with its place and the reading goes on, so that all of them are told at once.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;

use super::fault::{Fault, Faults, Place};
use super::file::{
    self, BackendEntry, ClientKeys, File, LimitsKeys, PoolKeys, QueueKeys, RetryKeys, RouteKeys,
};
use super::origin::Origin;
use super::plan::{ClientPlan, DRAIN_TIMEOUT, LISTEN, LimitsPlan, Plan, PoolPlan, QueuePlan, RetryPlan};
use super::routing::Pools;
use super::units;
use super::value::{Count, Quantity, Share};

/// The pool that the pool keys at the top level configure.
const DEFAULT_POOL: &str = "default";

impl Plan {
    /// Reads a configuration file. `name` is what faults call it.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn from_toml(text: &str, name: &str) -> Result<Plan, Faults> {
        Overrides::default().over_toml(text, name)
    }

    /// The Plan of one pool of these backends, one slot each, and every setting at its default.
    ///
    /// # Errors
    /// Everything that is wrong with the URLs.
    pub fn from_urls(urls: &[String]) -> Result<Plan, Faults> {
        Overrides::default().over_urls(urls)
    }
}

/// What weighs more than the file: what the command line says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// Another listener.
    pub listen: Option<SocketAddr>,
    /// Another number of cores, at least 1.
    pub threads: Option<NonZeroUsize>,
}

impl Overrides {
    /// As [`Plan::from_toml`], with these settings instead of the file's.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn over_toml(self, text: &str, name: &str) -> Result<Plan, Faults> {
        let (file, faults) = file::read(text);
        Reading::new(self, Some(text), faults).finish(file, name)
    }

    /// As [`Plan::from_urls`], with these settings instead of the defaults.
    ///
    /// # Errors
    /// Everything that is wrong with the URLs.
    pub fn over_urls(self, urls: &[String]) -> Result<Plan, Faults> {
        let entries = urls.iter().map(|url| Spanned::new(0..0, BackendEntry::Url(url.clone()))).collect();
        let pool = PoolKeys { backends: Some(Spanned::new(0..0, entries)), ..PoolKeys::default() };
        let file = File { default_pool: Some(pool), ..File::default() };
        Reading::new(self, None, Vec::new()).finish(file, "command line")
    }
}

/// One reading of one configuration.
pub(super) struct Reading<'a> {
    overrides: Overrides,
    /// None when there is no file and so no place.
    pub(super) text: Option<&'a str>,
    pub(super) faults: Vec<Fault>,
    /// Told only where nothing else is wrong, since it may follow from that: what is missing may be what could not
    /// be read.
    pub(super) secondary: Vec<Fault>,
    /// Where each origin was seen first.
    pub(super) origins: HashMap<Origin, Range<usize>>,
    /// Whether some peer is trusted.
    pub(super) trusts: bool,
}

impl<'a> Reading<'a> {
    fn new(overrides: Overrides, text: Option<&'a str>, faults: Vec<Fault>) -> Self {
        Reading { overrides, text, faults, secondary: Vec::new(), origins: HashMap::new(), trusts: false }
    }
}

impl Reading<'_> {
    fn finish(mut self, file: File, name: &str) -> Result<Plan, Faults> {
        let plan = self.plan(file);
        let faults = if self.faults.is_empty() { self.secondary } else { self.faults };
        if faults.is_empty() { Ok(plan) } else { Err(Faults::new(name, faults)) }
    }

    fn plan(&mut self, file: File) -> Plan {
        let keys = file.gateway;
        let listen = self.value(keys.listen, LISTEN, |text| listen(&text));
        let listen = self.overrides.listen.unwrap_or(listen);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.count(keys.threads, cores, 1..=MOST_THREADS);
        let trusted = self.trusted(keys.trusted);
        self.trusts = !trusted.is_empty();
        let default_pool = file.default_pool.map(|keys| (Spanned::new(0..0, DEFAULT_POOL.to_owned()), keys));
        let has_default = default_pool.is_some();
        let mut named: Vec<_> = keys.pools.into_iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);

        let mut names: Vec<Spanned<String>> = Vec::new();
        let mut pools = Vec::new();
        for (name, keys) in default_pool.into_iter().chain(named) {
            self.check_name(&name, has_default && !names.is_empty());
            pools.push(self.pool(&name, keys, listen));
            names.push(name);
        }
        let answers = |route: &Spanned<RouteKeys>| {
            let keys = route.get_ref();
            keys.answer.is_some() || keys.redirect.is_some()
        };
        // What answers by itself needs none.
        if pools.is_empty() && !keys.routes.iter().any(answers) {
            let hint = r#"write: backends = ["http://127.0.0.1:6000"]"#;
            self.secondary.push(Fault::new("there are no backends").hint(hint));
        }
        let routes = self.routes(keys.routes, &Pools { names: &names, plans: &pools, has_default });
        Plan {
            listen,
            threads: self.overrides.threads.map_or(threads, NonZeroUsize::get),
            limits: self.limits(keys.limits),
            client: self.client(keys.client),
            drain_timeout: self.duration(keys.drain_timeout, DRAIN_TIMEOUT, Duration::ZERO),
            pools,
            routes,
            trusted,
            access_log: keys.access_log.unwrap_or(true),
        }
    }

    fn limits(&mut self, keys: LimitsKeys) -> LimitsPlan {
        let usual = LimitsPlan::default();
        let most_fields = u64::try_from(idleway_h1::MAX_FIELDS).unwrap_or(u64::MAX);
        LimitsPlan {
            head: self.size(keys.head, usual.head, 1 << 10..=1 << 20),
            target: self.size(keys.target, usual.target, 64..=1 << 20),
            fields: self.count(keys.fields, usual.fields, 1..=most_fields),
            body: keys.body.map(|body| self.size(Some(body), u64::MAX, 0..=u64::MAX)),
            connections: self.count(keys.connections, usual.connections, 1..=1_000_000),
            buffered: self.size(keys.buffered, usual.buffered, 0..=u64::MAX),
            keep_alive: self.duration(keys.keep_alive, usual.keep_alive, Duration::ZERO),
            head_timeout: self.duration(keys.head_timeout, usual.head_timeout, SHORTEST),
        }
    }

    fn client(&mut self, keys: ClientKeys) -> ClientPlan {
        let usual = ClientPlan::default();
        ClientPlan {
            read: self.duration(keys.read, usual.read, SHORTEST),
            write: self.duration(keys.write, usual.write, SHORTEST),
            rate: self.size(keys.rate, usual.rate, 0..=u64::MAX),
            fin: self.fin(keys.fin),
        }
    }

    fn pool(&mut self, name: &Spanned<String>, keys: PoolKeys, listen: SocketAddr) -> PoolPlan {
        let slots = self.count(keys.slots, 1, SLOTS);
        if keys.backends.is_none() {
            self.no_backends(name);
        }
        let resolve = self.resolve(keys.resolve);
        let backends =
            keys.backends.map(|list| self.backends(list, slots, resolve, listen)).unwrap_or_default();
        let usual = PoolPlan::new(name.get_ref(), backends);
        let fair_by = self.fair_by(keys.fair_by);
        PoolPlan {
            connect_timeout: self.duration(keys.connect_timeout, usual.connect_timeout, SHORTEST),
            timeout: self.duration(keys.timeout, usual.timeout, SHORTEST),
            deadline: keys.deadline.map(|deadline| self.duration(Some(deadline), usual.timeout, SHORTEST)),
            queue: keys.queue.map(|queue| self.queue(queue)).unwrap_or_default(),
            retry: self.retry(keys.retry.unwrap_or_default()),
            busy_status: self.busy_status(keys.busy_status),
            busy_rest_max: self.duration(keys.busy_rest_max, usual.busy_rest_max, SHORTEST),
            idempotency_key: keys.idempotency_key.unwrap_or(usual.idempotency_key),
            health: self.health(keys.health.unwrap_or_default()),
            resolve,
            resolve_every: self.duration(keys.resolve_every, usual.resolve_every, SHORTEST),
            keep_alive: keys.keep_alive.unwrap_or(usual.keep_alive),
            keep_idle: self.duration(keys.keep_idle, usual.keep_idle, Duration::ZERO),
            request_buffer: self.size(keys.request_buffer, usual.request_buffer, BUFFER),
            response_buffer: self.size(keys.response_buffer, usual.response_buffer, BUFFER),
            abandon: self.abandon(keys.abandon),
            cancel_wait: self.duration(keys.cancel_wait, usual.cancel_wait, SHORTEST),
            linger: keys.linger.map(|linger| self.duration(Some(linger), usual.timeout, SHORTEST)),
            settle: self.duration(keys.settle, usual.settle, Duration::ZERO),
            weights: self.weights(keys.weights, &fair_by),
            slots_per_key: self.slots_per_key(keys.slots_per_key, &fair_by),
            priority: self.priority(keys.priority),
            deadline_header: self.deadline_header(keys.deadline_header),
            fair_by,
            name: usual.name,
            backends: usual.backends,
        }
    }

    fn no_backends(&mut self, name: &Spanned<String>) {
        if name.get_ref() == DEFAULT_POOL && name.span().is_empty() {
            let fault =
                Fault::new("the pool keys at the top level make a pool, `default`, and it has no backends");
            let hint = "add `backends` at the top level, or move the keys into a `[pools.NAME]`";
            return self.secondary.push(fault.hint(hint));
        }
        let fault = Fault::new(format!("the pool `{}` has no backends", name.get_ref()));
        self.secondary(fault.hint(r#"write: backends = ["http://127.0.0.1:6000"]"#), name.span());
    }

    fn queue(&mut self, keys: Spanned<QueueKeys>) -> QueuePlan {
        let usual = QueuePlan::default();
        if keys.get_ref().length.is_none() {
            let fault = Fault::new("a queue needs its `length`: how many requests may wait in it");
            self.secondary(fault.hint(r#"write: queue = { length = 100, wait = "30s" }"#), keys.span());
        }
        let keys = keys.into_inner();
        let length = self.count(keys.length, usual.length, 0..=1_000_000);
        let wait = self.duration(keys.wait, usual.wait, SHORTEST);
        let longest = keys.wait_max.as_ref().map(Spanned::span);
        let wait_max = self.duration(keys.wait_max, wait, SHORTEST);
        if let Some(span) = longest
            && wait_max < wait
        {
            self.too_short_wait_max(wait_max, wait, span);
        }
        QueuePlan { length, wait, wait_max }
    }

    pub(super) fn too_short_wait_max(&mut self, wait_max: Duration, wait: Duration, span: Range<usize>) {
        let fault = Fault::new(format!("{wait_max:?} is shorter than `wait`, which is {wait:?}"));
        let hint = "`wait_max` is for those who ask to wait longer: leave it out, or shorten `wait`";
        self.secondary(fault.hint(hint), span);
    }

    fn retry(&mut self, keys: RetryKeys) -> RetryPlan {
        let usual = RetryPlan::default();
        RetryPlan {
            attempts: self.count(keys.attempts, usual.attempts, 1..=100),
            budget: self.share(keys.budget, usual.budget),
            floor: self.count(keys.floor, usual.floor, 0..=1_000_000),
        }
    }

    /// `busy_status = [503, 429]`
    fn busy_status(&mut self, entries: Vec<Spanned<Count>>) -> Vec<u16> {
        let statuses: BTreeSet<u16> =
            entries.into_iter().map(|entry| self.count(Some(entry), 503, 400..=599)).collect();
        statuses.into_iter().collect()
    }

    fn check_name(&mut self, name: &Spanned<String>, has_default: bool) {
        let text = name.get_ref();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 64 || !text.chars().all(is_word) {
            let fault = Fault::new("a pool's name is a word of up to 64 letters, digits, `-` and `_`");
            self.fault(fault.hint("logs and metrics show it"), name.span());
        } else if has_default && text == DEFAULT_POOL {
            let fault = Fault::new("the pool keys at the top level are the pool `default` already");
            self.fault(fault.hint("move them into this table, or give it another name"), name.span());
        }
    }
}

/// Of all cores of a machine.
const MOST_THREADS: u64 = 1024;
pub(super) const SLOTS: RangeInclusive<u64> = 1..=100_000;
const BUFFER: RangeInclusive<u64> = 0..=1 << 30;
/// Of what makes no sense when it is nothing.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);

/// Single values.
impl Reading<'_> {
    pub(super) fn duration(
        &mut self,
        entry: Option<Spanned<Quantity>>,
        usual: Duration,
        least: Duration,
    ) -> Duration {
        self.value(entry, usual, |text| units::duration(&text.0, least))
    }

    pub(super) fn size<T: TryFrom<u64>>(
        &mut self,
        entry: Option<Spanned<Quantity>>,
        usual: T,
        range: RangeInclusive<u64>,
    ) -> T {
        self.value(entry, usual, |text| units::size(&text.0, range))
    }

    pub(super) fn share(&mut self, entry: Option<Spanned<Share>>, usual: u32) -> u32 {
        self.value(entry, usual, |text| units::share(&text.0))
    }

    pub(super) fn count<T: TryFrom<u64>>(
        &mut self,
        entry: Option<Spanned<Count>>,
        usual: T,
        range: RangeInclusive<u64>,
    ) -> T {
        self.value(entry, usual, |count| units::count(count.0, range))
    }

    /// What the entry means; the usual where it does not stand there, or is at fault, which is noted.
    pub(super) fn value<T, M>(
        &mut self,
        entry: Option<Spanned<T>>,
        usual: M,
        meaning: impl FnOnce(T) -> Result<M, Fault>,
    ) -> M {
        let Some(entry) = entry else { return usual };
        let span = entry.span();
        meaning(entry.into_inner()).unwrap_or_else(|fault| {
            self.fault(fault, span);
            usual
        })
    }

    pub(super) fn fault(&mut self, fault: Fault, span: Range<usize>) {
        let fault = self.placed(fault, span);
        self.faults.push(fault);
    }

    pub(super) fn secondary(&mut self, fault: Fault, span: Range<usize>) {
        let fault = self.placed(fault, span);
        self.secondary.push(fault);
    }

    fn placed(&self, fault: Fault, span: Range<usize>) -> Fault {
        match self.text {
            Some(text) => fault.at(text, span),
            None => fault,
        }
    }

    pub(super) fn since(&self, first: Range<usize>) -> String {
        self.text
            .map(|text| format!(" (first in line {})", Place::of(text, first.start).line))
            .unwrap_or_default()
    }
}

fn listen(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(5000);
        Fault::new(format!("`{text}` is not an address to listen on"))
            .hint(format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for the whole network"))
    })
}
