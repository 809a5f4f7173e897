//! What was ordered, and what came of it; or that nobody knows, where no answer comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::admin::{Place, Refused, order};
use super::backend::Slots;
use super::words;

/// How long an answer is waited for before it is said that none came.
const LIMIT: Duration = Duration::from_secs(10);

/// A backend, and the mode it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) pool: String,
    pub(super) backend: String,
    pub(super) mode: &'static str,
}

/// What came of it, in words that follow its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(String),
    NotDone(String),
    /// It was sent, and nobody knows: why.
    Unknown(String),
}

/// Those that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Errands {
    open: Vec<Open>,
    /// The number of the last one.
    last: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    errand: Errand,
    leave: Leave,
    /// It was said that no answer came. One may come yet.
    is_late: bool,
}

/// The leave to send it, which is given once: to whoever sends it, or to whoever takes it back.
#[derive(Debug, Clone)]
pub(super) struct Leave {
    is_taken: Arc<AtomicBool>,
    until: Instant,
}

impl Errand {
    pub(super) fn who(&self) -> String {
        format!("{}/{}", self.pool, self.backend)
    }

    fn what(&self) -> &'static str {
        match self.mode {
            "drain" => "drain it",
            "ready" => "bring it back",
            _ => "set it to maintenance",
        }
    }

    /// Orders it, and waits for the answer. Without the leave nothing is sent.
    pub(super) fn carry_out(&self, place: &Place, leave: &Leave) -> Outcome {
        let Self { pool, backend, mode } = self;
        let caller = place.caller(true).and_then(|caller| Ok((caller.connect()?, caller)));
        let (connection, caller) = match caller {
            Ok(ready) => ready,
            Err(error) => return Outcome::NotDone(format!("{error:#}")),
        };
        if !leave.is_given(Instant::now()) {
            return Outcome::NotDone(NOT_SENT.to_owned());
        }
        let (path, body) = order(pool, backend, mode);
        let told = match caller.call_on(connection, "PUT", &path, Some(&body)) {
            Ok(told) => told,
            Err(Refused::Problem(401, _)) => {
                let why = "It needs the token: IDLEWAY_ADMIN_TOKEN or --token-file names it";
                return Outcome::NotDone(why.to_owned());
            }
            Err(refused @ Refused::Problem(..)) => return Outcome::NotDone(refused.words()),
            Err(refused) => return Outcome::Unknown(refused.words()),
        };
        let taken = Slots::of(&told["slots"]).taken();
        Outcome::Done(match *mode {
            "ready" => " is brought back".to_owned(),
            "drain" if taken > 0 => {
                format!(" drains: {} still taken", words::counted(taken, "slot is", "slots are"))
            }
            "drain" => " is drained: nothing is at work there".to_owned(),
            _ => " is in maintenance".to_owned(),
        })
    }
}

const NOT_SENT: &str = "It could not be sent in time";

impl Outcome {
    /// In words, and whether it is bad.
    pub(super) fn words(self) -> (String, bool) {
        match self {
            Self::Done(words) => (words, false),
            Self::NotDone(why) => (format!(": not done. {why}"), true),
            Self::Unknown(why) if why.is_empty() => (": no answer came: it may be done yet".to_owned(), true),
            Self::Unknown(why) => (format!(": it may be done, or not: {why}"), true),
        }
    }
}

impl Leave {
    /// Whether it is given now, which it is once at most.
    fn is_given(&self, now: Instant) -> bool {
        now < self.until && self.take()
    }

    fn take(&self) -> bool {
        !self.is_taken.swap(true, Ordering::Relaxed)
    }
}

impl Errands {
    /// Whether an answer is still waited for.
    pub(super) fn are_under_way(&self) -> bool {
        self.until().is_some()
    }

    /// When it is to be said that no answer came.
    pub(super) fn until(&self) -> Option<Instant> {
        self.open.iter().filter(|open| !open.is_late).map(|open| open.leave.until).min()
    }

    /// Answers with its number and the leave to send it.
    pub(super) fn begin(&mut self, errand: Errand, now: Instant) -> (u64, Leave) {
        self.last += 1;
        let leave = Leave { is_taken: Arc::default(), until: now + LIMIT };
        self.open.push(Open { number: self.last, errand, leave: leave.clone(), is_late: false });
        (self.last, leave)
    }

    /// Takes in what came of it. Answers with whom it is about, where that is news.
    pub(super) fn end(&mut self, number: u64, outcome: &Outcome) -> Option<String> {
        let at = self.open.iter().position(|open| open.number == number)?;
        if matches!(outcome, Outcome::Unknown(_)) {
            let open = &mut self.open[at];
            return (!std::mem::replace(&mut open.is_late, true)).then(|| open.errand.who());
        }
        let errand = self.open.remove(at).errand;
        if matches!(outcome, Outcome::Done(_)) {
            // Whatever becomes of the same one of before: it is done.
            self.open.retain(|open| open.errand != errand);
        }
        Some(errand.who())
    }

