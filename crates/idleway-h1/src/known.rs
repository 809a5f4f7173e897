//! The fields whose meaning a gateway must know.

macro_rules! known {
    ($($name:ident = $text:literal,)+) => {
        /// A field that has a meaning here, found by its name once, when the head is read.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Known {
            $(#[doc = concat!("`", $text, "`")] $name,)+
            /// Any other field.
            Other,
        }

        impl Known {
            /// All but [`Known::Other`].
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name as it is usually written; empty for [`Known::Other`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ Self::Other => "" }
            }
        }
    };
}

known! {
    Host = "Host",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    TransferEncoding = "Transfer-Encoding",
    Connection = "Connection",
    KeepAlive = "Keep-Alive",
    ProxyConnection = "Proxy-Connection",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    Te = "TE",
    Trailer = "Trailer",
    Upgrade = "Upgrade",
    Expect = "Expect",
    Via = "Via",
    Date = "Date",
    Server = "Server",
    UserAgent = "User-Agent",
    Authorization = "Authorization",
    Forwarded = "Forwarded",
    XForwardedFor = "X-Forwarded-For",
    XForwardedProto = "X-Forwarded-Proto",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedPort = "X-Forwarded-Port",
    XRequestId = "X-Request-Id",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    IdempotencyKey = "Idempotency-Key",
    RetryAfter = "Retry-After",
    Prefer = "Prefer",
    Priority = "Priority",
    GrpcTimeout = "grpc-timeout",
    ProxyStatus = "Proxy-Status",
}

/// One bit for each must fit [`Known::bit`].
const _: () = assert!(Known::ALL.len() < 64);

impl Known {
    /// Which field `name` is, in any case of letters.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let candidates = BY_LENGTH.get(name.len()).copied().unwrap_or(&[]);
        if candidates.is_empty() {
            return Self::Other;
        }
        let name = in_small_letters(name.as_bytes());
        let found = candidates.iter().copied().find(|known| SMALL_LETTERS[*known as usize] == name);
        found.unwrap_or(Self::Other)
    }

    /// Whether the field is for one connection only and never forwarded as it came (RFC 9110, 7.6.1). The fields
    /// that `Connection` names are asked of the head: [`RequestHead::nominated`](crate::RequestHead::nominated).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// One bit of its own, to ask at once whether a head has it.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// No known name is longer.
const LONGEST: usize = 19;

/// A name with zeros behind it: of one size for all, so that comparing takes a few instructions.
type Padded = [u8; 24];
const ZEROS: Padded = [0; 24];

/// The known fields by the length of their names: a name is compared with the few that it could be.
static BY_LENGTH: [&[Known]; LONGEST + 1] = {
    use Known::*;
    let mut table: [&[Known]; LONGEST + 1] = [&[]; LONGEST + 1];
    table[2] = &[Te];
    table[3] = &[Via];
    table[4] = &[Host, Date];
    table[6] = &[Expect, Server, Prefer];
    table[7] = &[Upgrade, Trailer];
    table[8] = &[Priority];
    table[9] = &[Forwarded];
    table[10] = &[Connection, UserAgent, KeepAlive, Tracestate];
    table[11] = &[Traceparent, RetryAfter];
    table[12] = &[ContentType, XRequestId, ProxyStatus, GrpcTimeout];
    table[13] = &[Authorization];
    table[14] = &[ContentLength];
    table[15] = &[XForwardedFor, IdempotencyKey];
    table[16] = &[XForwardedHost, XForwardedPort, ProxyConnection];
    table[17] = &[TransferEncoding, XForwardedProto];
    table[18] = &[ProxyAuthenticate];
    table[19] = &[ProxyAuthorization];
    table
};

/// The names of all known fields, in their order.
static SMALL_LETTERS: [Padded; Known::ALL.len()] = {
    let mut table: [Padded; Known::ALL.len()] = [ZEROS; Known::ALL.len()];
    let mut index = 0;
    while index < table.len() {
        table[index] = in_small_letters(Known::ALL[index].name().as_bytes());
        index += 1;
    }
    table
};

/// A name of at most [`LONGEST`] bytes, to compare.
const fn in_small_letters(name: &[u8]) -> Padded {
    let mut padded: Padded = ZEROS;
    padded.split_at_mut(name.len()).0.copy_from_slice(name);
    padded.make_ascii_lowercase();
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_field_is_found_in_any_case() {
        for &known in Known::ALL {
            assert_eq!(Known::of(known.name()), known);
            assert_eq!(Known::of(&known.name().to_ascii_uppercase()), known);
            assert_eq!(Known::of(&known.name().to_ascii_lowercase()), known);
        }
    }

    #[test]
    fn what_looks_alike_is_another_field() {
        for name in ["", "Hos", "Host ", "Content_Length", "Content-Lengthx", "Transfer-Encodin\u{130}", "X"]
        {
            assert_eq!(Known::of(name), Known::Other, "{name}");
        }
        assert_eq!(Known::of(&"x".repeat(10_000)), Known::Other);
    }
}
