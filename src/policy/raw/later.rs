//! Health, rescue, maintenance and experiments.

use super::Condition;
use crate::policy::decode::{List, Pairs, Whole, record};
use crate::policy::value::{Method, Name, Period, Statuses, Text, Word};

record! {
    /// What counts as an error.
    pub struct Health {
        /// Statuses. Default: `["5xx"]`.
        "errors" => errors: Option<Vec<Statuses>>,
        /// Statuses of gRPC. Default: `[2, 4, 8, 13, 14, 15]`.
        "grpcErrors" => grpc_errors: Option<Vec<Whole<0, 16>>>,
    }
}

record! {
    /// Answers from stable for requests that failed on a variant. A request with a body, a tunnel and
    /// a gRPC call have none.
    pub struct Rescue {
        /// The Envoy cluster of stable.
        "cluster" => cluster: Word,
        /// Which methods; each but GET, HEAD, OPTIONS and TRACE may be done twice. Default: GET and
        /// HEAD.
        "methods" => methods: Option<Vec<Method>>,
        /// Which failures: a status or a class of them that the variant answers with, `reset` (no
        /// host, no connection, or one that broke before the answer) and `timeout`. Default:
        /// `[5xx, reset, timeout]`.
        "failures" => failures: Option<Vec<Text>>,
        /// How long the variant has to begin its answer, `10ms` to `1m`; longer than the time-out of
        /// Envoy's route it has no effect. Default: that time-out.
        "deadline" => deadline: Option<Period>,
        /// How long stable has, `10ms` to `1m`; what is left of the time-out of Envoy's route must be
        /// longer. Default: `1s`.
        "timeout" => timeout: Option<Period>,
        /// How many a second, per worker; a second's worth at once. Default: 50.
        "maxPerSecond" => max_per_second: Option<Whole<1, 100_000>>,
    }
}

record! {
    /// Planned unavailability. It is asked first: before what an earlier hop decided, rules and keys.
    pub struct Maintenance {
        /// Whether it is on. Default: `false`.
        "enabled" => enabled: Option<bool>,
        /// Which methods are turned away. Default: POST, PUT, PATCH and DELETE. A gRPC call is a
        /// POST; it is answered with status UNAVAILABLE (14).
        "methods" => methods: Option<Vec<Method>>,
        /// The status of the answer. Default: 503.
        "status" => status: Option<Whole<200, 599>>,
        /// When to try again, told in `retry-after`: a length of time of at least `1s`, or a moment.
        /// Default: nothing is said.
        "retryAfter" => retry_after: Option<Text>,
        /// Bodies by media type, at most 8; which one a caller gets is by its `accept`, and the first by
        /// the alphabet if that names none. Default: a short `text/html` and `application/problem+json`.
        "bodies" => bodies: Option<Pairs>,
        /// The variant that reads go to meanwhile, or `stable`: GET, HEAD, OPTIONS and TRACE, unless
        /// `methods` names them. Its gate is asked as ever. Default: where they go anyway.
        "readsTo" => reads_to: Option<Name>,
        /// Requests that pass, and are decided on as without maintenance. Unlike in `when` each of
        /// these conditions is enough by itself: health checks pass, and staff.
        "unless" => unless: Option<List<Condition>>,
    }
}

record! {
    /// An experiment: how many requests each variant was given by the key (exposures), how many of them
    /// met a goal (conversions), and whether each variant got its part of the callers.
    pub struct Experiment {
        /// What counts as a conversion; at most 8. The gate judges the first.
        "goals" => goals: Option<List<Goal>>,
        /// Whether each exposure is logged, at most 1,000 a second and worker, by the proxy's log:
        /// route, variant and slot, as JSON. Default: `false`.
        "exposureLog" => exposure_log: Option<bool>,
    }
}

record! {
    /// A conversion: a request that the route takes and the key gave its variant, and how it was
    /// answered: with one of these statuses, to its end, and with nothing that the route's `health`
    /// calls an error.
    pub struct Goal {
        /// Unique within the route.
        "name" => name: Name,
        /// All must hold.
        "when" => when: List<Condition>,
        /// The statuses that count. Default: `["2xx"]`.
        "statuses" => statuses: Option<Vec<Statuses>>,
    }
}
