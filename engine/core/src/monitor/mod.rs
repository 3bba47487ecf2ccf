//! Alerts: when one is pending, when it fires, and when it is over.
//!
//! Pure: what is seen, the time, and the id of the run that its action would be, are arguments. That a standing is durable
//! before anything is done about it, is the shell's part.

mod standing;

pub use standing::{Change, Seen, Standing, next};

use caxplan_model::{Graph, Value};

/// Says in the plan of an alert's action why it runs: its templates see it as `alert.seen` and `alert.since`.
pub fn tell(action: &mut Graph, seen: &str, since: &str) {
    for node in &mut action.nodes {
        if let Some(Value::Object(alert)) = node.bindings.get_mut("alert") {
            alert.insert("seen".to_owned(), seen.into());
            alert.insert("since".to_owned(), since.into());
        }
    }
}
