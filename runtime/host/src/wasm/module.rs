//! Whether a module can run as an agent.

use super::abi;
use super::engine::Prepared;
use super::guest::Guest;
use crate::InvalidModule;
use wasmtime::{Engine, ExternType, FuncType, Linker, Module, ValType};

/// The largest module, in bytes.
const MODULE_BYTES_MAX: usize = 16 << 20;

/// The functions that an agent exports: name, parameters, results, whether it must have it.
const EXPORTS: [(&str, &[ValType], &[ValType], bool); 3] = [
    ("caxton_alloc", &[ValType::I32], &[ValType::I32], true),
    (
        "caxton_handle",
        &[ValType::I32, ValType::I32],
        &[ValType::I32],
        true,
    ),
    ("caxton_init", &[], &[ValType::I32], false),
];

/// Compiles a module (binary, or in text format) and finds all that keeps it from being an agent. It blocks.
pub(super) fn prepare(
    engine: &Engine,
    linker: &Linker<Guest>,
    bytes: &[u8],
) -> Result<Prepared, InvalidModule> {
    let one = |problem: String| InvalidModule {
        problems: vec![problem],
    };
    if bytes.len() > MODULE_BYTES_MAX {
        let size = bytes.len();
        return Err(one(format!(
            "it has {size} bytes, and {MODULE_BYTES_MAX} are allowed"
        )));
    }
    let module = Module::new(engine, bytes).map_err(|error| one(format!("{error:#}")))?;
    let mut problems = Vec::new();
    check_imports(&module, &mut problems);
    let memory_bytes_min = check_exports(&module, &mut problems);
    if !problems.is_empty() {
        return Err(InvalidModule { problems });
    }
    let pre = linker
        .instantiate_pre(&module)
        .map_err(|error| one(format!("{error:#}")))?;
    let mut imports: Vec<String> = module.imports().map(|import| import.name().to_owned()).collect();
    imports.sort();
    imports.dedup();
    Ok(Prepared {
        pre,
        imports,
        memory_bytes_min,
    })
}

/// Names only: the linker compares types.
fn check_imports(module: &Module, problems: &mut Vec<String>) {
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        if from != abi::IMPORT_MODULE || !abi::IMPORTS.contains(&name) {
            let offered = abi::IMPORTS.join("`, `");
            problems.push(format!(
                "it imports `{from}.{name}`, and agents are offered only `{offered}` of `{}`",
                abi::IMPORT_MODULE
            ));
        }
    }
}

/// Answers how large the memory is from the start, in bytes.
fn check_exports(module: &Module, problems: &mut Vec<String>) -> u64 {
    let memory_bytes_min = match module.get_export("memory") {
        Some(ExternType::Memory(memory)) => memory.minimum().saturating_mul(memory.page_size()),
        Some(_) | None => {
            problems.push("it exports no memory named `memory`".to_owned());
            0
        }
    };
    for (name, params, results, required) in EXPORTS {
        let expected = FuncType::new(module.engine(), params.iter().cloned(), results.iter().cloned());
        match module.get_export(name) {
            Some(ExternType::Func(found)) if FuncType::eq(&found, &expected) => {}
            Some(_) => problems.push(format!(
                "its export `{name}` is not a function of type {expected}"
            )),
            None if required => problems.push(format!("it exports no function `{name}`")),
            None => {}
        }
    }
    memory_bytes_min
}
