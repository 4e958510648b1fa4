//! Serinus: a canary filter for Envoy.
//!
//! One crate becomes one WebAssembly filter (feature `plugin`, target wasm32) and one native
//! command-line tool (feature `cli`) with the same core. The core is told the request, the time and
//! the random numbers, and gives values back:
//!
//! ```
//! use serinus::assign::gates::Gates;
//! use serinus::assign::ramp::Millis;
//! use serinus::policy;
//! use serinus::request::{Request, address};
//!
//! let policy = policy::read(
//!     br#"{"routes": [{"name": "shop", "key": [{"header": "x-user-id"}],
//!          "variants": [{"name": "canary", "share": "1%"}],
//!          "rules": [{"name": "employees", "when": [{"header": "x-employee", "exact": "true"}],
//!                     "then": {"variant": "canary"}}]}]}"#,
//! )
//! .unwrap_or_else(|refusal| panic!("{refusal}"));
//!
//! let source = || address(b"192.0.2.7");
//! let headers = [(&b":path"[..], &b"/cart"[..]), (b"x-user-id", b"anna"), (b"x-employee", b"true")];
//! let request = Request::new(&headers, &source);
//! let decision = policy.assigner.decide(&request, Millis(0), &Gates::OPEN, &mut || None);
//!
//! let route = decision.route.unwrap();
//! assert_eq!(route.side_name(decision.side), "canary");
//! assert_eq!(decision.reason.word(), "rule");
//! ```
//!
//! | folder | what is decided there |
//! | --- | --- |
//! | [`policy`] | text becomes a checked policy; the only place that knows JSON or YAML |
//! | [`request`] | a borrowed view of one request |
//! | [`assign`] | who gets which variant, and why |
//! | [`health`] | what happened, per route, variant and host |
//! | [`gate`] | whether the canary is worse than stable |
//! | [`shadow`] | whether the answers of two versions differ |
//! | [`rescue`] | which failures of a variant are answered by stable, and with what |
//! | [`report`] | what people and machines read of all that |
//! | `plugin` | the Envoy side; the only place that names the host |
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod assign;
mod bounds;
pub mod bucket;
pub mod gate;
pub mod health;
#[cfg(any(test, all(feature = "plugin", target_arch = "wasm32")))]
mod numbered;
#[cfg(all(feature = "plugin", target_arch = "wasm32"))]
mod plugin;
pub mod policy;
pub mod report;
pub mod request;
pub mod rescue;
pub mod shadow;
mod sorted;
mod text;
