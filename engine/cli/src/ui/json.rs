//! One JSON object per line and event, on the standard output: for programs.

use super::print;
use caxplan_core::schedule::State;
use caxplan_model::{NodeIndex, Record, RecordSeq, RunId, Value, WaitReason};
use caxplan_run::{LogChunk, Observer, stream_name};
use serde_json::json;

/// Writes events. Each has `event` and `run`; those that speak of a step have `step`, its id.
pub(super) struct JsonEvents {
    run: RunId,
}

impl JsonEvents {
    pub(super) fn new(run: RunId) -> Self {
        Self { run }
    }
}

impl Observer for JsonEvents {
    fn record(&mut self, state: &State, seq: RecordSeq, record: &Record) {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(record) else {
            return;
        };
        let kind = fields.remove("record").unwrap_or_default();
        let mut event = json!({"event": kind, "run": self.run, "seq": seq});
        if let Some(node) = fields
            .remove("node")
            .and_then(|node| serde_json::from_value::<NodeIndex>(node).ok())
        {
            event["step"] = json!(state.graph().node(node).id);
        }
        for (name, value) in fields {
            event[name] = value;
        }
        if let Record::Waiting { reason, .. } = record {
            let step = node_of(reason).map(|node| json!(state.graph().node(node).id));
            if let Value::Object(reason) = &mut event["reason"] {
                reason.remove("node");
            }
            event["step"] = step.unwrap_or_default();
        }
        print(&format!("{event}\n"));
    }

    fn output(&mut self, chunk: &LogChunk) {
        let event = json!({
            "event": "output",
            "run": self.run,
            "step": chunk.step,
            "attempt": chunk.attempt,
            "at": chunk.at,
            "stream": stream_name(chunk.stream),
            "text": String::from_utf8_lossy(&chunk.bytes),
        });
        print(&format!("{event}\n"));
    }

    fn notice(&mut self, line: &str) {
        print(&format!(
            "{}\n",
            json!({"event": "notice", "run": self.run, "text": line})
        ));
    }
}

fn node_of(reason: &WaitReason) -> Option<NodeIndex> {
    match reason {
        WaitReason::Approval { node, .. } | WaitReason::InDoubt { node, .. } => Some(*node),
        WaitReason::Paused { node } => *node,
    }
}
