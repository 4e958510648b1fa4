//! Feature flags: the value that each has for a request.
//!
//! Decided once a request, in this order: a flag that is shed has its default; in the mesh, what a
//! hop before told; the flag's rules; the key's slot. Who has no key, or falls outside all shares,
//! gets the default. Nothing is remembered, as with routes; and a flag is drawn by a salt of its
//! own, so that it says nothing of another flag or of a route.
//!
//! The upstream is told all flags in one header, a dictionary of RFC 9651: `rec_engine="on",
//! search="v2"`. Defaults are told too: what a flag means is then the policy's to say, and switching
//! one off needs nothing of the application. In `baggage` they are in the filter's member beside the
//! routes, `serinus=checkout:canary.rec_engine=on`.
//!
//! A flag that has a vendor's hash draws as that vendor's SDK does. Its values then lie end to end in
//! their order, as theirs do; those of the default hash have the places of variants, so that raising
//! one moves nobody out of another. Unleash is the one that draws twice, by two hashes: who is let
//! in at all, and which variant those get.

use super::carry;
use super::condition::{Condition, all_hold};
use super::cookie::{Id, IssueCookie};
use super::gates::Gates;
use super::hash::{Scheme, unleash};
use super::key::KeySource;
use super::share::{Share, Shares};
use crate::request::Request;
use std::borrow::Cow;
use std::fmt::Write;

/// Tells the upstream the flags.
pub const FLAGS_HEADER: &str = "x-serinus-flags";

/// A flag.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Its name.
    pub name: String,
    /// Where the key comes from, the first choice first.
    pub keys: Vec<KeySource>,
    /// How a key becomes a slot.
    pub scheme: Scheme,
    /// All its values, the default first.
    pub values: Vec<String>,
    /// Who draws which.
    pub draw: Draw,
    /// What decides before the share.
    pub rules: Vec<FlagRule>,
}

/// A condition that decides before the share does.
#[derive(Debug, Clone)]
pub struct FlagRule {
    /// Its name.
    pub name: String,
    /// All must hold.
    pub when: Vec<Condition>,
    /// The value, by its place in [`Flag::values`].
    pub value: usize,
}

/// Who draws which of the values that have a share.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Those values, by their places in [`Flag::values`].
    pub values: Vec<usize>,
    /// Their slots.
    pub slots: Slots,
}

/// Which slots are whose.
#[derive(Debug, Clone)]
pub enum Slots {
    /// Each value has a run of its own.
    Runs(Shares),
    /// Unleash's: who is below the first is let in, and the weights say which value it gets.
    Unleash(Share, Vec<u32>),
}

/// Why a flag has its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It gives way under load.
    Shed,
    /// A hop before decided.
    Carried,
    /// A rule decided.
    Rule,
    /// The request has no key.
    NoKey,
    /// The key's slot is in the value's share.
    Share,
    /// The key's slot is in no value's share.
    Rest,
}

impl Because {
    /// The word for it in explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shed => "shed",
            Self::Carried => "carried",
            Self::Rule => "rule",
            Self::NoKey => "no-key",
            Self::Share => "share",
            Self::Rest => "rest",
        }
    }
}

/// The value of one flag for one request.
#[derive(Debug, Clone, Copy)]
pub struct Given<'p> {
    /// The flag.
    pub flag: &'p Flag,
    /// The value, by its place in [`Flag::values`].
    pub value: usize,
    /// Why.
    pub because: Because,
}

impl<'p> Given<'p> {
    /// The value.
    pub fn text(&self) -> &'p str {
        self.flag.values.get(self.value).map_or("", String::as_str)
    }
}

/// All flags of one request.
#[derive(Debug, Default)]
pub struct Told<'p> {
    /// The policy's, in its order.
    pub given: Vec<Given<'p>>,
    /// Names and values of others that a hop before told, in the mesh.
    pub others: Vec<(String, String)>,
}

impl Told<'_> {
    /// Names and values, those of others first.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.others.iter();
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        let given = self.given.iter();
        others.chain(given.map(|given| (given.flag.name.as_str(), given.text())))
    }

    /// The value of [`FLAGS_HEADER`].
    pub fn header(&self) -> String {
        let mut line = String::with_capacity(128);
        for (name, value) in self.all() {
            let comma = if line.is_empty() { "" } else { ", " };
            // Neither can have a quote or a backslash in it.
            let _ = write!(line, "{comma}{name}=\"{value}\"");
        }
        line
    }
}

/// Decides `flags` for `request`. `issued` is the cookie that the route gives out with it, which is
/// as good a key as if the caller had sent it.
#[inline(never)]
pub fn decide<'p>(
    flags: &'p [Flag],
    request: &Request<'_>,
    issued: Option<&(&IssueCookie, Id)>,
    gates: &Gates,
    mesh: bool,
) -> Told<'p> {
    let mut others = match mesh {
        true => carry::carried_flags(request),
        false => Vec::new(),
    };
    let given = flags.iter().enumerate().map(|(place, flag)| {
        let carried = others.iter().position(|(name, _)| *name == flag.name);
        let carried = carried.map(|place| others.swap_remove(place).1);
        let (value, because) = match gates.is_shed(place) {
            true => (0, Because::Shed),
            false => flag.decide(request, carried.as_deref(), issued),
        };
        Given {
            flag,
            value,
            because,
        }
    });
    let given = given.collect();
    Told { given, others }
}

impl Flag {
    fn decide(
        &self,
        request: &Request<'_>,
        carried: Option<&str>,
        issued: Option<&(&IssueCookie, Id)>,
    ) -> (usize, Because) {
        let known = carried.and_then(|text| self.values.iter().position(|value| value == text));
        if let Some(value) = known {
            return (value, Because::Carried);
        }
        let mut rules = self.rules.iter();
        if let Some(rule) = rules.find(|rule| all_hold(&rule.when, request)) {
            return (rule.value, Because::Rule);
        }
        let mut sources = self.keys.iter();
        let Some(key) = sources.find_map(|source| value(source, request, issued)) else {
            return (0, Because::NoKey);
        };
        match self.drawn(&key) {
            Some(value) => (value, Because::Share),
            None => (0, Because::Rest),
        }
    }

    /// The value that `key`, which must not be empty, draws; none if it falls outside all shares.
    pub fn drawn(&self, key: &[u8]) -> Option<usize> {
        let slot = self.scheme.slot(key);
        let place = match (&self.draw.slots, &self.scheme) {
            (Slots::Runs(shares), _) => shares.owner(slot),
            (Slots::Unleash(share, weights), Scheme::Unleash { group }) => {
                let is_in = slot.get() < share.ppm();
                is_in.then(|| unleash::pick(group, key, weights)).flatten()
            }
            (Slots::Unleash(..), _) => None,
        };
        self.draw.values.get(place?).copied()
    }
}

/// The value of a key's source, an issued cookie among the caller's own.
fn value<'r>(
    source: &KeySource,
    request: &Request<'r>,
    issued: Option<&(&IssueCookie, Id)>,
) -> Option<Cow<'r, [u8]>> {
    source.value(request).or_else(|| match (source, issued) {
        (KeySource::Cookie(name), Some((cookie, id))) if cookie.name == *name => {
            Some(Cow::Owned(id.as_bytes().to_vec()))
        }
        _ => None,
    })
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
