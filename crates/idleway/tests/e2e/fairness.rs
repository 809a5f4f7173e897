//! `fair_by`: keys share the time of the Slots, whatever each of them has in line.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::harness::*;

const LINE: &str = "queue = { length = 20, wait = \"90s\" }\n";
const BY_KEY: &str = "fair_by = \"header:x-api-key\"\n";

fn of(key: &str, path: &str) -> String {
    head_of("GET", path, &format!("X-Api-Key: {key}\r\n"))
}

/// The Slot's time that each key has had, by its path. What the gateway counts lies between the two, whatever this
/// machine does meanwhile: so a test can be sure of who has had more, and need not be of how much.
#[derive(Default)]
struct Shares(HashMap<char, Share>);

#[derive(Clone, Copy, Default)]
struct Share {
    least: Duration,
    most: Duration,
}

/// A request at work.
struct Turn {
    path: String,
    /// It did not begin before.
    after: Instant,
    /// It began before.
    before: Instant,
}

impl Turn {
    fn key(&self) -> char {
        self.path.chars().nth(1).unwrap()
    }
}

impl Shares {
    fn of(&self, key: char) -> Share {
        self.0.get(&key).copied().unwrap_or_default()
    }

    /// Whoever came to work when the one before ended.
    fn next(line: &Line) -> Turn {
        let after = Instant::now();
        let path = line.next();
        Turn { path, after, before: Instant::now() }
    }

    /// Lets the work take so long that its key has surely had more than this; then the next one's turn is it.
    fn work(&mut self, line: &Line, turn: &Turn, more_than: Duration) -> Turn {
        let share = self.0.entry(turn.key()).or_default();
        let had = share.least + turn.before.elapsed();
        spend(more_than.saturating_sub(had) + Duration::from_nanos(1));
        share.least += turn.before.elapsed();
        let next = Self::next(line);
        share.most += next.before - turn.after;
        next
    }
}

fn finish(mut line: Line, waiting: Vec<Client>) {
    line.gate.open();
    for mut client in waiting {
        assert_eq!(client.answer().status(), 200);
    }
    assert_eq!(line.first.answer().status(), 200);
    until_all_idle(&line.gateway, 1);
}

/// One has filled the line before the other came.
#[test]
fn the_key_that_has_had_less_is_next() {
    let line = Line::new(&format!("{LINE}{BY_KEY}"));
    let mut waiting: Vec<Client> = (0..8).map(|nth| line.join(of("a", &format!("/a{nth}")))).collect();
    waiting.extend((0..4).map(|nth| line.join(of("b", &format!("/b{nth}")))));
    let mut shares = Shares::default();
    // Neither has had anything: who came first.
    let mut turn = Shares::next(&line);
    for expected in ["/a0", "/b0", "/a1", "/b1", "/a2", "/b2", "/a3"] {
        assert_eq!(turn.path, expected);
        let other = if turn.key() == 'a' { 'b' } else { 'a' };
        turn = shares.work(&line, &turn, shares.of(other).most);
    }
    assert_eq!(turn.path, "/b3");
    finish(line, waiting);
}

/// A thousandfold weight is due more than a machine can dawdle here.
#[test]
fn weights_give_a_larger_share() {
    let line = Line::new(&format!("{LINE}{BY_KEY}weights = {{ gold = 1000 }}\n"));
    let mut waiting: Vec<Client> = (0..3).map(|nth| line.join(of("plain", &format!("/p{nth}")))).collect();
    waiting.extend((0..3).map(|nth| line.join(of("gold", &format!("/g{nth}")))));
    let mut shares = Shares::default();
    let turn = Shares::next(&line);
    assert_eq!(turn.path, "/p0");
    let mut turn = shares.work(&line, &turn, Duration::from_millis(30));
    for expected in ["/g0", "/g1", "/g2"] {
        assert_eq!(turn.path, expected);
        turn = shares.work(&line, &turn, shares.of('p').most);
    }
    assert_eq!(turn.path, "/p1");
    finish(line, waiting);
}

