//! The backend that is killed, as the process it is.

use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

struct Worker {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Returns when it listens, or has ended.
    fn start(listen: SocketAddr) -> io::Result<Worker> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_idleway-bench-compare"))
            .args(["worker", &listen.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut worker = Worker { child, said: BufReader::new(out).lines() };
        match worker.says().as_deref() {
            Some("listening") => Ok(worker),
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// The next line; none when it is dead.
    fn says(&mut self) -> Option<String> {
        self.said.next()?.ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn ask(worker: SocketAddr, request: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(worker)?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

fn is_answered(stream: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer)?;
    Ok(buffer[..read].starts_with(b"HTTP/1.1 200 "))
}

#[test]
fn who_is_killed_at_work_leaves_it_unended_and_comes_back_on_its_port() {
    let address = free_address().unwrap();
    let mut worker = Worker::start(address).unwrap();
    let mut client = ask(address, "POST /asked/7/0 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody").unwrap();
    assert!(is_answered(&mut client).unwrap());
    assert_eq!(worker.says().as_deref(), Some("begin 7"));
    assert_eq!(worker.says().as_deref(), Some("end 7"));
    // An hour of work, on the same connection.
    client.write_all(b"GET /asked/8/3600000000 HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(worker.says().as_deref(), Some("begin 8"));
    worker.child.kill().unwrap();
    assert_eq!(worker.says(), None);

    // The client has not closed its side: what is left of the old connection still has the port.
    let mut next = Worker::start(address).unwrap();
    assert!(is_answered(&mut ask(address, "GET /asked/9/0 HTTP/1.1\r\n\r\n").unwrap()).unwrap());
    assert_eq!(next.says().as_deref(), Some("begin 9"));
}

#[test]
fn two_connections_are_worked_on_one_after_the_other() {
    let address = free_address().unwrap();
    let mut worker = Worker::start(address).unwrap();
    let requests = [1, 2].map(|number| format!("GET /asked/{number}/50000 HTTP/1.1\r\n\r\n"));
    let mut clients = requests.map(|request| ask(address, &request).unwrap());
    for client in &mut clients {
        assert!(is_answered(client).unwrap());
    }
    let said: Vec<String> = (0..4).map(|_| worker.says().unwrap()).collect();
    let orders = [["begin 1", "end 1", "begin 2", "end 2"], ["begin 2", "end 2", "begin 1", "end 1"]];
    assert!(orders.iter().any(|order| said == order), "{said:?}");
}
