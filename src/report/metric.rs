//! The metrics: names, types, labels, and which series a policy has.
//!
//! Labels come first in Istio's form, `route=.=checkout;.;variant=.=canary;.;serinus_…`: Istio's
//! `extraStatTags` and a `stats_tags` regex in raw Envoy both make labels of it. Every series that a
//! policy can count into is there from the start, so that a query never meets an absent one.
//! Whether a value can be a label is checked when the policy is read; nothing a caller sent ever is.

use crate::assign::Trust;
use crate::assign::decide::Reason;
use crate::assign::route::{Route, Side};
use crate::health::outcome::Outcome;

/// What a metric is to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and all workers add to it.
    Counter,
    /// It is set, by one worker at a time.
    Gauge,
    /// The proxy's own histogram.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, without labels.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in the order in which they stand before the name.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub about: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $about:literal;)*) => {
        $(
            #[doc = $about]
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                about: $about,
            };
        )*

        /// All metrics, in the order in which they are documented.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    REQUESTS = Counter "serinus_requests_total" ["route", "variant", "outcome"]
        "Requests that ended, by what they came to.";
    LATENCY = Histogram "serinus_request_duration_milliseconds" ["route", "variant"]
        "From the request's headers to its end, of requests that say something of the version: fine, slow and errors.";
    ATTEMPTS = Counter "serinus_attempts_total" ["route", "variant"]
        "Tries of Envoy's for those requests, retries included.";
    RECEIVED = Counter "serinus_received_bytes_total" ["route", "variant"]
        "Bytes of requests, with headers; only with `report: {bytes: true}`.";
    SENT = Counter "serinus_sent_bytes_total" ["route", "variant"]
        "Bytes of answers, with headers; only with `report: {bytes: true}`.";
    FAILING_CALLERS = Gauge "serinus_failing_callers" ["route", "variant"]
        "Different callers who had an error in this minute or the one before, estimated; 7,000 means at least that.";
    SHARE_ASKED = Gauge "serinus_share_asked_ppm" ["route", "variant"]
        "The share that the policy and the gate give the variant now, in parts per million.";
    SHARE_SEEN = Gauge "serinus_share_seen_ppm" ["route", "variant"]
        "The part of the draws of the last minutes that fell on the variant, in parts per million.";
    SHARE_OFF = Gauge "serinus_share_off" ["route", "variant"]
        "1 while the two differ by more than chance explains.";
    DECISIONS = Counter "serinus_decisions_total" ["route", "variant", "reason"]
        "Decisions, by reason. The route is `(none)` where no route took the request.";
    GATE_OPEN = Gauge "serinus_gate_open" ["route", "variant"]
        "1 while the gate is open, 0 while it probes or is shut.";
    GATE_STATE = Gauge "serinus_gate_state" ["route", "variant", "state"]
        "1 for the state that the gate is in: `open`, `probing` or `shut`.";
    GATE_VERDICT = Gauge "serinus_gate_verdict" ["route", "variant", "state"]
        "1 for the verdict on the variant: `pass`, `hold` or `fail`.";
    GATE_EVIDENCE = Gauge "serinus_gate_evidence_percent" ["route", "variant", "signal"]
        "How far the evidence against the variant has come: at 100 the gate shuts. For `diffs` it is 100 while the shadow's verdict is `fail`, else 0. Limits, and the quick way out for a variant that fails outright, are beside it.";
    GATE_CHANGES = Counter "serinus_gate_changes_total" ["route", "variant", "state"]
        "Changes of the gate, by the state that it went into.";
    STREAMS_CUT = Counter "serinus_streams_cut_total" ["route", "variant"]
        "Long-lived streams that were ended because the gate had shut; only with `gate: {longLived: cut}`.";
    BUDGET_LEFT = Gauge "serinus_budget_left_ppm" ["route"]
        "The part of the error budget that is left, in parts per million; only with `gate: {budget}`.";
    BUDGET_FROZEN = Gauge "serinus_budget_frozen" ["route"]
        "1 while ramps stand still because too little of the budget is left.";
    SHADOW_CALLS = Counter "serinus_shadow_calls_total" ["route", "outcome"]
        "Calls of a shadow, by how they ended: to the other version and, for noise pairs and confirming calls, to stable.";
    SHADOW_SKIPPED = Counter "serinus_shadow_skipped_total" ["route", "reason"]
        "Requests that were drawn to be copied and were not, by reason.";
    SHADOW_RAW_PAIRS = Counter "serinus_shadow_raw_pairs_total" ["route", "outcome"]
        "Pairs of an answer of stable's and one of the other version's that were compared.";
    SHADOW_NOISE_PAIRS = Counter "serinus_shadow_noise_pairs_total" ["route", "outcome"]
        "Pairs of two answers of stable's that were compared: what differs in them is noise.";
    SHADOW_CONFIRMING = Counter "serinus_shadow_confirming_total" ["route"]
        "Confirming calls: a further answer of stable's, compared with both answers of a raw pair that differed.";
    SHADOW_NOT_COMPARED = Counter "serinus_shadow_not_compared_total" ["route", "reason"]
        "Copies that were made to be compared and came to nothing, by reason.";
    SHADOW_BODIES_NOT_COMPARED = Counter "serinus_shadow_bodies_not_compared_total" ["route"]
        "Pairs of which only status and headers were compared, since a body was too long.";
    SHADOW_VERDICT = Gauge "serinus_shadow_verdict" ["route", "state"]
        "1 for the verdict on the other version's answers: `pass`, `hold` or `fail`.";
    RESCUES = Counter "serinus_rescues_total" ["route", "variant", "outcome"]
        "Requests that failed on the variant and that the route's `rescue` is for, by what became of them; each is an error of the variant's all the same.";
    EXPOSURES = Counter "serinus_exposures_total" ["route", "variant"]
        "Requests that the key gave the variant (reasons `share` and `rest`); only with an `experiment`.";
    CONVERSIONS = Counter "serinus_conversions_total" ["route", "variant", "goal"]
        "Those that met a goal.";
    SAMPLE_RATIO_MISMATCH = Gauge "serinus_sample_ratio_mismatch" ["route"]
        "1 while the variants' parts of the draws of the last hours are not those of their shares, by odds of 1,000 to 1: what the experiment shows is not to be believed.";
    EXPOSURES_UNLOGGED = Counter "serinus_exposures_unlogged_total" ["route"]
        "Exposures without a line in the log, because there were too many in one second; only with `exposureLog`.";
    FLAG_DECISIONS = Counter "serinus_flag_decisions_total" ["flag", "value"]
        "Requests that went on with the flag's value.";
    FLAG_SHED = Gauge "serinus_flag_shed" ["flag"]
        "1 while the flag gives way under load; only with `shedWhen`.";
    POLICY_REJECTED = Gauge "serinus_policy_rejected" []
        "1 while the newest policy given is refused.";
    POLICY_VERSION = Gauge "serinus_policy_version" []
        "A number made of the text of the policy in force: the same in all proxies that have the same policy; 0 without one.";
    POLICY_AGE = Gauge "serinus_policy_age_seconds" []
        "How long the policy in force has been so in this process.";
    DROPPED = Counter "serinus_dropped_total" []
        "Counts that were lost: the proxy's shared data did not take them.";
    HOST_ERRORS = Counter "serinus_host_errors_total" []
        "Calls to the proxy that failed: what they were to do was left undone.";
    PANICS = Counter "serinus_panics_total" []
        "Panics of the filter. There must be none; each cost the requests in flight of one worker.";
    TICK = Histogram "serinus_tick_microseconds" []
        "What the work of a second took: telling counts, and in one worker, watching the routes.";
}

