//! Tables of routes, and requests.
//!
//! An input is text: lines `[METHOD|METHOD ][host][=]/path`, each a route, with `=` of this path alone; an empty line; lines
//! `METHOD authority target`, each a request. So the corpus can be read, and what routes learn is added to a line's
//! grammar without changing what the other inputs mean. Lines that are no route or no request are passed over.

use std::net::Ipv6Addr;

use idleway::route::{Asked, Route, Routes, Target};
use idleway_h1::{HeadReader, Limits};

/// Looking at more costs time and finds nothing new.
const MOST: usize = 12;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (table, requests) = text.split_once("\n\n").unwrap_or((text, ""));
    let (mut routes, specs): (Vec<Route>, Vec<Spec>) = table.lines().filter_map(spec).take(MOST).unzip();
    for (pool, route) in routes.iter_mut().enumerate() {
        route.target = Target::Pool(pool);
    }
    let routes = match Routes::new(routes) {
        Ok(routes) => routes,
        Err(clash) => {
            assert!(
                clash.first < clash.second && specs[clash.first].clashes(&specs[clash.second]),
                "{clash:?}"
            );
            return;
        }
    };
    for (at, spec) in specs.iter().enumerate() {
        assert!(!specs[..at].iter().any(|other| other.clashes(spec)), "a clash is missed");
    }
    for line in requests.lines().take(MOST) {
        check_request(&specs, &routes, line);
    }
}

fn check_request(specs: &[Spec], routes: &Routes, line: &str) {
    let mut words = line.splitn(3, ' ');
    let (Some(method), Some(authority), Some(target)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    // Routes are asked only for what the reader of heads lets through.
    let Ok(Some((head, _))) = HeadReader::new(Limits::default()).request(head.as_bytes()) else { return };
    let found = routes.find(&Asked::new(head.method(), head.authority(), head.path())).and_then(Route::pool);

    let path = head.path().split('?').next().unwrap_or_default();
    let host = host(head.authority());
    // `*` is no path: it is below every prefix, and no exact path is it. No segment looks like this.
    let everything = ["*/".to_owned()];
    let best = |segments: &[String]| {
        search(specs, head.method(), &host, if path == "*" { &everything } else { segments })
    };
    let mut readings = programs().map(|program| best(&reading(path, &program)));
    let first = readings.next().flatten();
    let expected = first.filter(|_| readings.all(|other| other == first));
    assert_eq!(found, expected, "{line}");
    // Who does the same in another order sees no other route either.
    for program in ORDERS.iter().flat_map(|order| (1..=4).map(|length| &order[..length])) {
        let segments = reading(path, program);
        assert!(found.is_none() || best(&segments) == found, "{line}: {program:?} read {segments:?}");
    }
}

/// A route as a naive program keeps it.
struct Spec {
    /// `*.` in front: what is below it.
    host: Option<String>,
    is_exact: bool,
    segments: Vec<String>,
    methods: Vec<String>,
}

impl Spec {
    fn clashes(&self, other: &Spec) -> bool {
        let methods = if self.methods.is_empty() || other.methods.is_empty() {
            self.methods.is_empty() && other.methods.is_empty()
        } else {
            self.methods.iter().any(|method| other.methods.contains(method))
        };
        (&self.host, self.is_exact) == (&other.host, other.is_exact)
            && self.segments == other.segments
            && methods
    }

    fn fits(&self, method: &str, host: &str, segments: &[String]) -> bool {
        let is_below = |suffix: &str| {
            host.strip_suffix(suffix).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
        };
        self.host.as_ref().is_none_or(|wanted| wanted.strip_prefix("*.").map_or(wanted == host, is_below))
            && segments.starts_with(&self.segments)
            && (!self.is_exact || within(segments.to_vec()) == self.segments)
            && (self.methods.is_empty() || self.methods.iter().any(|wanted| wanted == method))
    }
}

/// None where it is not a route.
fn spec(line: &str) -> Option<(Route, Spec)> {
    let (methods, place) = line.split_once(' ').unwrap_or(("", line));
    let (asked, path) = place.split_at(place.find('/')?);
    let (asked, is_exact) = asked.strip_suffix('=').map_or((asked, false), |asked| (asked, true));
    let methods: Vec<String> =
        methods.split('|').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let route = Route::new(0);
    let mut route = if is_exact { route.exact(path) } else { route.path(path) }.ok()?;
    if !asked.is_empty() {
        route = route.host(asked).ok()?;
    }
    for method in &methods {
        route = route.method(method).ok()?;
    }
    let segments = within(reading(path, &[]));
    // What programs read in two ways is no route: all of them see these segments.
    for program in programs() {
        assert_eq!(within(reading(path, &program)), segments, "{path} is a route");
    }
    let suffix = asked.strip_prefix("*.");
    if let Some(asked) = suffix.or(Some(asked)).filter(|asked| !asked.is_empty()) {
        let is_ipv6 = asked.parse::<Ipv6Addr>().is_ok();
        let field = if is_ipv6 { format!("[{asked}]") } else { asked.to_owned() };
        let head = format!("GET / HTTP/1.1\r\nHost: {field}\r\n\r\n");
        let read = HeadReader::new(Limits::default()).request(head.as_bytes());
        assert!(matches!(read, Ok(Some(_))), "no request is for this host: {asked}");
    }
    let host = match suffix {
        Some(suffix) => Some(format!("*.{}", host(suffix))),
        None => (!asked.is_empty()).then(|| host(asked)),
    };
    Some((route, Spec { host, is_exact, segments, methods }))
}

/// Looks at every route and takes the most specific one that fits.
fn search(specs: &[Spec], method: &str, host: &str, segments: &[String]) -> Option<usize> {
    (0..specs.len()).filter(|&at| specs[at].fits(method, host, segments)).max_by_key(|&at| {
        let Spec { host, is_exact, segments, methods } = &specs[at];
        let host = host.as_ref().map(|host| (!host.starts_with("*."), host.len()));
        (host, *is_exact, segments.len(), !methods.is_empty())
    })
}

/// The host of `host:port`, as it is compared.
fn host(authority: &str) -> String {
    let bare = authority.parse::<Ipv6Addr>();
    let (name, address) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => (address, address.parse()),
        None => (authority.split(':').next().unwrap_or_default(), bare),
    };
    match address {
        Ok(address) => format!("{:?}", address.segments()),
        Err(_) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
    }
}

