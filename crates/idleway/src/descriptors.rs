//! How many files and sockets the process may have open.

use idleway::config::Plan;

/// Descriptors for all that is neither a client nor a backend's Slot: event loops, files, name lookups.
const BESIDE: u64 = 64;

/// Raises the process's own bound as far as it may, and lowers `limits.connections` to what fits: a gateway whose
/// clients have taken the last descriptor reaches no backend any more.
pub(crate) fn fit(plan: &mut Plan) {
    let before = rlimit::Resource::NOFILE.get_soft();
    let Ok(most) = rlimit::increase_nofile_limit(u64::MAX) else { return };
    if let Ok(before) = before
        && before < most
    {
        tracing::info!(
            before,
            now = most,
            "this process may have more files and sockets open than it was started with"
        );
    }
    let backends = plan.pools.iter().flat_map(|pool| &pool.backends);
    let slots: u64 = backends.map(|backend| u64::from(backend.slots)).sum();
    let clients = most.saturating_sub(slots + BESIDE).max(1);
    let clients = usize::try_from(clients).unwrap_or(usize::MAX);
    if plan.limits.connections > clients {
        tracing::warn!(
            "`limits.connections` is {clients} instead of {}: the system allows {most} descriptors, and {slots} slots \
             need theirs; raise it with `ulimit -n`",
            plan.limits.connections
        );
        plan.limits.connections = clients;
    }
}
