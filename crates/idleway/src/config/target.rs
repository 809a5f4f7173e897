//! Where a route leads: the meaning of its `pool`, `answer` and `redirect`.

use std::ops::Range;

use crate::route::{Answer, Redirect, Target};

use super::fault::{Fault, told};
use super::file::{AnswerKeys, RedirectKeys, RouteKeys};
use super::meaning::Reading;
use super::nearest::nearest;
use super::read::ELEMENT;
use super::routing::Pools;
use super::spanned::Spanned;

/// Of a redirect that does not say otherwise: it keeps the method, and can be taken back.
const TEMPORARY: u16 = 307;

impl Reading<'_> {
    /// Where a route leads: to its answer, elsewhere, or to a pool.
    pub(super) fn target(&mut self, keys: &mut RouteKeys, route: Range<usize>, pools: &Pools<'_>) -> Target {
        let (answer, redirect) = (keys.answer.take(), keys.redirect.take());
        let goals = [
            keys.pool.as_ref().map(Spanned::span),
            answer.as_ref().map(Spanned::span),
            redirect.as_ref().map(Spanned::span),
        ];
        if let Some(span) = goals.into_iter().flatten().nth(1) {
            let fault = Fault::new("a route has a `pool`, an `answer` or a `redirect`, one of them");
            self.fault(fault.hint("take the others out"), span);
        }
        match (answer, redirect) {
            (Some(answer), _) => {
                self.needs_pool(keys, "`answer`");
                Target::Answer(self.answer(answer.into_inner()))
            }
            (None, Some(redirect)) => {
                self.needs_pool(keys, "`redirect`");
                Target::Redirect(self.within(&[ELEMENT, "redirect"], |reading| reading.redirect(redirect)))
            }
            (None, None) => Target::Pool(self.pool_of(keys.pool.take(), route, pools)),
        }
    }

    /// Keys that are about a backend, of a route that has none.
    fn needs_pool(&mut self, keys: &RouteKeys, instead: &str) {
        let of_backends = [
            ("replace", keys.replace.as_ref().map(Spanned::span)),
            ("request", keys.request.as_ref().map(Spanned::span)),
            ("timeout", keys.timeout.as_ref().map(Spanned::span)),
            ("deadline", keys.deadline.as_ref().map(Spanned::span)),
            ("queue", keys.queue.as_ref().map(Spanned::span)),
            ("abandon", keys.abandon.as_ref().map(Spanned::span)),
            ("priority", keys.priority.as_ref().map(Spanned::span)),
            ("idempotency_key", keys.idempotency_key.as_ref().map(Spanned::span)),
        ];
        for (key, span) in of_backends {
            if let Some(span) = span {
                let fault = Fault::new(format!("`{key}` is about a backend, and this route has none"));
                self.secondary(fault.hint(format!("take it out: the {instead} is all that happens")), span);
            }
        }
    }

    /// `answer = { status = 200, body = "ok", type = "text/plain" }`
    fn answer(&mut self, keys: AnswerKeys) -> Answer {
        let span = keys.status.as_ref().map(Spanned::span).unwrap_or_default();
        let status = self.count(keys.status, 200, 200..=599);
        let usual = Answer::default();
        let answer = Answer::new(status, keys.body.unwrap_or_default()).unwrap_or_else(|problem| {
            self.fault(Fault::new(problem).hint("take out the `body`, or choose another status"), span);
            usual
        });
        match keys.kind {
            None => answer,
            Some(kind) => self.value(Some(kind), answer.clone(), |kind| {
                answer.kind(&kind).map_err(|problem| Fault::new(problem).hint("like \"application/json\""))
            }),
        }
    }

    /// `redirect = { to = "https://new.example.com", status = 308 }`
    fn redirect(&mut self, keys: Spanned<RedirectKeys>) -> Redirect {
        let whole = keys.span();
        let keys = keys.into_inner();
        let status = keys.status.map_or(TEMPORARY, |status| {
            let span = status.span();
            let status = self.count(Some(status), TEMPORARY, 301..=308);
            if let Err(problem) = Redirect::new(status, "/") {
                self.fault(Fault::new(problem).hint("307 and 308 keep the method; 308 is for good"), span);
            }
            status
        });
        if keys.to.is_none() {
            let fault = Fault::new("a redirect says where `to`");
            self.secondary(fault.hint("write: redirect = { to = \"https://new.example.com\" }"), whole);
        }
        self.value(keys.to, Redirect::default(), |to| {
            // What is wrong with the status is said already.
            Redirect::new(status, &to).or_else(|_| Redirect::new(TEMPORARY, &to)).map_err(|problem| {
                Fault::new(problem).hint("write it like \"https://new.example.com\" or \"/new\"")
            })
        })
    }

    /// The pool a route leads to: the one it names, else the default one, else the only one.
    fn pool_of(&mut self, name: Option<Spanned<String>>, route: Range<usize>, pools: &Pools<'_>) -> usize {
        let index = match &name {
            Some(name) => pools.names.iter().position(|pool| pool.get_ref() == name.get_ref()),
            None => (pools.has_default || pools.names.len() == 1).then_some(0),
        };
        index.unwrap_or_else(|| {
            let names: Vec<_> = pools.names.iter().map(|pool| format!("`{}`", pool.get_ref())).collect();
            let known = pools.names.iter().map(|pool| pool.get_ref().as_str());
            let near = name.as_ref().and_then(|name| nearest(name.get_ref(), known));
            let (fault, span) = match name {
                Some(name) => {
                    (Fault::new(format!("there is no pool `{}`", told(name.get_ref()))), name.span())
                }
                None => (Fault::new("the route does not say to which pool it leads"), route),
            };
            let near = near.map(|near| format!("did you mean `{near}`?"));
            let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            self.fault(fault.hint(near.unwrap_or_else(|| format!("the pools: {listed}"))), span);
            0
        })
    }
}