/// What a program may do to a path before it looks at the segments.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    /// `%2F`, `%5C` and `\` are slashes.
    Slashes,
    /// A segment ends at its `;`.
    Parameters,
    /// Several slashes are one.
    Merge,
    /// `.` and `..` are steps.
    Dots,
}

use Step::{Dots, Merge, Parameters, Slashes};

/// The programs that a route has to be the same for: they do some of these things, in one of these orders.
fn programs() -> impl Iterator<Item = Vec<Step>> {
    const KNOWN: [[Step; 4]; 6] = [
        [Slashes, Parameters, Merge, Dots],
        [Slashes, Parameters, Dots, Merge],
        [Parameters, Slashes, Merge, Dots],
        [Parameters, Slashes, Dots, Merge],
        [Slashes, Dots, Parameters, Merge],
        [Slashes, Merge, Dots, Parameters],
    ];
    KNOWN.into_iter().flat_map(|order| {
        (0..16).map(move |bits| {
            let done = order.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
            done.map(|(_, step)| step).collect()
        })
    })
}

/// Every order but those of a program that merges slashes first and decodes more of them afterwards: nobody is known
/// to do that without merging again.
const ORDERS: [[Step; 4]; 12] = [
    [Slashes, Parameters, Merge, Dots],
    [Slashes, Parameters, Dots, Merge],
    [Slashes, Merge, Parameters, Dots],
    [Slashes, Merge, Dots, Parameters],
    [Slashes, Dots, Parameters, Merge],
    [Slashes, Dots, Merge, Parameters],
    [Parameters, Slashes, Merge, Dots],
    [Parameters, Slashes, Dots, Merge],
    [Parameters, Dots, Slashes, Merge],
    [Dots, Slashes, Parameters, Merge],
    [Dots, Slashes, Merge, Parameters],
    [Dots, Parameters, Slashes, Merge],
];

/// The segments of a path as a program sees it that does this beside decoding.
fn reading(path: &str, program: &[Step]) -> Vec<String> {
    let mut segments: Vec<String> = decoded(path).split('/').skip(1).map(str::to_owned).collect();
    for step in program {
        match step {
            Slashes => {
                let path = segments.join("/").replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
                segments = path.split('/').map(str::to_owned).collect();
            }
            Parameters => {
                for segment in &mut segments {
                    segment.truncate(segment.find(';').unwrap_or(segment.len()));
                }
            }
            Merge => segments.retain(|segment| !segment.is_empty()),
            Dots => {
                let mut walked = Vec::new();
                for segment in segments {
                    match &*segment {
                        "." => {}
                        ".." => drop(walked.pop()),
                        _ => walked.push(segment),
                    }
                }
                segments = walked;
            }
        }
    }
    segments
}

/// A slash at the end makes no difference to a route.
fn within(mut segments: Vec<String>) -> Vec<String> {
    segments.pop_if(|last| last.is_empty());
    segments
}

/// A path with its escapes decoded, but for those of `/`, `\` and `%`; each byte is a character.
fn decoded(path: &str) -> String {
    let mut plain = String::new();
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(digits) => {
                let digits = String::from_utf8_lossy(digits).to_ascii_uppercase();
                match &*digits {
                    "2F" | "5C" | "25" => plain += &format!("%{digits}"),
                    _ => plain.extend(u8::from_str_radix(&digits, 16).map(char::from)),
                }
                rest = &after[2..];
            }
            None => {
                plain.push(char::from(*byte));
                rest = after;
            }
        }
    }
    plain
}
