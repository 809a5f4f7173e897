//! `idleway check`: what is wrong with a configuration, or what it means.

use std::path::PathBuf;

use clap::Args;
use idleway::config::Overrides;

use super::explain::{ExplainArgs, explain};
use super::{Failure, read, say};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    file: PathBuf,
    #[command(flatten)]
    explain: ExplainArgs,
}

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = &args.file;
    let plan = read(file, Overrides::default())?;
    if let Some(explained) = explain(&args.explain, &plan) {
        return explained;
    }
    say(&format!("{} is good: it listens on {}", file.display(), plan.listen));
    for pool in &plan.pools {
        let slots: u64 = pool.backends.iter().map(|backend| u64::from(backend.slots)).sum();
        let when_busy = match pool.queue.length {
            0 => "refuses when all are busy".to_owned(),
            length => format!("{length} may wait {:?} when all are busy", pool.queue.wait),
        };
        let backends = counted(pool.backends.len() as u64, "backend");
        say(&format!("pool {}: {backends}, {}, {when_busy}", pool.name, counted(slots, "slot")));
    }
    for route in plan.routes.iter() {
        let goal = match route.pool().and_then(|pool| plan.pools.get(pool)) {
            Some(pool) => pool.name.clone(),
            None => route.target.to_string(),
        };
        say(&format!("route {route} -> {goal}"));
    }
    Ok(())
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
