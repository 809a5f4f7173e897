//! What a request asks for in its pool's line: how long it waits, until when its answer is worth something, in whose
//! name it comes and how urgent it is. The configuration says so, and the request itself within what that allows.

mod client;
mod deadline;
mod urgency;
mod wait;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use idleway_core::{Ask, Core, Key, Lane};
use idleway_h1::{Known, RequestHead};

use self::deadline::Deadline;
use self::wait::Wait;
use crate::config::{FairBy, Network, PoolPlan, QueuePlan};
use crate::error::Reject;
use crate::live::time_at;
use crate::message::Request;
use crate::route::Route;

/// What one request asks for, as far as it is allowed to.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    wait: Wait,
    deadline: Option<Deadline<'a>>,
    key: Key,
    weight: u32,
    lane: Lane,
}

impl<'a> Asking<'a> {
    /// Reads what the request says; `trusted` are the peers whose word counts.
    ///
    /// # Errors
    /// The field that cannot be read. A deadline that was overlooked would be worse than none.
    pub(super) fn read(
        request: &Request,
        route: &Route,
        pool: &'a PoolPlan,
        trusted: &[Network],
    ) -> Result<Self, Reject> {
        let (key, weight) = in_whose_name(request, pool, trusted);
        Ok(Self {
            wait: Wait::of(&request.head, &queue_of(route, pool)),
            deadline: Deadline::of(request, route, pool)?,
            key,
            weight,
            lane: urgency::lane(request, route.priority.as_ref().unwrap_or(&pool.priority)),
        })
    }

    /// What the pool is asked, on behalf of a request that joins the line now and `waited` in it before.
    ///
    /// A retry's wait begins anew, for the attempt was not its doing; but one that said itself how long it waits waits no
    /// longer in all.
    pub(super) fn ask(&self, near: Core, now: Instant, waited: Duration) -> Ask {
        let waited = if self.wait.applied.is_some() { waited } else { Duration::ZERO };
        let until = now + self.wait.within.saturating_sub(waited);
        let until = self.deadline().map_or(until, |deadline| until.min(deadline));
        let mut ask = Ask::new(near, time_at(until));
        if let Some(deadline) = self.deadline() {
            ask.deadline = time_at(deadline);
        }
        ask.key = self.key;
        ask.weight = self.weight;
        ask.lane = self.lane;
        ask
    }

    /// When its last byte has to have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.as_ref().map(|deadline| deadline.at)
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The reason of a request whose deadline has passed.
    pub(super) fn deadline_over(&self) -> Reject {
        let (after, said_in) = self
            .deadline
            .as_ref()
            .map_or_else(Default::default, |deadline| (deadline.within, deadline.said_in));
        Reject::DeadlineOver { after, said_in: said_in.to_owned() }
    }

    /// The wait in force, in seconds, where the request has asked for one (RFC 7240 section 3).
    pub(super) fn applied(&self) -> Option<u64> {
        self.wait.applied
    }
}

/// The line as it is for this route. What its pool lets a client ask for it may ask for here too.
fn queue_of(route: &Route, pool: &PoolPlan) -> QueuePlan {
    let QueuePlan { length, wait, wait_max } = pool.queue;
    let wait = route.wait.unwrap_or(wait);
    QueuePlan { length, wait, wait_max: route.wait_max.unwrap_or(wait_max.max(wait)) }
}

/// The key, and the part of the Slots' time that it is due. Where requests are not told apart by a field, the key is
/// that of the client's address: what was promised to one is not for the next.
fn in_whose_name(request: &Request, pool: &PoolPlan, trusted: &[Network]) -> (Key, u32) {
    let weight = |key: &str| pool.weights.get(key).copied().unwrap_or(1);
    let has_weights = !pool.weights.is_empty();
    match &pool.fair_by {
        FairBy::Header(name) => {
            // All that lack the field are one.
            let value = field(&request.head, name).unwrap_or_default();
            let weight = if has_weights { str::from_utf8(value).map_or(1, weight) } else { 1 };
            (hashed(value), weight)
        }
        FairBy::Ip | FairBy::None => {
            let address = client::address(request, trusted);
            let weight = if has_weights { weight(&address.to_string()) } else { 1 };
            (hashed(one_site(address)), weight)
        }
    }
}