    /// One that no answer has come to in time: whom it is about, and what is to be said. What was not sent yet is taken back.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(String, Outcome)> {
        let at = self.open.iter().position(|open| !open.is_late && open.leave.until <= now)?;
        if self.open[at].leave.take() {
            return Some((self.open.remove(at).errand.who(), Outcome::NotDone(NOT_SENT.to_owned())));
        }
        self.open[at].is_late = true;
        Some((self.open[at].errand.who(), Outcome::Unknown(String::new())))
    }

    /// What has to be known of those that are left when nobody waits any more. What was not sent yet is taken back.
    pub(super) fn left(self) -> impl Iterator<Item = String> {
        self.open.into_iter().map(|Open { errand, leave, .. }| {
            let (who, what) = (errand.who(), errand.what());
            if leave.take() {
                format!("{who}: the order to {what} was not sent: nothing was done")
            } else {
                format!(
                    "{who}: no answer came to the order to {what}: it may be done yet; `idleway status` shows it"
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Asked {
        #[command(flatten)]
        place: Place,
    }

    fn errand(mode: &'static str) -> Errand {
        Errand { pool: "a".to_owned(), backend: "h:1".to_owned(), mode }
    }

    /// What comes of the order where somebody answers so, and what he was sent.
    fn carried_out(answer: &'static str, is_taken_back: bool) -> (Outcome, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = [0; 4096];
            let count = stream.read(&mut sent).unwrap();
            let _ = stream.write_all(answer.as_bytes());
            String::from_utf8_lossy(&sent[..count]).into_owned()
        });
        let place = Asked::parse_from(["top", "--admin", &url]).place;
        let (_, leave) = Errands::default().begin(errand("drain"), Instant::now());
        assert!(!is_taken_back || leave.take());
        let outcome = errand("drain").carry_out(&place, &leave);
        (outcome, answering.join().unwrap())
    }

    #[test]
    fn what_is_not_known_is_not_said_to_be_undone() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"slots\":{\"busy\":1}}  ";
        let (outcome, sent) = carried_out(ok, false);
        assert_eq!(outcome, Outcome::Done(" drains: 1 slot is still taken".to_owned()));
        assert!(sent.starts_with("PUT /v1/pools/a/backends/h:1/mode HTTP/1.1\r\n"), "{sent}");
        let no = "HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n{\"title\":\"No pool\"}";
        assert_eq!(carried_out(no, false).0.words(), (": not done. No pool".to_owned(), true));
        for answer in ["", "HTTP/1.1 200 OK\r\n"] {
            let (words, is_bad) = carried_out(answer, false).0.words();
            assert!(is_bad && words.starts_with(": it may be done, or not: it closed"), "{words}");
        }
        let place = Asked::parse_from(["top", "--admin", "http://127.0.0.1:1"]).place;
        let (_, leave) = Errands::default().begin(errand("drain"), Instant::now());
        assert!(matches!(errand("drain").carry_out(&place, &leave), Outcome::NotDone(_)));
    }

    #[test]
    fn what_was_taken_back_is_not_sent() {
        let (outcome, sent) = carried_out("", true);
        assert_eq!((outcome, &*sent), (Outcome::NotDone(NOT_SENT.to_owned()), ""));
        let now = Instant::now();
        let (_, leave) = Errands::default().begin(errand("drain"), now);
        assert!(!leave.is_given(now + LIMIT) && leave.is_given(now) && !leave.is_given(now));
    }

    #[test]
    fn silence_is_said_once_and_an_answer_after_it_too() {
        let mut errands = Errands::default();
        let now = Instant::now();
        assert!(!errands.are_under_way() && errands.overdue(now).is_none());
        let (number, leave) = errands.begin(errand("drain"), now);
        assert!(leave.is_given(now) && errands.are_under_way());
        assert_eq!((errands.until(), errands.overdue(now)), (Some(now + LIMIT), None));
        let silent = Some(("a/h:1".to_owned(), Outcome::Unknown(String::new())));
        assert_eq!(errands.overdue(now + LIMIT), silent);
        assert!(!errands.are_under_way() && errands.overdue(now + LIMIT).is_none());
        assert_eq!(errands.end(number, &Outcome::Unknown("it is silent".to_owned())), None);
        let done = Outcome::Done(String::new());
        assert_eq!(errands.end(number, &done).as_deref(), Some("a/h:1"));
        assert_eq!((errands.end(number, &done), errands.left().count()), (None, 0));
    }

    #[test]
    fn what_was_not_sent_in_time_is_taken_back() {
        let mut errands = Errands::default();
        let now = Instant::now();
        let (number, leave) = errands.begin(errand("drain"), now);
        let not_sent = Outcome::NotDone(NOT_SENT.to_owned());
        assert_eq!(errands.overdue(now + LIMIT), Some(("a/h:1".to_owned(), not_sent.clone())));
        assert!(!leave.is_given(now));
        assert_eq!(errands.end(number, &not_sent), None);
    }

    #[test]
    fn who_leaves_is_told_of_every_order_without_an_answer() {
        let mut errands = Errands::default();
        let now = Instant::now();
        for mode in ["drain", "maintenance", "ready", "ready"] {
            assert!(errands.begin(errand(mode), now).1.is_given(now));
        }
        assert!(errands.overdue(now + LIMIT).is_some());
        // What is done is done, however often it was ordered.
        errands.end(4, &Outcome::Done(String::new()));
        let (_, leave) = errands.begin(errand("ready"), now);
        let lines: Vec<_> = errands.left().collect();
        let unknown = |what: &str| {
            format!(
                "a/h:1: no answer came to the order to {what}: it may be done yet; `idleway status` shows it"
            )
        };
        let not_sent = "a/h:1: the order to bring it back was not sent: nothing was done".to_owned();
        assert_eq!(lines, [unknown("drain it"), unknown("set it to maintenance"), not_sent]);
        assert!(!leave.is_given(now));
    }
}
