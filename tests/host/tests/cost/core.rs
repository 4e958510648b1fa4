//! What the core costs without a host: `benches/core`, compiled and made small as the filter is.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use wasmtime::{Config, Engine, Instance, Module, Store};

use crate::limits::workspace;
use crate::table::Measured;

const FUEL: u64 = 10_000_000_000;

/// A module and how it is run.
struct Compiled {
    module: Module,
    counts: bool,
}

fn compiled(counts: bool) -> Compiled {
    let path = workspace().join("target/serinus-core-bench.wasm");
    let mut config = Config::new();
    config.consume_fuel(counts);
    let engine = Engine::new(&config).expect("an engine for this machine");
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{} ({error}): run `make core-bench`", path.display()));
    Compiled {
        module: Module::new(&engine, bytes).expect("a module"),
        counts,
    }
}

static COUNTED: LazyLock<Compiled> = LazyLock::new(|| compiled(true));
static TIMED: LazyLock<Compiled> = LazyLock::new(|| compiled(false));

/// An instance of the core.
pub struct Core {
    store: Store<()>,
    instance: Instance,
    counts: bool,
}

/// What a run came to.
pub struct Run {
    /// Without those of the call itself; 0 if they are not counted.
    pub instructions: u64,
    /// What the run says of its work.
    pub result: u32,
}

impl Core {
    /// The cases of `benches/core`.
    pub const SLOT: u32 = 0;
    pub const DECIDE: u32 = 1;
    pub const ASSIGN: u32 = 2;
    pub const EQUAL: u32 = 3;
    pub const REWRITTEN: u32 = 4;
    pub const DIFFERENT: u32 = 5;
    pub const MEMBERS: u32 = 6;
    pub const READ: u32 = 7;

    /// One that counts instructions.
    pub fn new() -> Self {
        Self::of(&COUNTED)
    }

    fn of(compiled: &Compiled) -> Self {
        let mut store = Store::new(compiled.module.engine(), ());
        if compiled.counts {
            store.set_fuel(FUEL).expect("fuel is counted");
        }
        let instance = Instance::new(&mut store, &compiled.module, &[]).expect("an instance");
        Self {
            store,
            instance,
            counts: compiled.counts,
        }
    }

    fn prepare(&mut self, case: u32, size: u32, differing: u32) {
        let prepare = self
            .instance
            .get_typed_func::<(u32, u32, u32), u32>(&mut self.store, "prepare");
        let prepared = prepare
            .expect("prepare")
            .call(&mut self.store, (case, size, differing))
            .expect("no trap");
        assert_eq!(prepared, 1, "case {case} is known");
    }

    fn run(&mut self, export: &str) -> Run {
        let run = self
            .instance
            .get_typed_func::<(), u32>(&mut self.store, export)
            .expect("the export");
        if self.counts {
            self.store.set_fuel(FUEL).expect("fuel is counted");
        }
        let result = run.call(&mut self.store, ()).expect("no trap");
        let left = if self.counts {
            self.store.get_fuel().expect("fuel is counted")
        } else {
            FUEL
        };
        Run {
            instructions: FUEL - left,
            result,
        }
    }

    /// The second run of a case: what is allocated once is there.
    pub fn prepared(&mut self, case: u32, size: u32, differing: u32) -> Run {
        self.prepare(case, size, differing);
        self.run("run");
        let call = self.run("idle").instructions;
        let run = self.run("run");
        Run {
            instructions: run.instructions - call,
            ..run
        }
    }
}

/// The size of the bodies whose comparison has a limit.
const BODY: u32 = 10_000;

/// Every cost of the core.
pub fn measured() -> Vec<Measured> {
    let cases = [
        ("core: a key of 36 bytes to its slot", Core::SLOT, 0),
        ("core: reading 13 header lines", Core::READ, 0),
        ("core: an assignment, the lines read", Core::DECIDE, 0),
        ("core: an assignment and its edits", Core::ASSIGN, 0),
        ("core: comparing 10 kB, equal", Core::EQUAL, 0),
        ("core: comparing 10 kB, same values", Core::REWRITTEN, 0),
        (
            "core: comparing 10 kB, one value differs",
            Core::DIFFERENT,
            1,
        ),
        (
            "core: comparing 10 kB, all values differ",
            Core::DIFFERENT,
            BODY,
        ),
    ];
    let measure = |(name, case, differing): (&str, u32, u32)| {
        let run = Core::new().prepared(case, BODY, differing);
        let compares = (Core::EQUAL..=Core::MEMBERS).contains(&case);
        assert_eq!(run.result > 0, differing > 0 || !compares, "{name}");
        println!("{name}: {:?} in wasmtime", time(case, differing));
        Measured {
            name: name.to_owned(),
            instructions: run.instructions,
            calls: None,
        }
    };
    let mut all: Vec<Measured> = cases.into_iter().map(measure).collect();
    let decide = &all[2];
    let instructions = decide.instructions - all[1].instructions;
    all[2] = Measured {
        instructions,
        ..decide.clone()
    };
    all
}

/// The median of some runs, by the wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the time is printed and never asserted"
)]
fn time(case: u32, differing: u32) -> Duration {
    const RUNS: usize = 31;
    let mut core = Core::of(&TIMED);
    core.prepare(case, BODY, differing);
    let took = |_| {
        let began = Instant::now();
        core.run("run");
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..RUNS).map(took).collect();
    times.sort();
    times[RUNS / 2]
}
