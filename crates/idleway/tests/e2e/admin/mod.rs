//! The admin API, on real sockets: what it tells, what it is told, and who is not listened to.

mod orders;
mod protections;
mod shapes;
mod told;
mod watch;

use std::net::{SocketAddr, TcpListener};

use idleway::Gateway;
use idleway::admin::{Admin, Options};
use idleway::config::AdminToken;
use serde_json::Value;

use crate::harness::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The admin API of a gateway.
pub(crate) struct Desk {
    admin: Admin,
}

impl Desk {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self::with(gateway, |_| {})
    }

    fn with(gateway: &Gateway, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        options.token = AdminToken::new(TOKEN);
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { admin: Admin::start(gateway.handle(), listener, options).unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Asks with these fields besides `Host`.
    fn ask(&self, line: &str, fields: &str, body: &str) -> Response {
        let mut client = Client::connect(self.address());
        let (host, length) = (self.address(), body.len());
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        ));
        client.try_answer(line.split(' ').next().unwrap()).unwrap()
    }

    fn get(&self, path: &str) -> Response {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// What is told there.
    pub(crate) fn told(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// Orders it with the token.
    pub(crate) fn order(&self, line: &str, body: &str) -> Response {
        let fields = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        self.ask(line, &fields, body)
    }

    /// The first backend of the pool `default`.
    fn backend(&self) -> Value {
        self.told("/v1/pools/default")["backends"][0].clone()
    }

    pub(crate) fn mode(&self, backend: &Backend, mode: &str) -> Response {
        let name = name(backend);
        self.order(
            &format!("PUT /v1/pools/default/backends/{name}/mode"),
            &format!("{{\"mode\":\"{mode}\"}}"),
        )
    }
}

fn name(backend: &Backend) -> String {
    backend.url().trim_start_matches("http://").to_owned()
}

/// Which problem it is.
fn problem(answer: &Response) -> String {
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["status"], answer.status());
    told["type"].as_str().unwrap().rsplit_once('#').unwrap().1.to_owned()
}
