//! A Plan as a file in which every key stands.
//!
//! What is expanded (`${…}`) stands there as it was written, and so do the routes, whose pool alone may come by
//! default: for these the file is read once more, for its words. All else is written from the Plan.

use std::fmt::{self, Display};

use toml::de::{DeTable, DeValue};

use super::health::{HealthPlan, ProbeKind, ProbePlan};
use super::origin::Host;
use super::plan::{
    Abandon, AccessLogPlan, BackendPlan, ClientPlan, ColdStart, FairBy, Fin, LimitsPlan, Plan, PoolPlan,
    Priority, QueuePlan, Resolve, RetryPlan,
};
use super::traces::TracesPlan;
use super::units::{in_largest_size, in_largest_time};

pub(super) fn print(text: &str, plan: &Plan) -> String {
    let words = DeTable::parse(text).map(toml::Spanned::into_inner).unwrap_or_default();
    let page = Page { text, words: &words, written: String::new() };
    page.print(plan)
}

/// The file that is written, and the words of the one that was read.
struct Page<'a> {
    text: &'a str,
    words: &'a DeTable<'a>,
    written: String,
}

/// A table of the file that was read.
type Words<'a> = Option<&'a DeTable<'a>>;

impl<'a> Page<'a> {
    fn print(mut self, plan: &Plan) -> String {
        let words = Some(self.words);
        self.line(words, "listen", quoted(plan.listen));
        self.line(words, "threads", plan.threads);
        self.line(words, "cold_start", quoted(cold_start(plan.cold_start)));
        self.line_or_none(words, "handover", plan.handover.as_ref().map(|path| quoted(path.display())));
        let admin = plan.admin.listen.map_or_else(|| "false".to_owned(), quoted);
        self.line(words, "admin", admin);
        self.line_or_none(
            words,
            "admin_token",
            plan.admin.token.as_ref().map(|token| quoted(token.as_str())),
        );
        self.line(words, "drain_delay", quoted(in_largest_time(plan.drain_delay)));
        self.line(words, "drain_timeout", quoted(in_largest_time(plan.drain_timeout)));
        self.line(words, "access_log", access_log(plan.access_log));
        self.line_or_none(words, "traces", plan.traces.as_ref().map(traces));
        self.line(words, "trusted", list(plan.trusted.iter().map(quoted)));
        self.limits(&plan.limits);
        self.client(&plan.client);
        for pool in &plan.pools {
            self.pool(pool);
        }
        self.routes(plan);
        self.written
    }

    fn limits(&mut self, limits: &LimitsPlan) {
        let words = table(self.words, "limits");
        self.header("[limits]");
        self.line(words, "head", size(limits.head as u64));
        self.line(words, "target", size(limits.target as u64));
        self.line(words, "fields", limits.fields);
        self.line_or_none(words, "body", limits.body.map(size));
        self.line(words, "connections", limits.connections);
        self.line(words, "buffered", size(limits.buffered));
        self.line(words, "keep_alive", quoted(in_largest_time(limits.keep_alive)));
        self.line(words, "head_timeout", quoted(in_largest_time(limits.head_timeout)));
    }

    fn client(&mut self, client: &ClientPlan) {
        let words = table(self.words, "client");
        self.header("[client]");
        self.line(words, "read", quoted(in_largest_time(client.read)));
        self.line(words, "write", quoted(in_largest_time(client.write)));
        self.line(words, "rate", size(client.rate));
        let fin = match client.fin {
            Fin::Ask => "ask",
            Fin::Gone => "gone",
            Fin::Answer => "answer",
        };
        self.line(words, "fin", quoted(fin));
    }

