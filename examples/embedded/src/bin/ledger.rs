//! A bill after the answer: `ledger http://127.0.0.1:6000 …`. Ctrl-C shows it.
//!
//! Who uses one-at-a-time backends pays for their time, not for requests: each answered request is charged the seconds
//! from its Slot to its end. Whoever was refused, or waited in line, pays nothing for that.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use idleway::{Answered, Arrival, Gateway, Hook, Plan, Stop, Verdict};

#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<String, Account>>>);

#[derive(Default)]
struct Account {
    requests: u64,
    seconds: f64,
}

impl Hook for Ledger {
    fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
        let user = arrival.header("x-user").unwrap_or(b"nobody");
        let user = String::from_utf8_lossy(user).into_owned();
        arrival.label("user", user);
        Box::pin(async { Ok(()) })
    }

    fn answered(&self, answered: &Answered<'_>) {
        // Never on a backend: never at work.
        let (Some((_, user)), Some(_)) = (answered.labels.first(), answered.backend) else { return };
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(user.clone()).or_default();
        account.requests += 1;
        account.seconds += (answered.total - answered.waited).as_secs_f64();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let ledger = Ledger::default();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let stop = Stop::catch()?;
    stop.end(Gateway::builder(Plan::from_urls(&urls)?).hook(ledger.clone()).start(listener)?);
    for (user, account) in &*ledger.0.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("{user}: {} requests, {:.3} s", account.requests, account.seconds);
    }
    Ok(())
}
