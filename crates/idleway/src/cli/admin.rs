//! `idleway status`, `drain`, `ready`, `maintenance`, `reload`: a gateway that runs, asked and told by its admin API.

mod call;
mod drain;
mod listen;
mod shown;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

pub(super) use self::call::{Caller, Refused};
pub(super) use self::drain::pause;
pub(super) use self::listen::Messages;
pub(super) use self::shown::time;
use super::{Failure, duration, say};

/// Exit codes of `sysexits.h`.
const UNAVAILABLE: u8 = 69;
const NO_PERMISSION: u8 = 77;
const MISCONFIGURED: u8 = 78;
/// What was waited for has not ended in time.
const NOT_QUIET: u8 = 4;

/// Which gateway is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    /// The admin API of the gateway.
    #[arg(
        long,
        value_name = "URL",
        env = "IDLEWAY_ADMIN",
        hide_env_values = true,
        default_value = "http://127.0.0.1:5001"
    )]
    admin: String,
    /// A file with the token [default: IDLEWAY_ADMIN_TOKEN, else the file that a gateway of this user has written].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which gateway is asked, and how it is told.
#[derive(Debug, Args)]
pub(super) struct Where {
    #[command(flatten)]
    place: Place,
    /// Say it as JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway status                                    everything, for people
  idleway status --json | jq '.pools[].queue'       for programs
  idleway status --admin http://127.0.0.1:5002      of another gateway on this machine

Ends with 0 where the gateway wants requests, with 1 where it does not, with 69 where none answers.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway drain workers/10.0.0.3:6000 && ssh 10.0.0.3 reboot    no new requests, and wait for those that run
  idleway drain 127.0.0.1:6000 --timeout 5m                     of the one pool that has it, for five minutes at most
  idleway drain 127.0.0.1:6000 --no-wait                        order it, and see to the rest by `idleway status`

While it waits it shows what for. Interrupted, it has been ordered all the same: `idleway ready` takes it back.
Ends with 0 where nothing is at work, with 4 where the time was over before, with 69 where no gateway answers, with 77 where
the token is missing or wrong.")]
pub(super) struct DrainArgs {
    /// The backend: its pool, and its host and port; the pool may be left out where one alone has it.
    #[arg(value_name = "POOL/BACKEND")]
    backend: String,
    /// Do not wait until nothing is at work there.
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// How long to wait at most [default: as long as it takes].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway ready workers/10.0.0.3:6000          requests again
  idleway maintenance workers/10.0.0.3:6000    no requests and no probes

Ends with 0 where it is ordered, with 69 where no gateway answers, with 77 where the token is missing or wrong.")]
pub(super) struct ModeArgs {
    /// The backend: its pool, and its host and port; the pool may be left out where one alone has it.
    #[arg(value_name = "POOL/BACKEND")]
    backend: String,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway check && idleway reload    the file is put in force, and it is known here whether it was

Ends with 0 where it is in force, with 78 where anything is wrong with it (what was in force stays), with 69 where no gateway
answers, with 77 where the token is missing or wrong.")]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    at: Where,
}

pub(super) fn status(args: &StatusArgs) -> Result<(), Failure> {
    let told = args.at.ask("GET", "/v1/status", None)?;
    if args.at.json {
        say(&told.to_string());
    } else {
        shown::status(&told).iter().for_each(|line| say(line));
    }
    if told["ready"] == true { Ok(()) } else { Err(Failure::Found(1)) }
}

pub(super) fn drain(args: &DrainArgs) -> Result<(), Failure> {
    let (pool, backend) = &args.at.find(&args.backend)?;
    let told = args.at.order(pool, backend, "drain")?;
    let told = if args.no_wait { told } else { drain::wait(&args.at, pool, backend, told, args.timeout)? };
    args.at.tell(&told, &format!("{pool}/{backend} drains: {}", shown::backend(&told)));
    if args.no_wait || drain::is_quiet(&told) { Ok(()) } else { Err(Failure::Found(NOT_QUIET)) }
}

/// `ready` or `maintenance`.
pub(super) fn set_mode(args: &ModeArgs, mode: &str) -> Result<(), Failure> {
    let (pool, backend) = &args.at.find(&args.backend)?;
    let told = args.at.order(pool, backend, mode)?;
    args.at.tell(&told, &format!("{pool}/{backend}: {}", shown::backend(&told)));
    Ok(())
}

pub(super) fn reload(args: &ReloadArgs) -> Result<(), Failure> {
    let told = args.at.ask("POST", "/v1/reload", Some(&Value::Null))?;
    args.at.tell(&told, "the configuration is in force");
    Ok(())
}

/// The pool, where it is named, and the backend.
fn named(text: &str) -> (Option<&str>, &str) {
    let text = text.strip_prefix("http://").unwrap_or(text);
    match text.split_once('/') {
        Some((pool, backend)) if !backend.is_empty() => (Some(pool), backend),
        _ => (None, text.trim_end_matches('/')),
    }
}

impl Where {
    /// The backend and its pool: the one pool that has it, where none is named.
    fn find(&self, text: &str) -> Result<(String, String), Failure> {
        let (pool, backend) = named(text);
        if let Some(pool) = pool {
            return Ok((pool.to_owned(), backend.to_owned()));
        }
        let told = self.ask("GET", "/v1/pools", None)?;
        let pools = told["pools"].as_array().into_iter().flatten().filter(|pool| pool["leaving"] == false);
        let has_it = |pool: &&Value| {
            let mut backends = pool["backends"].as_array().into_iter().flatten();
            backends.any(|known| known["name"] == backend && known["removed"] == false)
        };
        let pools: Vec<_> = pools.filter(has_it).filter_map(|pool| pool["name"].as_str()).collect();
        let (title, detail, hint) = match *pools {
            [pool] => return Ok((pool.to_owned(), backend.to_owned())),
            [] => {
                let detail = format!("no pool has a backend `{backend}`: it is named by its host and port");
                ("there is no such backend", detail, "`idleway status` shows all")
            }
            _ => {
                let named: Vec<_> = pools.iter().map(|pool| format!("{pool}/{backend}")).collect();
                ("several pools have it", named.join(", "), "write POOL/BACKEND")
            }
        };
        Err(self.refused(1, &json!({ "title": title, "detail": detail, "hint": hint })))
    }

