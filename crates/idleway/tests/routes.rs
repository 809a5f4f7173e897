//! Which route a request takes: by table, and against a reference that looks at every route one by one.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use idleway::route::{Clash, Route, Routes};
use proptest::prelude::*;

/// A route in one line: `[METHOD|METHOD ][host]/path`.
fn route(pool: usize, line: &str) -> Route {
    let (methods, place) = line.split_once(' ').unwrap_or(("", line));
    let (host, path) = place.split_at(place.find('/').unwrap());
    let mut route = Route::new(pool).path(path).unwrap();
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
    routes.find(method, authority, path).map_or("none".to_owned(), Route::to_string)
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
    let catch_all = Routes::new(vec![Route::new(0)]).unwrap();
    assert_eq!(found(&catch_all, "GET", "", "/a/..%2f..//;x"), "/");
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
    ] {
        assert_eq!(clash(lines), clashes, "{lines:?}");
    }
    for lines in [["/", "example.com/"], ["/a", "/b"], ["/a", "GET /a"], ["GET /a", "POST /a"], ["/a", "/A"]]
    {
        assert_eq!(clash(lines), Ok(()), "{lines:?}");
    }
}

#[test]
fn what_cannot_be_matched_is_no_route() {
    for path in [
        "", "a", "/a/../b", "/a/./b", "//", "/a//b", "/a;b", "/a%2Fb", "/a\\b", "/a?b", "/a#b", "/a*",
        "/a b", "/%2e%2e",
    ] {
        assert!(Route::new(0).path(path).is_err(), "{path}");
    }
    for host in [
        "", ".", "http://a", "a:80", "a/b", "*.a", "a b", "ä.de", "a@b", "[::1]:80", "[::1]a", "a[b", "[a]",
        "1:2:3",
    ] {
        assert!(Route::new(0).host(host).is_err(), "{host}");
    }
    for method in ["", "get", "GET POST", "GET,POST"] {
        assert!(Route::new(0).method(method).is_err(), "{method}");
    }
}

// --- The reference ---

/// A route's host (empty: any), segments and methods (empty: any), and its place in the list.
type Spec = (String, Vec<String>, Vec<String>);

/// Looks at every route, and takes the greatest of those that fit.
fn reference(specs: &[Spec], method: &str, host: &str, segments: &[String]) -> Option<usize> {
    let fits = |(wanted, prefix, methods): &Spec| {
        (wanted.is_empty() || wanted == host)
            && segments.starts_with(prefix)
            && (methods.is_empty() || methods.iter().any(|known| known == method))
    };
    (0..specs.len())
        .filter(|&at| fits(&specs[at]))
        .max_by_key(|&at| (!specs[at].0.is_empty(), specs[at].1.len(), !specs[at].2.is_empty()))
}

fn table(specs: &[Spec]) -> Option<Routes> {
    let route = |(pool, (host, segments, methods)): (usize, &Spec)| {
        let route = Route::new(pool).path(&format!("/{}", segments.join("/"))).unwrap();
        let route = if host.is_empty() { route } else { route.host(host).unwrap() };
        methods.iter().fold(route, |route, method| route.method(method).unwrap())
    };
    Routes::new(specs.iter().enumerate().map(route).collect()).ok()
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let segments = prop::collection::vec(word(&["a", "b", "ab"]), 0..4);
    let methods = prop::collection::vec(word(&["GET", "POST"]), 0..2);
    prop::collection::vec((word(&["", "x.org", "y.org"]), segments, methods), 0..8)
}

/// Programs that read paths in ways of their own, each written for itself.
fn programs(path: &str) -> Vec<Vec<String>> {
    let decode = |path: &str| path.replace("%2e", ".").replace("%61", "a");
    let slashes = |path: &str| path.replace("%2F", "/").replace("%5c", "/").replace('\\', "/");
    let names = |path: &str| path.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let merged = |names: Vec<String>| names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>();
    let cut = |names: Vec<String>| {
        let cut = names.iter().map(|name| name[..name.find(';').unwrap_or(name.len())].to_owned());
        cut.collect::<Vec<_>>()
    };
    let stepped = |names: Vec<String>| {
        names.into_iter().fold(Vec::new(), |mut path: Vec<String>, name| {
            match name.as_str() {
                ".." => drop(path.pop()),
                "." => {}
                _ => path.push(name),
            }
            path
        })
    };
    vec![
        // A program that takes the path as it is, but for the letters.
        names(&path.replace("%61", "a")),
        // RFC 3986.
        stepped(names(&decode(path))),
        // nginx.
        stepped(merged(names(&slashes(&decode(path))))),
        // A Java container.
        stepped(merged(cut(names(&decode(path))))),
        // One that decodes after it has looked for steps.
        merged(names(&slashes(&decode(path)))),
        // One that does everything.
        stepped(merged(cut(names(&slashes(&decode(path)))))),
    ]
}

proptest! {
    #[test]
    fn the_table_finds_what_a_search_finds(
        specs in specs(),
        method in word(&["GET", "POST", "PUT"]),
        host in word(&["", "x.org", "y.org", "z.org"]),
        segments in prop::collection::vec(word(&["a", "b", "ab", "c"]), 0..5),
        query in word(&["", "?", "?/a/b"]),
    ) {
        // Lists with a clash have no table.
        let Some(routes) = table(&specs) else { return Ok(()) };
        let path = format!("/{}{query}", segments.join("/"));
        let found = routes.find(&method, &host, &path).map(|route| route.pool);
        prop_assert_eq!(found, reference(&specs, &method, &host, &segments));
    }

    #[test]
    fn a_route_is_the_same_for_every_program(
        specs in specs(),
        parts in prop::collection::vec(
            word(&["/", "/", "/a", "/b", "ab", "..", "/..", "/.", "%2e", "%2F", "%5c", "\\", ";", "%61"]), 0..8),
    ) {
        let Some(routes) = table(&specs) else { return Ok(()) };
        let path = format!("/{}", parts.concat());
        if let Some(route) = routes.find("GET", "x.org", &path) {
            for names in programs(&path) {
                prop_assert_eq!(reference(&specs, "GET", "x.org", &names), Some(route.pool), "{} as {:?}", path, names);
            }
        }
    }
}
