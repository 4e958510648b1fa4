//! The compiled filter: where it is, what it imports and exports.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use wasmtime::{Config, Engine, Module, OptLevel};

use crate::functions::{FUNCTIONS, HostFunction};

/// Names the filter's file; without it `target/serinus.wasm` of the workspace is tested.
pub const PATH_VARIABLE: &str = "SERINUS_WASM";

/// Fuel is metered to count instructions. Code is not optimised: it runs a few times each.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_opt_level(OptLevel::None);
    Engine::new(&config).expect("an engine for this machine")
});

/// The filter's file.
pub fn path() -> PathBuf {
    match std::env::var_os(PATH_VARIABLE) {
        Some(path) => path.into(),
        None => workspace().join("target/serinus.wasm"),
    }
}

fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("a member two folders below the workspace")
}

/// Reads and compiles the filter, once for all tests of a run.
///
/// # Panics
/// With one line that says what to do if there is no filter, or none that can be loaded.
pub fn filter() -> &'static Module {
    static FILTER: OnceLock<Result<Module, String>> = OnceLock::new();
    let read = || {
        let wasm = std::fs::read(path()).map_err(|error| {
            format!(
                "no filter at {} ({error}): run `make build`",
                path().display()
            )
        })?;
        compile(&wasm)
    };
    FILTER
        .get_or_init(read)
        .as_ref()
        .unwrap_or_else(|problem| panic!("{problem}"))
}

/// Compiles a filter and checks that this host can run it.
pub fn compile(wasm: &[u8]) -> Result<Module, String> {
    const ABI: &str = "proxy_abi_version_0_2_1";
    let module = Module::new(&ENGINE, wasm).map_err(|error| format!("not a filter: {error:#}"))?;
    if module.get_export(ABI).is_none() {
        return Err(format!("not a filter: it does not export {ABI}"));
    }
    let unknown: Vec<_> = imports(&module)
        .into_iter()
        .filter(|import| {
            !FUNCTIONS
                .iter()
                .any(|function| function.import() == *import)
        })
        .collect();
    match unknown.is_empty() {
        true => Ok(module),
        false => Err(format!(
            "the filter imports what this host lacks: {}",
            unknown.join(", ")
        )),
    }
}

/// The imports of a module as `env.proxy_log`, sorted.
pub fn imports(module: &Module) -> Vec<String> {
    let mut imports: Vec<_> = module
        .imports()
        .map(|import| format!("{}.{}", import.module(), import.name()))
        .collect();
    imports.sort();
    imports
}

/// The exports of a module, sorted.
pub fn exports(module: &Module) -> Vec<String> {
    let mut exports: Vec<_> = module
        .exports()
        .map(|export| export.name().to_owned())
        .collect();
    exports.sort();
    exports
}

impl HostFunction {
    fn import(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}
