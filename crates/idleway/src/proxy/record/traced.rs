//! A request as it is recorded for OpenTelemetry.

use super::Record;
use crate::traces::Told;

impl Record<'_> {
    /// Sends what was recorded on its way.
    pub(super) fn export(&mut self) {
        let Some((trace, exports)) = self.traced.take() else { return };
        let request = self.request;
        let departed = self.departed.map(|_| "departed");
        exports.give(trace.end(&Told {
            method: request.head.method(),
            host: request.head.authority(),
            path: request.path_alone(),
            route: self.route.map(|route| &**route.spelled()),
            pool: self.pool,
            client: &request.client,
            id: request.id.as_str(),
            status: self.status,
            fault: self.rejected.or(departed).or(self.is_cut.then_some("cut")),
            reason: self.reason.as_deref(),
            arrived: request.arrived,
            in_line: self.joined,
        }));
    }
}
