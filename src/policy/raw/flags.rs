//! Feature flags.

use super::{Condition, HashScheme, Key, Limit};
use crate::policy::decode::{List, record};
use crate::policy::value::{Day, HeaderValue, Name, Percent, Period, Text};

record! {
    /// A feature flag: decided once a request, told to the upstream.
    pub struct Flag {
        /// Unique.
        "name" => name: Name,
        /// What makes a caller sticky; as a route's.
        "key" => key: Option<List<Key>>,
        /// As a route's. Default: the flag's name.
        "salt" => salt: Option<Text>,
        /// As a route's.
        "hash" => hash: Option<HashScheme>,
        /// The value of those whom nothing else decides for.
        "default" => default: HeaderValue,
        /// Values by share.
        "values" => values: Option<List<FlagValue>>,
        /// Conditions that decide before the share does, in order.
        "rules" => rules: Option<List<FlagRule>>,
        /// When the flag gives way under load.
        "shedWhen" => shed_when: Option<ShedWhen>,
        /// The day from which `serinus check` and the log say that it is old.
        "expires" => expires: Option<Day>,
    }
}

record! {
    /// A value and how many of the callers get it.
    pub struct FlagValue {
        /// The value.
        "value" => value: HeaderValue,
        /// How many get it.
        "share" => share: Percent,
    }
}

record! {
    /// A condition that decides before the share does.
    pub struct FlagRule {
        /// Unique within the flag.
        "name" => name: Name,
        /// All must hold.
        "when" => when: List<Condition>,
        /// What happens then.
        "then" => then: FlagThen,
    }
}

record! {
    /// What a flag's rule does.
    pub struct FlagThen {
        /// The value.
        "value" => value: HeaderValue,
    }
}

record! {
    /// When a flag gives way under load.
    pub struct ShedWhen {
        /// Whose signals.
        "route" => route: Name,
        /// Any of these.
        "limits" => limits: Vec<Limit>,
        /// How long they must be good again.
        "restoreAfter" => restore_after: Option<Period>,
    }
}
