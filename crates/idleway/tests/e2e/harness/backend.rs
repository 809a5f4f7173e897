//! A scripted backend: it does what a test tells it, counts what it works on, and fails above its limit.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::gate::Door;
use super::visit::{Connection, Visit};
use super::wire::Wire;
use super::witness::{Seen, Witness};

/// What is done on one connection, from its acceptance to its end. An error ends the connection.
type Script = dyn Fn(&mut Connection) -> io::Result<()> + Send + Sync;

/// A backend on a port of its own, which stays its own while it is dead.
pub(crate) struct Backend {
    address: SocketAddr,
    limit: usize,
    script: Arc<Script>,
    witness: Arc<Witness>,
    running: Option<Running>,
    /// Bound and deaf: nobody else gets the port.
    _reserved: Socket,
}

/// One life of a backend.
struct Running {
    life: Arc<Life>,
    acceptor: JoinHandle<()>,
}

#[derive(Default)]
struct Life {
    over: AtomicBool,
    streams: Mutex<HashMap<u64, TcpStream>>,
}

impl Backend {
    /// A backend of one Slot that does this with each request.
    pub(crate) fn new(script: impl Fn(&mut Visit<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::of(1, script)
    }

    /// A backend that may work on `limit` requests at once.
    pub(crate) fn of(
        limit: usize,
        script: impl Fn(&mut Visit<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), limit, one_by_one(script))
    }

    /// A backend of one Slot that does this with each connection.
    pub(crate) fn raw(script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), 1, script)
    }

    /// A backend that answers everything with this body.
    pub(crate) fn answering(body: &'static str) -> Self {
        Self::new(move |visit| visit.answer(body))
    }

    /// A backend that gives one half of its answer at once and the other when the door is open.
    pub(crate) fn in_two_halves(door: Door) -> Self {
        Self::new(move |visit| {
            visit.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
            door.pass()?;
            visit.finish("half")
        })
    }

    /// A backend that is not there.
    pub(crate) fn dead() -> Self {
        let mut backend = Self::answering("dead");
        backend.kill();
        backend
    }

    /// A backend on this loopback address.
    pub(crate) fn at(
        ip: IpAddr,
        limit: usize,
        script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::try_at((ip, 0).into(), limit, script).unwrap()
    }

    /// Backends that answer each request with this, on one port of all these loopback addresses.
    #[cfg(target_os = "linux")]
    pub(crate) fn on_one_port(
        ips: &[IpAddr],
        script: impl Fn(&mut Visit<'_>) -> io::Result<()> + Clone + Send + Sync + 'static,
    ) -> io::Result<Vec<Self>> {
        let mut tries = 0;
        loop {
            let mut backends: Vec<Self> = Vec::new();
            let all: io::Result<()> = ips.iter().try_for_each(|ip| {
                let port = backends.first().map_or(0, Self::port);
                backends.push(Self::try_at((*ip, port).into(), 1, one_by_one(script.clone()))?);
                Ok(())
            });
            match all {
                Ok(()) => return Ok(backends),
                // The port is somebody's on another of the addresses: there are others.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 100 => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn try_at(
        address: SocketAddr,
        limit: usize,
        script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let reserved = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        reserved.set_reuse_address(true)?;
        reserved.bind(&address.into())?;
        let address = reserved.local_addr()?.as_socket().unwrap();
        let mut backend = Self {
            address,
            limit,
            script: Arc::new(script),
            witness: Arc::default(),
            running: None,
            _reserved: reserved,
        };
        backend.try_restart()?;
        Ok(backend)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.witness.look()
    }

    /// Waits until it has seen this.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        self.witness.until(what, condition);
    }

    /// Waits until it works on a request.
    #[track_caller]
    pub(crate) fn until_at_work(&self) {
        self.until("a request at work", |seen| seen.at_work > 0);
    }

    /// The paths it was asked for, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen().heads.iter().map(|head| head.word(1).to_owned()).collect()
    }

    /// Its process dies: nothing listens, every connection breaks, and what it worked on is gone.
    pub(crate) fn kill(&mut self) {
        let Some(Running { life, acceptor }) = self.running.take() else {
            return;
        };
        self.witness.note(|seen| {
            seen.life += 1;
            seen.at_work = 0;
        });
        life.over.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then closes its socket.
        let _ = TcpStream::connect(self.address);
        acceptor.join().unwrap();
        for (_, stream) in life.streams.lock().unwrap().drain() {
            // As the kernel does it for a process that has died with unread bytes.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// It lives again, on the same port.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none(), "it lives");
        self.try_restart().unwrap();
    }

    fn try_restart(&mut self) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&self.address.into())?;
        socket.listen(128)?;
        let listener = TcpListener::from(socket);
        let life = Arc::new(Life::default());
        let accepting = Accepting {
            life: Arc::clone(&life),
            number: self.seen().life,
            limit: self.limit,
            script: Arc::clone(&self.script),
            witness: Arc::clone(&self.witness),
        };
        let acceptor = thread::spawn(move || accepting.run(&listener));
        self.running = Some(Running { life, acceptor });
        Ok(())
    }
}

