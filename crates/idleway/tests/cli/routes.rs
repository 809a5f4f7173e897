//! `idleway check --route`: which route takes a request, and why.

use crate::{ended, file};

#[test]
fn check_says_which_route_takes_a_request_and_why() {
    let file = file(
        "routes.toml",
        r#"
        [pools.app]
        backends = ["http://10.0.0.1"]
        [pools.models]
        backends = ["http://10.0.0.2"]
        [[routes]]
        pool = "app"
        [[routes]]
        host = "*.example.com"
        path = "/api"
        method = "POST"
        header = { "x-tier" = "secret-1" }
        pool = "models"
        replace = "/v2"
        request = { host = "{backend}", set = { "X-Key" = "secret-2" }, remove = ["Cookie"] }
        response = { remove = ["Server"] }
        [[routes]]
        exact = "/healthz"
        answer = { body = "secret-3" }
        [[routes]]
        path = "/old"
        redirect = { to = "/new" }
        "#,
    );
    let host = "POST *.example.com/api by x-tier";
    let passed = format!("  {host}: not for this host\n");
    for (args, code, told) in [
        (
            &["POST", "http://a.example.com/api/x?q", "-H", "X-Tier: secret-1"][..],
            0,
            format!(
                "{host} -> pool models\n\
                 the backend is sent: POST /v2/x?q, host: the backend's own\n\
                 the request loses: Cookie, X-Key\nthe request gets: X-Key\nthe response loses: Server\n"
            ),
        ),
        (
            &["POST", "http://a.example.com/api/x", "-H", "X-Tier: silver"],
            0,
            format!(
                "  {host}: not for this `x-tier`\n  /healthz (exact): not for this path\n  \
                 /old: not for this path\n/ -> pool app\nthe backend is sent: POST /api/x, host: a.example.com\n"
            ),
        ),
        // What no backend would see is nothing to go by.
        (
            &["POST", "http://a.example.com/api/x", "-H", "X-Tier: secret-1", "-H", "Connection: x-tier"],
            0,
            format!(
                "  {host}: not for this `x-tier`\n  /healthz (exact): not for this path\n  \
                 /old: not for this path\n/ -> pool app\nthe backend is sent: POST /api/x, host: a.example.com\n"
            ),
        ),
        (&["GET", "/healthz"], 0, format!("{passed}/healthz (exact) -> answer 200\n")),
        (
            &["GET", "https://b/old/x?q"],
            0,
            format!(
                "{passed}  /healthz (exact): not for this path\n/old -> redirect 307 to /new\n\
                 the client is sent to /new/x?q\n"
            ),
        ),
        (
            &["GET", "/old/..%2Fhealthz"],
            1,
            "no route: programs disagree about what this path means\n  \
             read as /old/..%2Fhealthz: /old -> redirect 307 to /new\n  \
             read as /old/../healthz: /old -> redirect 307 to /new\n  \
             read as /healthz: /healthz (exact) -> answer 200\n"
                .to_owned(),
        ),
        (
            &["POST", "http://a.example.com/api/x/../../api/y", "-H", "x-tier: secret-1"],
            1,
            format!(
                "{host} -> pool models\nno route: programs would disagree about what this path becomes\n"
            ),
        ),
        (&["GET", "/a b"], 1, "no route: the gateway refuses such a request: ".to_owned()),
    ] {
        let (ended_with, stdout, stderr) = ended(&[&["check", &file, "--route"], args].concat());
        assert_eq!((ended_with, stderr.as_str()), (code, ""), "{args:?} said {stdout}");
        let is_told = if told.ends_with('\n') { stdout == told } else { stdout.starts_with(&told) };
        assert!(is_told, "{args:?} said\n{stdout}");
        assert!(!stdout.contains("secret"), "{stdout}");
    }
    let empty = self::file("no-routes.toml", "[[routes]]\npath = \"/a\"\nanswer = {}\n");
    let told = "  /a: not for this path\nno route\n".to_owned();
    assert_eq!(ended(&["check", &empty, "--route", "GET", "http://x/b"]), (1, told, String::new()));
    assert_eq!(ended(&["check", &empty, "-H", "a: b"]).0, 2);
}
