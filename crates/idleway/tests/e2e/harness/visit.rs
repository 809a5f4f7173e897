//! A request as a backend has it.

use std::io;
use std::sync::Arc;

use super::wire::{Head, Wire};
use super::witness::Witness;

/// A connection that the gateway has opened.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) wire: Wire,
    pub(super) witness: Arc<Witness>,
    pub(super) life: u32,
    pub(super) limit: usize,
}

/// One request at work. It is counted until its answer's last write, or until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit<'c> {
    pub(crate) head: Head,
    pub(crate) wire: &'c mut Wire,
    witness: &'c Witness,
    life: u32,
    counted: bool,
    /// The connection serves no other request.
    pub(crate) last: bool,
    pub(super) overlaps: bool,
}

impl Connection {
    /// The next request; nothing where the gateway has closed instead.
    pub(crate) fn request(&mut self) -> io::Result<Option<Visit<'_>>> {
        let Some(head) = self.wire.head()? else {
            return Ok(None);
        };
        let limit = self.limit;
        let life = self.life;
        let overlaps = self.witness.note(|seen| {
            let id = head.fields.one("X-Request-Id").unwrap_or("").to_owned();
            if seen.life == life {
                seen.at_work += 1;
                seen.peak = seen.peak.max(seen.at_work);
            }
            let overlaps = seen.life == life && seen.at_work > limit;
            if overlaps {
                seen.overlaps.push(format!("{} {id}", head.line));
            }
            *seen.executions.entry(id).or_default() += 1;
            seen.heads.push(head.clone());
            overlaps
        });
        let Self { wire, witness, .. } = self;
        Ok(Some(Visit { head, wire, witness, life, counted: true, last: false, overlaps }))
    }
}

impl Visit<'_> {
    pub(crate) fn method(&self) -> &str {
        self.head.word(0)
    }

    pub(crate) fn path(&self) -> &str {
        self.head.word(1)
    }

    /// The request's body.
    pub(crate) fn body(&mut self) -> io::Result<Vec<u8>> {
        let head = self.head.clone();
        self.wire.body(&head).map(|(body, _)| body)
    }

    /// A part of the answer, not its end: the work goes on.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write(bytes)
    }

    /// The end of the answer: the work is done just before it.
    pub(crate) fn finish(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.leave();
        self.wire.write(bytes)
    }

    /// A whole answer, 200, once the request's body has been read.
    pub(crate) fn answer(&mut self, body: &str) -> io::Result<()> {
        self.body()?;
        self.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// The connection is closed after this request.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.last = true;
        Ok(())
    }

    /// Lets the test see how far the script has come: the steps, or bytes, add up.
    pub(crate) fn tell(&self, steps: usize) {
        self.witness.note(|seen| seen.told += steps);
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.counted) {
            let life = self.life;
            self.witness.note(|seen| {
                if seen.life == life {
                    seen.at_work -= 1;
                }
            });
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a backend answers to a request whose body broke off.
pub(crate) const CUT: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
