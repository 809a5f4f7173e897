//! Urgency: who goes first, who loses a place in a full line, and whose word about it counts.

use crate::harness::*;

const LINE: &str = "queue = { length = 20, wait = \"90s\" }\n";
const BY_HEADER: &str = "priority = \"header:priority\"\n";
const TRUSTED: &str = "trusted = [\"127.0.0.1\"]\n";
const STRANGERS: &str = "trusted = [\"10.0.0.0/8\"]\n";

fn urgent(path: &str, urgency: &str) -> String {
    head_of("GET", path, &format!("Priority: {urgency}\r\n"))
}

/// Serves all that `waiting` stand in line for, and says in which order.
fn order(mut line: Line, waiting: Vec<Client>) -> Vec<String> {
    let order = line.next_of(waiting.len());
    line.gate.open();
    for mut client in waiting {
        assert_eq!(client.answer().status(), 200);
    }
    assert_eq!(line.first.answer().status(), 200);
    until_all_idle(&line.gateway, 1);
    order
}

#[test]
fn the_more_urgent_go_first_and_among_equals_who_came_first() {
    let line = Line::new(&format!("{LINE}{BY_HEADER}{TRUSTED}"));
    let words = ["low", "normal", "u=1, i", "u=7", "", "high", "nonsense", "u=3"];
    let waiting =
        words.iter().zip(1..).map(|(word, nth)| line.join(urgent(&format!("/{nth}"), word))).collect();
    assert_eq!(order(line, waiting), ["/3", "/6", "/2", "/5", "/7", "/8", "/1", "/4"]);
}

#[test]
fn a_strangers_word_does_not_count() {
    let line = Line::new(&format!("{LINE}{BY_HEADER}{STRANGERS}"));
    let waiting = vec![
        line.join(urgent("/low", "low")),
        line.join(urgent("/normal", "u=3")),
        line.join(urgent("/high", "u=0")),
    ];
    assert_eq!(order(line, waiting), ["/low", "/normal", "/high"]);
}

/// A route's urgency is the operator's word: no client's field changes it.
#[test]
fn a_route_says_how_urgent_its_requests_are() {
    let routes = "routes = [{ path = \"/batch\", priority = \"low\" }, { path = \"/live\", priority = \"high\" }, { path = \"/\" }]\n";
    let line = Line::new(&format!("{LINE}{BY_HEADER}{TRUSTED}{routes}"));
    let waiting = vec![
        line.join(urgent("/batch/1", "high")),
        line.join(urgent("/any", "low")),
        line.join(urgent("/any/normal", "normal")),
        line.join(urgent("/live/1", "low")),
    ];
    assert_eq!(order(line, waiting), ["/live/1", "/any/normal", "/batch/1", "/any"]);
}

#[test]
fn a_pool_says_how_urgent_its_requests_are_unless_a_route_does() {
    let routes = "routes = [{ path = \"/normal\", priority = \"normal\" }, { path = \"/\" }]\n";
    let line = Line::new(&format!("{LINE}priority = \"low\"\n{routes}"));
    let waiting = vec![line.join(get("/low")), line.join(get("/normal"))];
    assert_eq!(order(line, waiting), ["/normal", "/low"]);
}

/// The newest of the least urgent, and nobody as urgent as the newcomer.
#[test]
fn in_a_full_line_the_more_urgent_take_the_place_of_the_newest_of_the_least_urgent() {
    let queue = "queue = { length = 4, wait = \"90s\" }\n";
    let line = Line::new(&format!("{queue}{BY_HEADER}{TRUSTED}"));
    let words = ["low", "normal", "low", "high"];
    let mut waiting: Vec<Client> =
        words.iter().zip(1..).map(|(word, nth)| line.join(urgent(&format!("/{nth}"), word))).collect();
    for (newcomer, displaced) in [("/5", 2), ("/6", 0), ("/7", 1)] {
        waiting.push(Client::asking(&line.gateway, urgent(newcomer, "high")));
        let refused = waiting[displaced].answer();
        assert_eq!((refused.status(), refused.reason().as_str()), (503, "displaced"));
        assert!(refused.retry_after() >= 1);
        assert_eq!(line.gateway.slots().waiting, 4);
    }
    for word in ["high", "normal", "low"] {
        assert_eq!(ask(&line.gateway, urgent("/refused", word)).reason(), "queue-full", "{word}");
    }
    assert_eq!(order(line, waiting.split_off(3)), ["/4", "/5", "/6", "/7"]);
}

/// It has waited already; and the backend it came from is avoided, not the line's order.
#[test]
fn a_retry_goes_before_the_more_urgent_and_whatever_its_key() {
    let [failing, steady] = [Gate::new(), Gate::new()];
    let door = failing.door();
    let bad = Backend::new(move |visit| {
        door.pass()?;
        visit.close()
    });
    let door = steady.door();
    let good = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let config = format!("{LINE}{BY_HEADER}{TRUSTED}fair_by = \"header:x-api-key\"\n");
    let gateway = gateway(&[&bad, &good], &config);
    let ask_for = |path: &str, urgency: &str, key: &str| {
        Client::asking(
            &gateway,
            head_of("GET", path, &format!("Priority: {urgency}\r\nX-Api-Key: {key}\r\n")),
        )
    };
    // One on each, in whichever order they are taken.
    let mut at_work = [ask_for("/1", "low", "a"), ask_for("/2", "low", "a")];
    [&bad, &good].into_iter().for_each(Backend::until_at_work);
    let retried = bad.paths().swap_remove(0);
    let mut waiting = [ask_for("/3", "high", "b"), ask_for("/4", "high", "c")];
    until_slots(&gateway, "two in line", |slots| slots.waiting == 2);
    failing.pass_one();
    // The other backend may have one of those who wait meanwhile, or be held to be down.
    eventually("it is back in line", || {
        let taken = bad.paths().len() as u64 - 1;
        gateway.slots().waiting + taken == 3
    });
    steady.pass_one();
    good.until("the next", |seen| seen.heads.len() == 2);
    assert_eq!(good.paths()[1], retried);
    [&failing, &steady].into_iter().for_each(Gate::open);
    for client in at_work.iter_mut().chain(&mut waiting) {
        assert_eq!(client.answer().status(), 200);
    }
    let mut served = good.paths();
    served.sort_unstable();
    assert_eq!(served, ["/1", "/2", "/3", "/4"]);
}
