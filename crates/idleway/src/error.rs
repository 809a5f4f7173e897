//! Why the gateway itself answered.

use std::fmt;
use std::time::Duration;

use idleway_core::Reason;

use crate::hook::Denial;

/// The reason of an answer that is the gateway's own: each has one status, one name and one sentence.
///
/// How it becomes an HTTP response stands in one place, `proxy/answer.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// No Slot could be had: all busy, queue full, wait over, too late, no backend up, draining.
    NoSlot {
        /// Why, as the Dispatcher decided.
        reason: Reason,
        /// When asking again makes sense.
        retry_after: Duration,
    },
    /// The gateway itself is out of descriptors, ports or memory.
    Exhausted {
        /// What the system said.
        why: String,
    },
    /// The backend was silent for longer than `timeout`.
    BackendSilent {
        /// Which backend.
        backend: String,
        /// The `timeout` that passed.
        after: Duration,
    },
    /// The request took longer than its pool's `deadline`, or than it said itself.
    DeadlineOver {
        /// The time it had.
        after: Duration,
        /// What says so: `deadline`, or the name of a field.
        said_in: String,
    },
    /// No connection to the backend.
    BackendUnreachable {
        /// Which backend.
        backend: String,
        /// What the connect said.
        why: String,
    },
    /// The backend closed the connection before it answered.
    BackendClosed {
        /// Which backend.
        backend: String,
        /// What the connection said, and how far the request had come.
        why: String,
    },
    /// What the backend sent is no HTTP response.
    BackendNonsense {
        /// Which backend.
        backend: String,
        /// What was wrong with it.
        why: String,
    },
    /// The backends that were tried said that they are busy, by a status that the operator named (`busy_status`).
    BackendBusy {
        /// The last of them.
        backend: String,
        /// The status of its answer.
        status: u16,
        /// How long it rests.
        retry_after: Duration,
    },
    /// The request has been here before: our own name stands in `Via` (RFC 9110 section 7.6.3).
    Loop,
    /// No route takes this host, path, method and header fields.
    NoRoute,
    /// The request is malformed, too large or asks for what the gateway does not do.
    Refused(idleway_h1::Refusal),
    /// A field by which the request says how it wants to be served cannot be read.
    Unreadable {
        /// The field's name.
        field: String,
        /// What stands in it.
        value: String,
        /// How to write it.
        write: &'static str,
    },
    /// The head did not come in time.
    HeadTooSlow,
    /// The body did not come in time, or too slowly for a request that holds a Slot.
    BodyTooSlow,
    /// The body is larger than `limits.body`, or than its route's `max_body`.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The backend speaks HTTP/1.0 and cannot be given a body of unknown length.
    LengthRequired,
    /// What the application added to the gateway refuses it ([`Hook`](crate::Hook)).
    Denied(Denial),
    /// Something in the gateway, or in what an application added to it, went wrong.
    Internal {
        /// What.
        why: String,
    },
}

