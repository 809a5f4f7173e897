//! The supervisor that started the program, where that is systemd or speaks like it: it is told how the program stands,
//! and may have opened its sockets.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use idleway::Handle;
use sd_notify::NotifyState;

/// Tells the supervisor, where there is one.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor cannot be told how this program stands");
    }
}

/// The gateway serves, at this address.
pub(crate) fn ready(url: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving at {url}"))]);
}

/// It has begun to read its file again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It has done so, with this outcome.
pub(crate) fn reloaded(outcome: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(outcome)]);
}

/// It was told to stop, and finishes what runs.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what runs")]);
}

/// Tells the supervisor again and again that the gateway is alive, where it wants to know: for as long as each core answers.
/// Where one stands still it hears nothing, and starts the program anew.
pub(crate) fn watch(gateway: Handle) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    let half = within / 2;
    let watched = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let was_silent = AtomicBool::new(false);
            loop {
                let silent = gateway.silent_cores().await;
                if silent.is_empty() {
                    was_silent.store(false, Ordering::Relaxed);
                    tell(&[NotifyState::Watchdog]);
                } else if !was_silent.swap(true, Ordering::Relaxed) {
                    tracing::error!(cores = ?silent, "cores stand still: the supervisor is told nothing until they answer");
                }
                tokio::time::sleep(half).await;
            }
        });
    });
    if let Err(error) = watched {
        tracing::error!(%error, "the supervisor is not told that this program is alive: there is no thread to be had");
    }
}

/// The sockets that the supervisor has opened for this program.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) clients: Option<TcpListener>,
    pub(crate) admin: Option<TcpListener>,
}

impl Opened {
    /// Takes them; each is taken once. By their names `clients` and `admin`, or, where they have others, the first is for
    /// clients.
    pub(crate) fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = listenfd::ListenFd::from_env();
        let place = |name: &str| names.split(':').position(|known| known == name);
        let (clients, admin) = (place("clients"), place("admin"));
        let mut at = |place: Option<usize>| {
            let taken = sockets.take_tcp_listener(place?);
            taken
                .unwrap_or_else(|error| {
                    tracing::warn!(%error, "a socket that was opened for this program is no listening one of TCP");
                    None
                })
        };
        let first = (admin != Some(0)).then_some(0);
        Self { admin: at(admin), clients: at(clients.or(first)) }
    }
}
