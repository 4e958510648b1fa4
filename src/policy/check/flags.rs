//! Feature flags.

use super::{condition, gate, key, route};
use crate::assign::carry::MOST_FLAGS;
use crate::assign::flags::{Draw, Flag, FlagRule, Slots};
use crate::assign::hash::Scheme;
use crate::assign::key::KeySource;
use crate::assign::share::{Claim, LayoutError, Share, Shares, Slot};
use crate::gate::limits::Quantity;
use crate::gate::shed;
use crate::health::tick::bounds_ms;
use crate::policy::decode::{List, nearest};
use crate::policy::problem::Problems;
use crate::policy::value::{Percent, Period};
use crate::policy::{FlagLife, Shedding, raw};
use crate::text::percent;
use std::time::Duration;

/// Values of one flag beside the default, and its rules.
const MOST_VALUES: usize = 16;
const MOST_RULES: usize = 200;
/// How long a shed flag waits unless the policy says it.
const RESTORE_AFTER: Duration = Duration::from_secs(60);
/// What Unleash's weights sum to.
const WEIGHTS: u32 = 1_000;
/// What a flag that is past its day is said to be.
const OLD: &str = "the flag is past its day";

/// The flags, and what is beside their decision.
pub fn flags(raw: &raw::Policy, problems: &mut Problems) -> (Vec<Flag>, Vec<FlagLife>) {
    let Some(list) = &raw.flags else {
        return Default::default();
    };
    let routes: Vec<&str> = raw.routes.as_ref().map_or_else(Vec::new, |routes| {
        routes.0.iter().map(|(_, route)| &*route.name.0).collect()
    });
    let routes_known = !problems.said_in_elements("routes", "name");
    problems.at_key("flags", |problems| {
        super::at_most(MOST_FLAGS, list.0.len(), problems);
        super::unique(list, |flag| &flag.name.0, problems);
        let flag = |(index, raw): &(usize, raw::Flag)| {
            problems.at_index(*index, |problems| {
                let life = FlagLife {
                    expires: raw.expires.as_ref().map(|day| day.0),
                    shed: raw
                        .shed_when
                        .as_ref()
                        .and_then(|raw| shed_when(raw, &routes, routes_known, problems)),
                };
                if let Some(day) = life.expires {
                    problems.at_key("expires", |problems| {
                        problems.warn_from(day, OLD, "take it out, or give it another day");
                    });
                }
                (flag(raw, problems), life)
            })
        };
        list.0.iter().map(flag).unzip()
    })
}

fn flag(raw: &raw::Flag, problems: &mut Problems) -> Flag {
    let name = &raw.name.0;
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        problems.at_key("name", |problems| {
            problems.say(
                format!("`{name}` can't be the key of a structured field"),
                "a name that begins with a letter",
            );
        });
    }
    let keys = key::keys(raw.key.as_ref(), problems);
    if keys
        .iter()
        .any(|key| matches!(key, KeySource::IssueCookie(_)))
    {
        problems.at_key("key", |problems| {
            problems.say(
                "a flag gives out no cookie",
                "`cookie`, with `issueCookie` in the key of a route",
            );
        });
    }
    let scheme = route::scheme(
        raw.salt.as_ref(),
        raw.hash.as_ref(),
        || format!("flag:{name}"),
        problems,
    );
    let mut values = vec![raw.default.0.clone()];
    let list = raw.values.as_ref();
    let draw = problems.at_key("values", |problems| {
        draw(list, &scheme, &mut values, problems)
    });
    let is_drawn = list.is_some_and(|list| list.0.iter().any(|(_, value)| value.share.0 > 0));
    if is_drawn && keys.is_empty() && !problems.said_below("key") {
        problems.say(
            "it has shares and no key, so nobody would get them",
            "`key: [{header: x-user-id}]`, or another source",
        );
    }
    let known = !problems.said_below("values") && !problems.said_below("default");
    Flag {
        name: name.clone(),
        keys,
        scheme,
        draw,
        rules: rules(raw.rules.as_ref(), &values, known, problems),
        values,
    }
}

fn draw(
    list: Option<&List<raw::FlagValue>>,
    scheme: &Scheme,
    values: &mut Vec<String>,
    problems: &mut Problems,
) -> Draw {
    let list = list.map_or(&[][..], |list| &list.0);
    let before = problems.count();
    super::at_most(MOST_VALUES, list.len(), problems);
    let mut places: Vec<usize> = Vec::with_capacity(list.len());
    let (mut claims, mut sum) = (Vec::with_capacity(list.len()), 0_u32);
    for (index, raw) in list {
        let text = &raw.value.0;
        let known = values.iter().position(|value| value == text);
        let place = known.unwrap_or(values.len());
        problems.at_index(*index, |problems| {
            if places.contains(&place) {
                problems.at_key("value", |problems| {
                    problems.say(format!("`{text}` is there twice"), "a value of its own");
                });
            }
            claims.push(claim(raw, scheme, sum, problems));
        });
        if known.is_none() {
            values.push(text.clone());
        }
        places.push(place);
        sum = sum.saturating_add(raw.share.0);
    }
    if sum > Share::ALL.ppm() {
        problems.say(
            format!("all shares together are {}", percent(sum)),
            "shares of at most 100% together; the default has the rest",
        );
    }
    let slots = match scheme {
        // Where a share is not known a guess would blame the wrong one.
        _ if problems.count() > before => Slots::Runs(Shares::default()),
        Scheme::Unleash { .. } => unleash(&claims, sum, problems),
        _ => runs(&claims, problems),
    };
    Draw {
        values: places,
        slots,
    }
}

