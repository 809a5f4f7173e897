//! Which route a request takes: by table, and against a reference that looks at every route one by one.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use idleway::route::{Asked, Clash, Route, Routes, Wanted};
use proptest::prelude::*;

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

// --- The reference ---

/// A route as it is written, and its place in the list.
#[derive(Debug, Clone)]
struct Spec {
    /// Empty: any.
    host: String,
    segments: Vec<String>,
    is_exact: bool,
    /// Empty: any.
    methods: Vec<String>,
    /// At most one for each name.
    fields: BTreeMap<String, Wanted>,
}

/// The fields of a request, one value each.
type Given = BTreeMap<String, String>;

impl Spec {
    fn takes_host(&self, host: &str) -> bool {
        match self.host.strip_prefix('*') {
            Some(end) => host.ends_with(end) && host.len() > end.len(),
            None => self.host.is_empty() || self.host == host,
        }
    }

    fn takes(&self, method: &str, host: &str, segments: &[String], given: &Given) -> bool {
        let path =
            if self.is_exact { segments == self.segments } else { segments.starts_with(&self.segments) };
        let fields = self.fields.iter().all(|(name, wanted)| match wanted {
            Wanted::Value(value) => given.get(name) == Some(value),
            Wanted::Present => given.contains_key(name),
            Wanted::Absent => !given.contains_key(name),
        });
        self.takes_host(host)
            && path
            && fields
            && (self.methods.is_empty() || self.methods.iter().any(|known| known == method))
    }

    /// In three lines: the host, the path, the rest.
    fn rank(&self) -> (bool, usize, bool, usize, bool, usize) {
        let is_one = !self.host.is_empty() && !self.host.starts_with('*');
        let host = (is_one, self.host.len());
        (host.0, host.1, self.is_exact, self.segments.len(), !self.methods.is_empty(), self.fields.len())
    }

    fn route(&self, pool: usize) -> Route {
        let path = format!("/{}", self.segments.join("/"));
        let route = Route::new(pool);
        let route = if self.is_exact { route.exact(&path) } else { route.path(&path) }.unwrap();
        let route = if self.host.is_empty() { route } else { route.host(&self.host).unwrap() };
        let route = self.methods.iter().fold(route, |route, method| route.method(method).unwrap());
        self.fields.iter().fold(route, |route, (name, wanted)| route.header(name, wanted.clone()).unwrap())
    }
}

/// Looks at every route, and takes the greatest of those that fit. A slash at the end makes no difference.
fn reference(specs: &[Spec], method: &str, host: &str, segments: &[String], given: &Given) -> Option<usize> {
    let segments = segments.strip_suffix(&[String::new()][..]).unwrap_or(segments);
    let fitting = (0..specs.len()).filter(|&at| specs[at].takes(method, host, segments, given));
    fitting.max_by_key(|&at| specs[at].rank())
}

fn table(specs: &[Spec]) -> Result<Routes, Clash> {
    Routes::new(specs.iter().enumerate().map(|(pool, spec)| spec.route(pool)).collect())
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

const HOSTS: &[&str] = &["", "x.org", "y.org", "a.x.org", "b.a.x.org", "z.net"];

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let host = word(&["", "", "x.org", "y.org", "a.x.org", "*.org", "*.x.org", "*.a.x.org"]);
    let segments = prop::collection::vec(word(&["a", "b", "ab"]), 0..4);
    let methods = prop::collection::vec(word(&["GET", "POST"]), 0..2);
    let wanted =
        prop_oneof![word(&["1", "2"]).prop_map(Wanted::Value), Just(Wanted::Present), Just(Wanted::Absent),];
    let fields = prop::collection::btree_map(word(&["x-a", "x-b"]), wanted, 0..3);
    let spec = (host, segments, any::<bool>(), methods, fields).prop_map(
        |(host, segments, is_exact, methods, fields)| Spec { host, segments, is_exact, methods, fields },
    );
    prop::collection::vec(spec, 0..8)
}

fn given() -> impl Strategy<Value = Given> {
    prop::collection::btree_map(word(&["x-a", "x-b"]), word(&["1", "2", "3"]), 0..3)
}

