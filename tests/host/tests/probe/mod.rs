//! A tiny filter for the host's own tests: each callback is a list of host calls, and what each
//! call answered is left in the module's memory.

use std::fmt::Write as _;

use serinus_host_tests::{Callback, Filter, Process, module};

use Arg::{BytesOut, Int, Long, NumberOut, Text};

/// An argument of a host call.
#[derive(Clone, Copy)]
pub enum Arg {
    /// A 32-bit number.
    Int(u32),
    /// A 64-bit number.
    Long(u64),
    /// Bytes to read.
    Text(&'static [u8]),
    /// Where to return bytes.
    BytesOut,
    /// Where to return a number.
    NumberOut,
}

impl From<&'static str> for Arg {
    fn from(text: &'static str) -> Self {
        Text(text.as_bytes())
    }
}

impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Int(number)
    }
}

/// One step of a callback.
pub enum Step {
    /// A call of a function of the host.
    Call(&'static str, Vec<Arg>),
    /// Instructions in WebAssembly's text form.
    Code(&'static str),
}

/// A host call as a step: `call("proxy_get_property", ["serinus".into(), BytesOut])`.
pub fn call(function: &'static str, args: impl IntoIterator<Item = Arg>) -> Step {
    Step::Call(function, args.into_iter().collect())
}

/// What a host call answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; none if the step was not reached.
    pub status: Option<u32>,
    /// The bytes that the host wrote; none for NULL.
    pub bytes: Option<Vec<u8>>,
    /// The number that the host wrote, else 0.
    pub number: u64,
}

impl Answer {
    /// The bytes as text, for short assertions.
    pub fn text(&self) -> Option<&str> {
        self.bytes
            .as_deref()
            .map(|bytes| std::str::from_utf8(bytes).expect("text"))
    }
}

const NOT_REACHED: u32 = u32::MAX;
const ANSWERS: usize = 4096;
const ANSWER_SIZE: usize = 24;
const STATUS_AT: usize = 0;
const BYTES_AT: usize = 4;
const NUMBER_AT: usize = 16;
const TEXTS: usize = 1 << 16;

/// The filter, before it is built.
#[derive(Default)]
pub struct Probe(Vec<(Callback, Vec<Step>)>);

impl Probe {
    /// A filter that does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to do in a callback; it returns 0, "continue", but 1, "yes", to a configuration.
    pub fn on(mut self, callback: Callback, steps: impl IntoIterator<Item = Step>) -> Self {
        self.0.push((callback, steps.into_iter().collect()));
        self
    }

    /// A worker that runs this filter, with an empty policy.
    pub fn run(&self, process: &Process) -> Filter {
        let mut filter = self.load(process);
        assert!(filter.configure("").accepted);
        filter
    }

    /// A worker that runs this filter, without a policy.
    pub fn load(&self, process: &Process) -> Filter {
        let module = module::compile(&self.wasm()).expect("a filter that this host can run");
        Filter::start(&module, process).expect("a filter that starts")
    }

    /// What the calls of a callback answered, in order, when they were last made.
    pub fn answers(&self, filter: &mut Filter, callback: Callback) -> Vec<Answer> {
        let before = self.0.iter().take_while(|(of, _)| *of != callback);
        let first = before.map(|(_, steps)| steps.len()).sum();
        let (_, steps) = self
            .0
            .iter()
            .find(|(of, _)| *of == callback)
            .expect("a callback");
        (first..first + steps.len())
            .map(|step| answer(filter, step))
            .collect()
    }

    /// The module.
    pub fn wasm(&self) -> Vec<u8> {
        let mut text = Texts::default();
        let mut imports = Vec::new();
        let mut functions = String::new();
        let mut step = 0;
        for (callback, steps) in &self.0 {
            let mut body = String::new();
            for what in steps {
                body += &what.code(step, &mut imports, &mut text);
                step += 1;
            }
            functions += &function(*callback, &body);
        }
        imports.sort();
        imports.dedup();
        let module = format!(
            r#"(module {}
                (memory (export "memory") 64)
                (global $free (mut i32) (i32.const {}))
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32)
                    (global.get $free)
                    (global.set $free (i32.add (global.get $free) (local.get 0))))
                {functions} {} {})"#,
            imports.concat(),
            TEXTS * 2,
            not_reached(step),
            text.segments,
        );
        wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"))
    }
}

