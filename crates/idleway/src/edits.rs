//! Changes to a request or a response on its way: which fields go, which come, and what a backend is sent for path
//! and host.
//!
//! They are made while a head is written anew; nothing is copied for them. What the gateway itself answers for (where
//! a body ends, what is one hop's, who the request is) cannot be changed.

use std::borrow::Cow;
use std::fmt;

use idleway_h1::{Field, Known};

/// Changes to the fields of one kind of head, each checked when it is added.
///
/// A name stands for all spellings that an application may take for it: `X-User` also for `x_user`, which becomes
/// the same variable in CGI and WSGI. Changes apply in their order: a later one sees what an earlier one left.
///
/// ```
/// use idleway::Edits;
///
/// let mut edits = Edits::of_request();
/// edits.remove("Cookie")?;
/// edits.set("X-Tier", "gold")?;
/// assert!(edits.set("Content-Length", "0").is_err());
/// assert!(edits.add("X-Tier", "gold\r\nX-Admin: yes").is_err());
/// # Ok::<(), idleway::EditFault>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Edits {
    side: Side,
    /// Whose fields do not pass.
    dropped: Vec<Name>,
    /// What is written behind those that pass.
    written: Vec<(Name, Box<[u8]>)>,
}

/// Which heads are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditFault {
    /// The name is no token (RFC 9110 section 5.1).
    #[error("this is not the name of a header field")]
    NotAName,
    /// The value would end its line, or has blanks around it (RFC 9110 section 5.5).
    #[error("a header field's value is one line of visible characters, without blanks around it")]
    NotAValue,
    /// The gateway writes or drops this field itself.
    #[error("this field is the gateway's own to write")]
    Owned,
    /// A path begins with `/` and has visible ASCII characters, with escapes for all others, and no fragment.
    #[error("this is not a path that can be sent")]
    NotAPath,
    /// It is not `host[:port]`.
    #[error("this is not what a `Host` field says")]
    NotAHost,
}

impl Edits {
    /// No changes to a request.
    pub const fn of_request() -> Self {
        Self::of(Side::Request)
    }

    /// No changes to a response.
    pub const fn of_response() -> Self {
        Self::of(Side::Response)
    }

    const fn of(side: Side) -> Self {
        Self { side, dropped: Vec::new(), written: Vec::new() }
    }

    /// All fields of this name go.
    ///
    /// # Errors
    /// The name is none, or the gateway's.
    pub fn remove(&mut self, name: &str) -> Result<(), EditFault> {
        let name = self.name(name)?;
        self.drop_all(name);
        Ok(())
    }

    /// One field with this value takes the place of all of this name.
    ///
    /// # Errors
    /// The name is none or the gateway's, or the value is none.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditFault> {
        let (name, value) = (self.name(name)?, checked(value.as_ref())?);
        self.drop_all(name.clone());
        self.written.push((name, value));
        Ok(())
    }

    /// A field with this value comes beside those of this name.
    ///
    /// # Errors
    /// The name is none or the gateway's, or the value is none.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditFault> {
        let (name, value) = (self.name(name)?, checked(value.as_ref())?);
        self.written.push((name, value));
        Ok(())
    }

    /// Makes these changes too, after its own. Both are of one side.
    pub fn then(&mut self, later: &Edits) {
        debug_assert!(self.side == later.side, "changes to a request are none to a response");
        for name in &later.dropped {
            self.drop_all(name.clone());
        }
        self.written.extend_from_slice(&later.written);
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.written.is_empty()
    }

    /// The names of what goes, and of what is written, each in its order. Values are not shown: they may be secrets.
    pub fn names(&self) -> (impl Iterator<Item = &str>, impl Iterator<Item = &str>) {
        (self.dropped.iter().map(|name| &*name.text), self.written.iter().map(|(name, _)| &*name.text))
    }

    /// Whether this field does not pass.
    pub(crate) fn drops(&self, field: &Field<'_>) -> bool {
        self.dropped.iter().any(|name| name.is(field.known, field.name))
    }

    /// Whether fields that the gateway adds by itself are left to the one who made these changes.
    pub(crate) fn drops_known(&self, known: Known) -> bool {
        self.dropped.iter().any(|name| name.known == known)
    }

    /// The fields to write.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.written.iter().map(|(name, value)| (&*name.text, &**value))
    }

    fn drop_all(&mut self, name: Name) {
        self.written.retain(|(other, _)| !name.is(other.known, &other.text));
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
    }

    fn name(&self, text: &str) -> Result<Name, EditFault> {
        if !idleway_h1::is_token(text.as_bytes()) {
            return Err(EditFault::NotAName);
        }
        let known = Known::of(&text.replace(['_', '.'], "-"));
        let owned = known.is_hop_by_hop()
            || matches!(known, Known::ContentLength | Known::Via | Known::XRequestId)
            || match self.side {
                Side::Request => matches!(known, Known::Host | Known::Expect | Known::Traceparent),
                Side::Response => {
                    known == Known::Date || is_same_name(text.as_bytes(), b"preference-applied")
                }
            };
        if owned { Err(EditFault::Owned) } else { Ok(Name { text: text.into(), known }) }
    }
}

