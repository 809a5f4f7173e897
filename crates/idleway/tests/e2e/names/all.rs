//! `resolve = "all"`: a backend at each address.

use std::net::{IpAddr, Ipv6Addr};

use super::*;

const LINE: &str = "queue = { length = 50, wait = \"60s\" }\n";

#[test]
fn addresses_come_and_go_under_traffic_and_no_request_fails() {
    let Some(hosts) = Hosts::new() else { return };
    let backends = backends(6, &Gate::new());
    let [a, b, c, d, e, f] = &backends[..] else { unreachable!() };
    hosts.set(NAME, &[a, b]);
    let program = hosts.start(&(named(&backends, "all") + LINE));
    under_traffic(&program, || {
        until_serving(a);
        until_serving(b);
        // One more, one for another, all others, and some of them again.
        for (now, gone) in
            [(&[a, b, c][..], &[][..]), (&[c, d], &[a, b]), (&[e, f], &[c, d]), (&[a, f, c], &[e])]
        {
            let (changes, before) = (program.said(CHANGED).len(), served(d));
            hosts.set(NAME, now);
            program.until_said(CHANGED, changes + 1);
            now.iter().for_each(|backend| until_serving(backend));
            // What was granted before the change is at work for a moment more.
            gone.iter().for_each(|backend| backend.until("its end", |seen| seen.at_work == 0));
            now.iter().for_each(|backend| until_serving(backend));
            let gone_at: Vec<_> = gone.iter().map(|backend| served(backend)).collect();
            now.iter().for_each(|backend| until_serving(backend));
            let gone_now: Vec<_> = gone.iter().map(|backend| served(backend)).collect();
            assert_eq!(gone_at, gone_now, "who is gone gets nothing new");
            assert!(served(d) >= before);
        }
    });
    assert!(program.said("backend down").is_empty());
}

/// The limit is the address's, whether the name stands for it meanwhile or not.
#[test]
fn an_address_that_comes_back_while_it_still_works_is_given_no_second_request() {
    let Some(hosts) = Hosts::new() else { return };
    let gate = Gate::new();
    let backends = backends(2, &gate);
    hosts.set(NAME, &[&backends[0], &backends[1]]);
    let program = hosts.start(&(named(&backends, "all") + LINE));
    let mut first = program.asking("/work");
    eventually("one at work", || backends.iter().any(|backend| backend.seen().at_work == 1));
    let at = usize::from(backends[0].seen().at_work == 0);
    let (working, other) = (&backends[at], &backends[1 - at]);
    hosts.set(NAME, &[other]);
    program.until_said(CHANGED, 2);
    for _ in 0..10 {
        assert_eq!(program.ask("/").status(), 200);
    }
    assert_eq!((served(working), served(other)), (1, 10));
    hosts.set(NAME, &[working, other]);
    program.until_said(CHANGED, 3);
    under_traffic(&program, || {
        until_serving(other);
        until_serving(other);
        assert_eq!(served(working), 1, "it is at work");
        gate.open();
        assert_eq!(first.answer().status(), 200);
        until_serving(working);
    });
}

#[test]
fn the_two_families_of_a_name_lead_to_the_same_hosts_and_one_is_used() {
    let Some(hosts) = Hosts::new() else { return };
    let [two, three] = loopback(2)[..] else { unreachable!() };
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    let gate = Gate::new();
    let backends = match backends_at(&[six, two, three], &gate) {
        Ok(backends) => backends,
        Err(error) => return println!("not tried, since there is no {six} on this machine: {error}"),
    };
    hosts.set(NAME, &[&backends[0], &backends[1], &backends[2]]);
    let program = hosts.start(&(named(&backends, "all") + LINE));
    let mut at_work: Vec<_> = (0..3).map(|_| program.asking("/work")).collect();
    eventually("no idle slot", || program.ask_impatiently("/work").status() == 503);
    let works = |backend: &Backend| backend.seen().at_work == 1;
    eventually("one family at work, and not the other", || {
        works(&backends[0]) != works(&backends[1]) && works(&backends[1]) == works(&backends[2])
    });
    let of_six = works(&backends[0]);
    gate.open();
    assert!(at_work.iter_mut().all(|client| client.answer().status() == 200));
    assert!(backends.iter().all(|backend| (served(backend) == 0) == (of_six != (backend.ip() == six))));
    under_traffic(&program, || {
        // The family in use goes: the other one serves.
        if of_six {
            hosts.set(NAME, &[&backends[1], &backends[2]]);
            backends[1..].iter().for_each(until_serving);
        } else {
            hosts.set(NAME, &[&backends[0]]);
            until_serving(&backends[0]);
        }
    });
}