    fn pool(&mut self, pool: &PoolPlan) {
        let named = table(self.words, "pools").and_then(|pools| table(pools, &pool.name));
        // Without a table of its own it is the one that the top level makes.
        let words = named.or(Some(self.words));
        self.header(&format!("[pools.{}]", pool.name));
        self.backends(words, &pool.backends);
        self.comment("slots: each backend says its own");
        self.line(words, "connect_timeout", quoted(in_largest_time(pool.connect_timeout)));
        self.line(words, "timeout", quoted(in_largest_time(pool.timeout)));
        self.line_or_none(words, "deadline", pool.deadline.map(|time| quoted(in_largest_time(time))));
        self.line_or_none(words, "deadline_header", pool.deadline_header.as_ref().map(quoted));
        self.sharing(words, pool);
        self.line(words, "busy_status", list(&pool.busy_status));
        let busy_rest_max = quoted(in_largest_time(pool.busy_rest_max));
        self.line_where(words, "busy_rest_max", busy_rest_max, !pool.busy_status.is_empty(), "`busy_status`");
        self.line(words, "idempotency_key", pool.idempotency_key);
        self.line(words, "resolve", quoted(resolve(pool.resolve)));
        let is_name = |backend: &BackendPlan| matches!(backend.origin.host, Host::Name(_));
        let resolve_every = quoted(in_largest_time(pool.resolve_every));
        let has_names = pool.backends.iter().any(is_name);
        self.line_where(words, "resolve_every", resolve_every, has_names, "a host name");
        self.line(words, "keep_alive", pool.keep_alive);
        self.line(words, "keep_idle", quoted(in_largest_time(pool.keep_idle)));
        self.line(words, "request_buffer", size(pool.request_buffer));
        self.line(words, "response_buffer", size(pool.response_buffer));
        self.line(words, "abandon", quoted(abandon(pool.abandon)));
        self.line(words, "cancel_wait", quoted(in_largest_time(pool.cancel_wait)));
        self.line_or_none(words, "linger", pool.linger.map(|time| quoted(in_largest_time(time))));
        self.line(words, "settle", quoted(in_largest_time(pool.settle)));
        self.queue(words, &pool.name, &pool.queue);
        self.retry(words, &pool.name, &pool.retry);
        self.health(words, &pool.name, &pool.health);
    }

    fn backends(&mut self, words: Words<'a>, backends: &[BackendPlan]) {
        self.written += "backends = [\n";
        let entries = match words.and_then(|words| words.get("backends")).map(toml::Spanned::get_ref) {
            Some(DeValue::Array(entries)) => Some(entries),
            _ => None,
        };
        for (nth, backend) in backends.iter().enumerate() {
            let entry = entries.and_then(|entries| entries.get(nth));
            let own = entry.and_then(|entry| match entry.get_ref() {
                DeValue::Table(keys) => Some(keys),
                _ => None,
            });
            let url = match own {
                Some(keys) => keys.get("url"),
                None => entry,
            };
            let url = url.filter(|url| expands(url.get_ref()));
            let url = url.map_or_else(|| quoted(&backend.origin), |url| self.in_its_words(url));
            let slots = backend.slots;
            let by_pool =
                self::own(words, "resolve").is_some_and(expands) && self::own(own, "resolve").is_none();
            let resolve = match backend.origin.host {
                Host::Name(_) if !by_pool => {
                    format!(", resolve = {}", self.value(own, "resolve", quoted(resolve(backend.resolve))))
                }
                _ => String::new(),
            };
            self.written += &format!("    {{ url = {url}, slots = {slots}{resolve} }},\n");
        }
        self.written += "]\n";
    }

    fn sharing(&mut self, words: Words<'a>, pool: &PoolPlan) {
        let fair_by = match &pool.fair_by {
            FairBy::None => "none".to_owned(),
            FairBy::Ip => "ip".to_owned(),
            FairBy::Header(name) => format!("header:{name}"),
        };
        let has_keys = pool.fair_by != FairBy::None;
        self.line(words, "fair_by", quoted(fair_by));
        let weights: Vec<_> =
            pool.weights.iter().map(|(key, weight)| format!("{} = {weight}", quoted(key))).collect();
        let weights = format!("{{ {} }}", weights.join(", "));
        self.line_where(words, "weights", weights, has_keys, "`fair_by`");
        self.line_or_none(words, "slots_per_key", pool.slots_per_key);
        let priority = match &pool.priority {
            Priority::Fixed(lane) => lane_word(*lane).to_owned(),
            Priority::Header(name) => format!("header:{name}"),
        };
        self.line(words, "priority", quoted(priority));
    }

    fn queue(&mut self, words: Words<'a>, name: &str, queue: &QueuePlan) {
        let words = words.and_then(|words| table(words, "queue"));
        self.header(&format!("[pools.{name}.queue]"));
        self.line(words, "length", queue.length);
        self.line(words, "wait", quoted(in_largest_time(queue.wait)));
        self.line_after(words, "wait_max", "wait", quoted(in_largest_time(queue.wait_max)));
    }

