//! docs/metrics.md, made from the table of metrics.

use super::metric::{ALL, Kind, Metric};
use super::metric_shadow::{PAIRS, is_told};
use crate::assign::decide::Reason;
use crate::health::outcome::Outcome;
use crate::rescue::Rescued;
use crate::shadow::capture::Ended;
use crate::shadow::join::NotCompared;
use crate::shadow::sample::Skipped;
use std::fmt::Write;

/// Questions that people ask, and the queries that answer them. A test asks a real Prometheus.
const QUERIES: &[(&str, &str)] = &[
    (
        "Requests a second, by variant",
        "sum by (route, variant) (rate(serinus_requests_total[1m]))",
    ),
    (
        "The part of requests that failed, by variant; who left and what the proxy refused is left out",
        "sum by (route, variant) (rate(serinus_requests_total{outcome=~\"error_.*\"}[1m]))\n  / sum by (route, variant) (rate(serinus_requests_total{outcome!~\"aborted|refused\"}[1m]))",
    ),
    (
        "How requests failed",
        "sum by (route, variant, outcome) (rate(serinus_requests_total{outcome=~\"error_.*\"}[1m]))",
    ),
    (
        "The 99th percentile in milliseconds, by variant",
        "histogram_quantile(0.99, sum by (route, variant, le) (rate(serinus_request_duration_milliseconds_bucket[1m])))",
    ),
    (
        "Tries for each request: above 1 Envoy retries",
        "sum by (route, variant) (rate(serinus_attempts_total[1m]))\n  / sum by (route, variant) (rate(serinus_requests_total[1m]))",
    ),
    (
        "The share that is asked, in percent",
        "max by (route, variant) (serinus_share_asked_ppm) / 10000",
    ),
    (
        "The share that was seen, in percent",
        "max by (route, variant) (serinus_share_seen_ppm) / 10000",
    ),
    (
        "Why requests got their variant",
        "sum by (route, variant, reason) (rate(serinus_decisions_total[1m]))",
    ),
    (
        "Routes whose shadow fails: 1 where a proxy has found the other version's answers worse",
        "max by (route) (serinus_shadow_verdict{state=\"fail\"})",
    ),
    (
        "The part of raw pairs that differ",
        "sum by (route) (rate(serinus_shadow_raw_pairs_total{outcome=\"different\"}[10m]))\n  / sum by (route) (rate(serinus_shadow_raw_pairs_total[10m]))",
    ),
    (
        "The part of noise pairs that differ: as much of the raw pairs does without any regression",
        "sum by (route) (rate(serinus_shadow_noise_pairs_total{outcome=\"different\"}[10m]))\n  / sum by (route) (rate(serinus_shadow_noise_pairs_total[10m]))",
    ),
    (
        "Why requests that were drawn were not copied",
        "sum by (route, reason) (rate(serinus_shadow_skipped_total[1m]))",
    ),
    (
        "How the calls of shadows end",
        "sum by (route, outcome) (rate(serinus_shadow_calls_total[1m]))",
    ),
    (
        "Why copies were not compared",
        "sum by (route, reason) (rate(serinus_shadow_not_compared_total[1m]))",
    ),
    (
        "Failures of a variant that its callers did not see, and those that they did, by why",
        "sum by (route, variant, outcome) (rate(serinus_rescues_total[1m]))",
    ),
    (
        "Proxies whose newest policy was refused",
        "sum(serinus_policy_rejected)",
    ),
    (
        "How many different policies are in force",
        "count(count_values(\"version\", serinus_policy_version))",
    ),
];

const HEAD: &str = "\
# Metrics

<!-- Made from src/report/metric.rs by `make docs`; a test keeps it fresh. -->

The filter tells Envoy these metrics; Envoy serves them with its own at `/stats/prometheus`. Counts are
told once a second. Every series of the policy is there at 0 from the start, for all variants, so that a
query never meets an absent one. A route that is taken out of the policy keeps its series until the
process ends, because Envoy can't take one back: its counters stand still and its gauges go to 0.