/// The label of requests that no route took; no route can have this name.
pub const NO_ROUTE: &str = "(none)";

impl Metric {
    /// The name with these label values, in the order of [`Metric::labels`].
    pub fn with(&self, values: &[&str]) -> String {
        let mut name = String::new();
        for (label, value) in self.labels.iter().zip(values) {
            name.push_str(label);
            name.push_str("=.=");
            name.push_str(value);
            name.push_str(";.;");
        }
        name.push_str(self.name);
        name
    }

    /// The series of one side of a route.
    pub fn of(&self, route: &str, side: &str) -> String {
        self.with(&[route, side])
    }
}

/// The sides of `route`, stable first.
pub fn sides(route: &Route) -> impl Iterator<Item = Side> {
    let variants = (0..route.variants.len()).map(Side::Variant);
    std::iter::once(Side::Stable).chain(variants)
}

/// The reasons that can lead to `side` of `route`.
pub fn reasons(route: &Route, side: Side, trust: Trust) -> impl Iterator<Item = Reason> {
    let by_key: &[Reason] = match side {
        Side::Stable => &[
            Reason::NoKey,
            Reason::Rest,
            Reason::GateShut,
            Reason::GateProbing,
        ],
        Side::Variant(_) => &[Reason::Share],
    };
    let carried = (trust == Trust::Mesh).then_some(Reason::Carried);
    // Whether it is on or not, so that its series are there before it begins.
    let maintenance = route.maintenance.as_ref().and_then(|maintenance| {
        let leads = side == Side::Stable || maintenance.reads_to == Some(side);
        leads.then_some(Reason::Maintenance)
    });
    let others = [Reason::Rule].into_iter().chain(carried);
    by_key.iter().copied().chain(others).chain(maintenance)
}

/// The name of the counter of requests of one outcome.
pub fn requests(route: &str, side: &str, outcome: Outcome) -> String {
    REQUESTS.with(&[route, side, outcome.as_str()])
}

/// The name of the counter of decisions of one reason.
pub fn decisions(route: &str, side: &str, reason: Reason) -> String {
    DECISIONS.with(&[route, side, reason.word()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_stand_before_the_name_in_istios_form() {
        assert_eq!(
            requests("checkout", "canary", Outcome::Ok),
            "route=.=checkout;.;variant=.=canary;.;outcome=.=ok;.;serinus_requests_total"
        );
        assert_eq!(POLICY_AGE.with(&[]), "serinus_policy_age_seconds");
    }

    #[test]
    fn names_are_unique_and_counters_end_in_total() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            let counts = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), counts, "{}", metric.name);
            assert!(metric.name.starts_with("serinus_"));
        }
    }
}
