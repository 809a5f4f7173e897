//! What runs for each pool beside its requests, from its first Plan until nothing of it is left.

use std::sync::Arc;

use idleway_core::Core;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::driver::drive;
use super::prober::probe_all;
use super::prover::prove;
use crate::live::{Live, LivePool};

/// The tasks of all pools. They end with it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    runtime: Handle,
    core: Core,
    kept: Vec<Kept>,
}

/// The tasks of one pool.
#[derive(Debug)]
struct Kept {
    pool: Arc<LivePool>,
    /// Its time, which is kept whatever its plan says: a pool has one driver.
    _driver: JoinSet<()>,
    /// What goes by its plan.
    by_plan: JoinSet<()>,
}

impl Upkeep {
    /// Runs on this core.
    pub(crate) fn new(runtime: Handle, core: Core) -> Self {
        Self { runtime, core, kept: Vec::new() }
    }

    /// Does it for the pools that there are now.
    pub(crate) fn follow(&mut self, live: &Arc<Live>) {
        let pools = live.pools();
        self.kept.retain(|kept| pools.iter().any(|pool| pool.is_the_same_as(&kept.pool)));
        for pool in pools {
            let Some(kept) = self.kept.iter_mut().find(|kept| kept.pool.is_the_same_as(&pool)) else {
                let mut driver = JoinSet::new();
                driver.spawn_on(drive(Arc::clone(live), Arc::clone(pool.lasting())), &self.runtime);
                let by_plan = by_plan(&self.runtime, self.core, &pool);
                self.kept.push(Kept { pool, _driver: driver, by_plan });
                continue;
            };
            if !Arc::ptr_eq(&kept.pool, &pool) {
                kept.pool = Arc::clone(&pool);
                kept.by_plan = by_plan(&self.runtime, self.core, &pool);
            }
        }
    }
}

fn by_plan(runtime: &Handle, core: Core, pool: &Arc<LivePool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn_on(prove(Arc::clone(pool), core), runtime);
    tasks.spawn_on(probe_all(Arc::clone(pool), core), runtime);
    tasks
}
