//! Whom to copy, what differs between two answers, and what of that is noise.
//!
//! | module | what is decided there |
//! | --- | --- |
//! | [`compare`] | what differs between two answers to one request |
//! | [`verdict`] | whether those differences are a regression or the noise of stable itself |

pub mod compare;
mod crc32;
pub mod verdict;
