//! A request that went wrong, as it is kept for whoever asks later.

use std::time::SystemTime;

use super::{LONGEST_TARGET, Record};
use crate::live::Failure;

/// The longest method that is kept whole, in bytes; the usual ones have 7.
const LONGEST_METHOD: usize = 32;

impl Record<'_> {
    /// Nothing of one that went well: neither the gateway nor the backend has found fault with it.
    pub(in crate::proxy) fn failed(&self) -> Option<Failure> {
        if self.reason.is_none() && self.status < 500 {
            return None;
        }
        let request = self.request;
        let (path, method) = (request.path_alone(), request.head.method());
        Some(Failure {
            at: SystemTime::now(),
            id: request.id.to_string(),
            client: request.client.to_string(),
            method: method.get(..LONGEST_METHOD).unwrap_or(method).to_owned(),
            path: path.get(..LONGEST_TARGET).unwrap_or(path).to_owned(),
            status: (self.status > 0).then_some(self.status),
            pool: self.pool.map(str::to_owned),
            backend: self.backend.as_ref().map(|backend| backend.name.clone()),
            reason: self
                .reason
                .as_ref()
                .map(|reason| reason.get(..LONGEST_TARGET).unwrap_or(reason).to_owned()),
        })
    }
}
