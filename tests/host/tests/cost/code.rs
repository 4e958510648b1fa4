//! How large the functions are that the host calls.

use std::collections::BTreeMap;
use std::fs;

use serinus_host_tests::module;
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// Bytes of code of each function that the filter exports.
pub fn of_exports() -> BTreeMap<String, usize> {
    let module = fs::read(module::path()).expect("the filter: make wasm");
    let (mut imported, mut exported, mut sizes) = (0, Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(&module) {
        match payload.expect("a valid module") {
            Payload::ImportSection(imports) => {
                let imports = imports
                    .into_imports()
                    .map(|import| import.expect("an import").ty);
                imported = imports.filter(|ty| matches!(ty, TypeRef::Func(_))).count();
            }
            Payload::ExportSection(exports) => {
                let exports = exports.into_iter().map(|export| export.expect("an export"));
                exported.extend(exports.filter(|export| export.kind == ExternalKind::Func));
            }
            Payload::CodeSectionEntry(body) => sizes.push(body.range().len()),
            _ => {}
        }
    }
    let own = |index: u32| index as usize - imported;
    let sized = exported
        .iter()
        .map(|export| (export.name.to_owned(), sizes[own(export.index)]));
    sized.collect()
}
