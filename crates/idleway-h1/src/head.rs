//! The reader of heads.

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request::RequestHead;
use crate::response::ResponseHead;
use crate::scan::{Scan, Section};

/// The version of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// HTTP/1.0: the connection ends with the response unless both sides say otherwise; no chunks.
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Reads the heads of one connection, one after the other.
///
/// It is given all bytes of a message each time, and looks at each only once. A finished head makes it ready for
/// the next; after a refusal the connection is beyond reading.
#[derive(Clone, Debug)]
pub struct HeadReader {
    limits: Limits,
    scan: Scan,
}

impl HeadReader {
    /// A reader for heads within `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits: limits.bounded(), scan: Scan::default() }
    }

    /// Reads the head of a request from `buf`, all bytes of this message so far, and returns it with the number
    /// of bytes it took (one empty line before it included); `None` while there is more to come.
    ///
    /// # Errors
    /// What is not exactly HTTP/1.1 or HTTP/1.0, or beyond the limits. Line ends, control characters and limits
    /// are refused as soon as they are seen, all else when the head is complete.
    pub fn request(&mut self, buf: &[u8]) -> Result<Option<(RequestHead, usize)>, Refusal> {
        let Some(found) = self.scan.find(Section::Request, buf, &self.limits)? else {
            return Ok(None);
        };
        self.scan = Scan::default();
        let empty_line = u64::from(found.start != 0) * 2;
        let head = RequestHead::read(&buf[found.clone()], &self.limits).map_err(|r| r.shifted(empty_line))?;
        Ok(Some((head, found.end)))
    }

    /// Reads the head of a response, as [`HeadReader::request`] does. An interim one (1xx) comes out like any
    /// other; the next call is for the one that follows. `to_head_method`: the request's method was `HEAD`.
    ///
    /// # Errors
    /// As for requests; the status is 502 always.
    pub fn response(
        &mut self,
        buf: &[u8],
        to_head_method: bool,
    ) -> Result<Option<(ResponseHead, usize)>, Refusal> {
        let found = self.scan.find(Section::Response, buf, &self.limits).map_err(Refusal::in_response)?;
        let Some(found) = found else { return Ok(None) };
        self.scan = Scan::default();
        let head = ResponseHead::read(&buf[found.clone()], to_head_method).map_err(Refusal::in_response)?;
        Ok(Some((head, found.end)))
    }
}
