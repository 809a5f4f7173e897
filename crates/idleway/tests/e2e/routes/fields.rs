//! Routes by header fields: what counts is what a backend would see.

use crate::harness::*;

const ROUTES: &str = "[[routes]]\npath = \"/\"\nanswer = { body = \"plain\" }\n\
                      [[routes]]\nheader = { \"X-Forwarded-Proto\" = \"https\" }\nanswer = { body = \"secure\" }\n\
                      [[routes]]\npath = \"/tier\"\nheader = { \"X-Tier\" = \"gold\", \"X-Debug\" = false }\nanswer = { body = \"gold\" }\n";

fn answer(gateway: &idleway::Gateway, path: &str, fields: &str) -> String {
    ask(gateway, head_of("GET", path, fields)).text().to_owned()
}

#[test]
fn a_request_is_routed_by_what_stands_in_its_fields() {
    let gateway = start(ROUTES);
    for (fields, expected) in [
        ("X-Tier: gold\r\n", "gold"),
        ("x_tier: gold\r\n", "gold"),
        ("X-Tier: gold\r\nX-Debug:\r\n", "plain"),
        ("X-Tier: gold\r\nX_Debug: 0\r\n", "plain"),
        ("X-Tier: gold\r\nX-Tier: gold\r\n", "plain"),
        ("X-Tier: Gold\r\n", "plain"),
        ("", "plain"),
        // Meant for this hop alone: no backend would see it.
        ("X-Tier: gold\r\nConnection: X-Tier\r\n", "plain"),
        ("X-Tier: gold\r\nX-Debug: 1\r\nConnection: X-Debug\r\n", "gold"),
    ] {
        assert_eq!(answer(&gateway, "/tier", fields), expected, "{fields:?}");
    }
}

#[test]
fn only_a_trusted_peer_says_how_it_was_asked() {
    for (config, expected) in [("", "plain"), ("trusted = [\"127.0.0.1\"]\n", "secure")] {
        let gateway = start(&format!("{config}{ROUTES}"));
        assert_eq!(answer(&gateway, "/", "X-Forwarded-Proto: https\r\n"), expected, "{config}");
        for shadow in
            ["X_Forwarded_Proto: https\r\n", "x.forwarded.proto: https\r\n", "X-Forwarded_Proto: https\r\n"]
        {
            assert_eq!(answer(&gateway, "/", shadow), "plain", "{config}{shadow}");
        }
    }
}
