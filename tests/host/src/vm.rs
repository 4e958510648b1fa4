//! One VM: the module's instance, calls into it, and the host calls that come out of it.

use std::fmt;

use wasmtime::{Caller, Error, FuncType, Instance, Linker, Memory, Module, Store, Trap, Val};
use wasmtime::{ValType, bail, format_err};

use crate::abi::Callback;
use crate::functions::{Arg, Args, FUNCTIONS, HostFunction, Output, Param};
use crate::process::Process;
use crate::request::LogLine;
use crate::state::{Refusal, State};

/// The most instructions of one callback: some seconds. A callback that needs more hangs.
const FUEL: u64 = 2_000_000_000;

/// Why a callback did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The filter trapped: in Envoy, every stream of this worker gets a 503.
    Trap,
    /// The filter made a host call that the test did not allow.
    NotAllowed,
    /// The filter used a host call as no filter may.
    Misuse,
    /// The filter did not come to an end.
    Endless,
}

/// A callback that did not return. Its VM is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// Where.
    pub callback: Callback,
    /// What happened, for people.
    pub message: String,
    /// The last lines that the filter logged: a panic's message is among them.
    pub logs: Vec<LogLine>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}: {}", self.kind, self.callback, self.message)?;
        for line in &self.logs {
            write!(f, "\n  log {:?}: {}", line.level, line.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// A running module.
pub(crate) struct Vm {
    store: Store<State>,
    instance: Instance,
    spent: u64,
    dead: bool,
}

impl Vm {
    /// Starts a module and lets it initialize itself.
    pub fn start(module: &Module, process: &Process) -> Result<Self, Failure> {
        let mut store = Store::new(module.engine(), State::new(process.clone()));
        let start =
            set_fuel(&mut store).and_then(|()| linker(module)?.instantiate(&mut store, module));
        let instance = start.map_err(|error| failure(&store, Callback::Initialize, &error))?;
        let mut vm = Self {
            store,
            instance,
            spent: 0,
            dead: false,
        };
        vm.call(Callback::Initialize, 0, &[])?;
        Ok(vm)
    }

    pub fn state(&self) -> &State {
        self.store.data()
    }

    pub fn state_mut(&mut self) -> &mut State {
        self.store.data_mut()
    }

    /// Instructions of all callbacks that returned.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Size of the module's memory in bytes.
    pub fn memory_size(&mut self) -> usize {
        let memory = self.instance.get_memory(&mut self.store, "memory");
        memory.expect("a memory").data_size(&self.store)
    }

    /// Bytes of the module's memory.
    ///
    /// # Panics
    /// If they are not all in the memory.
    pub fn memory(&mut self, address: usize, length: usize) -> Vec<u8> {
        let memory = self
            .instance
            .get_memory(&mut self.store, "memory")
            .expect("a memory");
        memory.data(&self.store)[address..address + length].to_vec()
    }

    /// Calls into the module; none if it does not export the callback or returns nothing.
    pub fn call(
        &mut self,
        callback: Callback,
        context: u32,
        args: &[u32],
    ) -> Result<Option<u32>, Failure> {
        assert!(
            !self.dead,
            "{callback} on a VM that is dead since an earlier failure"
        );
        let Some(export) = self.instance.get_func(&mut self.store, callback.export()) else {
            return Ok(None);
        };
        self.state_mut().enter(callback, context);
        let args: Vec<_> = args.iter().map(|arg| Val::I32(arg.cast_signed())).collect();
        let mut results = vec![Val::I32(0); export.ty(&self.store).results().len()];
        let called = set_fuel(&mut self.store)
            .and_then(|()| export.call(&mut self.store, &args, &mut results))
            .and_then(|()| self.store.get_fuel());
        match called {
            Ok(left) => self.spend(context, FUEL - left),
            Err(error) => {
                self.dead = true;
                return Err(failure(&self.store, callback, &error));
            }
        }
        Ok(results.first().and_then(Val::i32).map(i32::cast_unsigned))
    }

    fn spend(&mut self, context: u32, instructions: u64) {
        self.spent += instructions;
        if let Some(stream) = self.state_mut().streams.get_mut(&context) {
            stream.instructions += instructions;
        }
    }
}

fn set_fuel(store: &mut Store<State>) -> Result<(), Error> {
    store.set_fuel(FUEL)
}

fn failure(store: &Store<State>, callback: Callback, error: &Error) -> Failure {
    const LOG_LINES: usize = 5;
    let (kind, message) = match (&store.data().refusal, error.downcast_ref::<Trap>()) {
        (Some(Refusal::NotAllowed(what)), _) => (FailureKind::NotAllowed, what.clone()),
        (Some(Refusal::Misuse(what)), _) => (FailureKind::Misuse, what.clone()),
        (None, Some(Trap::OutOfFuel)) => (FailureKind::Endless, format!("{FUEL} instructions")),
        (None, _) => (FailureKind::Trap, format!("{error:#}")),
    };
    Failure {
        kind,
        callback,
        message,
        logs: store.data().last_logs(LOG_LINES),
    }
}

fn linker(module: &Module) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(module.engine());
    for function in FUNCTIONS {
        let params = function
            .params
            .iter()
            .flat_map(|param| param.types())
            .cloned();
        let ty = FuncType::new(module.engine(), params, [ValType::I32]);
        linker.func_new(
            function.module,
            function.name,
            ty,
            |caller, args, results| {
                results[0] = Val::I32(host_call(function, caller, args)?.cast_signed());
                Ok(())
            },
        )?;
    }
    Ok(linker)
}

/// One call of the module into the host, from its arguments to its results.
fn host_call(
    function: &'static HostFunction,
    caller: Caller<'_, State>,
    raw: &[Val],
) -> Result<u32, Error> {
    let mut guest = Guest::new(caller)?;
    let (args, places) = guest.read(function, raw)?;
    let state = guest.caller.data_mut();
    state.record(function.name, args.subject());
    if state.refusal.is_some() {
        bail!("refused by the host");
    }
    let struck = state.faults.strike(function);
    let reply = struck.unwrap_or_else(|| (function.run)(state, &args));
    if state.refusal.is_some() {
        bail!("refused by the host");
    }
    for (place, output) in places.into_iter().zip(reply.outputs) {
        guest.write(place, output)?;
    }
    Ok(reply.status)
}

/// Where the module wants a result.
enum Place {
    Bytes { address: u32, length: u32 },
    U32(u32),
    U64(u32),
    Fill { address: u32 },
}

/// The module's memory in a host call.
struct Guest<'a> {
    caller: Caller<'a, State>,
    memory: Memory,
}

