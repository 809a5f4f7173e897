//! Which route a request takes.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;

use idleway::route::{Asked, Clash, Route, Routes, Wanted};

/// A route in one line: `[METHOD|METHOD ][host]/path[=][ name=value| name| !name]`.
fn route(pool: usize, line: &str) -> Route {
    let (methods, rest) = match line.split_once(' ') {
        Some((methods, rest)) if !methods.contains('/') => (methods, rest),
        _ => ("", line),
    };
    let mut words = rest.split(' ');
    let place = words.next().unwrap();
    let (host, path) = place.split_at(place.find('/').unwrap());
    let mut route = match path.strip_suffix('=') {
        Some(path) => Route::new(pool).exact(path).unwrap(),
        None => Route::new(pool).path(path).unwrap(),
    };
    for word in words {
        let (name, wanted) = match (word.strip_prefix('!'), word.split_once('=')) {
            (Some(name), _) => (name, Wanted::Absent),
            (None, Some((name, value))) => (name, Wanted::Value(value.to_owned())),
            (None, None) => (word, Wanted::Present),
        };
        route = route.header(name, wanted).unwrap();
    }
    if !host.is_empty() {
        route = route.host(host).unwrap();
    }
    methods.split('|').filter(|m| !m.is_empty()).fold(route, |route, method| route.method(method).unwrap())
}

fn routes(lines: &[&str]) -> Routes {
    Routes::new(lines.iter().enumerate().map(|(pool, line)| route(pool, line)).collect()).unwrap()
}

/// What the route found says of itself.
fn found(routes: &Routes, method: &str, authority: &str, path: &str) -> String {
    let asked = Asked::new(method, authority, path);
    assert_eq!(routes.explain(&asked).route(), routes.find(&asked), "{asked:?}");
    routes.find(&asked).map_or("none".to_owned(), Route::to_string)
}

#[test]
fn the_most_specific_route_is_taken() {
    let routes = routes(&[
        "/",
        "/process",
        "/process/deep",
        "POST /process",
        "GET|HEAD /read",
        "example.com/",
        "example.com/process",
        "DELETE example.com/process",
        "[::1]/v6",
        "2001:0db8::a/bare",
        "/caf%C3%A9 au lait".replace(' ', "%20").as_str(),
    ]);
    for (method, authority, path, expected) in [
        ("GET", "", "/", "/"),
        ("GET", "", "", "/"),
        ("OPTIONS", "", "*", "/"),
        ("GET", "", "/process", "/process"),
        ("GET", "", "/process/", "/process"),
        ("GET", "", "/process/x/y", "/process"),
        ("GET", "", "/process?x=/process/deep", "/process"),
        ("GET", "", "/process/deep?", "/process/deep"),
        ("GET", "", "/process/deeper", "/process"),
        ("GET", "", "/processes", "/"),
        ("GET", "", "/proces", "/"),
        ("GET", "", "/Process", "/"),
        ("POST", "", "/process/x", "POST /process"),
        ("post", "", "/process", "/process"),
        // The longer path weighs more than the method.
        ("POST", "", "/process/deep", "/process/deep"),
        ("HEAD", "", "/read", "GET|HEAD /read"),
        // A route that refuses the method does not hide the next.
        ("POST", "", "/read", "/"),
        ("GET", "example.com", "/", "example.com/"),
        ("GET", "EXAMPLE.com:8080", "/process", "example.com/process"),
        ("GET", "example.com.", "/process", "example.com/process"),
        ("GET", "example.com.:80", "/process", "example.com/process"),
        ("DELETE", "example.com", "/process/1", "DELETE example.com/process"),
        // The host weighs more than the path.
        ("GET", "example.com", "/process/deep", "example.com/process"),
        ("GET", "example.com", "/read", "example.com/"),
        ("GET", "www.example.com", "/read", "GET|HEAD /read"),
        ("GET", "example.org", "/process", "/process"),
        ("GET", "[::1]:5000", "/v6", "[::1]/v6"),
        ("GET", "[::1]", "/v6", "[::1]/v6"),
        ("GET", "[0:0::0001]:80", "/v6", "[::1]/v6"),
        ("GET", "[2001:DB8::A]", "/bare", "[2001:db8::a]/bare"),
        ("GET", "", "/caf%c3%a9%20au%20lait/x", "/café au lait"),
        ("GET", "", "/%70rocess", "/process"),
        ("GET", "", "/process%zz", "/"),
        ("GET", "", "/process%", "/"),
    ] {
        assert_eq!(found(&routes, method, authority, path), expected, "{method} {authority} {path}");
    }
}

