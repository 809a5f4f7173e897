//! What the `[[routes]]` of a configuration mean: the table of [`Routes`].

use crate::route::{Route, Routes, Wanted};

use super::fault::Fault;
use super::file::{RouteKeys, RouteQueueKeys};
use super::meaning::{Reading, SHORTEST};
use super::plan::PoolPlan;
use super::spanned::Spanned;
use super::value::{Header, Methods, Period};

/// The pools that routes lead to, in the order of their index.
pub(super) struct Pools<'a> {
    pub(super) names: &'a [Spanned<String>],
    pub(super) plans: &'a [PoolPlan],
    /// The first of them is the default one.
    pub(super) has_default: bool,
}

impl Reading<'_> {
    /// The table of the file's routes.
    pub(super) fn routes(&mut self, entries: Vec<Spanned<RouteKeys>>, pools: &Pools<'_>) -> Routes {
        let catch_all = pools.has_default || (entries.is_empty() && pools.names.len() == 1);
        let mut spans: Vec<_> = entries.iter().map(Spanned::span).collect();
        let named: Vec<_> = entries
            .iter()
            .filter(|entry| entry.get_ref().answer.is_none() && entry.get_ref().redirect.is_none())
            .map(|entry| Some(entry.get_ref().pool.as_ref().map_or_else(|| entry.span(), Spanned::span)))
            .collect();
        let faults_before = self.faults.len();
        let mut routes: Vec<_> = entries.into_iter().map(|entry| self.route(entry, pools)).collect();
        let are_sound = self.faults.len() == faults_before;
        let lead_somewhere = self.are_sound(named);
        if catch_all && !routes.iter().any(Route::takes_all) {
            routes.push(Route::new(0));
        }
        for (index, name) in pools.names.iter().enumerate() {
            let is_first =
                pools.names.iter().position(|pool| pool.get_ref() == name.get_ref()) == Some(index);
            if lead_somewhere && is_first && !routes.iter().any(|route| route.pool() == Some(index)) {
                let fault = Fault::new(format!("no route leads to the pool `{}`", name.get_ref()));
                let hint = format!("add a `[[routes]]` with pool = \"{}\"", name.get_ref());
                self.secondary(fault.hint(hint), name.span());
            }
        }
        loop {
            let clash = match Routes::new(routes.clone()) {
                Ok(table) => return table,
                Err(clash) => clash,
            };
            let first = spans[clash.first].clone();
            let span = spans.remove(clash.second);
            // One that is at fault takes more than it should.
            if are_sound {
                let problem = format!("this route takes what another one takes{}", self.since(first));
                self.secondary(
                    Fault::new(problem)
                        .hint("let them differ in host, path, method or the number of header fields"),
                    span,
                );
            }
            routes.remove(clash.second);
        }
    }

    fn route(&mut self, entry: Spanned<RouteKeys>, pools: &Pools<'_>) -> Route {
        let span = entry.span();
        let mut keys = entry.into_inner();
        let mut route = Route::to(self.target(&mut keys, span, pools));
        self.policies(&mut route, &mut keys, pools);
        let request = keys.request.take().map(Spanned::into_inner).unwrap_or_default();
        self.rewriting(&mut route, request, std::mem::take(&mut keys.response));
        self.narrow(route, keys)
    }

    /// What holds for the requests of a route.
    fn policies(&mut self, route: &mut Route, keys: &mut RouteKeys, pools: &Pools<'_>) {
        let mut time = |entry: Option<Spanned<Period>>| {
            entry.map(|entry| self.duration(Some(entry), SHORTEST, SHORTEST))
        };
        route.timeout = time(keys.timeout.take());
        route.deadline = time(keys.deadline.take());
        route.max_body = keys.max_body.take().map(|size| self.size(Some(size), u64::MAX, 0..=u64::MAX));
        route.abandon = keys.abandon.take().map(|abandon| self.abandon(Some(abandon)));
        route.priority = keys.priority.take().map(|priority| self.priority(Some(priority)));
        route.idempotency_key = keys.idempotency_key.take().map(Spanned::into_inner);
        if let Some(queue) = keys.queue.take() {
            let pool = route.pool().and_then(|pool| pools.plans.get(pool));
            self.place_in_line(route, queue, pool);
        }
    }

    /// `queue = { wait = "5s", wait_max = "1m" }`
    fn place_in_line(&mut self, route: &mut Route, keys: Spanned<RouteQueueKeys>, pool: Option<&PoolPlan>) {
        let span = keys.span();
        let keys = keys.into_inner();
        if pool.is_some_and(|pool| pool.queue.length == 0) {
            let fault = Fault::new("the pool of this route has no queue, so nothing waits");
            self.secondary(fault.hint("give the pool one: queue = { length = 100 }"), span);
        }
        let [shortest, longest] = [&keys.wait, &keys.wait_max].map(|key| key.as_ref().map(Spanned::span));
        route.wait = keys.wait.map(|wait| self.duration(Some(wait), SHORTEST, SHORTEST));
        route.wait_max = keys.wait_max.map(|wait| self.duration(Some(wait), SHORTEST, SHORTEST));
        let wait = route.wait.or(pool.map(|pool| pool.queue.wait)).unwrap_or_default();
        if let (Some(span), Some(wait_max)) = (longest, route.wait_max)
            && wait_max < wait
        {
            self.too_short_wait_max(wait_max, (wait, shortest.as_ref()), span);
        }
    }

    /// What a route asks of requests.
    fn narrow(&mut self, mut route: Route, keys: RouteKeys) -> Route {
        if let Some(host) = keys.host {
            route = self.narrowed(route, &host, Route::host, "");
        }
        if let (Some(_), Some(exact)) = (&keys.path, &keys.exact) {
            let fault = Fault::new("a route has a `path` or is `exact`, not both");
            let hint = "`exact` takes one path, `path` also all that is below it: take one of them out";
            self.fault(fault.hint(hint), exact.span());
        }
        if let Some(path) = keys.path {
            route = self.narrowed(route, &path, Route::path, "");
        }
        if let Some(exact) = keys.exact {
            route = self.narrowed(route, &exact, Route::exact, "");
        }
        if let Some(replace) = keys.replace {
            route = self.narrowed(route, &replace, Route::replace, "");
        }
        for (name, wanted) in keys.header {
            let wanted = match wanted.into_inner() {
                Header::Value(value) => Wanted::Value(value),
                Header::IsThere(true) => Wanted::Present,
                Header::IsThere(false) => Wanted::Absent,
            };
            route = self.narrowed(route, &name, |route, name| route.header(name, wanted), "");
        }
        let methods = keys.method.map(|methods| (methods.span(), methods.into_inner()));
        let methods = match methods {
            None => Vec::new(),
            Some((span, Methods::One(method))) => vec![Spanned::new(span, method)],
            Some((_, Methods::Several(methods))) => methods,
        };
        methods
            .iter()
            .fold(route, |route, method| self.narrowed(route, method, Route::method, "like \"POST\""))
    }

    fn narrowed(
        &mut self,
        route: Route,
        text: &Spanned<String>,
        narrow: impl FnOnce(Route, &str) -> Result<Route, &'static str>,
        hint: &str,
    ) -> Route {
        narrow(route.clone(), text.get_ref()).unwrap_or_else(|problem| {
            let fault = Fault::new(problem);
            self.fault(if hint.is_empty() { fault } else { fault.hint(hint) }, text.span());
            route
        })
    }
}
