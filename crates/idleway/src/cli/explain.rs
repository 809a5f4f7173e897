//! `idleway check FILE --route METHOD URL`: which route takes a request, where it leads, and why.

use std::fmt::Write;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use idleway::Authority;
use idleway::config::Plan;
use idleway::route::{Asked, Explanation, Read, Route, Target, Visible};
use idleway_h1::{HeadReader, Limits, RequestHead};

use super::{Cli, Failure, say};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Say which route takes this request, where it leads and why: --route GET http://example.com/path
    #[arg(long, num_args = 2, value_names = ["METHOD", "URL"], conflicts_with_all = ["json", "print"])]
    route: Vec<String>,
    /// A header field of that request, as from a peer that is trusted: -H 'X-Tier: gold'
    #[arg(short = 'H', long, requires = "route", value_name = "NAME: VALUE")]
    header: Vec<String>,
}

impl ExplainArgs {
    /// Ends the program, and says how to ask, where what is asked about is no request.
    pub(super) fn refuse_nonsense(&self) {
        if let [method, url] = &self.route[..]
            && let Err(how) = is_well_asked(method, url, &self.header)
        {
            Cli::command().error(ErrorKind::ValueValidation, how).exit()
        }
    }

    /// Whether a request is asked about.
    pub(super) fn is_asked(&self) -> bool {
        !self.route.is_empty()
    }
}

/// Says which route takes the request that is asked about; nothing where none is.
pub(super) fn explain(
    args: &ExplainArgs,
    plan: &Plan,
    hide: &dyn Fn(&str) -> String,
) -> Option<Result<(), Failure>> {
    let [method, url] = &args.route[..] else { return None };
    let head = match read(method, url, &args.header) {
        Ok(head) => head,
        Err(refusal) => {
            say(&format!("no route: the gateway refuses such a request: {refusal}"));
            return Some(Err(Failure::Found(1)));
        }
    };
    let fields = Visible { head: &head, is_trusted: true };
    let asked =
        Asked { method: head.method(), authority: head.authority(), path: head.path(), fields: &fields };
    let explanation = plan.routes.explain(&asked);
    let sent = explanation.route().and_then(|route| sent(route, &head));
    let lines = told(&explanation, &head, plan) + sent.as_deref().unwrap_or_default();
    // Line by line: what is asked about stands there too, and is hidden where it says the same.
    lines.lines().for_each(|line| say(&hide(line)));
    Some(if sent.is_some() { Ok(()) } else { Err(Failure::Found(1)) })
}

/// Whether that is a request at all, or how to write one.
fn is_well_asked(method: &str, url: &str, fields: &[String]) -> Result<(), String> {
    let upper = method.to_ascii_uppercase();
    if method != upper {
        return Err(format!("methods tell large letters from small ones: write --route {upper} {url}"));
    }
    if !url.starts_with('/') && !url.contains("://") && url != "*" {
        return Err(format!("a URL begins with http:// or is a path: write --route {method} http://{url}"));
    }
    match fields.iter().find(|field| !field.contains(':')) {
        Some(field) => Err(format!("a header field is NAME: VALUE, which `{field}` is not")),
        None => Ok(()),
    }
}

/// The request as the gateway would read it.
fn read(method: &str, url: &str, fields: &[String]) -> Result<RequestHead, String> {
    // HTTP/1.0 needs no host: where the URL is a path alone there may be none.
    let mut text = format!("{method} {url} HTTP/1.0\r\n");
    for field in fields {
        let _ = write!(text, "{field}\r\n");
    }
    text.push_str("\r\n");
    let limits = Limits { head: text.len(), target: text.len(), ..Limits::default() };
    match HeadReader::new(limits).request(text.as_bytes()) {
        Ok(Some((head, used))) if used == text.len() => Ok(head),
        Ok(_) => Err("a method, a URL and header fields are one line each".to_owned()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// The routes that were looked at, in their order, and what came of each.
fn told(explanation: &Explanation<'_>, head: &RequestHead, plan: &Plan) -> String {
    let mut lines = String::new();
    let readings = &explanation.readings[..];
    let goal = |read: &Read<'_>| match read.route {
        Some(route) => format!("{route} -> {}", goal(route, plan)),
        None => "no route".to_owned(),
    };
    match (explanation.route(), readings) {
        (None, [_, _, ..]) => {
            lines.push_str("no route: programs disagree about what this path means\n");
            for read in readings {
                let _ = writeln!(lines, "  read as {}: {}", read.path, goal(read));
            }
        }
        (_, [read, ..]) => {
            for (route, mismatch) in &read.passed_over {
                let _ = writeln!(lines, "  {route}: {mismatch}");
            }
            let _ = writeln!(lines, "{}", goal(read));
        }
        (_, []) => {}
    }
    if let Some(route) = explanation.route()
        && sent(route, head).is_none()
    {
        lines.push_str("no route: programs would disagree about what this path becomes\n");
    }
    lines
}

fn goal(route: &Route, plan: &Plan) -> String {
    match &route.target {
        Target::Pool(pool) => {
            plan.pools.get(*pool).map_or_else(String::new, |pool| format!("pool {}", pool.name))
        }
        target => target.to_string(),
    }
}

/// What a backend, or the client, is sent, as far as the route says. Of fields the names alone: a value may be a secret.
fn sent(route: &Route, head: &RequestHead) -> Option<String> {
    let mut lines = String::new();
    match &route.target {
        Target::Pool(_) => {
            let host = match &route.authority {
                Authority::Client if head.authority().is_empty() => "none",
                Authority::Client => head.authority(),
                Authority::Backend => "the backend's own",
                Authority::Other(other) => other,
            };
            let path = route.rewritten(head.path())?;
            let _ = writeln!(lines, "the backend is sent: {} {path}, host: {host}", head.method());
            name_fields(&mut lines, "request", route.request.names());
        }
        Target::Redirect(_) => {
            let _ = writeln!(lines, "the client is sent to {}", route.location(head.path())?);
        }
        Target::Answer(_) => {}
    }
    name_fields(&mut lines, "response", route.response.names());
    Some(lines)
}

fn name_fields<'a>(
    lines: &mut String,
    of: &str,
    (dropped, written): (impl Iterator<Item = &'a str>, impl Iterator<Item = &'a str>),
) {
    let (dropped, written): (Vec<_>, Vec<_>) = (dropped.collect(), written.collect());
    if !dropped.is_empty() {
        let _ = writeln!(lines, "the {of} loses: {}", dropped.join(", "));
    }
    if !written.is_empty() {
        let _ = writeln!(lines, "the {of} gets: {}", written.join(", "));
    }
}
