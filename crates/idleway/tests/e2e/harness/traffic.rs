//! Clients that send requests all the time, so that whatever happens, happens under traffic.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Client, get};

/// Does this while so many clients ask for `path`, each one request after the other. Each of them is served, 200, or the
/// test fails.
pub(crate) fn under_traffic(gateway: SocketAddr, clients: usize, path: &str, then: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        let _stop = StopAtEnd(&stop);
        let ask = || {
            let mut client = Client::connect(gateway);
            let mut served = 0;
            while !stop.load(Ordering::SeqCst) {
                client.send(get(path));
                let answer = client.answer();
                assert_eq!(answer.status(), 200, "{}", answer.text());
                served += 1;
            }
            served
        };
        let clients: Vec<_> = (0..clients).map(|_| threads.spawn(ask)).collect();
        then();
        stop.store(true, Ordering::SeqCst);
        assert!(clients.into_iter().all(|client| client.join().unwrap() > 0));
    });
}

/// Stops the clients also where the test has failed, which would wait for them otherwise.
struct StopAtEnd<'s>(&'s AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
