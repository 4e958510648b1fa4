//! Envoy's response flags: what it says of a stream that did not simply succeed.
//!
//! The property `response.flags` holds one bit for each of the core flags, numbered as in Envoy's
//! `CoreResponseFlag` (`envoy/stream_info/stream_info.h`, 30 flags in 1.40). Flags above those are
//! of extensions or of a later Envoy; they say nothing here, and details and status decide.

/// A set of response flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u64);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $short:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// All flags that are known, with the short names of access logs.
            pub const KNOWN: &[(Self, &'static str)] = &[$((Self::$name, $short)),*];
        }
    };
}

flags! {
    /// The local health check failed.
    LOCAL_HEALTH_CHECK = 0, "LH";
    /// No healthy upstream.
    NO_HEALTHY_UPSTREAM = 1, "UH";
    /// The version took too long.
    UPSTREAM_TIMEOUT = 2, "UT";
    /// The proxy reset the stream.
    LOCAL_RESET = 3, "LR";
    /// The version reset the stream.
    UPSTREAM_RESET = 4, "UR";
    /// No connection to the version.
    UPSTREAM_CONNECT_FAILURE = 5, "UF";
    /// The connection to the version ended.
    UPSTREAM_CONNECTION_END = 6, "UC";
    /// The circuit breaker is open.
    UPSTREAM_OVERFLOW = 7, "UO";
    /// No route of Envoy's.
    NO_ROUTE = 8, "NR";
    /// A fault filter waited.
    DELAY_INJECTED = 9, "DI";
    /// A fault filter answered.
    FAULT_INJECTED = 10, "FI";
    /// Over a rate limit.
    RATE_LIMITED = 11, "RL";
    /// Refused by an authorization service.
    UNAUTHORIZED = 12, "UAEX";
    /// The rate limit service failed.
    RATE_LIMIT_SERVICE = 13, "RLSE";
    /// The caller's connection ended.
    DOWNSTREAM_END = 14, "DC";
    /// The last retry failed too.
    RETRIES_USED_UP = 15, "URX";
    /// Nothing was sent for too long, by either side.
    IDLE_TIMEOUT = 16, "SI";
    /// The caller's `x-envoy-*` headers are wrong.
    INVALID_ENVOY_HEADERS = 17, "IH";
    /// The caller broke the protocol.
    DOWNSTREAM_PROTOCOL = 18, "DPE";
    /// The stream lasted longer than it may.
    UPSTREAM_MAX_DURATION = 19, "UMSDR";
    /// A cache answered.
    FROM_CACHE = 20, "RFCF";
    /// A filter has no configuration yet.
    NO_FILTER_CONFIG = 21, "NFCF";
    /// The caller's connection lasted longer than it may.
    DURATION_TIMEOUT = 22, "DT";
    /// The version broke the protocol.
    UPSTREAM_PROTOCOL = 23, "UPE";
    /// No such cluster.
    NO_CLUSTER = 24, "NC";
    /// The proxy is overloaded.
    OVERLOAD_MANAGER = 25, "OM";
    /// The version's name was not resolved.
    DNS_FAILURE = 26, "DF";
    /// The cluster sheds load.
    DROP_OVERLOAD = 27, "DO";
    /// The caller reset the stream.
    DOWNSTREAM_RESET = 28, "DR";
    /// The cluster sheds all load.
    UNCONDITIONAL_DROP = 29, "UDO";
}

impl Flags {
    /// These and those.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any flag is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
