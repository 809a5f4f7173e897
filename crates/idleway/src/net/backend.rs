//! A connection to a backend.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use idleway_core::Core;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::addresses::Addresses;
#[cfg(target_os = "linux")]
use super::unacknowledged::unsent;
use super::wire::Wire;

/// How long a vanished host may leave a lingering Slot in doubt before TCP gives the connection up.
const VANISHED: Duration = Duration::from_secs(60);

/// A connection to a backend: in use by one exchange, or kept with an idle Slot.
#[derive(Debug)]
pub(crate) struct BackendConnection {
    pub(crate) wire: Wire,
    core: Core,
    /// Of the addresses that it was one of.
    edition: usize,
    /// When it was parked, if it has served an exchange before.
    parked: Option<Instant>,
    /// How long the backend said that it keeps an idle connection (`Keep-Alive: timeout`, RFC 2068 19.7.1.1).
    keeps: Option<Duration>,
    /// TCP gives the connection up when its host has vanished.
    is_watched: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    TimedOut,
    /// The gateway itself lacks what a connection needs: descriptors, ports, memory. It says nothing about the
    /// backend.
    Exhausted(io::Error),
    /// The name has no address that is known.
    Unresolved(Arc<str>),
    Failed(io::Error),
}

impl ConnectError {
    /// Whether it says something about the backend.
    pub(crate) fn is_the_backends(&self) -> bool {
        !matches!(self, Self::Exhausted(_))
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut => f.write_str("connect timed out"),
            Self::Exhausted(error) => write!(f, "the gateway is out of resources: {error}"),
            Self::Unresolved(why) => write!(f, "the name has no address: {why}"),
            Self::Failed(error) => write!(f, "connect failed: {error}"),
        }
    }
}

impl BackendConnection {
    /// Connects to the addresses in turn, beginning with the one that answered last; the first that answers is it.
    ///
    /// `within` bounds the whole, waiting for the first look-up of a name included; each address gets an equal part of
    /// what is left.
    pub(crate) async fn connect(
        addresses: &Addresses,
        core: Core,
        within: Duration,
    ) -> Result<Box<Self>, ConnectError> {
        let until = Instant::now() + within;
        let edition = addresses.edition();
        let known = tokio::time::timeout(within, addresses.known()).await;
        let known = known.map_err(|_| ConnectError::TimedOut)?.map_err(ConnectError::Unresolved)?;
        let stream = connect_in_turn(addresses, &known, until).await?;
        // Without it small requests would wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(ConnectError::Failed)?;
        watch_host(&stream);
        let wire = Wire::new(stream);
        Ok(Box::new(Self { wire, core, edition, parked: None, keeps: None, is_watched: false }))
    }

    /// How long it has been idle.
    pub(crate) fn idle_for(&self) -> Duration {
        self.parked.map_or(Duration::ZERO, |parked| parked.elapsed())
    }

    /// Whether it leads to where the backend is now, as far as its name tells.
    pub(crate) fn leads_to(&self, addresses: &Addresses) -> bool {
        self.edition == addresses.edition()
    }

    /// Whether it may still be used: within the time the backend keeps it, and silent, as a connection is
    /// between two exchanges.
    ///
    /// For a request that cannot be repeated the kernel itself is asked, by one peek. For others it is enough
    /// that the event loop has noticed nothing: should the backend be closing right now, they are tried again.
    pub(crate) fn is_fresh(&self, repeatable: bool) -> bool {
        // Half a second before the backend closes it, a request could already cross its FIN.
        let in_time = self.keeps.is_none_or(|keeps| self.idle_for() + Duration::from_millis(500) < keeps);
        let stream = self.wire.stream();
        let peek = || SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
        let seen = if repeatable { stream.try_io(Interest::READABLE, peek) } else { peek() };
        let silent = seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        in_time && silent && self.wire.inbox_len() == 0
    }

    /// Registers it with another core's event loop: called on that core.
    pub(crate) fn move_to(self: Box<Self>, core: Core) -> io::Result<Box<Self>> {
        if self.core == core {
            return Ok(self);
        }
        let stream = TcpStream::from_std(self.wire.into_stream().into_std()?)?;
        Ok(Box::new(Self { wire: Wire::new(stream), core, ..*self }))
    }

