//! A strict fake of the proxy that loads the compiled filter: counts and faults.