impl Step {
    fn code(&self, step: usize, imports: &mut Vec<String>, texts: &mut Texts) -> String {
        let (name, args) = match self {
            Self::Code(code) => return (*code).to_owned(),
            Self::Call(name, args) => (name, args),
        };
        let at = ANSWERS + step * ANSWER_SIZE;
        let (mut types, mut values) = (String::new(), String::new());
        for arg in args {
            let words = match arg {
                Long(number) => {
                    types += " i64";
                    write!(values, "(i64.const {})", number.cast_signed()).expect("a string");
                    continue;
                }
                Int(number) => vec![*number as usize],
                Text(bytes) => vec![texts.add(bytes), bytes.len()],
                BytesOut => vec![at + BYTES_AT, at + BYTES_AT + 4],
                NumberOut => vec![at + NUMBER_AT],
            };
            for word in words {
                types += " i32";
                write!(values, "(i32.const {})", (word as u32).cast_signed()).expect("a string");
            }
        }
        let module = if *name == "random_get" {
            "wasi_snapshot_preview1"
        } else {
            "env"
        };
        imports.push(format!(
            r#"(import "{module}" "{name}" (func ${name} (param{types}) (result i32)))"#
        ));
        format!(
            "(i32.store (i32.const {}) (call ${name} {values}))",
            at + STATUS_AT
        )
    }
}

/// The texts of a module, one behind the other.
#[derive(Default)]
struct Texts {
    segments: String,
    size: usize,
}

impl Texts {
    fn add(&mut self, bytes: &[u8]) -> usize {
        let at = TEXTS + self.size;
        self.size += bytes.len();
        self.segments += &segment(at, bytes);
        at
    }
}

fn segment(at: usize, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(r#"(data (i32.const {at}) "{escaped}")"#)
}

fn not_reached(steps: usize) -> String {
    (0..steps)
        .map(|step| {
            segment(
                ANSWERS + step * ANSWER_SIZE + STATUS_AT,
                &NOT_REACHED.to_le_bytes(),
            )
        })
        .collect()
}

fn function(callback: Callback, body: &str) -> String {
    let (params, result) = match callback {
        Callback::Initialize => ("", ""),
        Callback::ContextCreate => ("i32 i32", ""),
        Callback::VmStart | Callback::Configure => ("i32 i32", "(i32.const 1)"),
        Callback::Tick | Callback::Log | Callback::Delete => ("i32", ""),
        Callback::Done => ("i32", "(i32.const 1)"),
        Callback::HttpCallResponse => ("i32 i32 i32 i32 i32", ""),
        Callback::ResponseTrailers => ("i32 i32", "(i32.const 0)"),
        Callback::RequestHeaders
        | Callback::RequestBody
        | Callback::ResponseHeaders
        | Callback::ResponseBody => ("i32 i32 i32", "(i32.const 0)"),
    };
    let returns = if result.is_empty() {
        ""
    } else {
        "(result i32)"
    };
    format!(r#"(func (export "{callback}") (param {params}) {returns} {body} {result})"#)
}

fn answer(filter: &mut Filter, step: usize) -> Answer {
    let memory = filter.memory(ANSWERS + step * ANSWER_SIZE, ANSWER_SIZE);
    let word = |at: usize| u32::from_le_bytes(memory[at..at + 4].try_into().expect("4 bytes"));
    let (address, length) = (word(BYTES_AT) as usize, word(BYTES_AT + 4) as usize);
    Answer {
        status: Some(word(STATUS_AT)).filter(|status| *status != NOT_REACHED),
        bytes: (address != 0).then(|| filter.memory(address, length)),
        number: u64::from_le_bytes(memory[NUMBER_AT..].try_into().expect("8 bytes")),
    }
}