#[test]
fn a_wildcard_takes_what_is_below_it() {
    let routes =
        routes(&["*.example.com/", "*.b.example.com/", "x.b.example.com/", "/any", "*.example.com/deep"]);
    for (host, path, expected) in [
        ("a.example.com", "/", "*.example.com/"),
        ("A.Example.COM.:80", "/any", "*.example.com/"),
        ("a.c.example.com", "/", "*.example.com/"),
        ("b.example.com", "/", "*.example.com/"),
        ("a.b.example.com", "/", "*.b.example.com/"),
        // The host weighs more than the path.
        ("a.b.example.com", "/deep", "*.b.example.com/"),
        ("x.b.example.com", "/", "x.b.example.com/"),
        ("y.x.b.example.com", "/", "*.b.example.com/"),
        ("a.example.com", "/deep/x", "*.example.com/deep"),
        ("example.com", "/any", "/any"),
        ("example.com", "/", "none"),
        (".example.com", "/", "none"),
        ("aexample.com", "/", "none"),
        ("a.example.com.evil", "/", "none"),
        ("", "/any", "/any"),
    ] {
        assert_eq!(found(&routes, "GET", host, path), expected, "{host}{path}");
    }
}

/// Each look-up is of no longer a name than the longest wildcard, or this would take minutes.
#[test]
fn a_host_of_many_dots_costs_no_more_than_its_length() {
    let routes = routes(&["*.a.a/"]);
    let host = "a.".repeat(500_000) + "a";
    assert_eq!(found(&routes, "GET", &host, "/"), "*.a.a/");
}

#[test]
fn an_exact_path_takes_nothing_below_it() {
    let routes = routes(&["/=", "/a", "/a/b=", "POST /a/b=", "/a/b", "/a/b/c"]);
    for (method, path, expected) in [
        ("GET", "/", "/ (exact)"),
        ("GET", "/?x=/a", "/ (exact)"),
        ("GET", "", "/ (exact)"),
        ("OPTIONS", "*", "none"),
        ("GET", "/x", "none"),
        ("GET", "/a", "/a"),
        ("GET", "/a/b", "/a/b (exact)"),
        ("GET", "/%61/b?x", "/a/b (exact)"),
        // A slash at the end makes no difference.
        ("GET", "/a/b/", "/a/b (exact)"),
        ("POST", "/a/b", "POST /a/b (exact)"),
        ("GET", "/a/b/x", "/a/b"),
        ("GET", "/a/b/c", "/a/b/c"),
        ("GET", "/a/bc", "/a"),
        // Some programs read one slash here, some two.
        ("GET", "/a/b//", "none"),
        ("GET", "//", "none"),
        ("GET", "/a/b/../b", "none"),
        ("GET", "/a/b;x", "none"),
        ("GET", "/a/c;x", "/a"),
    ] {
        assert_eq!(found(&routes, method, "", path), expected, "{method} {path}");
    }
}

