//! The table against a reference that looks at every route one by one, and against programs that read paths in ways
//! of their own.

use std::collections::BTreeMap;

use idleway::route::{Asked, Clash, Route, Routes, Wanted};
use proptest::prelude::*;

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