    /// Makes it ready to be kept with its Slot.
    pub(crate) fn park(&mut self, keeps: Option<Duration>) {
        self.wire.rest();
        if std::mem::take(&mut self.is_watched) {
            // The next request has clocks of its own.
            #[cfg(target_os = "linux")]
            let _ = SockRef::from(self.wire.stream()).set_tcp_user_timeout(None);
        }
        self.parked = Some(Instant::now());
        self.keeps = keeps.or(self.keeps);
    }

    /// The core whose event loop it is registered with.
    pub(crate) fn core(&self) -> Core {
        self.core
    }

    /// Lets TCP itself find out that the backend's host has vanished also where something is on its way to it; set when
    /// the connection begins to linger, for then no clock of ours runs any more.
    pub(crate) fn watch_for_vanished_host(&mut self) {
        // Not while something waits to be sent: a backend that works before it reads its request's body closes its
        // window, and this option takes that for a vanished host. What was sent a living host acknowledges.
        #[cfg(target_os = "linux")]
        if self.wire.outbox().is_empty() && unsent(self.wire.stream()) == Some(0) {
            let _ = SockRef::from(self.wire.stream()).set_tcp_user_timeout(Some(VANISHED));
            self.is_watched = true;
        }
    }

    /// Acknowledges at once what has come.
    ///
    /// A backend that writes head and body in two pieces (Python's `http.server` does) is held up by its own
    /// kernel until the first is acknowledged, and ours would take 40 ms to do that: 40 ms of a busy Slot.
    pub(crate) fn acknowledge(&self) {
        // Only a hint to the kernel.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = SockRef::from(self.wire.stream()).set_tcp_quickack(true);
    }

    /// Sends FIN: the backend learns that no more of the request will come.
    pub(crate) fn shut_down_writing(&self) {
        let _ = SockRef::from(self.wire.stream()).shutdown(std::net::Shutdown::Write);
    }
}

/// A host that vanishes while it works says nothing; TCP asks it four times within a minute.
fn watch_host(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(VANISHED / 4).with_interval(VANISHED / 4);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(3);
    // Where the platform knows no such option the connection only stays in doubt for longer.
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

async fn connect_in_turn(
    addresses: &Addresses,
    known: &[SocketAddr],
    until: Instant,
) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Unresolved("no address".into());
    for (tried, place) in addresses.order(known.len()).enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let untried = u32::try_from(known.len() - tried).unwrap_or(u32::MAX);
        match connect_one(known[place], left / untried).await {
            Ok(stream) => {
                addresses.answered(place);
                return Ok(stream);
            }
            // The next address would need the same.
            Err(error @ ConnectError::Exhausted(_)) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_one(address: SocketAddr, within: Duration) -> Result<TcpStream, ConnectError> {
    tokio::time::timeout(within, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::TimedOut)?
        .map_err(
            |error| {
                if is_ours(&error) { ConnectError::Exhausted(error) } else { ConnectError::Failed(error) }
            },
        )
}

/// Whether a connect failed before it reached the network.
fn is_ours(error: &io::Error) -> bool {
    // The same numbers on every Unix; the standard library has no names for them.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::IoSlice;

    use super::*;

    #[tokio::test]
    async fn a_host_that_vanishes_in_the_midst_of_its_work_is_found_within_a_minute() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addresses = Addresses::fixed(listener.local_addr().unwrap());
        let connection =
            BackendConnection::connect(&addresses, Core(0), Duration::from_secs(10)).await.unwrap();
        let socket = SockRef::from(connection.wire.stream());
        let quarter = VANISHED / 4;
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap()),
            (quarter, quarter)
        );
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    }

    /// TCP's user timeout would end a connection whose window stays closed, busy as the backend is.
    #[tokio::test]
    async fn a_backend_that_takes_nothing_is_not_taken_for_a_vanished_host() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let addresses = Addresses::fixed(address);
        let connect = || BackendConnection::connect(&addresses, Core(0), Duration::from_secs(10));
        let timeout = |connection: &BackendConnection| {
            SockRef::from(connection.wire.stream()).tcp_user_timeout().unwrap()
        };
        let mut idle = connect().await.unwrap();
        idle.watch_for_vanished_host();
        assert_eq!(timeout(&idle), Some(VANISHED));
        idle.park(None);
        assert_eq!(timeout(&idle), None, "the next request has clocks of its own");
        let mut blocked = connect().await.unwrap();
        let part = vec![0; 1 << 20];
        while blocked.wire.outbox().is_empty() {
            blocked.wire.send(&[IoSlice::new(&part)]).unwrap();
        }
        blocked.watch_for_vanished_host();
        assert_eq!(timeout(&blocked), None);
    }
}