A route without a shadow has none of the shadow's series, and one whose shadow only mirrors has calls and
skipped requests alone.

Upstream hosts and the paths of differences are in the [state document](state.md) only, never in a label.

";

const LABELS: &str = "
## Labels

Names carry their labels in front, `route=.=checkout;.;variant=.=canary;.;serinus_attempts_total`.

Istio makes labels of them with, in the mesh configuration or a pod's `proxy.istio.io/config`:

```yaml
extraStatTags: [route, variant, outcome, reason, signal, state, flag, value, goal]
```

Raw Envoy does with, in its bootstrap:

```yaml
stats_config:
  stats_tags:
  - {tag_name: route, regex: '(route=\\.=(.*?);\\.;)'}
  - {tag_name: variant, regex: '(variant=\\.=(.*?);\\.;)'}
  - {tag_name: outcome, regex: '(outcome=\\.=(.*?);\\.;)'}
  - {tag_name: reason, regex: '(reason=\\.=(.*?);\\.;)'}
  - {tag_name: signal, regex: '(signal=\\.=(.*?);\\.;)'}
  - {tag_name: state, regex: '(state=\\.=(.*?);\\.;)'}
  - {tag_name: flag, regex: '(flag=\\.=(.*?);\\.;)'}
  - {tag_name: value, regex: '(value=\\.=(.*?);\\.;)'}
  - {tag_name: goal, regex: '(goal=\\.=(.*?);\\.;)'}
```

| label | values |
| --- | --- |
| `route` | the policy's names; `(none)` for requests that no route took |
| `variant` | `stable` and the policy's names |
| `flag`, `value`, `goal` | the policy's |
";

const MEANINGS: &str = "
What the words mean is in the [state document](state.md), which has the same counts.
";

const HISTOGRAM: &str = "
## The histogram

Its buckets are Envoy's: 0.5, 1, 5, 10, 25, 50, 100, 250, 500 milliseconds and on; finer ones come with
`histogram_bucket_settings` in Envoy's `stats_config`. Envoy shows them after its own flush, every five
seconds. The [state document](state.md) has percentiles within 2 %.
";

/// The page, in Markdown.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| name | type | labels | what it tells |\n| --- | --- | --- | --- |\n");
    for metric in ALL {
        let _ = writeln!(page, "{}", row(metric));
    }
    page.push_str(LABELS);
    let outcomes = [
        (
            "requests",
            listed(Outcome::ALL.iter().map(|of| of.as_str())),
        ),
        (
            "calls of a shadow",
            listed(Ended::ALL.iter().map(|of| of.word())),
        ),
        ("pairs", listed(PAIRS.into_iter())),
        ("rescues", listed(Rescued::ALL.iter().map(|of| of.word()))),
    ];
    let skipped = Skipped::ALL.into_iter().filter(|why| is_told(*why));
    let reasons = [
        ("decisions", listed(Reason::ALL.iter().map(|of| of.word()))),
        ("skipped", listed(skipped.map(Skipped::word))),
        (
            "not compared",
            listed(NotCompared::ALL.iter().map(|of| of.word())),
        ),
    ];
    let labelled = [("outcome", &outcomes[..]), ("reason", &reasons[..])];
    for (label, values) in labelled {
        for (of, words) in values {
            let _ = writeln!(page, "| `{label}`, {of} | {words} |");
        }
    }
    page.push_str(MEANINGS);
    page.push_str(HISTOGRAM);
    page.push_str("\n## Queries\n");
    for (about, query) in QUERIES {
        let _ = write!(page, "\n{about}:\n\n```promql\n{query}\n```\n");
    }
    page
}

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels = listed(metric.labels.iter().copied());
    format!(
        "| `{}` | {kind} | {labels} | {} |",
        metric.name, metric.about
    )
}

fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
