//! Feature flags.

use super::{Condition, HashScheme, Key, Limit};
use crate::policy::decode::{List, record};
use crate::policy::value::{Day, FlagText, Name, Percent, Period, Text};

record! {
    /// A feature flag: decided once a request, and told to the upstream in the header
    /// `x-serinus-flags`, a dictionary of RFC 9651: `rec_engine="on", search="v2"`.
    pub struct Flag {
        /// Unique, and beginning with a letter; the label `flag` of its metrics.
        "name" => name: Name,
        /// What makes a caller sticky, as a route's. A flag gives out no cookie; it takes the one that
        /// a route gives out, by `cookie`, on the very request that gets it.
        "key" => key: Option<List<Key>>,
        /// Hashed with the key. A flag with the salt of a route draws the very callers that the route
        /// draws. Default: `flag:` and the flag's name, which no route's default is.
        "salt" => salt: Option<Text>,
        /// How a key becomes a slot, as a route's. With another vendor's hash the values lie end to
        /// end in their order, as that vendor's do. Default: `serinus`.
        "hash" => hash: Option<HashScheme>,
        /// The value of those whom nothing else decides for, and of everybody while the flag is shed.
        "default" => default: FlagText,
        /// The other values, and how many callers get them; at most 16. Who gets none of them gets
        /// the default.
        "values" => values: Option<List<FlagValue>>,
        /// Conditions that decide before the share does, in order; at most 200.
        "rules" => rules: Option<List<FlagRule>>,
        /// When the flag gives way under load.
        "shedWhen" => shed_when: Option<ShedWhen>,
        /// The day from which `serinus check`, the log and the state document say that it is old.
        "expires" => expires: Option<Day>,
    }
}

record! {
    /// A value and how many of the callers get it. The first owns slots from 0 upward, the second from
    /// the top downward, a third and later from its `from`: raising one share moves nobody out of
    /// another. All shares together are at most 100%.
    pub struct FlagValue {
        /// The value; `default`'s may be among them.
        "value" => value: FlagText,
        /// How many get it; `0%` for one that only rules give.
        "share" => share: Percent,
        /// Where its slots begin; required from the third value on, and of no use with another
        /// vendor's hash.
        "from" => from: Option<Percent>,
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
        /// The value: one of `values`, or the default.
        "value" => value: FlagText,
    }
}

record! {
    /// When a flag gives way under load: it has its default for everybody while a route's signal is
    /// bad. It is judged once a second over all requests of the route, and holds on all workers.
    pub struct ShedWhen {
        /// Whose signals.
        "route" => route: Name,
        /// Each of these is enough: `errorRate`, `p50`, `p95` or `p99`, `above` a bound `for` a time;
        /// at most 16.
        "limits" => limits: Vec<Limit>,
        /// How long no limit may be crossed, with requests, until it is itself again; `1s` to `1d`.
        /// Default: `60s`.
        "restoreAfter" => restore_after: Option<Period>,
    }
}
