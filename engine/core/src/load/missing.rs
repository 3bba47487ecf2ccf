//! Which parameters a plan still needs a value for, so that a person can be asked for them.

use super::load::{inventory, open};
use super::param::Param;
use super::plan;
use super::report::Report;
use super::request::{LoadRequest, ReadError};
use caxplan_model::Value;

/// A parameter that must have a value and has none.
#[derive(Debug)]
pub struct MissingParam {
    param: Param,
}

impl MissingParam {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.param.name.value
    }

    /// Its type, as plans write it.
    pub fn kind(&self) -> &'static str {
        self.param.kind_word()
    }

    /// What it is for, if the plan says.
    pub fn description(&self) -> Option<&str> {
        self.param.description.as_deref()
    }

    /// Whether its value must not be seen.
    pub fn is_secret(&self) -> bool {
        self.param.secret
    }

    /// What may be given, for an enum.
    pub fn values(&self) -> &[Value] {
        &self.param.values
    }

    /// Whether a text can be its value.
    ///
    /// # Errors
    /// Why not, for a person; the value of a secret is not in it.
    pub fn check(&self, text: &str) -> Result<(), String> {
        self.param.convert(&Value::String(text.to_owned())).map(drop)
    }
}

/// The parameters that the plan of `request` needs and that neither `request` nor the inventory gives, in the plan's
/// order. A plan that cannot be read has none: loading it says why.
pub fn missing_params(
    request: &LoadRequest<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, ReadError>,
) -> Vec<MissingParam> {
    let mut report = Report::default();
    let Some(plan) = read_plan(request, read, &mut report) else {
        return Vec::new();
    };
    let inventory = inventory(request, &plan, read, &mut report);
    if report.has_errors() {
        return Vec::new();
    }
    let has_value = |name: &str| {
        request.params.contains_key(name) || inventory.params.iter().any(|entry| entry.key.value == name)
    };
    plan.params
        .into_iter()
        .filter(|param| param.is_required() && !has_value(&param.name.value))
        .map(|param| MissingParam { param })
        .collect()
}

/// The names of all parameters that the plan of `request` declares, in its order. A plan that cannot be read has none:
/// loading it says why.
pub fn declared_params(
    request: &LoadRequest<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, ReadError>,
) -> Vec<String> {
    let plan = read_plan(request, read, &mut Report::default());
    let params = plan.map_or_else(Vec::new, |plan| plan.params);
    params.into_iter().map(|param| param.name.value.into()).collect()
}

fn read_plan(
    request: &LoadRequest<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, ReadError>,
    report: &mut Report,
) -> Option<plan::Plan> {
    let yaml = open(request.plan, None, read, report)?;
    plan::read(&yaml, report)?.choose(request.entry, request.plan, report)
}