impl<'a> Guest<'a> {
    fn new(mut caller: Caller<'a, State>) -> Result<Self, Error> {
        let memory = caller
            .get_export("memory")
            .and_then(wasmtime::Extern::into_memory);
        let memory = memory.ok_or_else(|| format_err!("the module exports no memory"))?;
        Ok(Self { caller, memory })
    }

    fn read(&self, function: &HostFunction, raw: &[Val]) -> Result<(Args, Vec<Place>), Error> {
        let (mut args, mut places) = (Args::default(), Vec::new());
        let mut raw = raw.iter();
        let mut long = || match raw.next() {
            Some(Val::I32(number)) => number.cast_unsigned().into(),
            Some(Val::I64(number)) => number.cast_unsigned(),
            other => panic!("{}: {other:?} where the table has a number", function.name),
        };
        for param in function.params {
            let first = long();
            let mut int = || long() as u32;
            match param {
                Param::Int => args.0.push(Arg::Int(first as u32)),
                Param::Long => args.0.push(Arg::Long(first)),
                Param::Bytes => args.0.push(Arg::Bytes(self.bytes(first as u32, int())?)),
                Param::BytesOut => places.push(Place::Bytes {
                    address: first as u32,
                    length: int(),
                }),
                Param::U32Out => places.push(Place::U32(first as u32)),
                Param::U64Out => places.push(Place::U64(first as u32)),
                Param::Fill => {
                    places.push(Place::Fill {
                        address: first as u32,
                    });
                    args.0.push(Arg::Int(int()));
                }
            }
        }
        Ok((args, places))
    }

    /// Envoy answers a pointer outside the memory with a status; here it fails the test.
    fn bytes(&self, address: u32, length: u32) -> Result<Vec<u8>, Error> {
        let range = address as usize..address as usize + length as usize;
        let bytes = self.memory.data(&self.caller).get(range);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| outside(address))
    }

    fn write(&mut self, place: Place, output: Output) -> Result<(), Error> {
        match (place, output) {
            (_, Output::Unwritten) => Ok(()),
            (Place::Bytes { address, length }, Output::Bytes(bytes)) => {
                let at = self.allocate(&bytes)?;
                self.put(address, &at.to_le_bytes())?;
                self.put(length, &(bytes.len() as u32).to_le_bytes())
            }
            (Place::Bytes { address, length }, _) => {
                self.put(address, &[0; 4])?;
                self.put(length, &[0; 4])
            }
            (Place::Fill { address }, Output::Bytes(bytes)) => self.put(address, &bytes),
            (Place::Fill { .. }, _) => Ok(()),
            (Place::U32(at), output) => self.put(at, &(output.number() as u32).to_le_bytes()),
            (Place::U64(at), output) => self.put(at, &output.number().to_le_bytes()),
        }
    }

    fn put(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        let memory = self.memory.data_mut(&mut self.caller);
        let range = address as usize..address as usize + bytes.len();
        memory
            .get_mut(range)
            .ok_or_else(|| outside(address))?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// Copies bytes into memory that the module allocates for them; no bytes are NULL.
    fn allocate(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut export = |name| {
            self.caller
                .get_export(name)
                .and_then(wasmtime::Extern::into_func)
        };
        let allocate = export("malloc").or_else(|| export("proxy_on_memory_allocate"));
        let allocate = allocate.ok_or_else(|| format_err!("the module exports no malloc"))?;
        let allocate = allocate.typed::<u32, u32>(&self.caller)?;
        let address = allocate.call(&mut self.caller, bytes.len() as u32)?;
        self.put(address, bytes)?;
        Ok(address)
    }
}

fn outside(address: u32) -> Error {
    format_err!("a pointer outside the module's memory: {address:#x}")
}
