//! What a file holds to run: a plan file holds one plan, a calendar or a policy several.

use super::load::open;
use super::parts::Part;
use super::plan::{self, Plan};
use super::report::Report;
use super::request::{Diagnostics, LoadRequest, ReadError};
use caxplan_model::Schedule;

/// One plan that a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What stands behind `#` in `maintenance.yaml#daily`; `None` for the one plan of a plan file.
    pub name: Option<String>,
    /// When it runs by itself, if it does.
    pub schedule: Option<Schedule>,
}

/// The plans that the file of `request` holds, with their schedules. Neither parameters nor names are looked at, so a
/// plan that is listed may still not load.
///
/// # Errors
/// Everything that is wrong with the form of the file, all at once.
pub fn entries(
    request: &LoadRequest<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, ReadError>,
) -> Result<Vec<Entry>, Diagnostics> {
    let mut report = Report::default();
    let plan = open(request.plan, None, read, &mut report).and_then(|yaml| plan::read(&yaml, &mut report));
    match plan {
        Some(plan) if !report.has_errors() => Ok(of(&plan)),
        Some(_) | None => Err(report.finish()),
    }
}

/// What a file holds to run: itself, or its parts.
pub(super) fn of(plan: &Plan) -> Vec<Entry> {
    if !plan.holds_parts {
        return vec![Entry {
            name: None,
            schedule: plan.schedule.clone(),
        }];
    }
    let entry = |part: &Part| Entry {
        name: Some(part.name.value.to_string()),
        schedule: part.schedule.clone(),
    };
    plan.parts.iter().map(entry).collect()
}