/// Names alone: a value may be a secret.
impl fmt::Debug for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dropped, written) = self.names();
        f.debug_struct("Edits")
            .field("dropped", &dropped.collect::<Vec<_>>())
            .field("written", &written.collect::<Vec<_>>())
            .finish()
    }
}

/// A field's name, as it is written and to be compared with others.
#[derive(Debug, Clone)]
struct Name {
    text: Box<str>,
    known: Known,
}

impl Name {
    fn is(&self, known: Known, text: &str) -> bool {
        match (self.known, known) {
            (Known::Other, _) | (_, Known::Other) => is_same_name(self.text.as_bytes(), text.as_bytes()),
            (own, known) => own == known,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.known, &other.text)
    }
}

impl Eq for Name {}

/// Whether an application may take the two names for one: in any case of letters, and where `_` and `.` are `-`.
pub(crate) fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| plain(*one) == plain(*other))
}

/// Whether the value stands on one line as it is: bytes from 0x80 on are a text's own business.
pub(crate) fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)) && value.trim_ascii() == value
}

fn checked(value: &[u8]) -> Result<Box<[u8]>, EditFault> {
    if is_value(value) { Ok(value.into()) } else { Err(EditFault::NotAValue) }
}

/// Fields that the gateway writes or acts on itself.
pub(crate) fn is_the_gateways(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::ContentLength
            | Known::Expect
            | Known::Via
            | Known::XRequestId
            | Known::Traceparent
    )
}

/// Fields in which a proxy says whom it speaks for. Only a trusted peer may say that to a backend.
pub(crate) fn is_forwarded(field: &Field<'_>) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    field.known == Known::Forwarded
        || field.name.as_bytes().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether an application that turns field names into variables (CGI, WSGI) would take this for one of the
/// gateway's fields: `X_Forwarded_For` becomes the same variable as `X-Forwarded-For`.
pub(crate) fn is_shadow(name: &str) -> bool {
    if !name.bytes().any(|byte| matches!(byte, b'_' | b'.')) {
        return false;
    }
    let name = name.replace(['_', '.'], "-");
    let field = Field::new(&name, b"");
    is_forwarded(&field) || field.known.is_hop_by_hop() || is_the_gateways(field.known)
}

/// Whose name stands in the `Host` field that a backend gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Authority {
    /// The one that the client asked for.
    #[default]
    Client,
    /// The backend's own address, as the configuration has it.
    Backend,
    /// This one.
    Other(String),
}

impl Authority {
    /// This host and port.
    ///
    /// # Errors
    /// It is not `host[:port]`.
    pub fn other(text: &str) -> Result<Self, EditFault> {
        if !idleway_h1::is_authority(text.as_bytes()) {
            return Err(EditFault::NotAHost);
        }
        Ok(Self::Other(text.to_owned()))
    }
}

/// What a backend is sent that is not as the client sent it. Nothing is copied before it is changed.
#[derive(Debug, Clone)]
pub(crate) struct Rewrite<'a> {
    /// Path and query, or `*`.
    pub(crate) path: Cow<'a, str>,
    /// Whose host the backend is told.
    pub(crate) authority: &'a Authority,
    /// The changes to the request's fields.
    pub(crate) fields: Cow<'a, Edits>,
}

