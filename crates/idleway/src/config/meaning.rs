//! What a configuration means: from the file's shape, or a list of URLs, to the [`Plan`].
//!
//! Every fault is noted with its place and the reading goes on, so that all of them are told at once.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::expand::{Lookup, Veil};
use super::fault::{Fault, Faults, Place, told};
use super::file::{
    AccessLogKeys, BackendEntry, ClientKeys, File, LimitsKeys, PoolKeys, QueueKeys, RetryKeys, RouteKeys,
};
use super::origin::Origin;
use super::plan::{
    AccessLogPlan, ClientPlan, ColdStart, DRAIN_TIMEOUT, FairBy, LISTEN, LONGEST_SOCKET, LimitsPlan, Plan,
    PoolPlan, QueuePlan, RetryPlan,
};
use super::read::{self, ELEMENT, Understood};
use super::routing::Pools;
use super::sharing::none_of;
use super::source::Source;
use super::spanned::Spanned;
use super::units;
use super::value::{AccessLog, Count, Period, Share, Size};

/// The pool that the pool keys at the top level configure.
const DEFAULT_POOL: &str = "default";

impl Plan {
    /// Reads a configuration file, with what `${NAME}` and `${file:PATH}` stand for in it ([`Source::read`]).
    ///
    /// # Errors
    /// Why it cannot be read, or everything that is wrong with it, each with its place.
    pub fn read(path: impl AsRef<Path>) -> Result<Plan, Faults> {
        Source::read(path.as_ref())?.plan()
    }

    /// Reads the text of a configuration file, and nothing else: `${` is a fault, where [`Plan::read`] and
    /// [`Source::expanding`] look at the process's environment and at files. `name` is what faults call it.
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
    /// As [`Source::plan`], with these settings instead of the file's.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn over(self, source: &Source) -> Result<Plan, Faults> {
        self.over_text(source.text(), source.name(), source.lookup())
    }

    /// As [`Plan::from_toml`], with these settings instead of the file's.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn over_toml(self, text: &str, name: &str) -> Result<Plan, Faults> {
        self.over_text(text, name, Lookup::Nowhere)
    }

    fn over_text(self, text: &str, name: &str, lookup: Lookup<'_>) -> Result<Plan, Faults> {
        Reading::new(self, Some(text)).finish(read::read(text, lookup), name)
    }

    /// As [`Plan::from_urls`], with these settings instead of the defaults.
    ///
    /// # Errors
    /// Everything that is wrong with the URLs.
    pub fn over_urls(self, urls: &[String]) -> Result<Plan, Faults> {
        let entries = urls.iter().map(|url| Spanned::new(0..0, BackendEntry::Url(url.clone()))).collect();
        let pool = PoolKeys { backends: Some(Spanned::new(0..0, entries)), ..PoolKeys::default() };
        let file = File { default_pool: Some(pool), ..File::default() };
        let understood = Understood { file, ..Understood::default() };
        Reading::new(self, None).finish(understood, "command line")
    }
}

/// One reading of one configuration.
pub(super) struct Reading<'a> {
    overrides: Overrides,
    /// None when there is no file and so no place.
    pub(super) text: Option<&'a str>,
    pub(super) faults: Vec<Fault>,
    /// Where the values stand whose meaning is at fault.
    at_fault: Vec<Range<usize>>,
    /// What was expanded.
    pub(super) veil: Veil,
    /// What could not be read, as in [`Understood::lost`].
    lost: Vec<Vec<String>>,
    /// The names that lead to the table that is being read.
    pub(super) table: Vec<String>,
    /// Where each origin was seen first, and in which table.
    pub(super) origins: HashMap<Origin, (Range<usize>, Vec<String>)>,
    /// Whether some peer is trusted, or may be: not all could be read.
    pub(super) trusts: bool,
}

