//! `idleway check --print`: what is printed comes to the same Plan, and every key stands in it.

use idleway::config::{Plan, Source};
use proptest::prelude::*;

use super::EVERYTHING;

fn print(text: &str) -> (Plan, String) {
    let source = Source::new(text, "idleway.toml");
    let plan = source.plan().unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let printed = source.print(&plan);
    (plan, printed)
}

fn same_again(text: &str) -> String {
    let (plan, printed) = print(text);
    let (again, twice) = print(&printed);
    assert_eq!(again, plan, "{text}\ncame to\n{printed}");
    assert_eq!(twice, printed, "what is printed is printed as it stands");
    printed
}

#[test]
fn what_is_printed_comes_to_the_same_plan() {
    same_again(EVERYTHING);
    same_again(r#"backends = ["http://127.0.0.1:6000"]"#);
    same_again("[pools.only]\nbackends = [\"http://localhost\"]\nhealth = { tcp = true }");
    // As texts are written in TOML: escapes, literal ones, over several lines.
    same_again(
        "[pools.only]\nbackends = ['http://[::1]:6000']\nfair_by = \"header:X-\\u0041\"\nweights = { \"a\\\"\\\\\\u0007ü\" = 2 }",
    );
    // What a top-level table of routes says stays in its words.
    same_again(
        "routes = [{ path = '/a%2Db', pool = \"b\", method = [\n'GET', \"PUT\"] }]\nbackends = [\"http://10.0.0.1\"]\n\
         [pools.b]\nbackends = [{ url = \"http://10.0.0.2\" }]\n",
    );
}

#[test]
fn every_key_stands_in_what_is_printed() {
    let printed = same_again(r#"backends = ["http://127.0.0.1:6000"]"#);
    let expected = include_str!("printed.toml");
    let threads = std::thread::available_parallelism().unwrap();
    assert_eq!(printed, expected.replace("threads = 1\n", &format!("threads = {threads}\n")));
}

/// Some of these lines, each with one of its values.
fn lines(keys: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = String> {
    let each: Vec<_> = keys
        .iter()
        .map(|(key, values)| {
            let value = proptest::sample::select(*values).prop_map(move |value| format!("{key} = {value}\n"));
            proptest::option::of(value).prop_map(Option::unwrap_or_default)
        })
        .collect();
    each.prop_map(|lines| lines.concat())
}

const TOP: &[(&str, &[&str])] = &[
    ("listen", &[r#""[::1]:1""#, r#""0.0.0.0:65535""#]),
    ("threads", &["1", "1024"]),
    ("cold_start", &[r#""trust""#, r#""prove""#, r#""90s""#]),
    ("handover", &[r#""relative""#, r#""/a \\ b/c""#]),
    ("admin", &["false", r#""127.0.0.1:5001""#, r#""[::1]:9""#]),
    ("admin_token", &[r#""0123456789abcdef""#, r#""a\\b\"c#d'e,f{g}h-0123456789""#]),
    ("drain_delay", &[r#""0""#, r#""5s""#]),
    ("drain_timeout", &[r#""0""#, r#""1ms""#, r#""90s""#]),
    ("access_log", &["true", "false", "{ query = true }", "{ sample = \"7%\", query = false }"]),
    (
        "traces",
        &[
            r#"{ endpoint = "http://[::1]:4318" }"#,
            r#"{ endpoint = "http://a", sample = "7%", service = "a\"b" }"#,
        ],
    ),
    (
        "client",
        &[
            "{}",
            r#"{ read = "1ms", rate = 0, fin = "answer" }"#,
            r#"{ write = "2h", rate = "3B", fin = "gone" }"#,
        ],
    ),
    (
        "limits",
        &[
            r#"{ head = "1KiB", body = "18446744073709551615B", keep_alive = 0 }"#,
            r#"{ target = "65B", fields = 256, body = 0, connections = 1, buffered = "1001B", head_timeout = "61s" }"#,
        ],
    ),
];

const POOL: &[(&str, &[&str])] = &[
    ("slots", &["1", "100000"]),
    ("connect_timeout", &[r#""1ms""#, r#""365d""#]),
    ("timeout", &[r#""1500ms""#, r#""2m""#]),
    ("deadline", &[r#""1h""#]),
    ("deadline_header", &[r#""X-Deadline""#]),
    (
        "queue",
        &[
            "{ length = 0 }",
            r#"{ length = 7, wait = "45s" }"#,
            r#"{ length = 1000000, wait = "1ms", wait_max = "2ms" }"#,
        ],
    ),
    ("busy_status", &["[]", "[503, 429, 503]"]),
    ("idempotency_key", &["true", "false"]),
    ("resolve", &[r#""one""#, r#""all""#]),
    ("keep_alive", &["true", "false"]),
    ("keep_idle", &["0", r#""3s""#]),
    ("request_buffer", &["0", r#""1GiB""#]),
    ("response_buffer", &[r#""1000B""#, r#""5KB""#]),
    ("abandon", &[r#""linger""#, r#""cancel""#]),
    ("cancel_wait", &[r#""10m""#]),
    ("linger", &[r#""10m""#]),
    ("settle", &[r#""50ms""#, "0"]),
    ("priority", &[r#""high""#, r#""low""#, r#""header:Priority""#]),
    (
        "retry",
        &["{ attempts = 1 }", r#"{ attempts = 100, budget = "0%", floor = 0 }"#, r#"{ budget = "100%" }"#],
    ),
    (
        "health",
        &[
            r#"{ failures = 1000, pause = "10s", outlier = 0, panic = "0%", slow_start = "0" }"#,
            r#"{ tcp = true, every = "1ms", timeout = "9s", rise = 1000, fall = 1, dedicated = true }"#,
            r#"{ path = "/?q=%20", method = "OPTIONS", host = "h:1", status = [204, "3xx", "500-599"], pause_max = "1h" }"#,
        ],
    ),
];

/// One of several ways to share, since the keys go together.
const SHARING: [&str; 4] = [
    "",
    "fair_by = \"none\"\n",
    "fair_by = \"ip\"\nslots_per_key = 4294967295\nweights = { \"::1\" = 1000, \"10.0.0.1\" = 1 }\n",
    "fair_by = \"header:X-Key\"\nweights = { \"\" = 2, \"a b\" = 3 }\n",
];

const BACKENDS: [&str; 4] = [
    r#"["http://NAME"]"#,
    r#"["http://NAME:81", { url = "http://NAME:82", slots = 3, resolve = "all" }]"#,
    r#"[{ url = "http://NAME:83", resolve = "one" }, "http://NAME:84"]"#,
    "[\n  'http://NAME:85', # a remark\n]",
];

const ROUTES: [&str; 3] = [
    "",
    "[[routes]]\nhost = \"A.Example\"\npath = \"/a%2Db/\"\nmethod = [\"GET\", \"GET\"]\npool = \"named\"\npriority = \"high\"\n",
    "[[routes]]\nmethod = 'PUT'\npool = \"named\"\nabandon = \"cancel\"\nidempotency_key = true\n",
];

fn pool(name: &'static str) -> impl Strategy<Value = String> {
    let backends = proptest::sample::select(&BACKENDS[..]);
    let sharing = proptest::sample::select(&SHARING[..]);
    (backends, sharing, lines(POOL)).prop_map(move |(backends, sharing, lines)| {
        format!("backends = {}\n{sharing}{lines}", backends.replace("NAME", name))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_printed_as_what_it_comes_to(
        top in lines(TOP),
        default in pool("a.example"),
        named in pool("b.example"),
        route in proptest::sample::select(&ROUTES[1..]),
    ) {
        let trusted = "trusted = [\"10.0.0.0/8\", \"::ffff:10.0.0.1\"]\n";
        same_again(&format!("{trusted}{top}{default}[pools.named]\n{named}{route}"));
    }
}
