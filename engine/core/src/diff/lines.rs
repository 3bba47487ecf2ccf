//! Differences in words.

use super::{Comparison, FieldChange};
use caxplan_model::Value;

/// The longest value that is shown, in characters.
const VALUE_MAX: usize = 80;

impl Comparison {
    /// One line for each difference.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.plan.iter().map(|change| change.to_string()).collect();
        lines.extend(self.removed.iter().map(|id| format!("{id} is no longer there")));
        lines.extend(self.added.iter().map(|id| format!("{id} is new")));
        for node in &self.changed {
            lines.extend(node.fields.iter().map(|change| format!("{}: {change}", node.id)));
        }
        lines
    }
}

impl std::fmt::Display for FieldChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} → {}", self.field, shown(&self.old), shown(&self.new))
    }
}

/// A value in one short line.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    if text.chars().count() > VALUE_MAX {
        let start: String = text.chars().take(VALUE_MAX).collect();
        format!("{start}…")
    } else {
        text
    }
}
