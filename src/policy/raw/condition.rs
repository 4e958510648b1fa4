//! Conditions: what must hold for a rule, a page, an explanation.

use crate::policy::decode::{Empty, record};
use crate::policy::value::{Cidr, CookieName, HeaderName, SomeText, Text, Word};

record! {
    /// A condition: one subject (`header`, `cookie`, `query`, `path`, `host`, `method`, `jwtClaim`
    /// or `clientIp`) and one test of it (`exact`, `prefix`, `suffix`, `contains`, `regex`, `in`,
    /// `present`, `semver`, `number` or `cidr`). A subject that is absent passes no test but
    /// `present: false`. A header sent on several lines passes if one of its lines does.
    #[cfg_attr(feature = "cli", schemars(extend(
        "anyOf" = [
            {"required": ["header"]}, {"required": ["cookie"]}, {"required": ["query"]},
            {"required": ["path"]}, {"required": ["host"]}, {"required": ["method"]},
            {"required": ["jwtClaim"]}, {"required": ["clientIp"]}
        ],
        "oneOf" = [
            {"required": ["exact"]}, {"required": ["prefix"]}, {"required": ["suffix"]},
            {"required": ["contains"]}, {"required": ["regex"]}, {"required": ["in"]},
            {"required": ["present"]}, {"required": ["semver"]}, {"required": ["number"]},
            {"required": ["cidr"]}
        ])))]
    pub struct Condition {
        /// Subject: a header, by name. Beside `jwtClaim` the header that holds the token.
        "header" => header: Option<HeaderName>,
        /// Subject: a cookie, by name.
        "cookie" => cookie: Option<CookieName>,
        /// Subject: a parameter of the query, by name, decoded.
        "query" => query: Option<Word>,
        /// Subject: the path without the query.
        "path" => path: Option<Empty>,
        /// Subject: the host, in lower case and without the port.
        "host" => host: Option<Empty>,
        /// Subject: the method.
        "method" => method: Option<Empty>,
        /// Subject: a claim of a JSON Web Token, by name. It is read and not verified: place the
        /// filter behind one that verifies. Default of `header`: `authorization`.
        "jwtClaim" => jwt_claim: Option<Word>,
        /// Subject: the caller's address as the proxy sees it.
        "clientIp" => client_ip: Option<Empty>,
        /// Test: equal to this text.
        "exact" => exact: Option<Text>,
        /// Test: begins with this text.
        "prefix" => prefix: Option<SomeText>,
        /// Test: ends with this text.
        "suffix" => suffix: Option<SomeText>,
        /// Test: has this text somewhere.
        "contains" => contains: Option<SomeText>,
        /// Test: the whole value matches this regular expression. ASCII classes; no look-around, no
        /// back-references. Values over 2048 bytes and values that are not UTF-8 never match.
        "regex" => regex: Option<SomeText>,
        /// Test: equal to one of these texts.
        "in" => one_of: Option<Vec<Text>>,
        /// Test: whether it is there at all.
        "present" => present: Option<bool>,
        /// Test: a version within this range, as in `>=1.2.0, <2`. A leading `v` and missing parts
        /// of the version are filled in; pre-releases only match a range that names one.
        "semver" => semver: Option<SomeText>,
        /// Test: a number within this range, as in `>=10, <20`.
        "number" => number: Option<SomeText>,
        /// Test (`clientIp`, or a header that holds an address): within one of these ranges.
        "cidr" => cidr: Option<Vec<Cidr>>,
        /// Turns the condition round: it holds if the test does not pass. Default: `false`.
        "not" => not: Option<bool>,
    }
}

record! {
    /// A header that a route asks for, and one test of it. A header sent on several lines passes
    /// if one of its lines does.
    pub struct HeaderMatch {
        /// The header.
        "name" => name: HeaderName,
        /// Test: equal to this text.
        "exact" => exact: Option<Text>,
        /// Test: begins with this text.
        "prefix" => prefix: Option<SomeText>,
        /// Test: ends with this text.
        "suffix" => suffix: Option<SomeText>,
        /// Test: has this text somewhere.
        "contains" => contains: Option<SomeText>,
        /// Test: the whole value matches this regular expression.
        "regex" => regex: Option<SomeText>,
        /// Test: equal to one of these texts.
        "in" => one_of: Option<Vec<Text>>,
        /// Test: whether it is there at all.
        "present" => present: Option<bool>,
        /// Turns the test round. Default: `false`.
        "not" => not: Option<bool>,
    }
}
