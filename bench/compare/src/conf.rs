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

/// `idleway.toml`
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
pub(crate) fn haproxy(listen: SocketAddr, setting: &Setting<'_>) -> String {
    let limit = match setting.slots {
        Slots::Plenty => "",
        Slots::One => " maxconn 1",
    };
    let servers = each(setting, "\n    ", |number, backend| format!("server b{number} {backend}{limit}"));
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
    timeout queue {wait}ms

frontend clients
    bind {listen}
    default_backend workers

backend workers
    balance leastconn
    http-reuse always
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
/// The zone lets the workers share one count of the connections to a backend.
pub(crate) fn nginx(listen: SocketAddr, setting: &Setting<'_>) -> String {
    let limit = match setting.slots {
        Slots::Plenty => "",
        Slots::One => " max_conns=1",
    };
    let servers = each(setting, "\n        ", |_, backend| format!("server {backend}{limit};"));
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
        zone workers 64k;
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
            proxy_next_upstream off;
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
