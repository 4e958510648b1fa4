//! The first route that takes a request, found without asking every route.
//!
//! A route that names the beginning of a path can only take requests whose path begins so; one that
//! names hosts, only requests to these. Routes are sorted by a hash of that text, and a request asks
//! those with the hash of its own: once for each length of beginnings that there is, once for its
//! host. Whoever has the hash is asked in full, so two texts of one hash cost a comparison and
//! nothing else. Routes that name neither (a pattern for the path, a wildcard for the host) are asked
//! one by one, as all are in a policy of few routes.

use super::hash::murmur3_x86_32;
use super::route::{HostMatch, Matcher, PathMatch, Route};
use crate::request::Request;

/// Up to so many routes asking each is cheaper: a route that does not take a request costs about a
/// tenth of a hash (`make bench-count`: routes).
const FEW: usize = 12;

/// The places of routes that may take a request, ascending.
type Places = Vec<usize>;

/// Routes by what a request must have.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// By the beginning of the path, a table for each length.
    paths: Vec<(usize, Table)>,
    hosts: Table,
    others: Places,
}

/// Places by a hash, ascending.
#[derive(Debug, Clone, Default)]
struct Table(Vec<(u32, Places)>);

impl Table {
    fn add(&mut self, text: &[u8], place: usize) {
        let hash = murmur3_x86_32(&[text], 0);
        match self.0.binary_search_by_key(&hash, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, places)) = self.0.get_mut(at) {
                    places.push(place);
                }
            }
            Err(at) => self.0.insert(at, (hash, vec![place])),
        }
    }

    fn of(&self, text: &[u8]) -> &[usize] {
        if self.0.is_empty() {
            return &[];
        }
        let hash = murmur3_x86_32(&[text], 0);
        let at = self.0.binary_search_by_key(&hash, |(known, _)| *known);
        let places = at.ok().and_then(|at| self.0.get(at));
        places.map_or(&[], |(_, places)| places)
    }
}

impl Index {
    /// Of all `routes`, in their order.
    pub fn of(routes: &[Route]) -> Self {
        let mut index = Self::default();
        for (place, route) in routes.iter().enumerate() {
            if routes.len() <= FEW {
                index.others.push(place);
            } else {
                index.add(&route.matcher, place);
            }
        }
        index
    }

    fn add(&mut self, matcher: &Matcher, place: usize) {
        if let Some(PathMatch::Prefix(start) | PathMatch::Exact(start)) = &matcher.path {
            let length = start.len();
            let known = self.paths.iter_mut().find(|(known, _)| *known == length);
            match known {
                Some((_, table)) => table.add(start.as_bytes(), place),
                None => {
                    let mut table = Table::default();
                    table.add(start.as_bytes(), place);
                    self.paths.push((length, table));
                }
            }
        } else if let Some(mut hosts) = exact(&matcher.hosts) {
            hosts.sort_unstable();
            hosts.dedup();
            for host in hosts {
                self.hosts.add(host.as_bytes(), place);
            }
        } else {
            self.others.push(place);
        }
    }

    /// The first of `routes`, those that this was made of, that takes `request`.
    pub fn first<'p>(&self, routes: &'p [Route], request: &Request<'_>) -> Option<&'p Route> {
        let path = request.path();
        let by_path = self.paths.iter().filter_map(|(length, table)| {
            let start = path.get(..*length)?;
            Some(table.of(start))
        });
        let lists = by_path.chain([self.hosts.of(request.host()), &self.others]);
        let mut first = None;
        for places in lists {
            let earlier = |place: &&usize| first.is_none_or(|first| **place < first);
            let takes = |place: &usize| {
                let route = routes.get(*place);
                route.is_some_and(|route| route.matcher.takes(request))
            };
            let found = places.iter().take_while(earlier).find(|place| takes(place));
            first = found.copied().or(first);
        }
        first.and_then(|place| routes.get(place))
    }
}

/// The hosts, if each is one and no wildcard, and there are any.
fn exact(hosts: &[HostMatch]) -> Option<Vec<&str>> {
    let exact = hosts.iter().map(|host| match host {
        HostMatch::Exact(host) => Some(host.as_str()),
        HostMatch::Any | HostMatch::Below(_) => None,
    });
    exact
        .collect::<Option<Vec<_>>>()
        .filter(|hosts| !hosts.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;
    use crate::policy;
    use proptest::prelude::*;

    fn routes(matches: &[String]) -> Vec<Route> {
        let routes: Vec<_> = matches
            .iter()
            .enumerate()
            .map(|(n, matches)| format!(r#"{{"name": "r{n}", "match": {{{matches}}}}}"#))
            .collect();
        let text = format!(r#"{{"routes": [{}]}}"#, routes.join(","));
        let policy = policy::read(text.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"));
        policy.assigner.routes
    }

    /// What routes say of paths and hosts; few enough that they meet.
    fn matches() -> impl Strategy<Value = String> {
        let path = prop_oneof![
            Just(String::new()),
            "/[ab]{0,3}".prop_map(|start| format!(r#""path": {{"prefix": "{start}"}}"#)),
            "/[ab]{0,3}".prop_map(|path| format!(r#""path": {{"exact": "{path}"}}"#)),
            "/[ab]{0,2}".prop_map(|path| format!(r#""path": {{"regex": "{path}.*"}}"#)),
        ];
        let hosts = prop_oneof![
            3 => Just(String::new()),
            1 => "[ab]\\.example".prop_map(|host| format!(r#""hosts": ["{host}", "c.example"]"#)),
            1 => Just(r#""hosts": ["*.example"]"#.to_owned()),
        ];
        let method = prop_oneof![
            3 => Just(String::new()),
            1 => Just(r#""methods": ["POST"]"#.to_owned()),
        ];
        (path, hosts, method).prop_map(|(path, hosts, method)| {
            let said = [path, hosts, method]
                .into_iter()
                .filter(|said| !said.is_empty());
            said.collect::<Vec<_>>().join(", ")
        })
    }

    proptest! {
        #[test]
        fn it_finds_the_route_that_asking_each_in_order_finds(
            matches in prop::collection::vec(matches(), 1..40),
            path in "/[ab]{0,4}(\\?a)?",
            host in "[abc]\\.example",
        ) {
            let routes = routes(&matches);
            let headers = [("host", host.as_str())];
            with_request("GET", &path, &headers, |request| {
                let each = routes.iter().find(|route| route.matcher.takes(request));
                let found = Index::of(&routes).first(&routes, request);
                prop_assert_eq!(found.map(|route| route.id), each.map(|route| route.id));
                Ok(())
            })?;
        }
    }

    #[test]
    fn of_many_routes_only_those_that_may_take_a_request_are_asked() {
        let matches: Vec<_> = (0..500)
            .map(|n| format!(r#""path": {{"prefix": "/team-{n}/"}}"#))
            .collect();
        let routes = routes(&matches);
        let index = Index::of(&routes);
        assert!(index.others.is_empty());
        assert_eq!(index.paths.len(), 3, "of one, two and three digits");
        let longest = index.paths.iter().flat_map(|(_, table)| &table.0);
        assert_eq!(longest.map(|(_, places)| places.len()).max(), Some(1));
    }
}
