//! What every peer is told, in its own language: two threads, no access log, connections kept on both sides.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// The threads (nginx: worker processes) of every peer, where a measure does not say otherwise.
pub(crate) const THREADS: usize = 2;

/// What one peer is started for.
pub(crate) struct Setting<'a> {
    pub(crate) backends: &'a [SocketAddr],
    pub(crate) threads: usize,
    pub(crate) slots: Slots,
    /// The client connections to be ready for.
    pub(crate) clients: u32,
    /// The longest silence of a backend.
    pub(crate) timeout: Duration,
    /// The longest wait in line.
    pub(crate) wait: Duration,
    pub(crate) failover: Failover,
}

/// The clocks of a measure in which they play no part.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const WAIT: Duration = Duration::from_secs(5);

/// What a backend may be sent at once.
#[derive(Clone, Copy)]
pub(crate) enum Slots {
    /// More than there are requests at once: nothing ever waits.
    Plenty,
    /// One, and who finds none idle waits in line.
    One,
}

/// What a peer is told for backends that die and come back.
#[derive(Clone, Copy)]
pub(crate) enum Failover {
    /// Nothing: no backend dies.
    Unneeded,
    /// Nothing either: what it does by default.
    Default,
    /// What a careful operator tells it.
    Careful,
}

/// `idleway.toml`; its failover has nothing that would have to be told.
pub(crate) fn idleway(listen: SocketAddr, setting: &Setting<'_>) -> String {
    let backends = each(setting, ", ", |_, backend| format!("\"http://{backend}\""));
    // Idleway always counts slots; "no limit" is a number above that of the requests at once.
    let slots = match setting.slots {
        Slots::Plenty => 128,
        Slots::One => 1,
    };
    format!(
        r#"listen = "{listen}"
threads = {threads}
access_log = false
backends = [{backends}]
slots = {slots}
timeout = "{timeout}ms"
queue = {{ length = 1000, wait = "{wait}ms" }}

[limits]
connections = {connections}
"#,
        threads = setting.threads,
        timeout = setting.timeout.as_millis(),
        wait = setting.wait.as_millis(),
        connections = setting.clients + SPARE,
    )
}

/// `haproxy.cfg`
///
/// `maxconn` is far above what is needed: HAProxy closes idle backend connections once a quarter of the open files that
/// it allows are in use (`tune.pool-high-fd-ratio`), and then pays a connect for most requests.
///
/// Careful is: a failed connect goes on to another server at once, and a request whose server closed without an answer
/// too, unless it is a POST, which may have run; checks and failed connects take a server out, and checks bring it back.
/// The reuse of connections is left at its default where servers die, since `always` would risk more.
pub(crate) fn haproxy(listen: SocketAddr, setting: &Setting<'_>) -> String {
    let limit = match setting.slots {
        Slots::Plenty => "",
        Slots::One => " maxconn 1",
    };
    let (retries, backend, check) = match setting.failover {
        Failover::Unneeded => ("", "\n    http-reuse always", ""),
        Failover::Default => ("", "", ""),
        Failover::Careful => (
            "\n    retries 3\n    option redispatch 1\n    retry-on conn-failure empty-response",
            "\n    http-request disable-l7-retry if METH_POST",
            " check inter 500ms fastinter 100ms downinter 100ms fall 1 rise 1 observe layer4 error-limit 1 \
             on-error mark-down",
        ),
    };
    let servers =
        each(setting, "\n    ", |number, backend| format!("server b{number} {backend}{limit}{check}"));
    format!(
        r"global
    nbthread {threads}
    maxconn {connections}

defaults
    mode http
    option http-keep-alive
    timeout connect 1s
    timeout client 75s
    timeout http-keep-alive 75s
    timeout server {timeout}ms
    timeout queue {wait}ms{retries}

frontend clients
    bind {listen}
    default_backend workers

backend workers
    balance leastconn{backend}
    {servers}
",
        threads = setting.threads,
        timeout = setting.timeout.as_millis(),
        wait = setting.wait.as_millis(),
        connections = setting.clients + 4000,
    )
}

/// `nginx.conf`; the open-source nginx has no line to wait in: with one slot it refuses where the others wait.
///
/// The zone lets the workers share one count of the connections to a backend. Careful is: what failed goes on to another
/// server, unless it is a POST that was sent, and a server that failed is left alone for 1 s instead of 10 s.
pub(crate) fn nginx(listen: SocketAddr, setting: &Setting<'_>) -> String {
    let limit = match setting.slots {
        Slots::Plenty => "",
        Slots::One => " max_conns=1",
    };
    let (balance, pause, next) = match setting.failover {
        Failover::Unneeded => ("", "", "off"),
        Failover::Default => ("", "", "error timeout"),
        Failover::Careful => ("\n        least_conn;", " max_fails=1 fail_timeout=1s", "error timeout"),
    };
    let servers = each(setting, "\n        ", |_, backend| format!("server {backend}{limit}{pause};"));
    format!(
        r#"daemon off;
worker_processes {threads};
error_log stderr crit;
pid nginx.pid;

events {{
    # Client and backend connections of one worker; one worker may get all clients.
    worker_connections {connections};
}}

http {{
    access_log off;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;

    upstream workers {{
        zone workers 64k;{balance}
        {servers}
        keepalive 64;
        keepalive_requests 1000000000;
    }}

    server {{
        listen {listen} reuseport;
        location / {{
            proxy_pass http://workers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout {timeout}ms;
            proxy_next_upstream {next};
        }}
    }}
}}
"#,
        threads = setting.threads,
        timeout = setting.timeout.as_millis(),
        connections = setting.clients + 64 + SPARE,
    )
}

/// Connections beyond those of the clients: the readiness test, listeners and the like.
const SPARE: u32 = 200;

fn each(setting: &Setting<'_>, between: &str, line: impl Fn(usize, &SocketAddr) -> String) -> String {
    let mut text = String::new();
    for (number, backend) in setting.backends.iter().enumerate() {
        let between = if number == 0 { "" } else { between };
        let _ = write!(text, "{between}{}", line(number, backend));
    }
    text
}
