//! What the keys of other programs are called here: people write what their fingers know.

use super::nearest::plain;

/// What nginx, HAProxy, Envoy, Caddy, Traefik, gunicorn and their like call a thing, one key of ours, and how to
/// write it. Without `_` and `-`, in small letters. Of several entries the first counts whose key is known where the
/// word stands.
const HABITS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "server",
            "servers",
            "upstream",
            "upstreams",
            "target",
            "targets",
            "endpoint",
            "endpoints",
            "nodes",
            "origin",
            "origins",
            "proxypass",
            "reverseproxy",
            "loadbalancer",
            "url",
            "urls",
            "to",
            "services",
        ],
        "backends",
        r#"backends = ["http://127.0.0.1:6000"]"#,
    ),
    (
        &["address", "addr", "host", "server", "uri", "target", "endpoint", "origin"],
        "url",
        r#"url = "http://127.0.0.1:6000""#,
    ),
    (
        &[
            "bind",
            "port",
            "address",
            "addr",
            "host",
            "listener",
            "listeners",
            "listenon",
            "entrypoints",
            "http",
        ],
        "listen",
        r#"listen = "127.0.0.1:5000""#,
    ),
    (
        &["workers", "workerprocesses", "nbthread", "nthreads", "cores", "cpus", "concurrency"],
        "threads",
        "threads = 2; how many requests a backend works on at once is `slots`",
    ),
    (
        &[
            "maxconn",
            "maxconns",
            "maxconnections",
            "maxconcurrency",
            "maxrequests",
            "containerconcurrency",
            "concurrency",
            "capacity",
            "parallel",
            "limit",
            "workers",
            "threads",
        ],
        "slots",
        "slots = 4",
    ),
    (
        &["timeoutconnect", "proxyconnecttimeout", "dialtimeout", "connectiontimeout"],
        "connect_timeout",
        r#"connect_timeout = "1s""#,
    ),
    (
        &[
            "timeoutserver",
            "proxyreadtimeout",
            "readtimeout",
            "requesttimeout",
            "responsetimeout",
            "servertimeout",
            "responseheadertimeout",
            "timeouts",
        ],
        "timeout",
        r#"timeout = "60s""#,
    ),
    (
        &["timeoutclient", "clienttimeout", "proxysendtimeout"],
        "client",
        r#"client = { read = "30s", write = "30s" }"#,
    ),
    (
        &[
            "timeoutqueue",
            "queuetimeout",
            "queuesize",
            "maxqueue",
            "maxpending",
            "maxpendingrequests",
            "backlog",
        ],
        "queue",
        r#"queue = { length = 100, wait = "30s" }"#,
    ),
    (&["size", "max", "limit", "depth", "maxlength", "maxlen", "capacity"], "length", "length = 100"),
    (&["timeout", "maxwait", "time"], "wait", r#"wait = "30s""#),
    (
        &["retries", "maxretries", "numretries", "proxynextupstream", "failover"],
        "retry",
        "retry = { attempts = 3 }",
    ),
    (&["max", "count", "tries", "retries", "maxretries", "numretries", "limit"], "attempts", "attempts = 3"),
    (
        &["healthcheck", "healthchecks", "check", "checks", "probe", "probes", "liveness", "readiness"],
        "health",
        r#"health = { path = "/healthz" }"#,
    ),
    (&["maxfails", "maxfailures", "consecutive5xx"], "failures", "failures = 3"),
    (&["maxfails", "maxfailures", "failtimeout", "consecutive5xx"], "health", "health = { failures = 3 }"),
    (&["interval", "period", "periodseconds", "inter"], "every", r#"every = "2s""#),
    (&["unhealthythreshold", "failurethreshold", "retries"], "fall", "fall = 2"),
    (&["healthythreshold", "successthreshold"], "rise", "rise = 1"),
    (&["failtimeout", "ejectiontime", "baseejectiontime"], "pause", r#"pause = "100ms""#),
    (&["expect", "expectedstatus", "codes", "statuscodes"], "status", r#"status = "200-399""#),
    (
        &["clientmaxbodysize", "maxbodysize", "maxbody", "bodylimit", "requestlimit"],
        "limits",
        r#"limits = { body = "10MB" }"#,
    ),
    (&["maxbody", "bodysize", "maxbodysize", "clientmaxbodysize", "request"], "body", r#"body = "10MB""#),
    (&["maxconn", "maxconnections", "workerconnections"], "connections", "connections = 10000"),
    (
        &["keepalivetimeout", "idletimeout", "timeoutkeepalive"],
        "keep_alive",
        r#"for clients, keep_alive = "75s" in `[limits]`"#,
    ),
    (
        &["headertimeout", "readheadertimeout", "clientheadertimeout"],
        "head_timeout",
        r#"head_timeout = "30s""#,
    ),
    (
        &[
            "location",
            "locations",
            "route",
            "router",
            "routers",
            "rules",
            "rule",
            "vhosts",
            "paths",
            "frontend",
        ],
        "routes",
        "a `[[routes]]` for each",
    ),
    (
        &["prefix", "uri", "url", "location", "match", "rule", "pathprefix", "pathbeg", "pathdir"],
        "path",
        r#"path = "/a/path""#,
    ),
    (
        &[
            "stripprefix",
            "strippath",
            "strip",
            "rewrite",
            "rewriteprefix",
            "prefixrewrite",
            "replacepath",
            "replacepathregex",
        ],
        "replace",
        r#"replace = "/" takes the route's `path` away, replace = "/new" puts another in its place"#,
    ),
    (
        &["backend", "backends", "upstream", "service", "cluster", "target", "to", "proxypass", "usebackend"],
        "pool",
        "the name of a `[pools.NAME]`",
    ),
    (&["upstream", "cluster", "clusters", "backend", "service"], "pools", "a `[pools.NAME]` for each"),
    (
        &["servername", "hosts", "domain", "domains", "hostname", "vhost", "authority"],
        "host",
        r#"host = "api.example.com""#,
    ),
    (&["methods", "verb", "verbs"], "method", r#"method = ["GET", "POST"]"#),
    (
        &["trustedproxies", "setrealipfrom", "realipfrom", "forwardedallowips"],
        "trusted",
        r#"trusted = ["10.0.0.0/8"]"#,
    ),
    (&["gracefultimeout", "shutdowntimeout", "graceperiod"], "drain_timeout", r#"drain_timeout = "30s""#),
    (
        &["tracing", "trace", "otel", "otlp", "opentelemetry"],
        "traces",
        "traces = { endpoint = \"http://127.0.0.1:4318\" }",
    ),
    (&["accesslogs", "accesslogfile", "log", "logs", "logging"], "access_log", "access_log = true"),
];

/// What has no key here, and why.
const NONE_HERE: &[(&[&str], &str)] = &[
    (
        &[
            "balance",
            "algorithm",
            "lbpolicy",
            "loadbalancing",
            "strategy",
            "policy",
            "leastconn",
            "roundrobin",
            "lb",
        ],
        "there is nothing to choose: a request goes to an idle backend, never to a busy one. Take it out",
    ),
    (
        &["tls", "ssl", "https", "cert", "certificate", "certfile", "keyfile", "sslcertificate", "crt"],
        "this version does not speak TLS yet: take it out, and let something in front of it end TLS",
    ),
    (
        &["loglevel", "errorlog", "debug", "verbose"],
        "how much is logged is not said here: set IDLEWAY_LOG=debug",
    ),
    (&["weight"], "what a backend can do at once is its weight: slots = 2, beside its `url`"),
    (&["daemon", "user", "group", "pidfile", "pid"], "what starts the program says that: take it out"),
];

/// Why there is no such key, nor any in its place, where that can be told.
pub(super) fn not_here(word: &str) -> Option<&'static str> {
    let word: String = plain(word).collect();
    NONE_HERE.iter().find(|(words, _)| words.contains(&word.as_str())).map(|(_, why)| *why)
}

/// What to write instead of the word, where a key of ours that is known in its place is meant.
pub(super) fn meant(word: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let word: String = plain(word).collect();
    let mut ours = HABITS.iter().filter(|(words, key, _)| words.contains(&word.as_str()) && is_known(key));
    let (_, key, written) = ours.next()?;
    Some(format!("here it is `{key}`: {written}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_written_as_they_are_compared() {
        let words = HABITS.iter().map(|(words, ..)| *words).chain(NONE_HERE.iter().map(|(words, _)| *words));
        for word in words.flatten() {
            assert_eq!(plain(word).collect::<String>(), *word);
        }
    }

    #[test]
    fn the_place_says_which_key_is_meant() {
        let in_pool = |key: &str| ["backends", "slots"].contains(&key);
        let in_limits = |key: &str| key == "connections";
        assert_eq!(meant("maxconn", in_pool).as_deref(), Some("here it is `slots`: slots = 4"));
        assert_eq!(
            meant("max_conn", in_limits).as_deref(),
            Some("here it is `connections`: connections = 10000")
        );
        assert_eq!(meant("max_conn", |_| false), None);
        assert_eq!(meant("Load-Balancing", in_pool), None);
        assert!(not_here("Load-Balancing").is_some_and(|why| why.starts_with("there is nothing to choose")));
        assert_eq!(not_here("max_conn"), None);
    }
}
