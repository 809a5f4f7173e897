//! Each series stands on the page once, whatever comes, goes and is called alike: or Prometheus throws all of it away.

use super::*;

/// What was counted goes on where the names stay, and goes where they do.
#[test]
fn a_reload_keeps_the_counts_of_what_stays() {
    let a = Backend::answering("a");
    let config = |route: &str| {
        format!(
            "[pools.p]\nbackends = [{:?}]\n[[routes]]\npath = {route:?}\npool = \"p\"\n[[routes]]\npath = \"/stays\"\npool = \"p\"",
            a.url()
        )
    };
    let gateway = start(&config("/goes"));
    for path in ["/goes", "/stays"] {
        assert_eq!(ask(&gateway, get(path)).status(), 200);
    }
    let of = |route: &str| format!("idleway_requests_total{{route=\"{route}\",pool=\"p\",code=\"200\"}}");
    until(&gateway, &of("/goes"), 1.0);
    until(&gateway, &of("/stays"), 1.0);
    crate::reload::reload(&gateway, &config("/comes"));
    assert_eq!(ask(&gateway, get("/stays")).status(), 200);
    until(&gateway, &of("/stays"), 2.0);
    until(&gateway, "idleway_config_reloads_total{outcome=\"success\"}", 1.0);
    assert!(!page(&gateway).contains_key(&of("/goes")));
}

/// Routes that are shown alike are counted together: a series stands there once.
#[test]
fn routes_that_are_shown_alike_share_their_counts() {
    let a = Backend::answering("a");
    let route = |tier: &str| format!("[[routes]]\nheader = {{ \"X-Tier\" = {tier:?} }}\npool = \"p\"\n");
    let gateway = start(&format!("[pools.p]\nbackends = [{:?}]\n{}{}", a.url(), route("gold"), route("tin")));
    for tier in ["gold", "tin"] {
        assert_eq!(ask(&gateway, head_of("GET", "/", &format!("X-Tier: {tier}\r\n"))).status(), 200);
    }
    until(&gateway, "idleway_requests_total{route=\"/ by X-Tier\",pool=\"p\",code=\"200\"}", 2.0);
}

/// A pool that leaves while something of it is at work, and comes back before that has ended, is two behind one name.
#[test]
fn a_pool_that_left_and_came_back_is_one_on_the_page() {
    let gate = Gate::new();
    let door = gate.door();
    let old = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("old")
    });
    let new = Backend::answering("new");
    let config = |name: &str, backends: &[&Backend]| {
        let urls: Vec<_> = backends.iter().map(|backend| backend.url()).collect();
        format!("[pools.{name}]\nbackends = {urls:?}\n[[routes]]\npool = {name:?}")
    };
    let gateway = start(&config("p", &[&old]));
    let mut running = Client::asking(&gateway, get("/"));
    old.until_at_work();
    crate::reload::reload(&gateway, &config("other", &[&new]));
    until(&gateway, "idleway_slots{pool=\"p\",state=\"busy\"}", 1.0);
    crate::reload::reload(&gateway, &config("p", &[&old, &new]));
    // `page` fails where a series stands there twice.
    until(&gateway, "idleway_slots{pool=\"p\",state=\"busy\"}", 1.0);
    until(&gateway, "idleway_slots{pool=\"p\",state=\"idle\"}", 1.0);
    let name = |backend: &Backend| backend.url().trim_start_matches("http://").to_owned();
    let of_old = format!("{{pool=\"p\",backend=\"{}\"", name(&old));
    until(&gateway, &format!("idleway_backend_up{of_old}}}"), 1.0);
    until(&gateway, &format!("idleway_backend_ready{of_old}}}"), 1.0);
    gate.open();
    assert_eq!(running.answer().text(), "old");
    until(&gateway, "idleway_slots{pool=\"p\",state=\"idle\"}", 2.0);
}

/// Beyond five hundred routes the rest is counted together, and it is said how many they are.
#[test]
fn very_many_routes_share_a_series() {
    let backend = Backend::answering("a");
    let mut config = format!("[pools.p]\nbackends = [{:?}]\n", backend.url());
    for nth in 0..520 {
        config += &format!("[[routes]]\npath = \"/r{nth}\"\npool = \"p\"\n");
    }
    let gateway = start(&config);
    for nth in [0, 499, 500, 519] {
        assert_eq!(ask(&gateway, get(&format!("/r{nth}"))).status(), 200);
    }
    for (route, count) in [("/r0", 1.0), ("/r499", 1.0), ("(more)", 2.0)] {
        let name = format!("idleway_requests_total{{route=\"{route}\",pool=\"p\",code=\"200\"}}");
        until(&gateway, &name, count);
    }
    until(&gateway, "idleway_routes_not_shown", 20.0);
    assert!(!page(&gateway).keys().any(|name| name.contains("/r500\"")));
}

/// Beyond a thousand backends none has series of its own; the sums of their pools are there.
#[test]
fn very_many_backends_are_told_of_together() {
    let urls: Vec<_> =
        (0..1001).map(|nth| format!("http://127.1.{}.{}:9", nth / 250, nth % 250 + 1)).collect();
    let gateway = start(&format!("backends = {urls:?}"));
    until(&gateway, "idleway_backends{pool=\"default\",state=\"all\"}", 1001.0);
    until(&gateway, "idleway_backends_not_shown", 1001.0);
    until(&gateway, "idleway_slots{pool=\"default\",state=\"idle\"}", 1001.0);
    assert!(!page(&gateway).keys().any(|name| name.starts_with("idleway_backend_up{")));
}