/// The place that a value asks for, where those before it have so much.
fn claim(raw: &raw::FlagValue, scheme: &Scheme, before: u32, problems: &mut Problems) -> Claim {
    let share = |percent: &Percent| Share::from_ppm(percent.0).unwrap_or(Share::NONE);
    let is_own = matches!(scheme, Scheme::Serinus { .. });
    if raw.from.is_some() && !is_own {
        problems.at_key("from", |problems| {
            problems.say("another vendor's values lie end to end", "leave it out");
        });
    }
    let from = match (is_own, &raw.from) {
        (true, from) => from.as_ref().map(|from| from.0),
        (false, _) => Some(before),
    };
    Claim {
        share: share(&raw.share),
        from: from.map(Slot::saturating),
    }
}

fn runs(claims: &[Claim], problems: &mut Problems) -> Slots {
    let laid = Shares::lay_out(claims);
    let shares = laid.unwrap_or_else(|errors| {
        for error in errors {
            let (LayoutError::NoFrom { variant: index }
            | LayoutError::PastEnd { variant: index, .. }
            | LayoutError::Overlap {
                later: (index, _), ..
            }) = error;
            problems.at_index(index, |problems| {
                problems.say(
                    "there is no room for its share",
                    "where its slots begin, as in `from: \"40%\"`, or smaller shares",
                );
            });
        }
        Shares::default()
    });
    Slots::Runs(shares)
}

/// Unleash lets whole percents in; which value those get is drawn by weights in thousandths.
fn unleash(claims: &[Claim], sum: u32, problems: &mut Problems) -> Slots {
    if !sum.is_multiple_of(crate::assign::hash::unleash::SLOTS_PER_VALUE) {
        problems.say(
            "Unleash knows whole percents only",
            "shares that are a whole percentage together",
        );
    }
    let weight = |claim: &Claim| {
        let parts = u64::from(claim.share.ppm()).checked_mul(u64::from(WEIGHTS))?;
        let is_whole = parts.checked_rem(u64::from(sum)) == Some(0);
        let weight = parts.checked_div(u64::from(sum)).filter(|_| is_whole)?;
        u32::try_from(weight).ok()
    };
    let weights: Option<Vec<u32>> = claims.iter().map(weight).collect();
    if weights.is_none() && sum > 0 {
        problems.say(
            "Unleash's weights are thousandths of all shares together",
            "shares that are such parts, as in 30% and 20%",
        );
    }
    let share = Share::from_ppm(sum).unwrap_or(Share::NONE);
    Slots::Unleash(share, weights.unwrap_or_default())
}

fn rules(
    list: Option<&List<raw::FlagRule>>,
    values: &[String],
    known: bool,
    problems: &mut Problems,
) -> Vec<FlagRule> {
    let Some(list) = list else {
        return Vec::new();
    };
    problems.at_key("rules", |problems| {
        super::at_most(MOST_RULES, list.0.len(), problems);
        super::unique(list, |rule| &rule.name.0, problems);
        let rule = |(index, raw): &(usize, raw::FlagRule)| {
            problems.at_index(*index, |problems| FlagRule {
                name: raw.name.0.clone(),
                when: condition::some_conditions("when", &raw.when, problems),
                value: value(&raw.then.value.0, values, known, problems),
            })
        };
        list.0.iter().map(rule).collect()
    })
}

fn value(text: &str, values: &[String], known: bool, problems: &mut Problems) -> usize {
    let place = values.iter().position(|value| value == text);
    if place.is_none() && known {
        let write = match nearest(text, values.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of its `values`: add `{{value: {text}, share: \"0%\"}}`"),
        };
        problems.at_key("then", |problems| {
            problems.at_key("value", |problems| {
                problems.say(format!("the flag has no value `{text}`"), write);
            });
        });
    }
    place.unwrap_or(0)
}

fn shed_when(
    raw: &raw::ShedWhen,
    routes: &[&str],
    known: bool,
    problems: &mut Problems,
) -> Option<Shedding> {
    problems.at_key("shedWhen", |problems| {
        let name = raw.route.0.as_str();
        let route = routes.iter().position(|route| *route == name);
        if route.is_none() && known {
            let write = match nearest(name, routes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "a route of this policy".to_owned(),
            };
            problems.at_key("route", |problems| {
                problems.say(format!("there is no route `{name}`"), write);
            });
        }
        let restore_after = raw.restore_after.as_ref();
        let time = |period: &Period, problems: &mut Problems| {
            gate::time("restoreAfter", period, gate::LASTING, problems)
        };
        let settings = shed::Settings {
            limits: gate::limits(&raw.limits, problems),
            restore_after: restore_after.map_or(RESTORE_AFTER, |period| time(period, problems)),
            latency_bounds_ms: bounds_ms(),
        };
        for (index, limit) in raw.limits.iter().enumerate() {
            let is_of_load = matches!(
                gate::quantity(limit.signal),
                Quantity::ErrorRate | Quantity::P50 | Quantity::P95 | Quantity::P99
            );
            if !is_of_load || limit.above.is_none() {
                problems.at_key("limits", |problems| {
                    problems.at_index(index, |problems| {
                        problems.say(
                            "a flag gives way to errors and latencies above a bound",
                            "`errorRate`, `p50`, `p95` or `p99`, and `above`",
                        );
                    });
                });
            }
        }
        if raw.limits.is_empty() && !problems.said_below("limits") {
            problems.at_key("limits", |problems| {
                problems.say("there is none, so it would never be shed", "a limit");
            });
        }
        Some(Shedding {
            route: route?,
            settings,
        })
    })
}
