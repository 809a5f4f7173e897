//! What the `[[routes]]` of a configuration mean: the table of [`Routes`].

use std::ops::Range;

use crate::route::{Route, Routes};

use super::fault::{Fault, told};
use super::file::RouteKeys;
use super::meaning::Reading;
use super::nearest::nearest;
use super::spanned::Spanned;
use super::value::Methods;

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
        let named: Vec<_> = entries
            .iter()
            .map(|entry| Some(entry.get_ref().pool.as_ref().map_or_else(|| entry.span(), Spanned::span)))
            .collect();
        let faults_before = self.faults.len();
        let mut routes: Vec<_> =
            entries.into_iter().map(|entry| self.route(entry, pools, has_default)).collect();
        let are_sound = self.faults.len() == faults_before;
        let lead_somewhere = self.are_sound(named);
        if catch_all && !routes.iter().any(Route::takes_all) {
            routes.push(Route::new(0));
        }
        for (index, name) in pools.iter().enumerate() {
            let is_first = pools.iter().position(|pool| pool.get_ref() == name.get_ref()) == Some(index);
            if lead_somewhere && is_first && !routes.iter().any(|route| route.pool == index) {
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
                self.secondary(Fault::new(problem).hint("let them differ in host, path or method"), span);
            }
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
        if let Some(path) = keys.path {
            route = self.narrowed(route, &path, Route::path, "");
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
            let known = pools.iter().map(|pool| pool.get_ref().as_str());
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