/// All that requests can ask for, as far as routes of [`specs`] can tell it apart.
fn all_requests() -> impl Iterator<Item = (&'static str, &'static str, Given)> {
    let values = ["", "1", "2", "3"];
    let given = values.into_iter().flat_map(move |a| values.map(|b| [("x-a", a), ("x-b", b)]));
    let given = given.map(|pairs| {
        let there = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        there.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Given>()
    });
    given.flat_map(|given| {
        let of_host = HOSTS.iter().flat_map(|host| ["GET", "POST", "PUT"].map(|method| (method, *host)));
        of_host.map(|(method, host)| (method, host, given.clone())).collect::<Vec<_>>()
    })
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

/// The pool that is found; the explanation comes to the same, always.
fn found_pool(routes: &Routes, method: &str, host: &str, path: &str, given: &Given) -> Option<usize> {
    let fields: Vec<_> = given.iter().collect();
    let asked = Asked { fields: &fields, ..Asked::new(method, host, path) };
    let found = routes.find(&asked);
    assert_eq!(routes.explain(&asked).route(), found, "{asked:?}");
    found.and_then(Route::pool)
}

proptest! {
    #[test]
    fn the_table_finds_what_a_search_finds(
        specs in specs(),
        method in word(&["GET", "POST", "PUT"]),
        host in word(HOSTS),
        segments in prop::collection::vec(word(&["a", "b", "ab", "c"]), 0..5),
        end in word(&["", "?", "?/a/b", "/"]),
        given in given(),
    ) {
        // Lists with a clash have no table.
        let Ok(routes) = table(&specs) else { return Ok(()) };
        let end = if segments.is_empty() { end.trim_matches('/') } else { &end };
        let path = format!("/{}{end}", segments.join("/"));
        let found = found_pool(&routes, &method, &host, &path, &given);
        prop_assert_eq!(found, reference(&specs, &method, &host, &segments, &given));
    }

    /// Two routes clash if and only if some request fits both, and neither is more specific.
    #[test]
    fn a_clash_is_a_request_that_two_routes_fit_equally(
        specs in prop::collection::vec(specs(), 2),
        at_one_place in any::<bool>(),
    ) {
        let mut pair: Vec<Spec> = specs.into_iter().filter_map(|specs| specs.into_iter().next()).collect();
        if let ([one, other], true) = (&mut pair[..], at_one_place) {
            let Spec { host, segments, is_exact, .. } = one.clone();
            *other = Spec { host, segments, is_exact, ..other.clone() };
        }
        let [one, other] = &pair[..] else { return Ok(()) };
        let paths = [&one.segments, &other.segments];
        let is_met = paths.iter().any(|path| {
            all_requests().any(|(method, host, given)| {
                one.takes(method, host, path, &given) && other.takes(method, host, path, &given)
            })
        });
        // As long as they fit one request, equal lengths are equal hosts and paths.
        prop_assert_eq!(table(&pair).is_err(), is_met && one.rank() == other.rank(), "{:?}", pair);
    }

    /// What a program reads in the new path is what it reads in the old one, with the route's path replaced.
    #[test]
    fn a_path_is_rewritten_for_every_program_alike(
        prefix in prop::collection::vec(word(&["a", "b"]), 0..3),
        new in prop::collection::vec(word(&["a", "n"]), 0..3),
        parts in prop::collection::vec(
            word(&["/", "/a", "/b", "x", "..", "/..", "/.", "%2e", "%2F", "%5c", "\\", ";", "%61", "?", "%25"]), 0..8),
    ) {
        let (from, to) = (format!("/{}", prefix.join("/")), format!("/{}", new.join("/")));
        let route = Route::new(0).path(&from).unwrap().replace(&to).unwrap();
        let target = format!("{}{}", from.trim_end_matches('/'), parts.concat());
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        let routes = Routes::new(vec![route]).unwrap();
        let Some(route) = routes.find(&Asked::new("GET", "", &target)) else { return Ok(()) };
        let Some(sent) = route.rewritten(&target) else { return Ok(()) };
        prop_assert!(sent.starts_with('/') && !sent.starts_with("//"), "{}", sent);
        let split = |target: &str| {
            let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
            (path.to_owned(), query.to_owned())
        };
        let ((old_path, old_query), (new_path, new_query)) = (split(&target), split(&sent));
        prop_assert_eq!(old_query, new_query);
        let bare = |mut names: Vec<String>| {
            if names.last().is_some_and(String::is_empty) {
                names.pop();
            }
            names
        };
        for (old, read) in programs(&old_path).into_iter().zip(programs(&new_path)) {
            let rest = old.strip_prefix(&prefix[..]).map(<[String]>::to_vec);
            let expected = rest.map(|rest| bare([new.clone(), rest].concat()));
            prop_assert_eq!(expected, Some(bare(read)), "{} became {}", target, sent);
        }
    }

    #[test]
    fn a_route_is_the_same_for_every_program(
        specs in specs(),
        parts in prop::collection::vec(
            word(&["/", "/", "/a", "/b", "ab", "..", "/..", "/.", "%2e", "%2F", "%5c", "\\", ";", "%61"]), 0..8),
        given in given(),
    ) {
        let Ok(routes) = table(&specs) else { return Ok(()) };
        let path = format!("/{}", parts.concat());
        if let Some(pool) = found_pool(&routes, "GET", "a.x.org", &path, &given) {
            for names in programs(&path) {
                let reads = reference(&specs, "GET", "a.x.org", &names, &given);
                prop_assert_eq!(reads, Some(pool), "{} as {:?}", path, names);
            }
        }
    }
}