    fn retry(&mut self, words: Words<'a>, name: &str, retry: &RetryPlan) {
        let words = words.and_then(|words| table(words, "retry"));
        let may_retry = retry.attempts > 1;
        self.header(&format!("[pools.{name}.retry]"));
        self.line(words, "attempts", retry.attempts);
        self.line_where(words, "budget", percent(retry.budget), may_retry, "more `attempts`");
        self.line_where(words, "floor", retry.floor, may_retry, "more `attempts`");
    }

    fn health(&mut self, words: Words<'a>, name: &str, health: &HealthPlan) {
        let words = words.and_then(|words| table(words, "health"));
        self.header(&format!("[pools.{name}.health]"));
        self.line(words, "failures", health.failures);
        self.line(words, "pause", quoted(in_largest_time(health.pause)));
        self.line_after(words, "pause_max", "pause", quoted(in_largest_time(health.pause_max)));
        self.line(words, "outlier", percent(health.outlier.unwrap_or(0)));
        self.line(words, "panic", percent(health.panic));
        self.line(words, "slow_start", quoted(in_largest_time(health.slow_start)));
        match &health.probe {
            Some(probe) => self.probe(words, probe),
            None => {
                self.comment("path, method, host, status: no probes");
                self.line(words, "tcp", false);
                self.comment("every, timeout, rise, fall, dedicated: no probes");
            }
        }
    }

    fn probe(&mut self, words: Words<'a>, probe: &ProbePlan) {
        match &probe.how {
            ProbeKind::Tcp => {
                self.line(words, "tcp", true);
                self.comment("path, method, host, status: a probe only connects");
            }
            ProbeKind::Http(asks) => {
                self.line(words, "tcp", false);
                self.line(words, "path", quoted(&asks.path));
                self.line(words, "method", quoted(&asks.method));
                match &asks.host {
                    Some(host) => self.line(words, "host", quoted(host)),
                    None => self.comment("host: the backend's own"),
                }
                let ranges = asks.status.iter();
                let statuses = ranges.map(|range| quoted(format_args!("{}-{}", range.start(), range.end())));
                self.line(words, "status", list(statuses));
            }
        }
        self.line(words, "every", quoted(in_largest_time(probe.every)));
        self.line(words, "timeout", quoted(in_largest_time(probe.timeout)));
        self.line(words, "rise", probe.rise);
        self.line(words, "fall", probe.fall);
        self.line(words, "dedicated", probe.dedicated);
    }

    /// In the words of the file; the pool, and the route of all that no other takes, may come by default.
    fn routes(&mut self, plan: &Plan) {
        let entries = match self.words.get("routes").map(toml::Spanned::get_ref) {
            Some(DeValue::Array(entries)) => Some(entries),
            _ => None,
        };
        for (nth, route) in plan.routes.iter().enumerate() {
            self.header("[[routes]]");
            let entry = entries.and_then(|entries| entries.get(nth)).map(toml::Spanned::get_ref);
            let pool = route.pool().and_then(|pool| plan.pools.get(pool)).map(|pool| pool.name.as_str());
            let words = match entry {
                Some(DeValue::Table(keys)) => Some(keys),
                _ => None,
            };
            for (key, value) in words.into_iter().flatten().filter(|(key, _)| key.get_ref() != "pool") {
                let value = self.in_its_words(value);
                self.put(key.get_ref(), value);
            }
            if let Some(pool) = pool {
                self.line(words, "pool", quoted(pool));
            }
        }
    }
}

/// Single lines.
impl<'a> Page<'a> {
    fn line(&mut self, words: Words<'a>, key: &str, value: impl Display) {
        let value = self.value(words, key, value);
        self.put(key, value);
    }

