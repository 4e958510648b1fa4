//! Whom to copy, what differs between two answers, and what of that is noise.
//!
//! | module | what is decided there |
//! | --- | --- |
//! | [`settings`] | nothing: what the policy says |
//! | [`sample`] | whether a request is copied, and if not, why not |
//! | [`shape`] | the headers of the copy |
//! | [`budget`] | what copies may cost, and when they are given up for a while |
//! | [`capture`] | one answer as it comes, and what became of a call |
//! | [`join`] | which answers belong together |
//! | [`route`] | nothing: it brings all of this together for the proxy's side |
//! | [`compare`] | what differs between two answers to one request |
//! | [`verdict`] | whether those differences are a regression or the noise of stable itself |
//! | [`mod@line`] | how a difference is told to the log |
//! | [`tally`] | what is counted of all that |
//! | [`stored`] | counts and evidence of all workers, as bytes |

pub mod budget;
pub mod capture;
pub mod compare;
mod crc32;
pub mod join;
pub mod line;
pub mod route;
pub mod sample;
pub mod settings;
pub mod shape;
pub mod stored;
pub mod tally;
#[cfg(test)]
mod testing;
pub mod verdict;

pub use route::{PENDING, RouteShadow, Told};
pub use settings::{Comparing, Settings};
