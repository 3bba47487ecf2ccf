//! From a runbook in Markdown to a draft of a plan.
//!
//! Text in, text out: nothing is run, nothing is looked up. What the draft does not know it says, as a `TODO` beside the
//! line of the runbook; and its first step asks a person whether all of those are resolved.

mod read;
mod shell;
mod words;
mod write;

pub use write::draft;

/// A part of a runbook that becomes a phase.
#[derive(Clone, Debug, PartialEq)]
struct Section {
    /// The heading.
    title: String,
    /// Its line, from 1.
    line: usize,
    /// What stands under it, before the next heading.
    parts: Vec<Part>,
}

/// A piece of a section, in the order of the text.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    line: usize,
    kind: PartKind,
}

#[derive(Clone, Debug, PartialEq)]
enum PartKind {
    /// A paragraph, or a line of a list that nothing is done for.
    Prose(String),
    /// `If …:`: what follows is done only then.
    Condition(String),
    /// A block of shell.
    Shell(String),
    /// A block in another language; kept as a comment.
    Other {
        /// Which, if the runbook says.
        language: String,
        text: String,
    },
    /// Something that a person does.
    Task(String),
    /// Boxes to tick.
    Boxes(Vec<String>),
    /// A pause.
    Wait(String),
}

/// A draft, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The plan as YAML.
    pub text: String,
    /// How many phases it has.
    pub phases: usize,
    /// How many steps it has.
    pub steps: usize,
    /// How many places a person must look at.
    pub todos: usize,
}
