//! What a route changes about requests and responses: the meaning of its `request` and `response`.

use crate::edits::{Authority, EditFault, Edits};
use crate::route::Route;

use super::fault::Fault;
use super::file::{FieldKeys, RequestKeys, ResponseKeys};
use super::meaning::Reading;
use super::spanned::Spanned;

/// Stands for a backend's own address: no host is written like this.
const BACKENDS_OWN: &str = "{backend}";

impl Reading<'_> {
    pub(super) fn rewriting(&mut self, route: &mut Route, request: RequestKeys, response: ResponseKeys) {
        route.authority = self.value(request.host, Authority::Client, |text| authority(&text));
        route.request = self.edits(Edits::of_request(), request.remove, request.set, request.add);
        route.response = self.edits(Edits::of_response(), response.remove, response.set, response.add);
    }

    /// What goes, then what takes the place of something, then what comes beside it.
    fn edits(
        &mut self,
        mut edits: Edits,
        remove: Vec<Spanned<String>>,
        set: FieldKeys,
        add: FieldKeys,
    ) -> Edits {
        for name in remove {
            let removed = edits.remove(name.get_ref());
            self.edited(removed, &name, &name);
        }
        for (name, value) in set {
            let set = edits.set(name.get_ref(), value.get_ref());
            self.edited(set, &name, &value);
        }
        for (name, value) in add {
            let added = edits.add(name.get_ref(), value.get_ref());
            self.edited(added, &name, &value);
        }
        edits
    }

    fn edited(&mut self, edited: Result<(), EditFault>, name: &Spanned<String>, value: &Spanned<String>) {
        let Err(fault) = edited else { return };
        let (span, hint) = match fault {
            EditFault::NotAName => (name.span(), "a name has letters, digits and `-`, like \"x-api-key\""),
            EditFault::NotAValue => (value.span(), "line breaks would begin another field"),
            EditFault::Owned if name.get_ref().eq_ignore_ascii_case("host") => {
                (name.span(), "the host that a backend is told has a key of its own: request.host")
            }
            _ => (name.span(), "it says where a body ends, is about one connection, or names the request"),
        };
        self.fault(Fault::new(fault.to_string()).hint(hint), span);
    }
}

fn authority(text: &str) -> Result<Authority, Fault> {
    if text == BACKENDS_OWN {
        return Ok(Authority::Backend);
    }
    Authority::other(text).map_err(|fault| {
        Fault::new(fault.to_string()).hint(format!(
            "write it like \"api.example.com\" or \"api.example.com:8000\"; \"{BACKENDS_OWN}\" is the backend's own"
        ))
    })
}
