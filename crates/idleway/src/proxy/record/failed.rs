//! A request that went wrong, as it is kept for whoever asks later.

use std::time::SystemTime;

use super::{LONGEST_TARGET, Record};
use crate::live::Failure;

impl Record<'_> {
    /// Nothing of one that went well: neither the gateway nor the backend has found fault with it.
    pub(in crate::proxy) fn failed(&self) -> Option<Failure> {
        if self.reason.is_none() && self.status < 500 {
            return None;
        }
        let request = self.request;
        let target = request.head.target();
        Some(Failure {
            at: SystemTime::now(),
            id: request.id.to_string(),
            client: request.client.to_string(),
            method: request.head.method().to_owned(),
            target: target.get(..LONGEST_TARGET).unwrap_or(target).to_owned(),
            status: (self.status > 0).then_some(self.status),
            pool: self.pool.map(str::to_owned),
            backend: self.backend.as_ref().map(|backend| backend.name.clone()),
            reason: self.reason.clone(),
        })
    }
}
