//! What a gateway is told before it starts.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Gateway;
use super::counts::Drained;
use super::handover::Heritage;
use super::mount::Mount;
use crate::config::Plan;
use crate::hook::{All, Hook};

/// A gateway that has not started yet; made by [`Gateway::builder`].
#[derive(Debug)]
#[must_use = "nothing runs before `start`, `serve` or `mount`"]
pub struct Builder {
    plan: Plan,
    hooks: Vec<Arc<dyn Hook>>,
}

impl Builder {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, hooks: Vec::new() }
    }

    /// Adds to each request's way what the application has to say about it; several hooks are asked in the order in which
    /// they were added.
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Starts on threads of its own, one for each core of the Plan's `threads`: see [`Gateway::start`].
    ///
    /// # Errors
    /// What the system says where threads or their event loops cannot be had.
    pub fn start(self, listener: TcpListener) -> io::Result<Gateway> {
        let hook = self.hook_of_all();
        Gateway::launch(self.plan, hook, listener, None)
    }

    /// As [`Builder::start`], in place of another process that serves the same backends still. Clients are accepted, and Slots
    /// granted, as far as that one has told by the [`Heritage`] what it is at.
    ///
    /// # Errors
    /// What the system says where threads or their event loops cannot be had.
    pub fn inherit(self, listener: TcpListener) -> io::Result<(Gateway, Heritage)> {
        let hook = self.hook_of_all();
        let (begin, begun) = oneshot::channel();
        let gateway = Gateway::launch(self.plan, hook, listener, Some(begun))?;
        let heritage = Heritage::new(&gateway, begin);
        Ok((gateway, heritage))
    }

    /// Serves on the socket until `shutdown` resolves, then stops as [`Gateway::shutdown`] does. For a task of a program
    /// that runs tokio already; the gateway's own work is done on its own threads.
    ///
    /// Dropped before it is done, everything ends at once, and what runs is cut.
    ///
    /// # Errors
    /// What the system says where threads or their event loops cannot be had.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let gateway = self.start(listener)?;
        shutdown.await;
        tokio::task::spawn_blocking(|| gateway.shutdown()).await.map_err(io::Error::other)
    }

    /// Starts without a socket, on the runtime that this is called in: requests come by [`Mount::answer`]. The Plan's
    /// `listen` and `threads` are not looked at.
    ///
    /// # Errors
    /// There is no tokio runtime here.
    pub fn mount(self) -> io::Result<Mount> {
        let hook = self.hook_of_all();
        Mount::start(self.plan, hook)
    }

    fn hook_of_all(&self) -> Option<Arc<dyn Hook>> {
        match self.hooks.as_slice() {
            [] => None,
            [hook] => Some(Arc::clone(hook)),
            hooks => Some(Arc::new(All(hooks.to_vec()))),
        }
    }
}
