//! Fields that a route changes, and the host that a backend is told.

use crate::harness::*;

/// What a backend got for this request, and the answer, which is `200 OK` with these lines.
fn through(route: &str, request: &str, answer: &'static str) -> (Head, Response, String) {
    let backend = Backend::new(move |visit| {
        visit.body()?;
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{answer}\r\n"))
    });
    let gateway = gateway(&[&backend], &format!("[[routes]]\n{route}\n"));
    let response = ask(&gateway, request);
    assert_eq!(response.status(), 200, "{:?}", response.head);
    let head = backend.seen().heads[0].clone();
    (head, response, backend.url().trim_start_matches("http://").to_owned())
}

#[test]
fn fields_of_a_request_are_removed_set_and_added() {
    let route = "request = { remove = [\"Cookie\"], set = { \"X-User\" = \"nobody\", \"X-New\" = \"n\" }, add = { \"Accept\" = \"text/x\" } }";
    let fields = "Cookie: a=1\r\nX-User: admin\r\nx_user: admin\r\nX.User: admin\r\ncookie: b=2\r\nAccept: */*\r\nX-Kept: k\r\n";
    let (got, _, _) = through(route, &head_of("GET", "/", fields), "");
    assert_eq!(got.fields.all("Cookie"), Vec::<&str>::new());
    assert_eq!(got.fields.one("X-User"), Some("nobody"));
    for shadow in ["x_user", "X.User"] {
        assert_eq!(got.fields.all(shadow), Vec::<&str>::new(), "{shadow}");
    }
    assert_eq!(got.fields.one("X-New"), Some("n"));
    assert_eq!(got.fields.all("Accept"), ["*/*", "text/x"]);
    assert_eq!(got.fields.one("X-Kept"), Some("k"));
}

/// Who names a field in `Connection` takes away its own, not the gateway's.
#[test]
fn a_client_cannot_take_away_what_is_set() {
    let route = "request = { set = { \"X-User\" = \"nobody\" } }";
    let fields = "Connection: X-User, close\r\nX-User: admin\r\n";
    let (got, _, _) = through(route, &head_of("GET", "/", fields), "");
    assert_eq!(got.fields.one("X-User"), Some("nobody"));
}

#[test]
fn trailers_lose_what_the_head_loses() {
    let backend = Backend::new(|visit| {
        let head = visit.head.clone();
        let (_, trailers) = visit.wire.body(&head)?;
        let seen: Vec<&str> = trailers.0.iter().map(|(name, _)| name.as_str()).collect();
        let seen = seen.join(",");
        visit.finish(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{seen}\r\n0\r\nX-Secret: s\r\nX-Kept: k\r\n\r\n",
            seen.len()
        ))
    });
    let route = "[[routes]]\nrequest = { set = { \"X-User\" = \"nobody\" } }\nresponse = { remove = [\"X-Secret\"] }\n";
    let gateway = gateway(&[&backend], route);
    let head = head_of("POST", "/", "Transfer-Encoding: chunked\r\nTE: trailers\r\n");
    let answer = ask(&gateway, format!("{head}1\r\nx\r\n0\r\nX_User: admin\r\nX-Sum: 1\r\n\r\n"));
    assert_eq!(answer.text(), "X-Sum");
    assert_eq!(answer.trailers.all("X-Secret"), Vec::<&str>::new());
    assert_eq!(answer.trailers.one("X-Kept"), Some("k"));
}

#[test]
fn fields_of_a_response_are_removed_set_and_added() {
    let route = "response = { remove = [\"X-Powered-By\"], set = { \"Server\" = \"s\" }, add = { \"Vary\" = \"Accept\" } }";
    let answer = "Server: flask\r\nserver: 2\r\nX-Powered-By: Python\r\nVary: Cookie\r\nX-Kept: k\r\n";
    let (got, response, _) = through(route, &head_of("GET", "/", "Server: mine\r\n"), answer);
    assert_eq!(response.field("Server"), Some("s"));
    assert_eq!(response.head.fields.all("X-Powered-By"), Vec::<&str>::new());
    assert_eq!(response.head.fields.all("Vary"), ["Cookie", "Accept"]);
    assert_eq!(response.field("X-Kept"), Some("k"));
    // The request is another matter.
    assert_eq!(got.fields.one("Server"), Some("mine"));
}

#[test]
fn early_hints_lose_what_the_response_loses() {
    let backend = Backend::new(|visit| {
        visit.body()?;
        visit.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Secret: s\r\n\r\n")?;
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let route = "[[routes]]\nresponse = { remove = [\"X-Secret\"], set = { \"X-Set\" = \"1\" } }\n";
    let gateway = gateway(&[&backend], route);
    let mut client = Client::asking(&gateway, get("/"));
    let hints = client.head();
    assert_eq!((hints.word(1), hints.fields.one("Link")), ("103", Some("</a>")));
    assert_eq!(hints.fields.all("X-Secret"), Vec::<&str>::new());
    assert_eq!(client.answer().field("X-Set"), Some("1"));
}

#[test]
fn an_answer_of_the_gateways_own_is_not_changed() {
    let route = "[[routes]]\nresponse = { remove = [\"Content-Type\"], set = { \"X-Set\" = \"1\" } }\n";
    let gateway = gateway(&[&Backend::dead()], route);
    let refused = ask(&gateway, get("/"));
    assert_eq!(refused.field("Content-Type"), Some("application/problem+json"));
    assert_eq!(refused.field("X-Set"), None);
}

#[test]
fn the_host_is_passed_set_or_the_backends() {
    for (route, host) in [
        ("path = \"/\"", "test"),
        ("request = { host = \"inner.example:81\" }", "inner.example:81"),
        ("request = { host = \"{backend}\" }", ""),
    ] {
        let (got, _, own) = through(route, &get("/"), "");
        let host = if host.is_empty() { own.as_str() } else { host };
        assert_eq!(got.fields.one("Host"), Some(host), "{route}");
        assert_eq!(got.fields.one("X-Forwarded-Host"), Some("test"), "{route}");
    }
}
