//! A user's plan against everything that can go wrong, before anything does.
//!
//! The real [`Scheduler`](crate::schedule::Scheduler) runs the plan's graph in a world that is only modelled: actions
//! act on nothing, people answer at once, time is a number. A [`Script`] says what goes wrong in one such run;
//! [`explore`] tries one script for each thing that can go wrong, and [`Findings`] say where the runs end.

mod ending;
mod explore;
mod fault;
mod findings;
mod gate;
mod knowledge;
mod markdown;
mod model;
mod script;
mod story;
mod targets;
mod text;
mod timeline;
mod trial;
mod world;

pub use ending::{End, Ending};
pub use explore::{Options, RECORDS_MAX, SCENARIOS_MAX, Unheard, explore, tell};
pub use fault::{Fault, FaultKind, Truth};
pub use findings::{Findings, Group, Row};
pub use gate::{Gate, Trouble};
pub use model::Model;
pub use script::{Failing, Script};
pub use story::{Assumption, Story};
pub use timeline::Moment;
pub(crate) use trial::named;
pub use trial::{Expected, Trial, Verdict, judge};
