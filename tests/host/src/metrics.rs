//! Metrics: one value per kind and name for the whole process, handles per VM.
//!
//! Measured: defining a name again gives a new handle to the same value; a counter refuses an
//! increment below 1; recording a counter adds; a gauge wraps below zero; a histogram cannot be
//! read. The two low bits of a handle are its kind (Envoy's `kMetricTypeMask`).

use std::collections::BTreeMap;

use crate::abi::Status;

/// The kinds of the ABI, by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric of the process.
type Series = (Kind, String);

/// The values, shared by all VMs: a counter's or gauge's value, a histogram's samples.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    values: BTreeMap<Series, u64>,
    samples: BTreeMap<String, Vec<u64>>,
}

impl Metrics {
    /// The value of a counter or gauge.
    pub fn value(&self, name: &str) -> Option<u64> {
        let of_kind = |kind| self.values.get(&(kind, name.to_owned()));
        of_kind(Kind::Counter)
            .or_else(|| of_kind(Kind::Gauge))
            .copied()
    }

    /// The values recorded in a histogram, in order.
    pub fn samples(&self, name: &str) -> Option<&[u64]> {
        self.samples.get(name).map(Vec::as_slice)
    }

    /// The names of all defined metrics, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.values.keys().map(|(_, name)| name.clone()).collect();
        names.extend(self.samples.keys().cloned());
        names.sort();
        names
    }
}

/// The handles of one VM.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    series: BTreeMap<u32, Series>,
    defined: u32,
}

impl Handles {
    /// Defines a metric; its new handle, or the error for a kind above 2.
    pub fn define(&mut self, all: &mut Metrics, kind: u32, name: String) -> Result<u32, Status> {
        let kind = match kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Histogram,
            _ => return Err(Status::BadArgument),
        };
        if kind == Kind::Histogram {
            all.samples.entry(name.clone()).or_default();
        } else {
            all.values.entry((kind, name.clone())).or_default();
        }
        self.defined += 1;
        let handle = self.defined << 2 | kind as u32;
        self.series.insert(handle, (kind, name));
        Ok(handle)
    }

    pub fn increment(&self, all: &mut Metrics, handle: u32, offset: i64) -> Status {
        match self.series.get(&handle) {
            None if handle & 3 > Kind::Gauge as u32 => Status::BadArgument,
            None => Status::NotFound,
            Some((Kind::Histogram, _)) => Status::BadArgument,
            Some((Kind::Counter, _)) if offset <= 0 => Status::BadArgument,
            Some(series) => {
                let value = all.values.entry(series.clone()).or_default();
                *value = value.wrapping_add_signed(offset);
                Status::Ok
            }
        }
    }

    pub fn record(&self, all: &mut Metrics, handle: u32, value: u64) -> Status {
        match self.series.get(&handle) {
            None => return Status::NotFound,
            Some(series @ (Kind::Counter, _)) => {
                *all.values.entry(series.clone()).or_default() += value;
            }
            Some(series @ (Kind::Gauge, _)) => {
                all.values.insert(series.clone(), value);
            }
            Some((Kind::Histogram, name)) => {
                all.samples.entry(name.clone()).or_default().push(value);
            }
        }
        Status::Ok
    }

    pub fn get(&self, all: &Metrics, handle: u32) -> Result<u64, Status> {
        match self.series.get(&handle) {
            None if handle & 3 > Kind::Gauge as u32 => Err(Status::BadArgument),
            None => Err(Status::NotFound),
            Some((Kind::Histogram, _)) => Err(Status::BadArgument),
            Some(series) => Ok(all.values.get(series).copied().unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: u32 = 0;
    const GAUGE: u32 = 1;
    const HISTOGRAM: u32 = 2;

    fn defined(kind: u32) -> (Metrics, Handles, u32) {
        let (mut all, mut handles) = (Metrics::default(), Handles::default());
        let handle = handles
            .define(&mut all, kind, "m".to_owned())
            .expect("a known kind");
        (all, handles, handle)
    }

    #[test]
    fn a_counter_refuses_an_increment_below_one_and_adds_what_is_recorded() {
        let (mut all, handles, counter) = defined(COUNTER);
        assert_eq!(handles.increment(&mut all, counter, 0), Status::BadArgument);
        assert_eq!(
            handles.increment(&mut all, counter, -1),
            Status::BadArgument
        );
        assert_eq!(handles.increment(&mut all, counter, 2), Status::Ok);
        assert_eq!(handles.record(&mut all, counter, 5), Status::Ok);
        assert_eq!(handles.get(&all, counter), Ok(7));
    }

    #[test]
    fn a_gauge_keeps_the_last_record_and_wraps_below_zero() {
        let (mut all, handles, gauge) = defined(GAUGE);
        handles.record(&mut all, gauge, 9);
        handles.record(&mut all, gauge, 1);
        handles.increment(&mut all, gauge, -4);
        assert_eq!(all.value("m"), Some(u64::MAX - 2));
    }

    #[test]
    fn a_histogram_is_recorded_but_neither_read_nor_incremented() {
        let (mut all, handles, histogram) = defined(HISTOGRAM);
        assert_eq!(handles.record(&mut all, histogram, 3), Status::Ok);
        assert_eq!(handles.get(&all, histogram), Err(Status::BadArgument));
        assert_eq!(
            handles.increment(&mut all, histogram, 1),
            Status::BadArgument
        );
        assert_eq!(all.samples("m"), Some(&[3][..]));
    }

    #[test]
    fn defining_again_gives_a_new_handle_to_the_same_value() {
        let (mut all, mut handles, first) = defined(COUNTER);
        let second = handles
            .define(&mut all, COUNTER, "m".to_owned())
            .expect("a counter");
        assert_ne!(first, second);
        handles.increment(&mut all, first, 1);
        assert_eq!(handles.get(&all, second), Ok(1));
    }

    #[test]
    fn an_unknown_handle_and_an_unknown_kind_are_refused() {
        let (mut all, mut handles, _) = defined(COUNTER);
        assert_eq!(handles.increment(&mut all, 400, 1), Status::NotFound);
        assert_eq!(handles.increment(&mut all, 403, 1), Status::BadArgument);
        assert_eq!(handles.record(&mut all, 402, 1), Status::NotFound);
        assert_eq!(
            handles.define(&mut all, 3, "m".to_owned()),
            Err(Status::BadArgument)
        );
    }
}