#[test]
fn header_fields_choose_among_the_routes_of_one_host_and_path() {
    let routes = routes(&["/", "/ X-Tier=gold", "/ X-Tier=gold X-Debug", "POST /", "/api", "/api !X-Key"]);
    let found = |method, path, fields: &[(&str, &str)]| {
        let fields = fields.to_vec();
        let asked = Asked { fields: &fields, ..Asked::new(method, "", path) };
        routes.find(&asked).map_or("none".to_owned(), Route::to_string)
    };
    for (method, path, fields, expected) in [
        ("GET", "/", &[][..], "/"),
        ("GET", "/", &[("x-tier", "gold")], "/ by X-Tier"),
        ("GET", "/", &[("x-tier", "silver"), ("X-Debug", "")], "/"),
        ("GET", "/", &[("x-tier", "gold"), ("X-Debug", "")], "/ by X-Tier, X-Debug"),
        // The name has all spellings that an application may take for it, and both values make one.
        ("GET", "/", &[("x_tier", "gold")], "/ by X-Tier"),
        ("GET", "/", &[("x-tier", "gold"), ("x_tier", "silver")], "/"),
        // The method weighs more than the fields, the path more than both.
        ("POST", "/", &[("x-tier", "gold"), ("X-Debug", "")], "POST /"),
        ("POST", "/api", &[("x-tier", "gold"), ("X-Key", "1")], "/api"),
        ("POST", "/api", &[], "/api by X-Key"),
    ] {
        assert_eq!(found(method, path, fields), expected, "{method} {path} {fields:?}");
    }
}

#[test]
fn without_a_catch_all_there_may_be_no_route() {
    let routes = routes(&["example.com/a", "GET /b"]);
    for (method, authority, path) in
        [("GET", "", "/a"), ("GET", "example.com", "/"), ("POST", "example.com", "/b"), ("OPTIONS", "", "*")]
    {
        assert_eq!(found(&routes, method, authority, path), "none", "{method} {authority} {path}");
    }
    assert_eq!(found(&Routes::default(), "GET", "", "/"), "none");
}

/// What programs read differently has a route only where all readings have the same.
#[test]
fn no_spelling_slips_past_a_route() {
    let routes = routes(&["/", "/public", "/admin"]);
    for path in [
        "/public/../admin",
        "/public/%2e%2E/admin",
        "/public/..%2fadmin",
        "/public%2f..%2fadmin",
        "/public/..\\admin",
        "/public/..%5Cadmin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public//../admin",
        "/./admin",
        "//admin",
        "/x/../admin",
        "/admin/..",
        "/admin;x",
        "/admin%2Fx",
        "/public/../../admin",
        "/public/%2e%2e%2fadmin?x",
        "\\admin",
        "/admin\\x",
    ] {
        assert_eq!(found(&routes, "GET", "", path), "none", "{path}");
    }
    for (path, expected) in [
        ("/public/a/../b", "/public"),
        ("/public//b", "/public"),
        ("/public/;v=1", "/public"),
        ("/public/a%2Fb", "/public"),
        ("/public/.well-known/x", "/public"),
        ("/public/...", "/public"),
        ("/other/a%2Fb;c/../d", "/"),
        // Encoded once more: no program's slash.
        ("/admin%252Fx", "/"),
        // The query is the backend's business.
        ("/public?/../admin", "/public"),
    ] {
        assert_eq!(found(&routes, "GET", "", path), expected, "{path}");
    }
    // A program that takes its steps first and merges slashes then sees another route than any other.
    let nested = self::routes(&["/b", "/b/b"]);
    assert_eq!(found(&nested, "GET", "", "/b///../b"), "none");
    // So does one that ends segments at their `;` before it decodes slashes.
    assert_eq!(found(&self::routes(&["/", "/c"]), "GET", "", "/c/;%2fs/..%2F"), "none");
    // So does one that takes its steps before it ends segments at their `;`.
    assert_eq!(found(&self::routes(&["/", "/c"]), "GET", "", "/;c/./c/..;x"), "none");
    let catch_all = Routes::new(vec![Route::new(0)]).unwrap();
    assert_eq!(found(&catch_all, "GET", "", "/a/..%2f..//;x"), "/");
}

