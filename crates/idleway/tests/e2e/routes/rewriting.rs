//! Paths that a backend is sent otherwise than they came.

use crate::harness::*;

fn house(routes: &str) -> (Backend, idleway::Gateway) {
    let backend = Backend::answering("done");
    let gateway = gateway(&[&backend], routes);
    (backend, gateway)
}

#[test]
fn a_path_is_replaced_or_stripped_and_the_rest_stays_as_it_came() {
    let (backend, gateway) = house(
        "[[routes]]\npath = \"/old\"\nreplace = \"/new/v2\"\n\
         [[routes]]\npath = \"/strip\"\nreplace = \"/\"\n\
         [[routes]]\nexact = \"/one\"\nreplace = \"/other\"\n",
    );
    let mut client = Client::of(&gateway);
    for (target, sent) in [
        ("/old/a%20b/%2e%7E?x=/old&y", "/new/v2/a%20b/%2e%7E?x=/old&y"),
        ("/%6Fld", "/new/v2"),
        ("/strip", "/"),
        ("/strip?q", "/?q"),
        ("/strip/a/../b", "/a/../b"),
        ("/one?q", "/other?q"),
        ("/one/", "/other"),
        ("/one/more", "/one/more"),
        ("/older", "/older"),
        ("http://test/old/x", "/new/v2/x"),
    ] {
        client.send(get(target));
        assert_eq!(client.answer().status(), 200, "{target}");
        assert_eq!(backend.paths().last().map(String::as_str), Some(sent), "{target}");
    }
}

#[test]
fn a_path_that_would_leave_its_place_has_no_route() {
    let (backend, gateway) = house("[[routes]]\nreplace = \"/tenant\"\n");
    for target in
        ["/../admin", "/x/../../admin", "/%2e%2e/admin", "/..%2fadmin", "/..;/admin", "/x/..%2f..%2fadmin"]
    {
        let refused = ask(&gateway, get(target));
        assert_eq!((refused.status(), refused.reason().as_str()), (404, "no-route"), "{target}");
    }
    assert_eq!(ask(&gateway, get("/x/../y")).status(), 200);
    // The whole server is no path.
    assert_eq!(ask(&gateway, head_of("OPTIONS", "*", "")).status(), 200);
    assert_eq!(backend.paths(), ["/tenant/x/../y", "*"]);
    let (backend, gateway) = house("[[routes]]\npath = \"/app\"\nreplace = \"/\"\n");
    for target in ["/app//evil.example/x", "/app/../app/x", "/app/x/../../app/y"] {
        assert_eq!(ask(&gateway, get(target)).status(), 404, "{target}");
    }
    assert!(backend.paths().is_empty());
}

/// Each attempt is sent the same.
#[test]
fn a_retry_is_sent_the_new_path_too() {
    let (dead, alive) = (Backend::dead(), Backend::answering("done"));
    let gateway = gateway(&[&dead, &alive], "[[routes]]\npath = \"/a\"\nreplace = \"/b\"\n");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, get("/a/x")).status(), 200);
    }
    assert_eq!(alive.paths(), ["/b/x"; 3]);
}