    fn line_or_none(&mut self, words: Words<'a>, key: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.line(words, key, value),
            None => self.comment(&format!("{key}: none")),
        }
    }

    /// A key that may follow another one, whose value would be shown by it where that is expanded.
    fn line_after(&mut self, words: Words<'a>, key: &str, first: &str, value: impl Display) {
        if own(words, first).is_some_and(expands) && own(words, key).is_none() {
            self.comment(&format!("{key}: by `{first}`"));
        } else {
            self.line(words, key, value);
        }
    }

    /// A key that means something only beside another.
    fn line_where(&mut self, words: Words<'a>, key: &str, value: impl Display, means: bool, beside: &str) {
        if means {
            self.line(words, key, value);
        } else {
            self.comment(&format!("{key}: only with {beside}"));
        }
    }

    /// What is to stand for the key: the value, or the words of the file where something is expanded in them.
    fn value(&self, words: Words<'a>, key: &str, value: impl Display) -> String {
        let written = words.and_then(|words| words.get(key));
        let written = written.filter(|written| expands(written.get_ref()));
        written.map_or_else(|| value.to_string(), |written| self.in_its_words(written))
    }

    fn put(&mut self, key: &str, value: impl Display) {
        self.written += &format!("{key} = {value}\n");
    }

    fn header(&mut self, header: &str) {
        self.written += &format!("\n{header}\n");
    }

    fn comment(&mut self, comment: &str) {
        self.written += &format!("# {comment}\n");
    }

    /// As it stands in the file, in one line where it is a table or a list.
    fn in_its_words(&self, value: &toml::Spanned<DeValue<'_>>) -> String {
        match value.get_ref() {
            DeValue::Array(elements) => list(elements.iter().map(|element| self.in_its_words(element))),
            DeValue::Table(keys) => {
                let entries = keys
                    .iter()
                    .map(|(key, value)| format!("{} = {}", quoted(key.get_ref()), self.in_its_words(value)));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
            _ => self.text.get(value.span()).unwrap_or_default().to_owned(),
        }
    }
}

/// Whether something in it is written with `${`.
fn expands(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains("${"),
        DeValue::Array(elements) => elements.iter().any(|element| expands(element.get_ref())),
        DeValue::Table(keys) => keys.iter().any(|(_, value)| expands(value.get_ref())),
        _ => false,
    }
}

/// What stands for the key.
fn own<'a>(words: Words<'a>, key: &str) -> Option<&'a DeValue<'a>> {
    words.and_then(|words| words.get(key)).map(toml::Spanned::get_ref)
}

fn table<'a>(table: &'a DeTable<'a>, key: &str) -> Words<'a> {
    match table.get(key)?.get_ref() {
        DeValue::Table(keys) => Some(keys),
        _ => None,
    }
}

fn list(elements: impl IntoIterator<Item = impl Display>) -> String {
    let elements: Vec<_> = elements.into_iter().map(|element| element.to_string()).collect();
    format!("[{}]", elements.join(", "))
}

/// A basic string of TOML.
fn quoted(text: impl Display) -> String {
    struct Escaped<T>(T);
    impl<T: Display> Display for Escaped<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for c in self.0.to_string().chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                    c => write!(f, "{c}")?,
                }
            }
            Ok(())
        }
    }
    format!("\"{}\"", Escaped(text))
}

fn size(bytes: u64) -> String {
    quoted(in_largest_size(bytes))
}

fn percent(share: u32) -> String {
    quoted(format_args!("{share}%"))
}

fn resolve(resolve: Resolve) -> &'static str {
    match resolve {
        Resolve::One => "one",
        Resolve::All => "all",
    }
}

fn access_log(plan: AccessLogPlan) -> String {
    let AccessLogPlan { is_on, query, sample } = plan;
    match (is_on, plan == AccessLogPlan::default()) {
        (false, _) => "false".to_owned(),
        (true, true) => "true".to_owned(),
        (true, false) => format!(r#"{{ query = {query}, sample = "{sample}%" }}"#),
    }
}

fn traces(plan: &TracesPlan) -> String {
    let TracesPlan { endpoint, sample, service } = plan;
    format!(r#"{{ endpoint = {}, sample = "{sample}%", service = {} }}"#, quoted(endpoint), quoted(service))
}

fn cold_start(cold_start: ColdStart) -> String {
    match cold_start {
        ColdStart::Trust => "trust".to_owned(),
        ColdStart::Prove => "prove".to_owned(),
        ColdStart::Wait(time) => in_largest_time(time),
    }
}

fn abandon(abandon: Abandon) -> &'static str {
    match abandon {
        Abandon::Linger => "linger",
        Abandon::Cancel => "cancel",
    }
}

fn lane_word(lane: idleway_core::Lane) -> &'static str {
    match lane {
        idleway_core::Lane::High => "high",
        idleway_core::Lane::Normal => "normal",
        idleway_core::Lane::Low => "low",
    }
}