impl Reject {
    /// All that [`Reject::name`] can be.
    pub(crate) const NAMES: [&'static str; 26] = [
        "busy",
        "queue-full",
        "key-busy",
        "displaced",
        "wait-over",
        "too-late",
        "no-backend-up",
        "draining",
        "no-slot",
        "exhausted",
        "backend-silent",
        "deadline-over",
        "backend-unreachable",
        "backend-closed",
        "backend-nonsense",
        "backend-busy",
        "loop",
        "no-route",
        "bad-request",
        "unreadable",
        "head-too-slow",
        "body-too-slow",
        "body-too-large",
        "length-required",
        "denied",
        "internal",
    ];

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoSlot { reason: Reason::KeyBusy, .. } => 429,
            Self::NoSlot { .. } | Self::Exhausted { .. } | Self::BackendBusy { .. } => 503,
            Self::BackendSilent { .. } | Self::DeadlineOver { .. } => 504,
            Self::BackendUnreachable { .. } | Self::BackendClosed { .. } | Self::BackendNonsense { .. } => {
                502
            }
            Self::Loop => 508,
            Self::NoRoute => 404,
            Self::Unreadable { .. } => 400,
            Self::Refused(refusal) => refusal.status,
            Self::HeadTooSlow | Self::BodyTooSlow => 408,
            Self::BodyTooLarge { .. } => 413,
            Self::LengthRequired => 411,
            Self::Denied(denial) => denial.status,
            Self::Internal { .. } => 500,
        }
    }

    /// The one word for it in logs, metrics and the `type` of the answer's body.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoSlot { reason, .. } => match reason {
                Reason::Busy => "busy",
                Reason::QueueFull => "queue-full",
                Reason::KeyBusy => "key-busy",
                Reason::Displaced => "displaced",
                Reason::WaitOver => "wait-over",
                Reason::TooLate => "too-late",
                Reason::NoBackendUp => "no-backend-up",
                Reason::Draining => "draining",
                _ => "no-slot",
            },
            Self::Exhausted { .. } => "exhausted",
            Self::BackendSilent { .. } => "backend-silent",
            Self::DeadlineOver { .. } => "deadline-over",
            Self::BackendUnreachable { .. } => "backend-unreachable",
            Self::BackendClosed { .. } => "backend-closed",
            Self::BackendNonsense { .. } => "backend-nonsense",
            Self::BackendBusy { .. } => "backend-busy",
            Self::Loop => "loop",
            Self::NoRoute => "no-route",
            Self::Refused(_) => "bad-request",
            Self::Unreadable { .. } => "unreadable",
            Self::HeadTooSlow => "head-too-slow",
            Self::BodyTooSlow => "body-too-slow",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::LengthRequired => "length-required",
            Self::Denied(_) => "denied",
            Self::Internal { .. } => "internal",
        }
    }

    /// The name in words. For a full pool it is the sentence that clients of the first gateway know.
    pub fn title(&self) -> &str {
        match self {
            Self::NoSlot { reason, .. } => match reason {
                Reason::KeyBusy => "Too many requests at once. Try again later.",
                Reason::TooLate => "No server will be free in time. Try again later.",
                Reason::NoBackendUp => "No server is up. Try again later.",
                Reason::Draining => "The gateway is shutting down. Try again later.",
                _ => "All servers are busy. Try again later.",
            },
            Self::Exhausted { .. } => "The gateway is out of resources. Try again later.",
            Self::BackendSilent { .. } => "The server did not answer in time.",
            Self::DeadlineOver { .. } => "The request took too long.",
            Self::BackendUnreachable { .. } => "The server is unreachable.",
            Self::BackendClosed { .. } => "The server closed the connection before it answered.",
            Self::BackendNonsense { .. } => "The server's answer was not valid HTTP.",
            Self::BackendBusy { .. } => "All servers are busy. Try again later.",
            Self::Loop => "The request has come back to this gateway.",
            Self::NoRoute => "No route for this request.",
            Self::Refused(_) => "The request is not acceptable.",
            Self::Unreadable { .. } => "A field of the request cannot be read.",
            Self::HeadTooSlow => "The request did not arrive in time.",
            Self::BodyTooSlow => "The request's body arrived too slowly.",
            Self::BodyTooLarge { .. } => "The request's body is too large.",
            Self::LengthRequired => "The request needs a Content-Length.",
            Self::Denied(denial) => &denial.title,
            Self::Internal { .. } => "Something went wrong in the gateway.",
        }
    }

    /// When asking again makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoSlot { retry_after, .. } | Self::BackendBusy { retry_after, .. } => Some(*retry_after),
            Self::Exhausted { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The proxy error type (RFC 9209 section 2.3).
    pub fn proxy_error(&self) -> &'static str {
        match self {
            Self::NoSlot { reason: Reason::NoBackendUp | Reason::Draining, .. } => "destination_unavailable",
            Self::NoSlot { reason: Reason::KeyBusy, .. } => "http_request_denied",
            Self::NoSlot { .. } | Self::BackendBusy { .. } => "connection_limit_reached",
            Self::Exhausted { .. } => "proxy_internal_error",
            Self::BackendSilent { .. } | Self::DeadlineOver { .. } => "http_response_timeout",
            Self::BackendUnreachable { .. } => "destination_unavailable",
            Self::BackendClosed { .. } => "http_response_incomplete",
            Self::BackendNonsense { .. } => "http_protocol_error",
            Self::Loop => "proxy_loop_detected",
            Self::NoRoute => "destination_not_found",
            Self::Denied(_) => "http_request_denied",
            Self::Internal { .. } => "proxy_internal_error",
            Self::HeadTooSlow
            | Self::BodyTooSlow
            | Self::Refused(_)
            | Self::Unreadable { .. }
            | Self::BodyTooLarge { .. }
            | Self::LengthRequired => "http_request_error",
        }
    }
}