#[test]
fn without_fair_by_first_come_first_served() {
    let line = Line::new(LINE);
    let paths = ["/a0", "/a1", "/a2", "/b0", "/b1"];
    let waiting = paths.iter().map(|path| line.join(of(&path[1..2], path))).collect();
    assert_eq!(line.next_of(5), paths);
    finish(line, waiting);
}

/// Requests without the field are one key.
#[test]
fn who_lacks_the_field_shares_with_all_others_who_do() {
    let line = Line::new(&format!("{LINE}{BY_KEY}"));
    let mut waiting: Vec<Client> = ["/-0", "/-1", "/-2"].map(|path| line.join(get(path))).into();
    waiting.push(line.join(of("a", "/a0")));
    // The one at work is theirs, and has had what it has had.
    assert_eq!(line.next(), "/a0");
    finish(line, waiting);
}

/// By FIN or RST: the next of its key is served in its turn, and its place in line is free.
#[test]
fn whoever_leaves_leaves_nothing_of_its_key_behind() {
    let queue = "queue = { length = 4, wait = \"90s\" }\n";
    for by_reset in [false, true] {
        let line = Line::new(&format!("{queue}{BY_KEY}"));
        let leaving = ["/a0", "/a1"].map(|path| line.join(of("a", path)));
        let mut waiting = vec![line.join(of("a", "/a2")), line.join(of("b", "/b0"))];
        leaving.into_iter().for_each(|client| client.leave(by_reset));
        until_slots(&line.gateway, "two have left", |slots| slots.waiting == 2);
        // Two places are free: nobody is displaced.
        waiting.push(line.join(of("b", "/b1")));
        waiting.push(line.join(of("a", "/a3")));
        assert_eq!(ask(&line.gateway, of("b", "/b2")).reason(), "queue-full");
        assert_eq!(line.next(), "/a2");
        let mut served = line.next_of(3);
        served.sort_unstable();
        assert_eq!(served, ["/a3", "/b0", "/b1"]);
        finish(line, waiting);
    }
}

/// Until the line is about even; then the newcomer is refused, whoever it is.
#[test]
fn in_a_full_line_a_key_with_few_takes_the_place_of_the_newest_of_the_key_with_most() {
    let queue = "queue = { length = 5, wait = \"90s\" }\n";
    let line = Line::new(&format!("{queue}{BY_KEY}"));
    let mut waiting: Vec<Client> = (0..5).map(|nth| line.join(of("a", &format!("/a{nth}")))).collect();
    for (newcomer, displaced) in [("/b0", 4), ("/b1", 3)] {
        waiting.push(Client::asking(&line.gateway, of("b", newcomer)));
        let refused = waiting.remove(displaced).answer();
        assert_eq!((refused.status(), refused.reason().as_str()), (503, "displaced"));
        assert!(refused.retry_after() >= 1);
        assert_eq!(line.gateway.slots().waiting, 5);
    }
    for key in ["a", "b"] {
        assert_eq!(ask(&line.gateway, of(key, "/refused")).reason(), "queue-full", "{key}");
    }
    let mut served = line.next_of(5);
    served.sort_unstable();
    assert_eq!(served, ["/a0", "/a1", "/a2", "/b0", "/b1"]);
    finish(line, waiting);
}

/// What somebody has in line is displaced for a key's sake only where keys count.
#[test]
fn without_fair_by_a_full_line_refuses_whoever_comes() {
    let line = Line::new("queue = { length = 3, wait = \"90s\" }\n");
    let waiting = ["/a0", "/a1", "/a2"].map(|path| line.join(of("a", path))).into();
    assert_eq!(ask(&line.gateway, of("b", "/b0")).reason(), "queue-full");
    finish(line, waiting);
}