impl<'a> Reading<'a> {
    fn new(overrides: Overrides, text: Option<&'a str>) -> Self {
        Reading {
            overrides,
            text,
            faults: Vec::new(),
            at_fault: Vec::new(),
            veil: Veil::default(),
            lost: Vec::new(),
            table: Vec::new(),
            origins: HashMap::new(),
            trusts: false,
        }
    }
}

impl Reading<'_> {
    fn finish(mut self, understood: Understood, name: &str) -> Result<Plan, Faults> {
        self.faults = understood.faults;
        self.lost = understood.lost;
        self.veil = understood.veil;
        let plan = self.plan(understood.file);
        if self.faults.is_empty() { Ok(plan) } else { Err(Faults::new(name, self.faults)) }
    }

    fn plan(&mut self, file: File) -> Plan {
        let keys = file.gateway;
        let listen = self.value(keys.listen, LISTEN, |text| listen(&text));
        let listen = self.overrides.listen.unwrap_or(listen);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.count(keys.threads, cores, 1..=MOST_THREADS);
        let all_read = self.is_whole() && self.within(&["trusted"], |reading| reading.is_whole());
        self.trusts = !keys.trusted.is_empty() || !all_read;
        let trusted = self.trusted(keys.trusted);
        let default_pool = file.default_pool.map(|keys| (Spanned::new(0..0, DEFAULT_POOL.to_owned()), keys));
        let has_default = default_pool.is_some();
        let mut named: Vec<_> = keys.pools.into_iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);

        let mut names: Vec<Spanned<String>> = Vec::new();
        let mut pools = Vec::new();
        for (name, keys) in default_pool.into_iter().chain(named) {
            self.check_name(&name, has_default && !names.is_empty());
            let is_default = name.span().is_empty();
            let table = if is_default { &[][..] } else { &["pools", name.get_ref()] };
            pools.push(self.within(table, |reading| reading.pool(&name, keys, listen)));
            names.push(name);
        }
        let answers = |route: &Spanned<RouteKeys>| {
            let keys = route.get_ref();
            keys.answer.is_some() || keys.redirect.is_some()
        };
        // What answers by itself needs none.
        if pools.is_empty() && !keys.routes.iter().any(answers) {
            let hint = r#"write: backends = ["http://127.0.0.1:6000"]"#;
            if self.lost.is_empty() {
                self.faults.push(Fault::new("there are no backends").hint(hint));
            }
        }
        let admin = self.admin(keys.admin, keys.admin_token, listen, &pools);
        let routes_of = Pools { names: &names, plans: &pools, has_default };
        let routes = self.within(&["routes"], |reading| reading.routes(keys.routes, &routes_of));
        Plan {
            listen,
            threads: self.overrides.threads.map_or(threads, NonZeroUsize::get),
            limits: self.limits(keys.limits),
            client: self.client(keys.client),
            cold_start: self.cold_start(keys.cold_start),
            handover: self.handover(keys.handover),
            admin,
            drain_delay: self.duration(keys.drain_delay, Duration::ZERO, Duration::ZERO),
            drain_timeout: self.duration(keys.drain_timeout, DRAIN_TIMEOUT, Duration::ZERO),
            pools,
            routes,
            trusted,
            access_log: self.access_log(keys.access_log),
            traces: self.traces(keys.traces),
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
        let listed = keys.backends.as_ref().map_or(0, |list| list.get_ref().len());
        let backends = keys
            .backends
            .map(|list| self.within(&["backends"], |reading| reading.backends(list, slots, resolve, listen)))
            .unwrap_or_default();
        if let Some(every) = &keys.resolve_every {
            self.check_nameless(&backends, listed, every);
        }
        let usual = PoolPlan::new(name.get_ref(), backends);
        let fair_by_at = keys.fair_by.as_ref().map(Spanned::span);
        let fair_by = self.fair_by(keys.fair_by);
        if fair_by == FairBy::None && self.are_sound([fair_by_at]) {
            self.check_keyless(keys.weights.as_ref(), keys.slots_per_key.as_ref());
        }
        if keys.busy_status.is_empty() {
            self.check_never_busy(keys.busy_rest_max.as_ref());
        }
        PoolPlan {
            connect_timeout: self.duration(keys.connect_timeout, usual.connect_timeout, SHORTEST),
            timeout: self.duration(keys.timeout, usual.timeout, SHORTEST),
            deadline: keys.deadline.map(|deadline| self.duration(Some(deadline), usual.timeout, SHORTEST)),
            queue: keys
                .queue
                .map(|queue| self.within(&["queue"], |reading| reading.queue(queue)))
                .unwrap_or_default(),
            retry: self.within(&["retry"], |reading| reading.retry(keys.retry.unwrap_or_default())),
            busy_status: self.busy_status(keys.busy_status),
            busy_rest_max: self.duration(keys.busy_rest_max, usual.busy_rest_max, SHORTEST),
            idempotency_key: keys.idempotency_key.unwrap_or(usual.idempotency_key),
            health: self.within(&["health"], |reading| reading.health(keys.health.unwrap_or_default())),
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
            slots_per_key: keys.slots_per_key.map(|most| self.count(Some(most), 1, 1..=u64::from(u32::MAX))),
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
            if self.is_whole() {
                self.faults.push(fault.hint(hint));
            }
            return;
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
        let spans = [keys.wait.as_ref().map(Spanned::span), keys.wait_max.as_ref().map(Spanned::span)];
        let wait = self.duration(keys.wait, usual.wait, SHORTEST);
        let wait_max = self.duration(keys.wait_max, wait, SHORTEST);
        if let [_, Some(span)] = spans.clone()
            && wait_max < wait
            && self.are_sound(spans.clone())
        {
            self.too_short_wait_max(wait_max, (wait, spans[0].as_ref()), span);
        }
        QueuePlan { length, wait, wait_max }
    }

    /// `wait` with the place where it stands, if it does.
    pub(super) fn too_short_wait_max(
        &mut self,
        wait_max: Duration,
        (wait, place): (Duration, Option<&Range<usize>>),
        span: Range<usize>,
    ) {
        let wait = self.veil.shown(place, format!("{wait:?}"));
        let problem = format!("{} is shorter than `wait`, which is {wait}", told(format!("{wait_max:?}")));
        let hint = "`wait_max` is for those who ask to wait longer: leave it out, or shorten `wait`";
        self.secondary(Fault::new(problem).hint(hint), span);
    }

    fn retry(&mut self, keys: RetryKeys) -> RetryPlan {
        let usual = RetryPlan::default();
        let bounds = [
            ("budget", keys.budget.as_ref().map(Spanned::span)),
            ("floor", keys.floor.as_ref().map(Spanned::span)),
        ];
        let attempts = self.count(keys.attempts, usual.attempts, 1..=100);
        for (key, span) in bounds.into_iter().filter(|_| attempts == 1) {
            if let Some(span) = span {
                let fault = Fault::new(format!("`{key}` bounds retries, and `attempts = 1` allows none"));
                self.secondary(fault.hint("take it out, or allow more `attempts`"), span);
            }
        }
        RetryPlan {
            attempts,
            budget: self.share(keys.budget, usual.budget),
            floor: self.count(keys.floor, usual.floor, 0..=1_000_000),
        }
    }

    /// `busy_rest_max` beside no `busy_status`
    fn check_never_busy(&mut self, rest: Option<&Spanned<Period>>) {
        let all_read = self.within(&["busy_status"], |reading| reading.is_whole());
        if let Some(span) = rest.map(Spanned::span).filter(|_| all_read) {
            let fault =
                Fault::new("a backend rests after a busy answer, and no `busy_status` says which is one");
            self.secondary(fault.hint("add `busy_status = [503]`, or take it out"), span);
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
    /// `access_log = true | false | { query, sample }`
    fn access_log(&mut self, entry: Option<AccessLog>) -> AccessLogPlan {
        let usual = AccessLogPlan::default();
        match entry {
            None => usual,
            Some(AccessLog::On(is_on)) => AccessLogPlan { is_on, ..usual },
            Some(AccessLog::As(AccessLogKeys { query, sample })) => AccessLogPlan {
                is_on: true,
                query: query.unwrap_or(usual.query),
                sample: self.within(&["access_log"], |reading| reading.share(sample, usual.sample)),
            },
        }
    }

    /// `cold_start = "trust" | "prove" | "30s"`
    fn cold_start(&mut self, entry: Option<Spanned<String>>) -> ColdStart {
        self.value(entry, ColdStart::default(), |text| match text.as_str() {
            "trust" => Ok(ColdStart::Trust),
            "prove" => Ok(ColdStart::Prove),
            _ => {
                let time = units::duration(&text, Duration::ZERO).map(ColdStart::Wait);
                time.map_err(|fault| match text.contains(|c: char| c.is_ascii_digit()) {
                    true => fault,
                    false => none_of(&["trust", "prove", "30s"], &text),
                })
            }
        })
    }

    /// `handover = "/run/idleway/handover"`
    fn handover(&mut self, entry: Option<Spanned<String>>) -> Option<PathBuf> {
        entry.and_then(|entry| {
            self.value(Some(entry), None, |text| match text.len() {
                0 => {
                    Err(Fault::new("a socket has a path").hint("write: handover = \"/run/idleway/handover\""))
                }
                1..=LONGEST_SOCKET if !text.contains('\0') => Ok(Some(PathBuf::from(text))),
                _ => Err(Fault::new("no socket can have such a path")
                    .hint(format!("at most {LONGEST_SOCKET} bytes, and none of them 0"))),
            })
        })
    }

    pub(super) fn duration(
        &mut self,
        entry: Option<Spanned<Period>>,
        usual: Duration,
        least: Duration,
    ) -> Duration {
        self.value(entry, usual, |text| units::duration(&text.0, least))
    }

    pub(super) fn size<T: TryFrom<u64>>(
        &mut self,
        entry: Option<Spanned<Size>>,
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

    /// Reads what stands in a table below the one that is being read.
    pub(super) fn within<T>(&mut self, names: &[&str], read: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.table.len();
        self.table.extend(names.iter().map(|name| (*name).to_owned()));
        let read = read(self);
        self.table.truncate(outside);
        read
    }

    pub(super) fn fault(&mut self, fault: Fault, span: Range<usize>) {
        self.at_fault.push(span.clone());
        let fault = self.placed(fault, span);
        self.faults.push(fault);
    }

    /// A fault of what is missing, or of what does not go together, in the table that is being read. Not told where
    /// some of it could not be read: that may be what is missing.
    pub(super) fn secondary(&mut self, fault: Fault, span: Range<usize>) {
        if self.is_whole() {
            let fault = self.placed(fault, span);
            self.faults.push(fault);
        }
    }

    /// Whether all that stands in the table that is being read could be read.
    pub(super) fn is_whole(&self) -> bool {
        !self.lost.iter().any(|path| {
            let around = path.split_last().map_or(&[][..], |(_, around)| around);
            let around = around.strip_suffix(&[ELEMENT.to_owned()]).unwrap_or(around);
            around == self.table || self.table.starts_with(path)
        })
    }

    /// Whether nothing is wrong with the values at these places.
    pub(super) fn are_sound(&self, spans: impl IntoIterator<Item = Option<Range<usize>>>) -> bool {
        !spans.into_iter().flatten().any(|span| self.at_fault.contains(&span))
    }

    fn placed(&self, fault: Fault, span: Range<usize>) -> Fault {
        let fault = self.veil.hide(fault, &span);
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

pub(super) fn listen(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(5000);
        let port = told(port);
        Fault::new(format!("`{}` is not an address to listen on", told(text)))
            .hint(format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for the whole network"))
    })
}
