//! What the `[[routes]]` of a configuration mean: the table of [`Routes`].

use std::ops::Range;

use toml::Spanned;

use crate::route::{Route, Routes, Wanted};

use super::fault::Fault;
use super::file::RouteKeys;
use super::meaning::Reading;
use super::value::{Header, Methods};

impl Reading<'_> {
    /// The table of the file's routes; the pools are named in the order of their index.
    pub(super) fn routes(
        &mut self,
        entries: Vec<Spanned<RouteKeys>>,
        pools: &[Spanned<String>],
        has_default: bool,
    ) -> Routes {
        let catch_all = has_default || (entries.is_empty() && pools.len() == 1);
        let mut spans: Vec<_> = entries.iter().map(Spanned::span).collect();
        let mut routes: Vec<_> =
            entries.into_iter().map(|entry| self.route(entry, pools, has_default)).collect();
        if catch_all && !routes.iter().any(Route::takes_all) {
            routes.push(Route::new(0));
        }
        for (index, name) in pools.iter().enumerate() {
            if !routes.iter().any(|route| route.pool == index) {
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
            let fault = Fault::new(format!("this route takes what another one takes{}", self.since(first)))
                .hint("let them differ in host, path, method or the number of header fields");
            self.secondary(fault, spans.remove(clash.second));
            routes.remove(clash.second);
        }
    }

    fn route(&mut self, entry: Spanned<RouteKeys>, pools: &[Spanned<String>], has_default: bool) -> Route {
        let span = entry.span();
        let keys = entry.into_inner();
        let mut route = Route::new(self.pool_of(keys.pool, span, pools, has_default));
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
        for (name, wanted) in keys.header {
            let wanted = match wanted.into_inner() {
                Header::Value(value) => Wanted::Value(value),
                Header::IsThere(true) => Wanted::Present,
                Header::IsThere(false) => Wanted::Absent,
            };
            route = self.narrowed(route, &name, |route, name| route.header(name, wanted), "");
        }
        route.abandon = keys.abandon.map(|abandon| self.abandon(Some(abandon)));
        route.priority = keys.priority.map(|priority| self.priority(Some(priority)));
        route.idempotency_key = keys.idempotency_key;
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

    /// The pool a route leads to: the one it names, else the default one, else the only one.
    fn pool_of(
        &mut self,
        name: Option<Spanned<String>>,
        route: Range<usize>,
        pools: &[Spanned<String>],
        has_default: bool,
    ) -> usize {
        let index = match &name {
            Some(name) => pools.iter().position(|pool| pool.get_ref() == name.get_ref()),
            None => (has_default || pools.len() == 1).then_some(0),
        };
        index.unwrap_or_else(|| {
            let names: Vec<_> = pools.iter().map(|pool| format!("`{}`", pool.get_ref())).collect();
            let (fault, span) = match name {
                Some(name) => (Fault::new(format!("there is no pool `{}`", name.get_ref())), name.span()),
                None => (Fault::new("the route does not say to which pool it leads"), route),
            };
            let pools = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            self.fault(fault.hint(format!("the pools: {pools}")), span);
            0
        })
    }
}
