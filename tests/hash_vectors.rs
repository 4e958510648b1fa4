//! Every case of the five schemes: through the library on the target at hand, and natively
//! through `serinus hash`. On wasm32 this runs in Node.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod vectors;

/// One list of checks for both targets.
macro_rules! checks {
    ($($name:ident)*) => {$(
        #[cfg_attr(not(target_arch = "wasm32"), test)]
        #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
        fn $name() {
            vectors::$name();
        }
    )*};
}

checks! {
    murmur3_gives_the_reference_hash
    slots_and_sides_are_those_of_the_default_scheme
    unleash_gives_the_engines_value_and_side
    flagd_takes_the_same_variant_and_side
    launchdarkly_gives_the_sdks_bucket_and_side
}
