//! Heads on their way through: what is the gateway's, what is one hop's, and what is passed on.

use crate::harness::*;

/// What a backend got for this request, and the answer, which is `200 OK` with these lines.
fn through(request: &str, answer: &'static str) -> (Head, Response) {
    let backend = Backend::new(move |visit| {
        visit.body()?;
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{answer}\r\n"))
    });
    let gateway = gateway(&[&backend], "");
    let response = ask(&gateway, request);
    assert_eq!(response.status(), 200, "{:?}", response.head);
    let heads = backend.seen().heads.clone();
    assert_eq!(heads.len(), 1);
    (heads[0].clone(), response)
}

#[test]
fn the_hop_by_hop_fields_end_here_both_ways_and_those_that_connection_names() {
    let fields = "Connection: X-Named, keep-alive\r\nX-Named: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n\
                  Proxy-Authenticate: Basic\r\nProxy-Authorization: Basic eDp5\r\nUpgrade: h2c\r\nX-End-To-End: yes\r\n";
    let request = head_of("GET", "/", &format!("{fields}TE: gzip\r\n"));
    let answer = "Connection: X-Named, keep-alive\r\nX-Named: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n\
                  Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-End-To-End: yes\r\n";
    let (got, response) = through(&request, answer);
    for name in
        ["X-Named", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade", "TE", "Connection"]
    {
        assert_eq!(got.fields.all(name), Vec::<&str>::new(), "{name} to the backend");
        assert_eq!(response.head.fields.all(name), Vec::<&str>::new(), "{name} to the client");
    }
    assert_eq!(got.fields.one("X-End-To-End"), Some("yes"));
    assert_eq!(response.field("X-End-To-End"), Some("yes"));
}

#[test]
fn te_trailers_survives() {
    let (got, _) = through(&head_of("GET", "/", "TE: deflate;q=0.5, Trailers\r\nConnection: TE\r\n"), "");
    assert_eq!(got.fields.one("TE"), Some("trailers"));
    assert_eq!(got.fields.one("Connection"), Some("TE"));
}

#[test]
fn the_request_line_host_and_other_fields_are_passed_on_as_they_are() {
    let request = "PATCH /a%20b/../c;d?e=f&g=%ff#no HTTP/1.1\r\nhOsT: api.example.com:8080\r\n";
    // A fragment is no part of a target: without it.
    let request =
        request.replace("#no", "") + "Cookie: a=1\r\nCookie: b=2\r\nX-Bytes: \u{e9}\r\nX-Empty:\r\n\r\n";
    let (got, _) = through(&request, "");
    assert_eq!(got.line, "PATCH /a%20b/../c;d?e=f&g=%ff HTTP/1.1");
    assert_eq!(got.fields.one("Host"), Some("api.example.com:8080"));
    assert_eq!(got.fields.all("Cookie"), ["a=1", "b=2"]);
    assert_eq!(got.fields.one("X-Bytes"), Some("\u{c3}\u{a9}"), "byte by byte");
    assert_eq!(got.fields.one("X-Empty"), Some(""));
}

#[test]
fn an_absolute_target_becomes_path_and_host() {
    let (got, _) = through("GET http://one.example/path?q HTTP/1.1\r\nHost: one.example\r\n\r\n", "");
    assert_eq!(got.line, "GET /path?q HTTP/1.1");
    assert_eq!(got.fields.one("Host"), Some("one.example"));
}

/// RFC 9112 section 3.2.2: the target's host counts, not the field.
#[test]
fn the_host_of_an_absolute_target_overrides_the_field() {
    let (got, _) = through("GET http://one.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n", "");
    assert_eq!(got.fields.one("Host"), Some("one.example"));
}

#[test]
fn options_asks_for_the_whole_server_with_an_asterisk() {
    let (got, _) = through(&head_of("OPTIONS", "*", ""), "");
    assert_eq!(got.line, "OPTIONS * HTTP/1.1");
}

#[test]
fn fields_of_an_answer_that_stand_there_twice_stay_two_in_their_order() {
    let (_, response) = through(&get("/"), "Set-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2\r\n");
    assert_eq!(response.head.fields.all("Set-Cookie"), ["a=1", "b=2"]);
}

#[test]
fn via_names_the_gateway_both_ways_behind_who_came_before() {
    let (got, response) = through(&head_of("GET", "/", "Via: 1.0 earlier\r\n"), "Via: 1.1 inner\r\n");
    let (to_backend, to_client) = (got.fields.all("Via"), response.head.fields.all("Via"));
    assert_eq!((to_backend.len(), to_client.len()), (2, 2));
    assert_eq!((to_backend[0], to_client[0]), ("1.0 earlier", "1.1 inner"));
    assert!(to_backend[1].starts_with("1.1 idleway"), "{to_backend:?}");
    assert_eq!(to_backend[1], to_client[1]);
}

#[test]
fn a_request_id_is_kept_or_made_and_comes_back() {
    let (got, response) =
        through(&head_of("GET", "/", "X-Request-Id: mine-1\r\n"), "X-Request-Id: the backend's\r\n");
    assert_eq!(
        (got.fields.one("X-Request-Id"), response.field("X-Request-Id")),
        (Some("mine-1"), Some("mine-1"))
    );
    let (got, response) = through(&get("/"), "");
    let made = got.fields.one("X-Request-Id").unwrap();
    assert!(made.len() >= 16, "{made}");
    assert_eq!(response.field("X-Request-Id"), Some(made));
    let (other, _) = through(&get("/"), "");
    assert_ne!(other.fields.one("X-Request-Id"), Some(made));
    let long = "x".repeat(1000);
    let (got, _) = through(&head_of("GET", "/", &format!("X-Request-Id: {long}\r\n")), "");
    assert_ne!(got.fields.one("X-Request-Id"), Some(&long[..]), "an id without a bound");
}

#[test]
fn nobody_tells_a_backend_whom_it_speaks_for_but_the_gateway() {
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
                  Forwarded: for=6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\n";
    let (got, _) = through(&head_of("GET", "/", fields), "");
    assert_eq!(got.fields.one("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(got.fields.one("X-Forwarded-Proto"), Some("http"));
    assert_eq!(got.fields.one("X-Forwarded-Host"), Some("test"));
    assert_eq!(got.fields.all("X-Forwarded-Port"), Vec::<&str>::new());
    assert_eq!(got.fields.all("Forwarded"), Vec::<&str>::new());
}

#[test]
fn names_that_an_application_takes_for_the_gateways_fields_are_dropped() {
    let fields = "X_Forwarded_For: 6.6.6.6\r\nX.Request.Id: forged\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\
                  x_request_id: forged\r\nMy_Field: kept\r\n";
    let (got, _) = through(&head_of("GET", "/", fields), "");
    for name in ["X_Forwarded_For", "X.Request.Id", "Content_Length", "Transfer_Encoding", "x_request_id"] {
        assert_eq!(got.fields.all(name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!(got.fields.one("My_Field"), Some("kept"));
}

#[test]
fn a_traceparent_is_kept_or_made() {
    let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (got, _) = through(&head_of("GET", "/", &format!("traceparent: {sound}\r\ntracestate: a=b\r\n")), "");
    assert_eq!(got.fields.one("traceparent"), Some(sound));
    assert_eq!(got.fields.one("tracestate"), Some("a=b"));
    for fields in ["", "traceparent: 00-nonsense\r\n"] {
        let (got, _) = through(&head_of("GET", "/", fields), "");
        let made = got.fields.one("traceparent").unwrap();
        let parts: Vec<&str> = made.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{made}");
    }
}

#[test]
fn a_date_is_kept_or_added() {
    let (_, response) = through(&get("/"), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    assert_eq!(response.field("Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let (_, response) = through(&get("/"), "");
    assert!(response.field("Date").unwrap().ends_with(" GMT"));
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    let via = backend.seen().heads[0].fields.one("Via").unwrap().to_owned();
    for via in [via.clone(), format!("1.0 other, {via}"), format!("{via} , 1.1 other")] {
        let answer = ask(&gateway, head_of("GET", "/", &format!("Via: {via}\r\n")));
        assert_eq!(answer.status(), 508, "{via}");
        assert!(answer.field("Proxy-Status").unwrap().contains("proxy_loop_detected"));
    }
    assert_eq!(backend.seen().heads.len(), 1);
}

#[test]
fn requests_go_by_host_path_and_method_and_without_a_route_nowhere() {
    let named = |name: &'static str| Backend::answering(name);
    let (api, users, writes) = (named("api"), named("users"), named("writes"));
    let gateway = start(&format!(
        "[pools.api]\nbackends = [{:?}]\n[pools.users]\nbackends = [{:?}]\n[pools.writes]\nbackends = [{:?}]\n\
         [[routes]]\nhost = \"api.test\"\npath = \"/v1\"\npool = \"api\"\n\
         [[routes]]\nhost = \"api.test\"\npath = \"/v1/users\"\npool = \"users\"\n\
         [[routes]]\nhost = \"api.test\"\npath = \"/v1/users\"\nmethod = \"POST\"\npool = \"writes\"\n",
        api.url(),
        users.url(),
        writes.url()
    ));
    let cases = [
        ("GET", "/v1", "api.test", "api"),
        ("GET", "/v1/userships", "api.test", "api"),
        ("GET", "/v1/users", "API.test:80", "users"),
        ("DELETE", "/v1/users/7?x=/v1", "api.test", "users"),
        ("POST", "/v1/users/7", "api.test", "writes"),
        ("GET", "/v1x", "api.test", ""),
        ("GET", "/", "api.test", ""),
        ("GET", "/v1", "other.test", ""),
    ];
    let mut client = Client::of(&gateway);
    for (method, path, host, pool) in cases {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.answer();
        if pool.is_empty() {
            assert_eq!(answer.status(), 404, "{method} {host}{path}");
            assert!(answer.field("Proxy-Status").unwrap().contains("destination_not_found"));
        } else {
            assert_eq!(answer.text(), pool, "{method} {host}{path}");
        }
        until_all_idle(&gateway, 3);
    }
}
