//! API keys before the line: `api_keys http://127.0.0.1:6000 http://127.0.0.1:6001`, the first backend for those who
//! pay, the second for those who do not.
//!
//! The backends see who it is (`X-User`), and never the key. Since `fair_by` reads the same field, each user has the
//! same share of the Slots' time, however many requests it sends.

use std::collections::HashMap;
use std::error::Error;
use std::net::TcpListener;

use http::StatusCode;
use idleway::{Arrival, Denial, Gateway, Hook, Plan, Verdict};

struct Keys(HashMap<&'static str, User>);

struct User {
    name: &'static str,
    pool: &'static str,
}

impl Hook for Keys {
    fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
        Box::pin(async move {
            let key = arrival.header("authorization").and_then(|value| value.strip_prefix(b"Bearer "));
            let Some(user) = key.and_then(|key| self.0.get(std::str::from_utf8(key).ok()?)) else {
                let denial = "Send your key: Authorization: Bearer KEY.";
                return Err(
                    Denial::new(StatusCode::UNAUTHORIZED, denial).header("WWW-Authenticate", "Bearer")?
                );
            };
            arrival.set_header("X-User", user.name)?;
            arrival.remove_header("Authorization")?;
            arrival.set_pool(user.pool);
            arrival.label("user", user.name);
            Ok(())
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut backends = std::env::args().skip(1);
    let (Some(paid), Some(free)) = (backends.next(), backends.next()) else {
        return Err("name two backends by their URLs".into());
    };
    let plan = Plan::from_toml(
        &format!(
            "[pools.paid]\nbackends = [\"{paid}\"]\nfair_by = \"header:x-user\"\nqueue = {{ length = 100 }}\n\
             [pools.free]\nbackends = [\"{free}\"]\nfair_by = \"header:x-user\"\n\
             [[routes]]\npath = \"/\"\npool = \"free\"\n[[routes]]\nhost = \"paid.invalid\"\npool = \"paid\"\n"
        ),
        "api_keys",
    )?;
    // Yours come from a file or a database.
    let keys = Keys(HashMap::from([
        ("key-of-ada", User { name: "ada", pool: "paid" }),
        ("key-of-bob", User { name: "bob", pool: "free" }),
    ]));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let stop = idleway::Stop::catch()?;
    stop.end(Gateway::builder(plan).hook(keys).start(listener)?);
    Ok(())
}