/// What happened, in a sentence for whoever has to mend it.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlot { reason, .. } => write!(f, "{reason}"),
            Self::Exhausted { why } => f.write_str(why),
            Self::BackendSilent { backend, after } => {
                write!(f, "{backend} was silent for longer than {after:?} (`timeout`)")
            }
            Self::DeadlineOver { after, said_in } => {
                write!(f, "the request took longer than {after:?} (`{said_in}`)")
            }
            Self::BackendUnreachable { backend, why }
            | Self::BackendClosed { backend, why }
            | Self::BackendNonsense { backend, why } => write!(f, "{backend}: {why}"),
            Self::BackendBusy { backend, status, .. } => {
                write!(f, "{backend} said by {status} that it is busy (`busy_status`)")
            }
            Self::Loop => f.write_str("`Via` names this gateway already: some route leads back to it"),
            Self::NoRoute => f.write_str("no route takes this host, path, method and header fields"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Unreadable { field, value, write } => {
                write!(f, "`{field}: {value}` cannot be read; write {write}")
            }
            Self::HeadTooSlow => f.write_str("the head did not come within `limits.head_timeout`"),
            Self::BodyTooSlow => {
                f.write_str("the body did not come within `client.read`, or slower than `client.rate`")
            }
            Self::BodyTooLarge { limit } => {
                write!(f, "the body is larger than {limit} bytes (`limits.body`, or its route's `max_body`)")
            }
            Self::LengthRequired => {
                f.write_str("the backend speaks HTTP/1.0: send a Content-Length, or let `request_buffer` hold the whole body")
            }
            Self::Denied(denial) => f.write_str(denial.detail.as_deref().unwrap_or(&denial.title)),
            Self::Internal { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for Reject {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever follows the `type` of an answer finds its reason, and its status.
    #[test]
    fn each_reason_is_described() {
        let slots = [
            Reason::Busy,
            Reason::QueueFull,
            Reason::KeyBusy,
            Reason::Displaced,
            Reason::WaitOver,
            Reason::TooLate,
            Reason::NoBackendUp,
            Reason::Draining,
        ];
        let (time, text) = (Duration::ZERO, String::new);
        let rejects = slots.map(|reason| Reject::NoSlot { reason, retry_after: time }).into_iter().chain([
            Reject::Exhausted { why: text() },
            Reject::BackendSilent { backend: text(), after: time },
            Reject::DeadlineOver { after: time, said_in: text() },
            Reject::BackendUnreachable { backend: text(), why: text() },
            Reject::BackendClosed { backend: text(), why: text() },
            Reject::BackendNonsense { backend: text(), why: text() },
            Reject::BackendBusy { backend: text(), status: 503, retry_after: time },
            Reject::Loop,
            Reject::NoRoute,
            Reject::Unreadable { field: text(), value: text(), write: "" },
            Reject::HeadTooSlow,
            Reject::BodyTooSlow,
            Reject::BodyTooLarge { limit: 0 },
            Reject::LengthRequired,
            Reject::Denied(Denial::new(http::StatusCode::FORBIDDEN, "")),
            Reject::Internal { why: text() },
        ]);
        let described = include_str!("../../../docs/answers.md");
        for reject in rejects {
            let (name, status) = (reject.name(), reject.status());
            let row = format!("| <a id=\"{name}\"></a>`{name}` | {status} |");
            assert!(described.contains(&row), "there is no {row}");
            assert!(Reject::NAMES.contains(&name), "{name} is not counted");
        }
    }
}