#[test]
fn an_explanation_tells_what_was_passed_over_and_each_reading() {
    let routes = routes(&["/", "x.org/", "/a=", "POST /a", "/a X-Tier=gold", "/a/b"]);
    let passed = |asked: &Asked<'_>| {
        let explanation = routes.explain(asked);
        let read = &explanation.readings[0];
        read.passed_over.iter().map(|(route, mismatch)| format!("{route}: {mismatch}")).collect::<Vec<_>>()
    };
    assert_eq!(
        passed(&Asked::new("GET", "y.org", "/a/c")),
        [
            "x.org/: not for this host",
            "/a (exact): not for this path",
            "/a/b: not for this path",
            "POST /a: not for this method",
            "/a by X-Tier: not for this `X-Tier`",
        ]
    );
    let explanation = routes.explain(&Asked::new("POST", "", "/a/../b?x"));
    let ways: Vec<_> = explanation
        .readings
        .iter()
        .map(|read| (read.path.as_str(), read.route.map(Route::to_string).unwrap_or_default()))
        .collect();
    assert_eq!(ways, [("/a/../b", "POST /a".to_owned()), ("/b", "/".to_owned())]);
    assert_eq!(explanation.route(), None);
}

#[test]
fn routes_that_take_the_same_are_told() {
    let clash = |lines: [&str; 2]| {
        let [first, second] = lines.map(|line| route(0, line));
        Routes::new(vec![first, second]).map(drop)
    };
    let clashes = Err(Clash { first: 0, second: 1 });
    for lines in [
        ["/", "/"],
        ["/a", "/a/"],
        ["/a", "/%61"],
        ["example.com/", "EXAMPLE.com./"],
        ["GET|POST /a", "PUT|POST /a"],
        ["*.example.com/", "*.Example.com./"],
        ["/a=", "/%61/="],
        ["/a x=1", "/a X=1"],
        ["/a x=1", "/a y"],
        ["/a x", "/a x=1"],
        ["/a !x", "/a y=1"],
        ["GET /a x", "GET|POST /a x=1"],
    ] {
        assert_eq!(clash(lines), clashes, "{lines:?}");
    }
    for lines in [
        ["/", "example.com/"],
        ["/a", "/b"],
        ["/a", "GET /a"],
        ["GET /a", "POST /a"],
        ["/a", "/A"],
        ["/a", "/a="],
        ["/", "/="],
        ["a.example.com/", "*.example.com/"],
        ["*.example.com/", "*.com/"],
        ["/a x=1", "/a x=2"],
        ["/a x", "/a !x"],
        ["/a x", "/a x y"],
        ["/a x", "/a"],
        ["GET /a x", "/a x"],
        ["GET /a x", "POST /a x"],
        ["GET /a", "/a x"],
    ] {
        assert_eq!(clash(lines), Ok(()), "{lines:?}");
    }
}

#[test]
fn what_cannot_be_matched_is_no_route() {
    for path in [
        "", "a", "/a/../b", "/a/./b", "//", "/a//b", "/a;b", "/a%2Fb", "/a\\b", "/a?b", "/a#b", "/a*",
        "/a b", "/%2e%2e",
    ] {
        assert!(Route::new(0).path(path).is_err() && Route::new(0).exact(path).is_err(), "{path}");
    }
    for host in [
        "", ".", "http://a", "a:80", "a/b", "*", "*.", "*a", "a.*", "*.*.a", "*.a:80", "*.[::1]", "*..a",
        "a b", "ä.de", "a@b", "[::1]:80",
    ] {
        assert!(Route::new(0).host(host).is_err(), "{host}");
    }
    let once = Route::new(0).header("X-Tier", Wanted::Present).unwrap();
    assert!(once.header("x_tier", Wanted::Absent).is_err());
    for method in ["", "get", "GET POST", "GET,POST"] {
        assert!(Route::new(0).method(method).is_err(), "{method}");
    }
}