#[test]
fn an_address_counts_once_whoever_names_it() {
    let Some(hosts) = Hosts::new() else { return };
    let gate = Gate::new();
    let backends = backends(3, &gate);
    let [a, b, c] = &backends[..] else { unreachable!() };
    hosts.write(&[("one.test", a), ("one.test", b), ("two.test", b), ("two.test", c)]);
    let port = a.port();
    let program = hosts.start(&format!(
        "backends = [\"http://one.test:{port}\", {:?}, \"http://two.test:{port}\"]\nresolve = \"all\"",
        a.url()
    ));
    let mut at_work: Vec<_> = (0..3).map(|_| program.asking("/work")).collect();
    backends.iter().for_each(Backend::until_at_work);
    // Without a line: there are three Slots and no more.
    let refused = program.ask("/work");
    assert_eq!((refused.status(), refused.reason().as_str()), (503, "busy"));
    program.until_said("an address counts once", 2);
    let told = program.said("an address counts once");
    assert_eq!(told.len(), 2, "{told:?}");
    // Whoever has it loses it: it goes to the other one that names it, and not before its work has ended.
    let is_ones = told.iter().any(|line| line.contains("name=two.test"));
    match is_ones {
        true => hosts.write(&[("one.test", a), ("two.test", b), ("two.test", c)]),
        false => hosts.write(&[("one.test", a), ("one.test", b), ("two.test", c)]),
    }
    program.until_said(CHANGED, 3);
    assert_eq!(program.ask("/work").status(), 503);
    assert_eq!(program.said(CHANGED).len(), 3);
    (0..3).for_each(|_| gate.pass_one());
    assert!(at_work.iter_mut().all(|client| client.answer().status() == 200));
    program.until_said(CHANGED, 4);
    let mut again: Vec<_> = (0..3).map(|_| program.asking("/work")).collect();
    backends.iter().for_each(Backend::until_at_work);
    assert_eq!(program.ask("/work").reason(), "busy");
    gate.open();
    assert!(again.iter_mut().all(|client| client.answer().status() == 200));
}

#[test]
fn a_name_that_is_gone_keeps_its_last_good_answer() {
    let Some(hosts) = Hosts::new() else { return };
    let backends = backends(3, &Gate::new());
    let [a, b, c] = &backends[..] else { unreachable!() };
    hosts.set(NAME, &[a, b]);
    let program = hosts.start(&(named(&backends, "all") + LINE));
    under_traffic(&program, || {
        [a, b].into_iter().for_each(until_serving);
        hosts.write(&[]);
        program.until_said("the name is not found; what was found before holds", 1);
        [a, b].into_iter().for_each(until_serving);
        hosts.set(NAME, &[c]);
        program.until_said("the name is found again", 1);
        until_serving(c);
    });
    assert_eq!(program.said("the name is not found").len(), 1, "it is said once");
}

#[test]
fn a_name_that_is_unknown_at_first_serves_when_it_appears() {
    for (resolve, first) in [("all", 503), ("one", 502)] {
        let Some(hosts) = Hosts::new() else { return };
        let backends = backends(1, &Gate::new());
        let program = hosts.start(&named(&backends, resolve));
        let told = program.ask("/");
        assert_eq!(told.status(), first, "{}", told.text());
        eventually("503", || program.ask("/").status() == 503);
        let told = program.ask("/");
        assert_eq!(told.reason(), "no-backend-up");
        assert!(told.retry_after() >= 1);
        hosts.set(NAME, &[&backends[0]]);
        eventually("it serves", || program.ask("/").status() == 200);
    }
}

/// Its name stands for nothing but what is another's: it is told so at once, and costs no request its time.
#[test]
fn a_backend_that_has_no_address_of_its_own_is_down_at_once() {
    let Some(hosts) = Hosts::new() else { return };
    let backends = backends(1, &Gate::new());
    hosts.set(NAME, &[&backends[0]]);
    let port = backends[0].port();
    let program = hosts.start(&format!(
        "backends = [{:?}, \"http://{NAME}:{port}\"]\nconnect_timeout = \"1h\"\n\
         health = {{ tcp = true, every = \"20ms\", timeout = \"1h\" }}",
        backends[0].url()
    ));
    program.until_said("backend down", 1);
    assert_eq!(program.said("an address counts once").len(), 1);
    assert!(program.said("backend down")[0].contains("they are all another backend's"));
}
