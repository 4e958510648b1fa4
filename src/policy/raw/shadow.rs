//! Shadow requests: copies to another version, and the comparison of the answers.

use super::{Condition, Rewrite};
use crate::policy::decode::{Fraction, List, Whole, choice, record};
use crate::policy::value::{HeaderName, HostPattern, Method, Percent, Period, Text, Word};

record! {
    /// Copies of requests to another version, and the comparison of the answers.
    pub struct Shadow {
        /// Whether answers are compared; `false` only mirrors. Default: `true`.
        "compare" => compare: Option<bool>,
        /// The Envoy cluster of the other version.
        "cluster" => cluster: Word,
        /// The Envoy cluster of stable, for noise and confirming calls; needed unless `noise` is
        /// `0%`.
        "stableCluster" => stable_cluster: Option<Word>,
        /// The one host that the copy names. Default: the request's.
        "host" => host: Option<HostPattern>,
        /// The path of the copy; one with another beginning stays as it is.
        "rewritePath" => rewrite_path: Option<Rewrite>,
        /// How many of the requests that got stable are copied. Default: `1%`.
        "share" => share: Option<Percent>,
        /// Which requests; all must hold.
        "when" => when: Option<List<Condition>>,
        /// Which methods; all but GET and HEAD need `writes: allow`. Default: GET and HEAD.
        "methods" => methods: Option<Vec<Method>>,
        /// Whether methods that write may be named. Their answers are compared and not judged, since
        /// no write is sent to stable twice. Default: `refuse`.
        "writes" => writes: Option<Writes>,
        /// Which part of the copies goes to stable, to learn what differs anyway; at most 50%.
        /// With `0%` differences are counted and the route never passes. Default: `5%`.
        "noise" => noise: Option<Percent>,
        /// Confirming calls per compared pair, at most. Default: 0.1.
        "confirmPerRaw" => confirm_per_raw: Option<Fraction>,
        /// How long a copy may take, `10ms` to `1m`. Default: `2s`.
        "timeout" => timeout: Option<Period>,
        /// The longest body in bytes: a request with a longer one is not copied, and of an answer with
        /// a longer one status and headers are compared. Default: 262144.
        "maxBodyBytes" => max_body_bytes: Option<Whole<0, 33_554_432>>,
        /// Copies under way at once, per worker. Default: 64.
        "maxInFlight" => max_in_flight: Option<Whole<1, 10_000>>,
        /// Copies a second, per worker. Default: 100.
        "maxPerSecond" => max_per_second: Option<Whole<1, 100_000>>,
        /// Bytes held for copies, per worker; at least three times `maxBodyBytes`. Default: 16777216.
        "maxBytes" => max_bytes: Option<Whole<65_536, 1_073_741_824>>,
        /// Whether copies carry credentials; without it a request that has some is not copied.
        /// Default: `false`.
        "forwardCredentials" => forward_credentials: Option<bool>,
        /// Paths of answers that are not compared.
        "ignore" => ignore: Option<Vec<Text>>,
        /// Headers that are compared beside the usual ones.
        "headersAlso" => headers_also: Option<Vec<HeaderName>>,
        /// Paths whose values may be logged, at debug.
        "revealPaths" => reveal_paths: Option<Vec<Text>>,
    }
}

choice! {
    /// Whether methods that write may be copied.
    pub enum Writes {
        /// No.
        "refuse" => Refuse,
        /// Yes: the other version gets every write that it is sent, for good.
        "allow" => Allow,
    }
}
