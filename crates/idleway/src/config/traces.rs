//! Where spans of requests are sent.

use super::fault::{Fault, told};
use super::file::TracesKeys;
use super::meaning::Reading;
use super::origin::Origin;
use super::spanned::Spanned;

/// `traces`: spans for OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TracesPlan {
    /// Where a collector takes OTLP over HTTP (`endpoint`).
    pub endpoint: Origin,
    /// How many of the requests that come without a `traceparent` are recorded, in percent from 0 to 100 (`sample`, default 100).
    pub sample: u32,
    /// What the gateway is called there (`service`, default `idleway`).
    pub service: String,
}

/// Bytes of a service's name.
const LONGEST_NAME: usize = 255;

/// What a collector's path is by the standard: it may stand there.
const PATH: &str = "/v1/traces";

const HINT: &str = "write: traces = { endpoint = \"http://127.0.0.1:4318\" }";

impl Reading<'_> {
    /// `traces = { endpoint, sample, service }`
    pub(super) fn traces(&mut self, entry: Option<Spanned<TracesKeys>>) -> Option<TracesPlan> {
        let entry = entry?;
        let span = entry.span();
        let TracesKeys { endpoint, sample, service } = entry.into_inner();
        self.within(&["traces"], |reading| {
            if endpoint.is_none() {
                let fault = Fault::new("`traces` says no `endpoint`, to which they are sent");
                reading.secondary(fault.hint(HINT), span);
            }
            let endpoint = reading.value(endpoint, None, |url| endpoint_of(&url).map(Some));
            let sample = reading.share(sample, 100);
            let service = reading.value(service, "idleway".to_owned(), |name| match name.len() {
                1..=LONGEST_NAME => Ok(name),
                _ => Err(Fault::new("a service has a name").hint(format!("1 to {LONGEST_NAME} bytes"))),
            });
            Some(TracesPlan { endpoint: endpoint?, sample, service })
        })
    }
}

fn endpoint_of(url: &str) -> Result<Origin, Fault> {
    let fault = || Fault::new(format!("`{}` is not the URL of a collector", told(url)));
    if url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        let hint = "write \"http://HOST:PORT\": a collector beside the gateway takes them on by TLS";
        return Err(Fault::new("spans are not sent over TLS yet").hint(hint));
    }
    let origin = url.strip_suffix(PATH).unwrap_or(url);
    Origin::parse(origin)
        .map_err(|_| fault().hint("a collector is \"http://HOST:PORT\", where it takes OTLP over HTTP"))
}
