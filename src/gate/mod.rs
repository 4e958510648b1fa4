//! Is the canary worse than stable: detector, limits, error budget, the gate's states.