    fn order(&self, pool: &str, backend: &str, mode: &str) -> Result<Value, Failure> {
        let (path, body) = order(pool, backend, mode);
        self.ask("PUT", &path, Some(&body))
    }

    /// What is told there; where it is a problem, it is said and what is left is the exit code.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.place.caller(body.is_some())?.call(method, path, body).map_err(|refused| {
            let code = match &refused {
                Refused::Problem(422, _) if path == "/v1/reload" => MISCONFIGURED,
                refused => refused.exit_code(),
            };
            self.refused(code, &refused.problem())
        })
    }

    fn refused(&self, code: u8, problem: &Value) -> Failure {
        complain_of(problem);
        if self.json {
            say(&problem.to_string());
        }
        Failure::Found(code)
    }

    fn tell(&self, told: &Value, words: &str) {
        say(&if self.json { told.to_string() } else { words.to_owned() });
    }
}

impl Place {
    /// # Errors
    /// See [`Caller::new`].
    pub(super) fn caller(&self, changes: bool) -> anyhow::Result<Caller> {
        Caller::new(&self.admin, self.token_file.as_deref(), changes)
    }
}

impl Refused {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NobodyThere(_) | Self::Stranger(..) | Self::Problem(503, _) => UNAVAILABLE,
            Self::Problem(401, _) => NO_PERMISSION,
            Self::Problem(..) => 1,
        }
    }

    /// In a line.
    pub(super) fn words(self) -> String {
        if let Self::NobodyThere(error) = self {
            return format!("{error:#}");
        }
        let problem = self.problem();
        let parts = ["title", "detail"].map(|name| problem[name].as_str().unwrap_or_default());
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }

    /// As RFC 9457 has it, with a hint.
    pub(super) fn problem(self) -> Value {
        match self {
            Self::NobodyThere(error) => {
                let hint = "does it run? `idleway run` says in its log where its admin API answers; --admin says where to ask";
                json!({ "title": "no gateway answers", "detail": format!("{error:#}"), "hint": hint })
            }
            Self::Stranger(url, how) => {
                let hint =
                    "`idleway run` says in its log where its admin API answers; --admin says where to ask";
                json!({ "title": format!("{url} is no admin API of Idleway"), "detail": how, "hint": hint })
            }
            Self::Problem(_, problem) => problem,
        }
    }
}

/// Says on standard error what a problem is about.
pub(super) fn complain_of(problem: &Value) {
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    let hint = Some(text("hint")).filter(|hint| !hint.is_empty()).map(|hint| format!("\n    hint: {hint}"));
    super::complain(&format!("{}: {}{}", text("title"), text("detail"), hint.unwrap_or_default()));
}

/// The path and the body by which a backend is set to a mode.
pub(super) fn order(pool: &str, backend: &str, mode: &str) -> (String, Value) {
    let path = format!("/v1/pools/{}/backends/{}/mode", segment(pool), segment(backend));
    (path, json!({ "mode": mode }))
}

/// A name as one segment of a path (RFC 3986 section 3.3).
fn segment(name: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    name.bytes()
        .map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_with_its_pool_or_without() {
        assert_eq!(named("workers/10.0.0.3:6000"), (Some("workers"), "10.0.0.3:6000"));
        assert_eq!(named("10.0.0.3:6000"), (None, "10.0.0.3:6000"));
        assert_eq!(named("http://10.0.0.3:6000/"), (None, "10.0.0.3:6000"));
        assert_eq!(segment("[::1]:80"), "%5B::1%5D:80");
        assert_eq!(segment("a/b%"), "a%2Fb%25");
    }
}
