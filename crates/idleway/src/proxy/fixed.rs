//! Answers that a route gives by itself: always the same, or a redirect. They need no pool and take no Slot.

use idleway_h1::{Field, HeadWriter};

use super::record::Record;
use super::{Ended, Stop, answer, headers};
use crate::error::Reject;
use crate::message::Request;
use crate::net::{Client, ClientLimits};
use crate::route::{Answer, Route, Target};

/// What a route says by itself.
#[derive(Clone, Copy)]
pub(super) enum Fixed<'a> {
    Answer(&'a Answer),
    /// A status and where to ask instead.
    Redirect(u16, &'a str),
}

/// Answers.
pub(super) async fn send(
    client: &mut Client,
    limits: &ClientLimits,
    request: &Request,
    route: &Route,
    record: &mut Record<'_>,
) -> Result<Ended, Stop> {
    let location;
    let fixed = match &route.target {
        Target::Answer(answer) => Fixed::Answer(answer),
        Target::Redirect(redirect) => {
            location = route.location(request.head.path()).ok_or(Reject::NoRoute)?;
            Fixed::Redirect(redirect.status(), &location)
        }
        // Whose pool is gone has no route.
        Target::Pool(_) => return Err(Reject::NoRoute.into()),
    };
    record.fixed(fixed.status(), if request.is_head() { 0 } else { fixed.body().0.len() as u64 });
    let write = |out: &mut Vec<u8>, connection: Option<&str>| fixed.write(out, request, route, connection);
    Ok(answer::deliver(client, limits, Some(request), false, write).await)
}

impl Fixed<'_> {
    fn status(self) -> u16 {
        match self {
            Fixed::Answer(answer) => answer.status(),
            Fixed::Redirect(status, _) => status,
        }
    }

    /// The body, and its type where there is one.
    fn body(&self) -> (&str, Option<&str>) {
        match self {
            Fixed::Answer(answer) => answer.body(),
            Fixed::Redirect(..) => ("", None),
        }
    }

    fn write(self, out: &mut Vec<u8>, request: &Request, route: &Route, connection: Option<&str>) {
        let (status, (body, kind)) = (self.status(), self.body());
        let mut writer = HeadWriter::response(out, status, headers::phrase(status));
        let location = if let Fixed::Redirect(_, location) = self { Some(location) } else { None };
        for (name, value) in [("Content-Type", kind), ("Location", location)] {
            if let Some(value) = value.filter(|_| !route.response.drops(&Field::new(name, b""))) {
                writer.field(name, value);
            }
        }
        headers::write_edits(&mut writer, &route.response);
        // RFC 9110 section 8.6: not with 204; with 304 it would be another answer's.
        if !matches!(status, 204 | 304) {
            writer.number("Content-Length", body.len() as u64);
        }
        writer.field("Date", crate::net::date()).field("X-Request-Id", request.id.as_str());
        if let Some(connection) = connection {
            writer.field("Connection", connection);
        }
        writer.end();
        if !request.is_head() {
            out.extend_from_slice(body.as_bytes());
        }
    }
}
