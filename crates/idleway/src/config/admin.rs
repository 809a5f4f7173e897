//! Where the admin API listens, and who may change things by it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::fault::{Fault, told};
use super::meaning::{Reading, listen};
use super::plan::PoolPlan;
use super::spanned::Spanned;
use super::value::Switched;

/// `admin`, `admin_token`: the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminPlan {
    /// Its own socket (`admin`, default [`AdminPlan::LISTEN`]); none where it is off, and where nothing is said and clients or
    /// a backend have that address.
    pub listen: Option<SocketAddr>,
    /// What whoever changes something has to say (`admin_token`, default: a random one that the program writes to a file).
    pub token: Option<AdminToken>,
}

impl AdminPlan {
    /// Where it listens unless told otherwise: 127.0.0.1:5001.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5001);
}

impl Default for AdminPlan {
    fn default() -> Self {
        Self { listen: Some(Self::LISTEN), token: None }
    }
}

/// A secret, which `Debug` does not show. Printable ASCII without blanks.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(Arc<str>);

/// Bytes of a token. The fewest that nobody guesses, if they are random; and what fits into a field of a request.
const LENGTH: RangeInclusive<usize> = 16..=1024;

impl AdminToken {
    /// A token of these words; none where they are too few, too many, or no token.
    pub fn new(text: &str) -> Option<Self> {
        let is_sound = LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_sound.then(|| Self(text.into()))
    }

    /// As whoever has it sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

impl Reading<'_> {
    /// `admin = "127.0.0.1:5001" | false`, `admin_token = "${file:PATH}"`
    pub(super) fn admin(
        &mut self,
        admin: Option<Spanned<Switched>>,
        token: Option<Spanned<String>>,
        clients: SocketAddr,
        pools: &[PoolPlan],
    ) -> AdminPlan {
        let (span, token_span) = (admin.as_ref().map(Spanned::span), token.as_ref().map(Spanned::span));
        let token =
            token.and_then(|token| self.value(Some(token), None, |text| admin_token(&text).map(Some)));
        let at = self.value(admin, Some(AdminPlan::LISTEN), |switched| match switched {
            Switched::To(text) => listen(&text).map(Some),
            Switched::On(false) => Ok(None),
            Switched::On(true) => {
                Err(Fault::new("`true` says not where").hint("write admin = \"127.0.0.1:5001\""))
            }
        });
        let is_taken = |at: SocketAddr| {
            let is_clients = at.port() != 0 && at.port() == clients.port() && overlap(at.ip(), clients.ip());
            let mut backends = pools.iter().flat_map(|pool| &pool.backends);
            is_clients.then_some("clients are accepted there").or_else(|| {
                backends
                    .any(|backend| backend.origin.reaches(at))
                    .then_some("a backend of this file is there")
            })
        };
        let Some(at) = at else { return AdminPlan { listen: None, token } };
        let Some(span) = span else {
            return AdminPlan { listen: is_taken(at).is_none().then_some(at), token };
        };
        if let Some(why) = is_taken(at).filter(|_| self.are_sound([Some(span.clone())])) {
            let fault = Fault::new(format!("the admin API cannot have {}: {why}", told(at)));
            self.secondary(fault.hint("choose another port, or write admin = false"), span.clone());
        }
        if !at.ip().is_loopback() && token.is_none() && self.are_sound([token_span]) {
            let fault = Fault::new("an admin API that others than this machine reach needs a token");
            let hint = "write: admin_token = \"${file:/etc/idleway/admin-token}\", a file of the mode 0600 from, say, `openssl rand -hex 32`";
            self.secondary(fault.hint(hint), span);
        }
        AdminPlan { listen: Some(at), token }
    }
}

/// Whether a listener at the one address is in the way of one at the other.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

fn admin_token(text: &str) -> Result<AdminToken, Fault> {
    AdminToken::new(text).ok_or_else(|| {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        Fault::new(format!("a token has {least} to {most} letters, digits and signs, and no blanks"))
            .hint("`openssl rand -hex 32` makes one")
    })
}
