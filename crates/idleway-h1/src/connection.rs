//! The `Connection` field (section 9.3; RFC 9110, 7.6.1).

use crate::field::{Fields, elements};
use crate::head::Version;
use crate::known::Known;
use crate::refusal::{Refusal, RefusalReason};

/// A head is asked for each of its fields whether `Connection` names it: the product must stay small.
const MAX_OPTIONS: usize = 64;

/// What `Connection` asks for.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Connection {
    close: bool,
    keep_alive: bool,
    /// There are options beyond these two.
    names_fields: bool,
}

impl Connection {
    pub(crate) fn read(fields: &Fields) -> Result<Self, Refusal> {
        let mut connection = Self::default();
        let mut options = 0;
        for (at, value) in fields.all(Known::Connection) {
            for option in elements(value) {
                options += 1;
                if options > MAX_OPTIONS {
                    return Err(Refusal::new(RefusalReason::TooManyConnectionOptions, at));
                }
                if option.eq_ignore_ascii_case(b"close") {
                    connection.close = true;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    connection.keep_alive = true;
                } else {
                    connection.names_fields = true;
                }
            }
        }
        Ok(connection)
    }

    /// Whether the connection may carry another message; `close` wins over `keep-alive`.
    pub(crate) fn persists(self, version: Version) -> bool {
        !self.close && (self.keep_alive || version == Version::Http11)
    }

    /// Whether an option beyond `close` and `keep-alive` is `name`.
    pub(crate) fn nominates(self, fields: &Fields, name: &str) -> bool {
        self.names_fields
            && fields
                .all(Known::Connection)
                .flat_map(|(_, value)| elements(value))
                .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }
}