/// One request after the other on each connection, and none above the limit.
fn one_by_one(
    script: impl Fn(&mut Visit<'_>) -> io::Result<()> + Send + Sync + 'static,
) -> impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static {
    move |connection| {
        while let Some(mut visit) = connection.request()? {
            if visit.overlaps {
                visit.body()?;
                visit.finish("HTTP/1.1 500 Overlap\r\nContent-Length: 0\r\n\r\n")?;
            } else {
                script(&mut visit)?;
            }
            if visit.last {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            return;
        }
        let seen = self.seen();
        let (overlaps, faults) = (seen.overlaps.clone(), seen.faults.clone());
        drop(seen);
        assert!(overlaps.is_empty(), "{} had more than {} at work: {overlaps:?}", self.url(), self.limit);
        assert!(faults.is_empty(), "{}: {faults:?}", self.url());
    }
}

/// What the acceptor of one life works with.
struct Accepting {
    life: Arc<Life>,
    number: u32,
    limit: usize,
    script: Arc<Script>,
    witness: Arc<Witness>,
}

impl Accepting {
    fn run(self, listener: &TcpListener) {
        for id in 0.. {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            if self.life.over.load(Ordering::SeqCst) {
                return;
            }
            self.opened(id, stream.try_clone().unwrap());
            let connection = Connection {
                wire: Wire::new(stream),
                witness: Arc::clone(&self.witness),
                life: self.number,
                limit: self.limit,
            };
            self.serve(id, connection);
        }
    }

    fn serve(&self, id: u64, mut connection: Connection) {
        let (life, script) = (Arc::clone(&self.life), Arc::clone(&self.script));
        thread::spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| script(&mut connection)));
            // The count goes before the socket does: a gateway that sees the end may open the next at once.
            life.streams.lock().unwrap().remove(&id);
            if let Err(panic) = result {
                let why = panic.downcast_ref::<String>().cloned();
                let why = why.unwrap_or_else(|| "a script failed".to_owned());
                connection.witness.note(|seen| seen.faults.push(why));
            }
            let witness = Arc::clone(&connection.witness);
            drop(connection);
            witness.note(|seen| seen.closed += 1);
        });
    }

    /// Counts the connections that the gateway has open at this moment. One that it has closed before it opened
    /// this one counts no more, whether its script has come to see that or not.
    fn opened(&self, id: u64, stream: TcpStream) {
        let mut streams = self.life.streams.lock().unwrap();
        streams.insert(id, stream);
        let open = streams.values().filter(|stream| is_open(stream)).count();
        drop(streams);
        self.witness.note(|seen| {
            seen.accepted += 1;
            if seen.life == self.number {
                seen.most_open = seen.most_open.max(open);
            }
        });
    }
}

/// Whether the other side has not closed, as far as a look past no unread byte can tell.
fn is_open(stream: &TcpStream) -> bool {
    const MSG_PEEK: i32 = 2;
    const MSG_DONTWAIT: i32 = if cfg!(target_os = "linux") { 0x40 } else { 0x80 };
    let mut byte = [std::mem::MaybeUninit::uninit()];
    match SockRef::from(stream).recv_with_flags(&mut byte, MSG_PEEK | MSG_DONTWAIT) {
        Ok(bytes) => bytes > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
