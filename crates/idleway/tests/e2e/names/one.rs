//! `resolve = "one"`: one backend, whose addresses are tried in turn.

use super::*;

#[test]
fn addresses_are_tried_in_turn_and_a_dead_one_costs_nothing() {
    let Some(hosts) = Hosts::new() else { return };
    for dead in [0, 1] {
        let gate = Gate::new();
        let mut backends = backends(2, &gate);
        backends[dead].kill();
        hosts.set(NAME, &[&backends[0], &backends[1]]);
        // Each request connects anew.
        let program =
            hosts.start(&(named(&backends, "one") + "keep_alive = false\nretry = { attempts = 1 }"));
        for _ in 0..10 {
            assert_eq!(program.ask("/").status(), 200);
        }
        assert!(program.said("backend down").is_empty());
        assert_eq!(served(&backends[1 - dead]), 10);
        // They are one backend: it has one Slot.
        backends[dead].restart();
        let mut first = program.asking("/work");
        eventually("it at work", || backends.iter().any(|backend| backend.seen().at_work == 1));
        assert_eq!(program.ask("/").status(), 503);
        gate.open();
        assert_eq!(first.answer().status(), 200);
    }
}

/// Also the connection that is kept leads to an address that the name no longer stands for.
#[test]
fn a_change_of_addresses_is_followed_by_whoever_kept_a_connection() {
    let Some(hosts) = Hosts::new() else { return };
    let backends = backends(3, &Gate::new());
    let [a, b, c] = &backends[..] else { unreachable!() };
    hosts.set(NAME, &[a]);
    let line = "queue = { length = 50, wait = \"60s\" }\n";
    let program = hosts.start(&(named(&backends, "one") + line));
    under_traffic(&program, || {
        until_serving(a);
        for (now, before) in [(b, a), (c, b), (a, c)] {
            hosts.set(NAME, &[now]);
            until_serving(now);
            let gone_at = served(before);
            until_serving(now);
            assert_eq!(served(before), gone_at, "who is gone gets nothing new");
        }
    });
    assert!(program.said("backend down").is_empty());
}
