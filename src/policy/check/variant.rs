//! Variants: their shares, and their places among the slots.

use super::header;
use crate::assign::hash::Scheme;
use crate::assign::ramp::{Millis, Ramp, Schedule};
use crate::assign::route::{Rewrite, STABLE, Variant};
use crate::assign::share::{Claim, LayoutError, Share, Shares, Slot};
use crate::policy::decode::List;
use crate::policy::problem::Problems;
use crate::policy::raw;
use crate::policy::value::Percent;
use crate::text::percent;

/// Variants of one route.
const MOST_VARIANTS: usize = 16;
/// Steps of one ramp.
const MOST_STEPS: usize = 64;

/// The variants of a route whose keys are hashed by `scheme`, and their slots.
pub fn variants(
    list: Option<&List<raw::Variant>>,
    scheme: &Scheme,
    problems: &mut Problems,
) -> (Vec<Variant>, Shares) {
    let Some(list) = list else {
        return (Vec::new(), Shares::default());
    };
    problems.at_key("variants", |problems| {
        super::at_most(MOST_VARIANTS, list.0.len(), problems);
        super::unique(list, |variant| &variant.name.0, problems);
        let before = problems.count();
        let variant = |(index, raw): &(usize, raw::Variant)| {
            problems.at_index(*index, |problems| variant(raw, scheme, problems))
        };
        let variants: Vec<Variant> = list.0.iter().map(variant).collect();
        // Places are only checked once every share is known: a guess would blame the wrong one.
        let shares = if problems.count() == before {
            places(list, &variants, problems)
        } else {
            Shares::default()
        };
        (variants, shares)
    })
}

fn variant(raw: &raw::Variant, scheme: &Scheme, problems: &mut Problems) -> Variant {
    if raw.name.0 == STABLE {
        problems.at_key("name", |problems| {
            problems.say("`stable` is always there", "another name");
        });
    }
    let schedule = schedule(raw, problems);
    whole_steps(&schedule, scheme, problems);
    let rewrite = raw.rewrite_path.as_ref().map(|rewrite| Rewrite {
        prefix: rewrite.prefix.0.clone(),
        with: rewrite.with.0.clone(),
    });
    Variant {
        name: raw.name.0.clone(),
        schedule,
        set_headers: header::headers("setHeaders", raw.set_headers.as_ref(), problems),
        rewrite,
    }
}

fn share(percent: &Percent) -> Share {
    Share::from_ppm(percent.0).unwrap_or(Share::NONE)
}

fn schedule(raw: &raw::Variant, problems: &mut Problems) -> Schedule {
    match (&raw.share, &raw.ramp) {
        (Some(percent), None) => return Schedule::Fixed(share(percent)),
        (None, Some(raw)) => {
            return problems.at_key("ramp", |problems| ramp(raw, problems));
        }
        (Some(_), Some(_)) => problems.say("it has both `share` and `ramp`", "one of the two"),
        (None, None) if problems.said_below("share") || problems.said_below("ramp") => {}
        (None, None) => problems.say("it has no share", "`share: \"1%\"`, or a `ramp`"),
    }
    Schedule::Fixed(Share::NONE)
}

fn ramp(raw: &raw::Ramp, problems: &mut Problems) -> Schedule {
    let steps: Vec<Share> = raw.steps.iter().map(share).collect();
    problems.at_key("steps", |problems| {
        super::at_most(MOST_STEPS, steps.len(), problems);
        if steps.is_empty() {
            problems.say("there is none", "at least one share");
        }
        if !steps.is_sorted() {
            problems.say(
                "a step is less than the one before it",
                "shares that only grow",
            );
        }
    });
    if raw.every.0 == 0 {
        problems.at_key("every", |problems| {
            problems.say("a step can't last no time", "at least 1s");
        });
    }
    Schedule::Ramp(Ramp {
        start: Millis(raw.start.0),
        steps,
        every: raw.every.0,
    })
}

/// Unleash draws one of a hundred: a share between two of them would not be what Unleash does.
fn whole_steps(schedule: &Schedule, scheme: &Scheme, problems: &mut Problems) {
    let step = scheme.share_step();
    let parts = |share: &Share| share.ppm().checked_rem(step) != Some(0);
    let (key, broken) = match schedule {
        Schedule::Fixed(share) => ("share", parts(share)),
        Schedule::Ramp(ramp) => ("ramp", ramp.steps.iter().any(parts)),
    };
    if broken {
        problems.at_key(key, |problems| {
            problems.say("Unleash knows whole percents only", "a whole percentage");
        });
    }
}

fn places(list: &List<raw::Variant>, variants: &[Variant], problems: &mut Problems) -> Shares {
    let most = |variant: &Variant| u64::from(variant.schedule.most().ppm());
    let sum: u64 = variants.iter().map(most).sum();
    if sum > u64::from(Share::ALL.ppm()) {
        let sum = u32::try_from(sum).unwrap_or(u32::MAX);
        problems.say(
            format!("all shares together are {}", percent(sum)),
            "shares of at most 100% together; stable has the rest",
        );
        return Shares::default();
    }
    let claim = |((_, raw), variant): (&(usize, raw::Variant), &Variant)| Claim {
        share: variant.schedule.most(),
        from: raw.from.as_ref().map(|from| Slot::saturating(from.0)),
    };
    let claims: Vec<Claim> = list.0.iter().zip(variants).map(claim).collect();
    Shares::lay_out(&claims).unwrap_or_else(|errors| {
        for error in errors {
            misplaced(&error, variants, problems);
        }
        Shares::default()
    })
}

fn misplaced(error: &LayoutError, variants: &[Variant], problems: &mut Problems) {
    let name = |index: usize| variants.get(index).map_or("?", |v| v.name.as_str());
    let (index, key, what, write) = match error {
        LayoutError::NoFrom { variant } => (
            *variant,
            "from",
            "only the first two variants have a place of their own".to_owned(),
            "where its slots begin, as in `from: \"40%\"`".to_owned(),
        ),
        LayoutError::PastEnd {
            variant,
            from,
            share,
        } => (
            *variant,
            "from",
            format!(
                "a share of {share} from {} passes 100%",
                percent(from.get())
            ),
            "a lower `from` or a smaller share".to_owned(),
        ),
        LayoutError::Overlap { earlier, later } => (
            later.0,
            "share",
            format!(
                "its slots, {}, overlap those of `{}`, {}",
                later.1,
                name(earlier.0),
                earlier.1
            ),
            "smaller shares, or another `from`".to_owned(),
        ),
    };
    problems.at_index(index, |problems| {
        problems.at_key(key, |problems| problems.say(what, write));
    });
}
