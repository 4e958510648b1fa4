//! Rules: header-based routing.

use super::Condition;
use crate::policy::decode::{List, Pairs, Whole, record};
use crate::policy::value::{Name, Text};

record! {
    /// A condition that decides before the share does. A forced variant does not change what the
    /// share gives the same caller without the rule.
    pub struct Rule {
        /// Unique within the route; shown in explanations.
        "name" => name: Name,
        /// All must hold.
        "when" => when: List<Condition>,
        /// What happens then.
        "then" => then: Then,
    }
}

record! {
    /// What a rule does: `variant` or `respond` decide and end the list; `setHeaders` alone goes
    /// on to the next rule.
    pub struct Then {
        /// The variant's name, or `stable`.
        "variant" => variant: Option<Name>,
        /// Whether the rule's variant is reached while its gate is shut: for testers. Otherwise the
        /// request goes to stable then, and gets no headers of the rule. Default: `false`.
        "evenShut" => even_shut: Option<bool>,
        /// An answer from the proxy itself.
        "respond" => respond: Option<Respond>,
        /// Headers set on the request.
        "setHeaders" => set_headers: Option<Pairs>,
    }
}

record! {
    /// An answer from the proxy itself; the request goes nowhere.
    pub struct Respond {
        /// The status.
        "status" => status: Whole<200, 599>,
        /// Headers of the answer.
        "headers" => headers: Option<Pairs>,
        /// Its body.
        "body" => body: Option<Text>,
    }
}
