//! Whatever a template holds, it yields a value or a message, soon and in little memory.

#![no_main]

use caxplan_core::template::{Scope, evaluate_when, resolve};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static SCOPE: LazyLock<Scope> = LazyLock::new(|| Scope {
    root: serde_json::json!({
        "params": {"version": "1.1.0", "size": 3, "evil": "{{ params.size }}", "nodes": ["a", "b"], "ratio": 0.5},
        "vars": {"dest": "/backup", "map": {"a": [1, 2, {"b": null}]}},
        "steps": {"pick": {"output": {"node": {"name": "node-2"}}, "status": "succeeded"}},
        "targets": [
            {"name": "n1", "groups": ["web"], "labels": {"role": "storage"}, "vars": {"port": 1}},
            {"name": "n2", "labels": {"role": "edge"}},
        ],
    }),
});

fuzz_target!(|text: &str| {
    if let Ok(value) = resolve(text, &SCOPE) {
        assert!(value.to_string().len() <= 64 * 1024 * 1024);
    }
    let _ = evaluate_when(text, &SCOPE);
});
