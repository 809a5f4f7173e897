//! Who has signed in at the dashboard: a cookie for a browser, in place of the token.
//!
//! A browser sends a cookie to every port of a host. So the cookie alone, which whatever else listens on this machine may see, lets
//! its bearer only look; a change needs a second word, the proof, which the page keeps for itself and sends in
//! `X-Idleway-Session`.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{COOKIE, HeaderName};
use subtle::ConstantTimeEq;

use super::answer::Problem;
use crate::config::AdminToken;

/// Where the proof stands.
const PROOF: HeaderName = HeaderName::from_static("x-idleway-session");
/// So many at once; the oldest gives way.
const SESSIONS: usize = 64;
const KEYS: usize = 16;
/// How long they hold.
const SESSION_TIME: Duration = Duration::from_secs(12 * 3600);
const KEY_TIME: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Sessions {
    /// Of the cookie: two gateways on one machine have two.
    name: String,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Those that nobody has used yet.
    keys: VecDeque<(Secret, Instant)>,
    sessions: VecDeque<Session>,
}

#[derive(Debug)]
struct Session {
    cookie: Secret,
    proof: Secret,
    /// Of another token than the one in force it is none.
    token: AdminToken,
    until: Instant,
}

/// What whoever has signed in is told.
#[derive(Debug)]
pub(super) struct Opened {
    /// As `Set-Cookie` has it (RFC 6265).
    pub(super) cookie: String,
    pub(super) proof: String,
}

/// What whoever has signed in may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    Look,
    Change,
}

impl Sessions {
    /// For the API at this port.
    pub(super) fn new(port: u16) -> Self {
        Self { name: format!("idleway-{port}"), book: Mutex::default() }
    }

    /// A key that opens one session.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn invite(&self) -> Result<String, Problem> {
        let key = Secret::new()?;
        let text = key.0.clone();
        let mut book = self.book();
        if book.keys.len() == KEYS {
            book.keys.pop_front();
        }
        book.keys.push_back((key, Instant::now() + KEY_TIME));
        Ok(text)
    }

    /// Opens one for whoever has the token or a key, which is used up by that.
    ///
    /// # Errors
    /// It is neither, or the system has no random numbers.
    pub(super) fn open(&self, key: &str, token: &AdminToken) -> Result<Opened, Problem> {
        let (cookie, proof) = (Secret::new()?, Secret::new()?);
        let mut book = self.book();
        if !is_same(key, token.as_str()) {
            let now = Instant::now();
            let nth = book.keys.iter().position(|(known, until)| *until > now && known.is(key));
            book.keys.remove(nth.ok_or(Problem::Key)?);
        }
        let Self { name, .. } = self;
        let opened = Opened {
            cookie: format!(
                "{name}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict",
                cookie.0,
                SESSION_TIME.as_secs()
            ),
            proof: proof.0.clone(),
        };
        if book.sessions.len() == SESSIONS {
            book.sessions.pop_front();
        }
        let until = Instant::now() + SESSION_TIME;
        book.sessions.push_back(Session { cookie, proof, token: token.clone(), until });
        Ok(opened)
    }

    /// What whoever sends these fields may do, while this token is in force; none where there is no session.
    pub(super) fn of(&self, headers: &HeaderMap, token: &AdminToken) -> Option<Rights> {
        let now = Instant::now();
        let proof = headers.get(PROOF).and_then(|proof| proof.to_str().ok());
        let book = self.book();
        let session = cookies(headers, &self.name).find_map(|cookie| {
            let is_it = |session: &&Session| {
                session.until > now
                    && session.cookie.is(cookie)
                    && is_same(session.token.as_str(), token.as_str())
            };
            book.sessions.iter().find(is_it)
        })?;
        Some(if proof.is_some_and(|proof| session.proof.is(proof)) { Rights::Change } else { Rights::Look })
    }

    /// Ends the one of whoever sends these fields.
    pub(super) fn close(&self, headers: &HeaderMap) {
        let mut book = self.book();
        for cookie in cookies(headers, &self.name) {
            book.sessions.retain(|session| !session.cookie.is(cookie));
        }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of the cookies of this name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

/// 64 hexadecimal digits that nobody guesses.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    fn new() -> Result<Self, Problem> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Problem::NoRandom)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    fn is(&self, text: &str) -> bool {
        is_same(&self.0, text)
    }
}

/// Takes as long for a text that is nearly right as for any other of its length.
fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> AdminToken {
        AdminToken::new(text).unwrap()
    }

    /// As a browser sends it.
    fn fields(opened: &Opened, proof: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let pair = opened.cookie.split(';').next().unwrap();
        headers.insert(COOKIE, format!("other=1; {pair}").parse().unwrap());
        if let Some(proof) = proof {
            headers.insert(PROOF, proof.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_key_opens_one_session_and_the_token_any_number() {
        let (sessions, token) = (Sessions::new(5001), token("0123456789abcdef"));
        let key = sessions.invite().unwrap();
        assert!(sessions.open(&key, &token).is_ok());
        assert_eq!(sessions.open(&key, &token).unwrap_err(), Problem::Key);
        for wrong in ["", "0", "0123456789abcdeF"] {
            assert_eq!(sessions.open(wrong, &token).unwrap_err(), Problem::Key);
        }
        (0..2).for_each(|_| assert!(sessions.open("0123456789abcdef", &token).is_ok()));
    }

    #[test]
    fn the_cookie_lets_look_and_the_proof_change() {
        let (sessions, token) = (Sessions::new(5001), token("0123456789abcdef"));
        let (one, other) =
            (sessions.open(token.as_str(), &token).unwrap(), sessions.open(token.as_str(), &token).unwrap());
        let of = |headers: &HeaderMap| sessions.of(headers, &token);
        assert_eq!(of(&HeaderMap::new()), None);
        assert_eq!(of(&fields(&one, None)), Some(Rights::Look));
        assert_eq!(of(&fields(&one, Some(&other.proof))), Some(Rights::Look));
        assert_eq!(of(&fields(&one, Some(&one.proof))), Some(Rights::Change));
        // Another token is in force.
        let later = self::token("fedcba9876543210");
        assert_eq!(sessions.of(&fields(&one, Some(&one.proof)), &later), None);
        // Of another gateway.
        assert_eq!(Sessions::new(5002).of(&fields(&one, None), &token), None);
        sessions.close(&fields(&one, None));
        assert_eq!((of(&fields(&one, None)), of(&fields(&other, None))), (None, Some(Rights::Look)));
    }

    #[test]
    fn the_oldest_gives_way() {
        let (sessions, token) = (Sessions::new(5001), token("0123456789abcdef"));
        let first = sessions.open(token.as_str(), &token).unwrap();
        (0..SESSIONS).for_each(|_| _ = sessions.open(token.as_str(), &token).unwrap());
        assert_eq!(sessions.of(&fields(&first, None), &token), None);
        let key = sessions.invite().unwrap();
        (0..KEYS).for_each(|_| _ = sessions.invite().unwrap());
        assert_eq!(sessions.open(&key, &token).unwrap_err(), Problem::Key);
    }
}
