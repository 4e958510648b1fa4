//! Rules.

use super::{condition, header};
use crate::assign::route::{STABLE, Side, Variant};
use crate::assign::rule::{Forced, Respond, Rule};
use crate::policy::decode::{List, nearest};
use crate::policy::problem::Problems;
use crate::policy::raw;

/// Rules of one route.
const MOST_RULES: usize = 200;

/// The rules of a route with these variants.
pub fn rules(
    list: Option<&List<raw::Rule>>,
    variants: &[Variant],
    problems: &mut Problems,
) -> Vec<Rule> {
    let Some(list) = list else {
        return Vec::new();
    };
    let known = all_known(variants, problems);
    problems.at_key("rules", |problems| {
        super::at_most(MOST_RULES, list.0.len(), problems);
        super::unique(list, |rule| &rule.name.0, problems);
        let rule = |(index, raw): &(usize, raw::Rule)| {
            problems.at_index(*index, |problems| rule(raw, variants, known, problems))
        };
        list.0.iter().map(rule).collect()
    })
}

/// Whether a name that is no variant's is a mistake: a variant whose own name could not be read is not
/// there to be found.
pub fn all_known(variants: &[Variant], problems: &Problems) -> bool {
    !problems.said_in_elements("variants", "name") || !variants.is_empty()
}

fn rule(raw: &raw::Rule, variants: &[Variant], known: bool, problems: &mut Problems) -> Rule {
    let when = condition::some_conditions("when", &raw.when, problems);
    let (decides, set_headers) = problems.at_key("then", |problems| {
        let decides = decides(&raw.then, variants, known, problems);
        let set_headers = header::headers("setHeaders", raw.then.set_headers.as_ref(), problems);
        set_once(decides.as_ref(), &set_headers, variants, problems);
        if decides.is_none() && raw.then.set_headers.is_none() && problems.none() {
            problems.say("it does nothing", "`variant`, `respond` or `setHeaders`");
        }
        (decides, set_headers)
    });
    let even_shut = raw.then.even_shut.unwrap_or(false);
    if even_shut && !matches!(decides, None | Some(Forced::Side(Side::Variant(_)))) {
        problems.at_key("then", |problems| {
            problems.at_key("evenShut", |problems| {
                problems.say("no gate stands before what it chooses", "leave it out");
            });
        });
    }
    Rule {
        name: raw.name.0.clone(),
        when,
        decides,
        even_shut,
        set_headers,
    }
}

/// Says of the headers that a variant sets which the rule may lead to, or let go on to: only the
/// variant's value would arrive.
fn set_once(
    decides: Option<&Forced>,
    set_headers: &[(String, String)],
    variants: &[Variant],
    problems: &mut Problems,
) {
    for (place, variant) in variants.iter().enumerate() {
        let meets = decides.is_none_or(|forced| *forced == Forced::Side(Side::Variant(place)));
        let theirs = variant.set_headers.iter().filter(|_| meets);
        for (name, _) in theirs.filter(|(name, _)| set_headers.iter().any(|(own, _)| own == name)) {
            let what = format!("the variant `{}` sets `{name}` too", variant.name);
            problems.at_key("setHeaders", |problems| {
                problems.say(what, "one of the two, or another name");
            });
        }
    }
}

fn decides(
    then: &raw::Then,
    variants: &[Variant],
    known: bool,
    problems: &mut Problems,
) -> Option<Forced> {
    if then.variant.is_some() && then.respond.is_some() {
        problems.say(
            "it both chooses a variant and answers",
            "only one of the two",
        );
    }
    if let Some(raw) = &then.respond {
        if then.set_headers.is_some() {
            problems.say(
                "the request goes nowhere, so its headers can't matter",
                "`respond.headers`",
            );
        }
        return Some(Forced::Respond(respond(raw, problems)));
    }
    let name = &then.variant.as_ref()?.0;
    side("variant", name, variants, known, problems).map(Forced::Side)
}

/// The side that `key` names; `known` says that all variants could be read.
pub fn side(
    key: &str,
    name: &str,
    variants: &[Variant],
    known: bool,
    problems: &mut Problems,
) -> Option<Side> {
    if name == STABLE {
        return Some(Side::Stable);
    }
    let variant = variants.iter().position(|variant| variant.name == *name);
    if variant.is_none() && known {
        let names = variants.iter().map(|variant| variant.name.as_str());
        let write = match nearest(name, names.chain([STABLE])) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a variant of this route, or stable".to_owned(),
        };
        problems.at_key(key, |problems| {
            problems.say(format!("the route has no variant `{name}`"), write);
        });
    }
    variant.map(Side::Variant)
}

fn respond(raw: &raw::Respond, problems: &mut Problems) -> Respond {
    problems.at_key("respond", |problems| Respond {
        status: u16::try_from(raw.status.0).unwrap_or(503),
        headers: header::headers("headers", raw.headers.as_ref(), problems),
        body: raw
            .body
            .as_ref()
            .map_or_else(String::new, |body| body.0.clone()),
        grpc_status: None,
    })
}
