//! Whatever a condition holds, it has a verdict or says what is wrong.

#![no_main]

use caxplan_core::condition::evaluate;
use caxplan_model::Value;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static SCOPE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::json!({
        "cpu_usage": 0.5, "node_unreachable": "90s", "memory_used": "2GiB", "agent_count": 9, "max_agents": 10,
        "partition_detected": true, "version": "1.10.0", "note": "ü {{ x }}", "nothing": null,
        "output": {"status": "active", "list": [1, "a", {"b": [2]}], "exit code": 0}, "p99_latency": "80ms",
        "big": 1e308, "least": i64::MIN, "most": u64::MAX,
    })
});

fuzz_target!(|text: &str| {
    let _ = evaluate(text, &SCOPE);
});
