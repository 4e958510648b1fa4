//! Routes: which requests a route takes, and what it does with them.
//!
//! The first route whose match holds takes the request; an [`Index`](super::index::Index) finds it.
//! A route is asked by comparisons that neither allocate nor compile anything; the cheap ones come
//! first.

use super::condition::{Test, matches};
use super::gates::Gates;
use super::hash::{self, Scheme};
use super::key::KeySource;
use super::maintenance::Maintenance;
use super::ramp::{Millis, Schedule};
use super::rule::Rule;
use super::share::{Share, Shares, Slot};
use crate::request::Request;
use regex_lite::Regex;
use std::borrow::Cow;

/// Which route, by its place in the policy, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub usize);

/// Stable, or a variant by its place in the route, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The version that everybody has.
    Stable,
    /// Another.
    Variant(usize),
}

/// The name of the variant that is always there.
pub const STABLE: &str = "stable";

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its place in the policy.
    pub id: RouteId,
    /// Its name.
    pub name: String,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// Where the key comes from, the first choice first.
    pub keys: Vec<KeySource>,
    /// How a key becomes a slot.
    pub scheme: Scheme,
    /// The other route whose carried decision this one takes.
    pub follow: Option<String>,
    /// The versions beside stable.
    pub variants: Vec<Variant>,
    /// Their slots.
    pub shares: Shares,
    /// What decides before the share.
    pub rules: Vec<Rule>,
    /// Its planned unavailability.
    pub maintenance: Option<Maintenance>,
}

/// A version beside stable.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its share.
    pub schedule: Schedule,
    /// Headers of requests that go to it.
    pub set_headers: Vec<(String, String)>,
    /// The path of requests that go to it.
    pub rewrite: Option<Rewrite>,
}

/// A new beginning for a path: plain text, as Envoy's `prefix_rewrite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// What the path must begin with.
    pub prefix: String,
    /// What stands there instead.
    pub with: String,
}

impl Rewrite {
    /// `target` (path and query) with the new beginning; `None` if it does not begin with the old.
    pub fn apply(&self, target: &[u8]) -> Option<Vec<u8>> {
        let rest = target.strip_prefix(self.prefix.as_bytes())?;
        let mut rewritten = Vec::with_capacity(self.with.len().saturating_add(rest.len()));
        rewritten.extend_from_slice(self.with.as_bytes());
        rewritten.extend_from_slice(rest);
        Some(rewritten)
    }
}

impl Route {
    /// The side named `name`: `stable` or one of the variants.
    pub fn side(&self, name: &str) -> Option<Side> {
        if name == STABLE {
            return Some(Side::Stable);
        }
        let variant = self.variants.iter().position(|v| v.name == name);
        variant.map(Side::Variant)
    }

    /// The variant of `side`; none for stable.
    pub fn variant(&self, side: Side) -> Option<&Variant> {
        match side {
            Side::Stable => None,
            Side::Variant(index) => self.variants.get(index),
        }
    }

    /// The name of `side`.
    pub fn side_name(&self, side: Side) -> &str {
        self.variant(side).map_or(STABLE, |v| v.name.as_str())
    }

    /// The share that `side` gets at `now`: what a gate keeps out is stable's.
    pub fn share_of(&self, side: Side, now: Millis, gates: &Gates) -> Share {
        let let_in = |variant| gates.let_in(self, variant, now);
        match side {
            Side::Stable => self.shares.rest_now(let_in),
            Side::Variant(variant) => let_in(variant),
        }
    }

    /// The side that owns `slot` at `now`, if its gate lets it.
    pub fn owner(&self, slot: Slot, now: Millis, gates: &Gates) -> Side {
        let drawn = |variant| gates.drawn(self, variant, now);
        let owner = self.shares.owner_now(slot, drawn);
        owner.map_or(Side::Stable, Side::Variant)
    }

    /// Who sends `request`, by the first key that it has, as [`hash::caller`] tells callers apart;
    /// nothing if it has none, for nothing is issued here.
    pub fn caller_of(&self, request: &Request<'_>) -> Option<u32> {
        Some(hash::caller(&self.key_of(request)?))
    }

    /// Where the first key that `request` has falls; nothing is issued here either.
    pub fn slot_of(&self, request: &Request<'_>) -> Option<Slot> {
        Some(self.scheme.slot(&self.key_of(request)?))
    }

    fn key_of<'r>(&self, request: &Request<'r>) -> Option<Cow<'r, [u8]>> {
        self.keys.iter().find_map(|source| source.value(request))
    }
}

/// What a request must be like; empty parts ask for nothing.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// One of these hosts.
    pub hosts: Vec<HostMatch>,
    /// The path.
    pub path: Option<PathMatch>,
    /// One of these methods.
    pub methods: Vec<String>,
    /// All of these headers.
    pub headers: Vec<HeaderMatch>,
}

/// A host, or all below one; in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// Any host.
    Any,
    /// This one.
    Exact(String),
    /// All that end with this, which begins with a dot.
    Below(String),
}

/// A test of the path without the query.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// It begins with this.
    Prefix(String),
    /// It is this.
    Exact(String),
    /// It matches this as a whole.
    Regex(Regex),
}

/// A header, one test of it, and whether the result is turned round.
#[derive(Debug, Clone)]
pub struct HeaderMatch {
    /// The header, in lower case.
    pub name: String,
    /// The test.
    pub test: Test,
    /// Whether the result is turned round.
    pub not: bool,
}

impl Matcher {
    /// Whether the route takes `request`.
    pub fn takes(&self, request: &Request<'_>) -> bool {
        self.takes_host(request.host())
            && self.takes_method(request.method())
            && self.takes_path(request.path())
            && self.headers.iter().all(|header| header.holds(request))
    }

    fn takes_path(&self, path: &[u8]) -> bool {
        match &self.path {
            None => true,
            Some(PathMatch::Prefix(prefix)) => path.starts_with(prefix.as_bytes()),
            Some(PathMatch::Exact(exact)) => path == exact.as_bytes(),
            Some(PathMatch::Regex(regex)) => matches(regex, path),
        }
    }

    fn takes_method(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| m.as_bytes() == method)
    }

    fn takes_host(&self, host: &[u8]) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|wanted| wanted.takes(host))
    }
}

impl HostMatch {
    /// Whether `host`, in lower case and without its port, is one of these.
    pub fn takes(&self, host: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => host == exact.as_bytes(),
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_bytes()),
        }
    }
}

impl HeaderMatch {
    fn holds(&self, request: &Request<'_>) -> bool {
        let mut lines = request.header(&self.name);
        let passes = match &self.test {
            Test::Present(wanted) => lines.next().is_some() == *wanted,
            test => lines.any(|line| test.passes(line)),
        };
        passes != self.not
    }
}
