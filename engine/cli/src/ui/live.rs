//! The live display of a run on a terminal.

use super::narrate::Narrator;
use super::output::OutputLines;
use super::{Paint, ask, say};
use caxplan_adapter::Stream;
use caxplan_core::schedule::State;
use caxplan_model::{Graph, NodeIndex, Record, RecordSeq, WaitReason};
use caxplan_run::{LogChunk, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many running steps have a line of their own; more would push the rest off the screen.
const SPINNERS_MAX: usize = 12;

/// How often the display moves.
const TICK: Duration = Duration::from_millis(120);

/// What has ended scrolls up; below it, the phase with its progress, and a line for each running step.
pub(super) struct Live {
    bars: MultiProgress,
    overall: ProgressBar,
    running: BTreeMap<NodeIndex, ProgressBar>,
    narrator: Narrator,
    output: OutputLines,
    paint: Paint,
    verbose: bool,
    /// Whether a person at this terminal is asked.
    asks: bool,
    /// How many questions are open; bars that move would disturb who types.
    asked: usize,
}

impl Live {
    pub(super) fn new(graph: &Graph, verbose: bool, asks: bool) -> Self {
        let bars = MultiProgress::new();
        let overall = bars.add(ProgressBar::new(steps_of(graph)));
        overall.set_style(style("{prefix} [{bar:24}] {pos}/{len} steps · {elapsed}"));
        overall.set_prefix(graph.header.name.clone());
        overall.enable_steady_tick(TICK);
        let paint = Paint::for_stderr();
        Self {
            bars,
            overall,
            running: BTreeMap::new(),
            narrator: Narrator::new(paint),
            output: OutputLines::default(),
            paint,
            verbose,
            asks,
            asked: 0,
        }
    }

    fn scroll(&self, text: &str) {
        if self.asked > 0 {
            return say_above_prompt(text);
        }
        // A terminal that has gone away does not stop the run.
        let _ = self.bars.println(text);
    }

    fn begin(&mut self, state: &State, node: NodeIndex, what: &str) {
        if let Some(phase) = phase_of(state.graph(), node) {
            self.overall.set_prefix(phase);
        }
        if self.running.len() >= SPINNERS_MAX || self.running.contains_key(&node) {
            return;
        }
        let spinner = self.bars.add(ProgressBar::new_spinner());
        spinner.set_style(style("  {spinner} {msg} · {elapsed}"));
        spinner.set_message(format!("{what}{}", state.graph().node(node).id));
        spinner.enable_steady_tick(TICK);
        self.running.insert(node, spinner);
    }

    fn end(&mut self, node: NodeIndex) {
        if let Some(spinner) = self.running.remove(&node) {
            spinner.finish_and_clear();
            self.bars.remove(&spinner);
        }
    }

    fn follow(&mut self, state: &State, record: &Record) {
        match record {
            Record::StepStarted { node, .. } => self.begin(state, *node, ""),
            Record::UndoStarted { node, .. } => self.begin(state, *node, "undoing "),
            Record::TimerSet { node, .. } => self.begin(state, *node, "◷ "),
            Record::StepEnded { node, .. }
            | Record::UndoEnded { node, .. }
            | Record::TimerFired { node, .. }
            | Record::Skipped { node, .. } => self.end(*node),
            Record::Breached { node, .. } if state.status(*node).is_ended() => self.end(*node),
            Record::Waiting {
                reason: WaitReason::Approval { .. } | WaitReason::InDoubt { .. },
                ..
            } if self.asks => {
                self.asked += 1;
                let _ = self.bars.clear();
                self.bars.set_draw_target(ProgressDrawTarget::hidden());
            }
            Record::Answered { .. } if self.asked > 0 => {
                self.asked -= 1;
                if self.asked == 0 {
                    self.bars.set_draw_target(ProgressDrawTarget::stderr());
                }
            }
            Record::Expanded { .. } => self.overall.set_length(steps_of(state.graph())),
            Record::RunEnded { .. } => {
                for node in self.running.keys().copied().collect::<Vec<_>>() {
                    self.end(node);
                }
                self.overall.finish_and_clear();
            }
            Record::RunCreated { .. }
            | Record::Resumed { .. }
            | Record::Breached { .. }
            | Record::CheckedAnew { .. }
            | Record::Waiting { .. }
            | Record::Answered { .. }
            | Record::Paused { .. }
            | Record::CancelRequested { .. }
            | Record::RollbackStarted { .. }
            | Record::PlanReplaced { .. }
            | Record::Notified { .. } => {}
        }
    }
}

impl Observer for Live {
    fn record(&mut self, state: &State, _: RecordSeq, record: &Record) {
        let id_of = |node| state.graph().node(node).id.clone();
        for line in self.output.end(record, id_of) {
            self.scroll(&self.paint.dim(&line));
        }
        let line = self.narrator.line(state, record);
        let spins = matches!(
            record,
            Record::StepStarted { .. } | Record::UndoStarted { .. } | Record::TimerSet { .. }
        );
        if let Some(line) = line.filter(|_| !spins) {
            self.scroll(&line);
        }
        self.follow(state, record);
        self.overall.set_position(ended_of(state));
    }

    fn output(&mut self, chunk: &LogChunk) {
        if self.verbose || chunk.stream == Stream::Note {
            for line in self.output.push(chunk) {
                self.scroll(&self.paint.dim(&line));
            }
        }
    }

    fn notice(&mut self, line: &str) {
        self.scroll(&self.paint.yellow(line));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Also if the engine left in the middle: no half line stays on the terminal.
        let _ = self.bars.clear();
    }
}

/// Says a line while a prompt is open, and puts the prompt below it again.
fn say_above_prompt(text: &str) {
    let prompt = ask::open_prompt();
    if prompt.is_empty() {
        say(&format!("{text}\n"));
    } else {
        say(&format!("\r\u{1b}[2K{text}\n{prompt}"));
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are ours");
    style
        .progress_chars("━━─")
        .tick_strings(&["⠋", "⠙", "⠸", "⠴", "⠦", "⠇", " "])
}

fn steps_of(graph: &Graph) -> u64 {
    graph.nodes.iter().filter(|node| node.kind.is_leaf()).count() as u64
}

fn ended_of(state: &State) -> u64 {
    let nodes = (0..).map(NodeIndex).zip(&state.graph().nodes);
    nodes
        .filter(|(at, node)| node.kind.is_leaf() && state.status(*at).is_ended())
        .count() as u64
}

fn phase_of(graph: &Graph, node: NodeIndex) -> Option<String> {
    let mut at = Some(node);
    while let Some(index) = at {
        let node = graph.node(index);
        if node.phase.is_some() {
            return Some(node.name.to_string());
        }
        at = node.parent;
    }
    None
}
