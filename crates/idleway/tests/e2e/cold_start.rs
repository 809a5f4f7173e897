//! What a gateway takes for true of its backends when it starts, and nobody tells it what they are at.

use crate::harness::*;

const LINE: &str = "queue = { length = 5, wait = \"60s\" }";

#[test]
fn they_are_trusted_unless_said_otherwise() {
    let backend = Backend::answering("a");
    let gateway = gateway(&[&backend], "");
    assert_eq!(ask(&gateway, get("/work")).status(), 200);
    assert_eq!(backend.paths(), ["/work"]);
}

/// It was left with work by the process before: it answers the probe when that is done.
#[test]
fn a_backend_that_has_to_prove_it_is_asked_before_it_is_given_work() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("a")
    });
    let gateway = gateway(&[&backend], &format!("cold_start = \"prove\"\n{LINE}"));
    let mut client = Client::asking(&gateway, get("/work"));
    backend.until_at_work();
    until_slots(&gateway, "one in line", |slots| (slots.resting, slots.waiting) == (1, 1));
    assert_eq!(backend.paths(), ["/"]);
    gate.open();
    assert_eq!(client.answer().text(), "a");
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/", "/work"]);
}

#[test]
fn each_slot_rests_for_a_given_time() {
    let backend = Backend::of(2, |visit| visit.answer("a"));
    let config = |time: &str| {
        format!("cold_start = {time:?}\nbackends = [{{ url = {:?}, slots = 2 }}]\n{LINE}", backend.url())
    };
    let patient = start(&config("1h"));
    assert_eq!((patient.slots().idle, patient.slots().resting), (0, 2));
    let _waits = Client::asking(&patient, get("/never"));
    until_slots(&patient, "one in line", |slots| slots.waiting == 1);
    let gateway = start(&config("20ms"));
    assert_eq!(ask(&gateway, get("/work")).status(), 200);
    assert_eq!(backend.paths(), ["/work"]);
}

/// Who is added later was not this gateway's before: nothing is left there by it.
#[test]
fn what_a_reload_adds_is_not_cold() {
    let [a, b] = ["a", "b"].map(Backend::answering);
    let gateway = gateway(&[&a], "cold_start = \"1h\"");
    assert_eq!(ask(&gateway, get("/")).status(), 503);
    crate::reload::reload(
        &gateway,
        &format!("cold_start = \"1h\"\nbackends = [{:?}, {:?}]", a.url(), b.url()),
    );
    assert_eq!(ask(&gateway, get("/")).text(), "b");
}
