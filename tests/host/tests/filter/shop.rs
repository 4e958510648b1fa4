//! A proxy under traffic: callers who come back to all workers, and two versions that answer as a
//! test says.

use serinus_host_tests::{Filter, LogLevel, Process, Response};

use crate::{beats, document, of_caller, series, worker_of};

/// Callers that each worker takes in a beat.
const CALLERS: u32 = 10;
/// How many callers there are.
const ALL: u32 = 2_000;

/// The statuses with which stable and the canary answer.
pub type Answers = (u16, u16);

pub const GOOD: Answers = (200, 200);
pub const FAILING: Answers = (200, 503);
pub const OUTAGE: Answers = (503, 503);

/// What the gate's gauges may say of its state.
const STATES: [&str; 3] = ["open", "probing", "shut"];

/// The proxy.
pub struct Shop {
    pub process: Process,
    pub workers: Vec<Filter>,
    policy: String,
    next: u32,
}

impl Shop {
    /// A new proxy with so many workers.
    pub fn new(workers: usize, policy: &str) -> Self {
        let mut shop = Self {
            process: Process::new(),
            workers: Vec::new(),
            policy: policy.to_owned(),
            next: 0,
        };
        (0..workers).for_each(|_| shop.add_worker());
        shop
    }

    /// One whose gate was shut by a failing canary.
    #[track_caller]
    pub fn shut(workers: usize, policy: &str) -> Self {
        let mut shop = Self::new(workers, policy);
        shop.seconds(4, GOOD);
        shop.beats_until("shut", 12, FAILING);
        shop.seconds(1, GOOD);
        assert_eq!(shop.let_in(), 0);
        shop
    }

    /// A worker in a new VM.
    pub fn add_worker(&mut self) {
        self.workers.push(worker_of(&self.process, &self.policy));
    }

    /// All workers get another policy.
    pub fn configure(&mut self, policy: &str) {
        policy.clone_into(&mut self.policy);
        for filter in &mut self.workers {
            assert!(filter.configure(policy).accepted);
        }
    }

    /// Callers come to each worker, then all are woken. Every fiftieth request fails on either side
    /// whatever is said, so that rates are no zeros.
    pub fn beat(&mut self, answers: Answers) {
        self.callers(answers);
        beats(&self.process, &mut self.workers, 1);
    }

    /// The callers of a beat, whom no tick follows.
    pub fn callers(&mut self, (stable, canary): Answers) {
        for filter in &mut self.workers {
            for _ in 0..CALLERS {
                self.next = self.next.wrapping_add(1);
                let answer = |variant: &str| match (self.next % 50, variant) {
                    (0, _) => 503,
                    (_, "stable") => stable,
                    (_, _) => canary,
                };
                sent(filter, self.next % ALL, answer);
            }
        }
    }

    pub fn seconds(&mut self, seconds: u32, answers: Answers) {
        (0..seconds * 4).for_each(|_| self.beat(answers));
    }

    /// Beats until the gate's gauges tell this state; fails after so many.
    #[track_caller]
    pub fn beats_until(&mut self, state: &str, most: u32, answers: Answers) -> u32 {
        let took = (1..=most).find(|_| {
            self.beat(answers);
            self.state() == state
        });
        took.unwrap_or_else(|| panic!("{} after {most} beats, not {state}", self.state()))
    }

    /// How many of 40 callers at each worker reach the canary.
    pub fn let_in(&mut self) -> usize {
        self.workers
            .iter_mut()
            .map(|filter| reached(filter, 0..40).len())
            .sum()
    }

    /// A gauge or counter of the canary's gate.
    pub fn gate(&self, label: &str, value: &str, metric: &str) -> u64 {
        let label = match label {
            "" => String::new(),
            _ => format!("{label}=.={value};.;"),
        };
        let name = series("canary", &label, metric);
        let told = self.process.metric(&name);
        told.unwrap_or_else(|| panic!("no {name}: {:#?}", self.process.metric_names()))
    }

    /// The one state that the gauges tell.
    #[track_caller]
    pub fn state(&self) -> &'static str {
        let told: Vec<_> = STATES
            .into_iter()
            .filter(|state| self.gate("state", state, "serinus_gate_state") == 1)
            .collect();
        let open = self.gate("", "", "serinus_gate_open");
        match told.as_slice() {
            [] => "untold",
            [state] => {
                assert_eq!(open == 1, *state == "open", "{state}");
                state
            }
            _ => panic!("{told:?} at once"),
        }
    }

    /// Changes into `open`, `probing` and `shut`, as counted by the proxy.
    pub fn changes(&self) -> [u64; 3] {
        STATES.map(|state| self.gate("state", state, "serinus_gate_changes_total"))
    }

    /// The warnings of all workers since they were last asked for.
    pub fn warnings(&mut self) -> Vec<String> {
        let lines = self.workers.iter_mut().flat_map(Filter::take_logs);
        let warnings = lines.filter(|line| line.level >= LogLevel::Warn);
        warnings.map(|line| line.text).collect()
    }

    /// What the state document of the first worker says of the gate.
    pub fn told(&mut self) -> serde_json::Value {
        let document = document(&mut self.workers[0]);
        let told = &document["routes"][0]["variants"][1];
        assert_eq!(told["variant"], "canary");
        told["gate"].clone()
    }
}

/// Which of these callers reach the canary.
pub fn reached(filter: &mut Filter, callers: std::ops::Range<u32>) -> Vec<u32> {
    callers
        .filter(|n| sent(filter, *n, |_| 200) == "canary")
        .collect()
}

/// The variant that the request of the `n`th caller went on with, which answered so.
fn sent(filter: &mut Filter, n: u32, answer: impl Fn(&str) -> u16) -> String {
    let (stream, _) = filter.open(&of_caller(n)).expect("an open stream");
    let variant = filter.forwarded(stream).text("x-serinus-variant");
    let variant = variant.unwrap_or("stable").to_owned();
    let status = answer(&variant);
    filter
        .respond(stream, &Response::status(status))
        .expect("an answer");
    filter.finish(stream).expect("an end");
    variant
}