/// One client has a whole /64 of IPv6 addresses to choose from (RFC 6177): they are one.
fn one_site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Keyed with what nobody outside knows: no client can choose a value that meets another's key.
fn hashed(name: impl std::hash::Hash) -> Key {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    Key(SECRET.get_or_init(RandomState::new).hash_one(name))
}

/// The value of the first field of this name, which is in small letters.
fn field<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    match Known::of(name) {
        Known::Other => {
            let is_it = |other: &str| other.eq_ignore_ascii_case(name);
            head.fields()
                .find(|field| field.known == Known::Other && is_it(field.name))
                .map(|field| field.value)
        }
        known => head.get(known),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use idleway_core::Time;
    use idleway_h1::{HeadReader, Limits};

    use super::*;
    use crate::config::Priority;

    /// A request from 10.0.0.1, which is not trusted, with these field lines.
    pub(super) fn request(fields: &[impl AsRef<str>]) -> Request {
        let lines: String = fields.iter().map(|line| format!("{}\r\n", line.as_ref())).collect();
        // The pools' clock runs before there are requests.
        crate::live::now();
        let limits = Limits { head: 1 << 14, target: 1 << 10, fields: 50 };
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let (head, _) = HeadReader::new(limits).request(text.as_bytes()).unwrap().unwrap();
        Request::new(Box::new(head), "10.0.0.1:4000".parse().unwrap(), Arc::from("10.0.0.1"), false)
    }

    fn pool(change: impl FnOnce(&mut PoolPlan)) -> PoolPlan {
        let mut pool = PoolPlan::new("workers", Vec::new());
        pool.queue.length = 1;
        change(&mut pool);
        pool
    }

    fn asked(request: &Request, pool: &PoolPlan) -> Ask {
        let asking = Asking::read(request, &Route::new(0), pool, &[]).unwrap();
        asking.ask(Core(0), request.arrived, Duration::ZERO)
    }

    /// From the request's arrival on.
    fn after(request: &Request, time: Time) -> Duration {
        time.since(time_at(request.arrived))
    }

    #[test]
    fn a_request_that_says_nothing_asks_for_what_its_pool_gives() {
        let request = request(&["Accept: */*"]);
        let ask = asked(&request, &pool(|_| {}));
        assert_eq!((after(&request, ask.until), ask.deadline), (Duration::from_secs(30), Time::NEVER));
        assert_eq!((ask.weight, ask.lane), (1, Lane::Normal));
        let ask = asked(&request, &pool(|pool| pool.deadline = Some(Duration::from_secs(20))));
        assert_eq!(after(&request, ask.deadline), Duration::from_secs(20));
        // Whose deadline has passed waits no longer.
        assert_eq!(ask.until, ask.deadline);
    }

    #[test]
    fn the_earliest_deadline_holds() {
        for (fields, within, said_in) in [
            (&[][..], 20, "deadline"),
            (&["grpc-timeout: 30S"], 20, "deadline"),
            (&["grpc-timeout: 10S"], 10, "grpc-timeout"),
            (&["X-Deadline: 5", "grpc-timeout: 10S"], 5, "x-deadline"),
            (&["X-Deadline: 15s", "grpc-timeout: 10S"], 10, "grpc-timeout"),
            (&["X-Deadline: 1h"], 20, "deadline"),
            (&["X-Deadline: 10s", "x-deadline: 4s"], 4, "x-deadline"),
            (&["grpc-timeout: 9S", "grpc-timeout: 3S"], 3, "grpc-timeout"),
        ] {
            let pool = pool(|pool| {
                pool.deadline = Some(Duration::from_secs(20));
                pool.deadline_header = Some("x-deadline".to_owned());
            });
            let request = request(fields);
            let asking = Asking::read(&request, &Route::new(0), &pool, &[]).unwrap();
            let after = Duration::from_secs(within);
            assert_eq!(asking.deadline_over(), Reject::DeadlineOver { after, said_in: said_in.to_owned() });
            assert_eq!(asking.deadline(), Some(request.arrived + after), "{fields:?}");
        }
    }

    #[test]
    fn a_deadline_that_cannot_be_read_is_refused() {
        let with_header = pool(|pool| pool.deadline_header = Some("x-deadline".to_owned()));
        for field in ["grpc-timeout: 5", "X-Deadline: soon"] {
            let read =
                |pool| Asking::read(&request(&[field]), &Route::new(0), pool, &[]).map(|_| ()).unwrap_err();
            let reject = read(&with_header);
            assert_eq!(reject.status(), 400);
            assert!(reject.to_string().starts_with(&format!("`{}`", field.to_lowercase())), "{reject}");
        }
        asked(&request(&["X-Deadline: soon"]), &pool(|_| {}));
    }

    #[test]
    fn equal_names_are_one_key() {
        let by_header = pool(|pool| {
            pool.fair_by = FairBy::Header("x-api-key".to_owned());
            pool.weights = [("gold".to_owned(), 4), (String::new(), 2)].into();
        });
        let key = |line: &str, pool: &PoolPlan| {
            let ask = asked(&request(&[line]), pool);
            (ask.key, ask.weight)
        };
        let gold = key("X-Api-Key: gold", &by_header);
        assert_eq!((gold, gold.1), (key("x-api-key:  gold ", &by_header), 4));
        let other = key("X-Api-Key: Gold", &by_header);
        assert_eq!(other.1, 1);
        let none = key("X-Other: gold", &by_header);
        assert_eq!(none.1, 2);
        assert!(gold.0 != other.0 && other.0 != none.0 && none.0 != gold.0);

        let by_address = pool(|pool| {
            pool.fair_by = FairBy::Ip;
            pool.weights = [("10.0.0.1".to_owned(), 3)].into();
        });
        let ours = key("X-Api-Key: gold", &by_address);
        assert_eq!((ours, ours.1), (key("X-Api-Key: other", &by_address), 3));
        // The address is the key of promises even where nothing is shared by it.
        assert_eq!(ours.0, key("X-Api-Key: gold", &pool(|_| {})).0);
        let neighbour = Request { peer: "10.0.0.2:4000".parse().unwrap(), ..request(&["X-Api-Key: gold"]) };
        let theirs = asked(&neighbour, &by_address);
        assert!(theirs.key != ours.0 && theirs.weight == 1);
        let of_peer = |peer: &str| {
            let request = Request { peer: peer.parse().unwrap(), ..request(&["X-Api-Key: gold"]) };
            asked(&request, &by_address).key
        };
        assert_eq!(of_peer("[2001:db8::1]:4000"), of_peer("[2001:db8::2:3:4]:4000"), "one site");
        assert_ne!(of_peer("[2001:db8::1]:4000"), of_peer("[2001:db8:0:1::1]:4000"));
    }

    #[test]
    fn only_a_trusted_peer_says_how_urgent_it_is() {
        let pool = pool(|pool| pool.priority = Priority::Header("x-priority".to_owned()));
        let lane = |route: &Route, is_trusted| {
            let request = Request { is_trusted, ..request(&["X-Priority: high"]) };
            Asking::read(&request, route, &pool, &[])
                .unwrap()
                .ask(Core(0), request.arrived, Duration::ZERO)
                .lane
        };
        let any = Route::new(0);
        let mut low = Route::new(0);
        low.priority = Some(Priority::Fixed(Lane::Low));
        assert_eq!((lane(&any, true), lane(&any, false)), (Lane::High, Lane::Normal));
        assert_eq!((lane(&low, true), lane(&low, false)), (Lane::Low, Lane::Low));
    }

    #[test]
    fn a_wait_of_its_own_counts_from_when_it_joins() {
        let request = request(&["Prefer: wait=7"]);
        let pool = pool(|_| {});
        let asking = Asking::read(&request, &Route::new(0), &pool, &[]).unwrap();
        let joined = request.arrived + Duration::from_secs(2);
        let until = asking.ask(Core(0), joined, Duration::ZERO).until;
        assert_eq!((after(&request, until), asking.applied()), (Duration::from_secs(9), Some(7)));
    }

    #[test]
    fn a_retry_has_what_is_left_of_a_wait_of_its_own_and_else_the_whole_wait_again() {
        let pool = pool(|pool| pool.queue.wait = Duration::from_secs(30));
        for (fields, waited, left) in
            [(&["Prefer: wait=7"][..], 5, 2), (&["Prefer: wait=7"], 9, 0), (&[], 5, 30)]
        {
            let request = request(fields);
            let asking = Asking::read(&request, &Route::new(0), &pool, &[]).unwrap();
            let until = asking.ask(Core(0), request.arrived, Duration::from_secs(waited)).until;
            assert_eq!(after(&request, until), Duration::from_secs(left), "{fields:?} after {waited} s");
        }
    }
}
