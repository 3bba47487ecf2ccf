//! A difference for a terminal, and for a review comment.

use super::{Difference, StepDifference, What};
use crate::preview::markdown::{Bounded, code, escape};
use std::fmt::Write as _;

impl Difference {
    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        if self.is_empty() {
            return "no difference in what would run\n".to_owned();
        }
        for consequence in &self.consequences {
            let sign = if consequence.worse { "!" } else { "·" };
            let _ = writeln!(out, "{sign} {}", consequence.text);
        }
        if !self.consequences.is_empty() {
            out.push('\n');
        }
        for change in &self.plan {
            let _ = writeln!(out, "~ plan  {change}");
        }
        for step in &self.steps {
            let _ = writeln!(out, "{} {}{}", sign(&step.what), step.id, remark(step));
            for change in &step.fields {
                let _ = writeln!(out, "    {change}");
            }
        }
        out
    }

    /// For a review comment, in at most `bytes_max` bytes; what is left out is said.
    pub fn to_markdown(&self, bytes_max: usize) -> String {
        let mut out = Bounded::new(bytes_max);
        out.push("## What would run differently\n\n");
        if self.is_empty() {
            out.push("No difference in what would run.\n");
            return out.finish();
        }
        for consequence in &self.consequences {
            let sign = if consequence.worse { "⚠️" } else { "✔️" };
            out.item(&format!("- {sign} {}\n", escape(&consequence.text)));
        }
        if !self.consequences.is_empty() {
            out.push("\n");
        }
        for change in &self.plan {
            out.item(&format!("- plan: {}\n", code(&change.to_string())));
        }
        for step in &self.steps {
            let mut text = format!(
                "- `{}` {}{}\n",
                sign(&step.what),
                code(step.id.as_str()),
                escape(&remark(step))
            );
            for change in &step.fields {
                let _ = writeln!(text, "  - {}", code(&change.to_string()));
            }
            out.item(&text);
        }
        out.finish()
    }
}

fn sign(what: &What) -> &'static str {
    match what {
        What::Added => "+",
        What::Removed => "-",
        What::Renamed { .. } => "→",
        What::Moved { .. } => "↕",
        What::Changed => "~",
    }
}

fn remark(step: &StepDifference) -> String {
    let all = if step.group { ", with all in it" } else { "" };
    match &step.what {
        What::Added => format!("  new{all}"),
        What::Removed => format!("  gone{all}"),
        What::Renamed { from } => format!("  was {from}"),
        What::Moved { after: Some(after) } => format!("  comes after {after} now"),
        What::Moved { after: None } => "  comes first now".to_owned(),
        What::Changed => String::new(),
    }
}
