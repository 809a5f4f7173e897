//! What a Plan means, in a few lines: what is not as it is by default, pool by pool.

use std::time::Duration;

use idleway::config::{
    Abandon, FairBy, Host, HttpProbe, Plan, PoolPlan, Priority, ProbeKind, ProbePlan, Resolve, RetryPlan,
};
use idleway_core::Lane;

type Hide<'a> = &'a dyn Fn(&str) -> String;

/// Only texts of the file can be expanded, and each is hidden by itself: a number is never taken for a value.
pub(super) fn of(plan: &Plan, hide: Hide<'_>) -> String {
    let mut lines = vec![format!("it listens on {}", hide(&plan.listen.to_string()))];
    for pool in &plan.pools {
        lines.push(work(pool, hide));
        let more: Vec<String> = [
            probes(pool, hide),
            retries(pool, hide),
            sharing(pool, hide),
            times(pool, hide),
            names(pool, hide),
        ]
        .into_iter()
        .flatten()
        .collect();
        lines.extend(more.into_iter().map(|more| format!("  {more}")));
    }
    for route in plan.routes.iter() {
        let pool = match route.pool().and_then(|pool| plan.pools.get(pool)) {
            Some(pool) => pool.name.clone(),
            None => route.target.to_string(),
        };
        lines.push(format!("route {} -> {}", hide(&route.to_string()), hide(&pool)));
    }
    lines.join("\n")
}

/// How much is worked on at once, and what happens beyond that.
fn work(pool: &PoolPlan, hide: Hide<'_>) -> String {
    let slots: u64 = pool.backends.iter().map(|backend| u64::from(backend.slots)).sum();
    let when_busy = match pool.queue.length {
        0 => "refuses when all are busy".to_owned(),
        length => format!("{length} may wait {} when all are busy", time(pool.queue.wait, hide)),
    };
    let backends = counted(pool.backends.len() as u64, "backend");
    format!("pool {}: {backends}, {}, {when_busy}", pool.name, counted(slots, "slot"))
}

fn probes(pool: &PoolPlan, hide: Hide<'_>) -> Option<String> {
    let ProbePlan { how, every, rise, fall, dedicated, .. } = pool.health.probe.as_ref()?;
    let asks = match how {
        ProbeKind::Tcp => "by a connect".to_owned(),
        ProbeKind::Http(HttpProbe { method, path, .. }) => format!("by {} {}", hide(method), hide(path)),
    };
    let beside = if *dedicated { ", beside the work" } else { "" };
    let every = time(*every, hide);
    Some(format!("probes {asks} every {every}{beside}: out after {fall} bad ones, back after {rise} good"))
}

fn retries(pool: &PoolPlan, hide: Hide<'_>) -> Option<String> {
    let mut parts = Vec::new();
    let RetryPlan { attempts, budget, floor, .. } = pool.retry;
    match attempts {
        1 => parts.push("no failover".to_owned()),
        _ if pool.retry == RetryPlan::default() => {}
        _ => parts.push(format!(
            "tries {}; retries are at most {} of its requests and {floor} a second",
            counted(u64::from(attempts), "backend"),
            hide(&format!("{budget}%"))
        )),
    }
    if !pool.busy_status.is_empty() {
        let statuses: Vec<_> = pool.busy_status.iter().map(u16::to_string).collect();
        let rest = time(pool.busy_rest_max, hide);
        parts.push(format!("{} means busy, and a rest of at most {rest}", statuses.join(" or ")));
    }
    joined(&parts)
}

fn sharing(pool: &PoolPlan, hide: Hide<'_>) -> Option<String> {
    let mut parts = Vec::new();
    match &pool.fair_by {
        FairBy::None => {}
        FairBy::Ip => parts.push("fair by the client's address".to_owned()),
        FairBy::Header(name) => parts.push(format!("fair by the field {}", hide(name))),
    }
    parts
        .extend(pool.slots_per_key.map(|most| format!("at most {} a key", counted(u64::from(most), "slot"))));
    match &pool.priority {
        Priority::Fixed(Lane::Normal) => {}
        Priority::Fixed(Lane::High) => parts.push("high priority".to_owned()),
        Priority::Fixed(Lane::Low) => parts.push("low priority".to_owned()),
        Priority::Header(name) => parts.push(format!("priority by the field {}", hide(name))),
    }
    joined(&parts)
}

fn times(pool: &PoolPlan, hide: Hide<'_>) -> Option<String> {
    let usual = PoolPlan::new("", Vec::new());
    let mut parts = Vec::new();
    if pool.timeout != usual.timeout {
        parts.push(format!("504 after a silence of {}", time(pool.timeout, hide)));
    }
    parts.extend(pool.deadline.map(|deadline| format!("504 after {} in all", time(deadline, hide))));
    match (pool.abandon, pool.linger) {
        (Abandon::Linger, None) => {}
        (Abandon::Linger, Some(bound)) => {
            parts.push(format!("abandoned work may go on for {}", time(bound, hide)));
        }
        (Abandon::Cancel, _) => parts.push("abandoned work is told to stop".to_owned()),
    }
    joined(&parts)
}

fn names(pool: &PoolPlan, hide: Hide<'_>) -> Option<String> {
    let mut names = Vec::new();
    for backend in pool.backends.iter().filter(|backend| backend.resolve == Resolve::All) {
        if let Host::Name(name) = &backend.origin.host {
            names.push(hide(name));
        }
    }
    let every = time(pool.resolve_every, hide);
    (!names.is_empty())
        .then(|| format!("a backend at each address of {}, looked up every {every}", names.join(", ")))
}

fn time(time: Duration, hide: Hide<'_>) -> String {
    hide(&format!("{time:?}"))
}

fn joined(parts: &[String]) -> Option<String> {
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
