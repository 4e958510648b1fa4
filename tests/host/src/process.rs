//! What all workers of one proxy share.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::metrics::Metrics;
use crate::shared_data::SharedData;

/// The VM id under which all filters here run; it names their part of the shared data.
pub const VM_ID: &str = "serinus";

/// The clock of a new process: 2026-11-21T09:00:00Z.
pub const START: Duration = Duration::from_secs(1_795_251_600);

/// One proxy: give it to each [`Filter`](crate::Filter) that is to be one of its workers.
#[derive(Clone, Debug)]
pub struct Process(Rc<RefCell<ProcessState>>);

#[derive(Debug)]
pub(crate) struct ProcessState {
    pub shared_data: SharedData,
    pub metrics: Metrics,
    pub clusters: BTreeSet<String>,
    pub now: Duration,
    random: u64,
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// A proxy without shared data, metrics or clusters, at [`START`].
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(ProcessState {
            shared_data: SharedData::default(),
            metrics: Metrics::default(),
            clusters: BTreeSet::new(),
            now: START,
            random: 0,
        })))
    }

    pub(crate) fn state(&self) -> Ref<'_, ProcessState> {
        self.0.borrow()
    }

    pub(crate) fn state_mut(&self) -> RefMut<'_, ProcessState> {
        self.0.borrow_mut()
    }

    /// Sets the wall clock, as time since the Unix epoch. It stands still inside a callback,
    /// where Envoy's moves, so that a test's results do not depend on the machine.
    pub fn set_time(&self, since_epoch: Duration) {
        self.state_mut().now = since_epoch;
    }

    /// Moves the wall clock forward.
    pub fn advance(&self, by: Duration) {
        self.state_mut().now += by;
    }

    /// Seeds what `random_get` answers.
    pub fn seed(&self, seed: u64) {
        self.state_mut().random = seed;
    }

    /// Lets HTTP calls name this cluster; a call to any other is refused with `BadArgument`.
    pub fn add_cluster(&self, name: &str) {
        self.state_mut().clusters.insert(name.to_owned());
    }

    /// A value of the shared data.
    pub fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state
            .shared_data
            .get(VM_ID, key.as_bytes())
            .map(|(value, _)| value.clone())
    }

    /// The keys of the shared data, sorted.
    pub fn shared_keys(&self) -> Vec<String> {
        self.state().shared_data.keys(VM_ID)
    }

    /// Writes shared data as another plugin, or another version of this one, would.
    pub fn put_shared_data(&self, key: &str, value: impl AsRef<[u8]>) {
        self.state_mut()
            .shared_data
            .set(VM_ID, key.as_bytes(), value.as_ref(), 0);
    }

    /// The value of a counter or gauge; none if it was never defined.
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.state().metrics.value(name)
    }

    /// The values recorded in a histogram, in order; none if it was never defined.
    pub fn samples(&self, name: &str) -> Option<Vec<u64>> {
        self.state().metrics.samples(name).map(<[u64]>::to_vec)
    }

    /// The names of all metrics, sorted.
    pub fn metric_names(&self) -> Vec<String> {
        self.state().metrics.names()
    }
}

impl ProcessState {
    /// The next bytes of `random_get`: splitmix64, which is enough to differ and to repeat.
    pub fn random_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((z ^ (z >> 31)).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
