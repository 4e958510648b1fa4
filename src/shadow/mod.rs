//! Whom to copy, what differs between two answers, and what of that is noise.