impl Rewrite<'_> {
    /// What `Host` says to this backend, of a request that a client sent to `authority`.
    pub(crate) fn host<'h>(&'h self, authority: &'h str, backend: &'h str) -> &'h str {
        match self.authority {
            Authority::Client => authority,
            Authority::Backend => backend.strip_suffix(":80").unwrap_or(backend),
            Authority::Other(other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(edits: &Edits) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        edits.written().map(|(name, value)| (name.to_owned(), text(value))).collect()
    }

    fn drops(edits: &Edits, name: &str) -> bool {
        edits.drops(&Field::new(name, b""))
    }

    #[test]
    fn what_is_dropped_is_dropped_in_all_its_spellings() {
        let mut edits = Edits::of_request();
        edits.remove("X-User.Name").unwrap();
        edits.set("authorization", "none").unwrap();
        edits.add("X-Added", "1").unwrap();
        for name in ["X-User.Name", "x-user-name", "X_USER_NAME", "Authorization"] {
            assert!(drops(&edits, name), "{name}");
        }
        for name in ["X-User", "X-User-Names", "X-Added", "Accept"] {
            assert!(!drops(&edits, name), "{name}");
        }
        edits.remove("User-Agent").unwrap();
        assert!(drops(&edits, "user_agent"));
        assert!(edits.drops_known(Known::Authorization) && !edits.drops_known(Known::Server));
    }

    #[test]
    fn a_later_change_sees_what_an_earlier_one_left() {
        let mut edits = Edits::of_request();
        edits.add("X-A", "1").unwrap();
        edits.add("x_a", "2").unwrap();
        edits.set("x-a", "3").unwrap();
        edits.add("X-A", "4").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(written(&edits), [pair("x-a", "3"), pair("X-A", "4")]);
        let mut later = Edits::of_request();
        later.add("X-B", "5").unwrap();
        later.remove("X-A").unwrap();
        later.set("X-C", "").unwrap();
        edits.then(&later);
        assert_eq!(written(&edits), [pair("X-B", "5"), pair("X-C", "")]);
        assert!(drops(&edits, "X-A") && drops(&edits, "X-C") && !drops(&edits, "X-B"));
    }

    #[test]
    fn nothing_splits_a_head() {
        let mut edits = Edits::of_response();
        for name in ["", "X A", "X:A", "X\r\nA", "X-ä", "X\0"] {
            assert_eq!(edits.set(name, "1"), Err(EditFault::NotAName), "{name:?}");
            assert_eq!(edits.remove(name), Err(EditFault::NotAName), "{name:?}");
        }
        for value in ["a\r\nB: c", "a\nb", "a\rb", "a\0b", "a\x7f", " a", "a\t", "\x1b[0m"] {
            assert_eq!(edits.add("X-A", value), Err(EditFault::NotAValue), "{value:?}");
        }
        assert!(edits.is_empty());
        edits.set("X-A", "a\tb \u{e4}!").unwrap();
    }

    #[test]
    fn what_the_gateway_answers_for_is_its_own() {
        let owned = |mut edits: Edits, name| {
            let of_each = [edits.remove(name), edits.set(name, "1"), edits.add(name, "1")];
            assert!(of_each.iter().all(|each| *each == of_each[0]), "{name}");
            of_each[0] == Err(EditFault::Owned)
        };
        for name in [
            "Content-Length",
            "content_length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
            "Proxy-Authorization",
            "Via",
            "X-Request-Id",
            "x.request.id",
        ] {
            assert!(owned(Edits::of_request(), name) && owned(Edits::of_response(), name), "{name}");
        }
        for name in ["Host", "Expect", "traceparent"] {
            assert!(owned(Edits::of_request(), name) && !owned(Edits::of_response(), name), "{name}");
        }
        for name in ["Date", "Preference-Applied"] {
            assert!(!owned(Edits::of_request(), name) && owned(Edits::of_response(), name), "{name}");
        }
        for name in ["X-Forwarded-Proto", "X-Forwarded-For", "Authorization", "Server", "Cache-Control"] {
            assert!(!owned(Edits::of_request(), name) && !owned(Edits::of_response(), name), "{name}");
        }
    }

    #[test]
    fn values_are_not_shown() {
        let mut edits = Edits::of_request();
        edits.set("Authorization", "Bearer secret").unwrap();
        assert!(!format!("{edits:?}").contains("secret"));
    }

    #[test]
    fn a_host_is_the_clients_the_backends_or_another() {
        let fields = Edits::of_request();
        let host = |authority: &Authority| {
            let rewrite = Rewrite { path: Cow::Borrowed("/"), authority, fields: Cow::Borrowed(&fields) };
            rewrite.host("client.test", "10.0.0.1:80").to_owned()
        };
        assert_eq!(host(&Authority::Client), "client.test");
        assert_eq!(host(&Authority::Backend), "10.0.0.1");
        assert_eq!(host(&Authority::other("other.test:81").unwrap()), "other.test:81");
        for odd in ["", "a b", "a/b", "a\r\nX: y", "a:b", "user@a"] {
            assert_eq!(Authority::other(odd), Err(EditFault::NotAHost), "{odd:?}");
        }
    }
}
