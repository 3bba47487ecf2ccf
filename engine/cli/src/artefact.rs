//! Saved previews: made, written, read, and compared with what is there now.

use crate::failure::{Answer, Failure};
use crate::plan::PlanArguments;
use crate::ui;
use caxplan_core::calendar::{Calendar, bundled_zone};
use caxplan_core::load::Loaded;
use caxplan_core::preview::{Artefact, Inputs, build};
use caxplan_model::{Schedule, Timestamp, Value};
use caxplan_run::{Registry, StateDir};
use std::path::Path;

/// The largest file that is read as a preview: ten times one of 100,000 steps.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// How many differences are listed.
const MOVED_MAX: usize = 40;

/// Makes the preview of a plan.
pub(crate) async fn make(
    dir: &StateDir,
    registry: &Registry,
    arguments: &PlanArguments,
    loaded: Loaded,
    offline: bool,
    salt: Option<&str>,
) -> Answer<Artefact> {
    let plan = arguments.absolute()?;
    let forecasts = caxplan_run::forecast(registry, &loaded, &plan, offline).await?;
    let mut preview = build(&loaded.graph, &forecasts.foresight, &forecasts.steps);
    drop(forecasts);
    // A preview is not worth less without what earlier runs took.
    if let Ok(history) = caxplan_run::history(dir, &plan) {
        preview.remember(&history);
    }
    let now = caxplan_run::now();
    preview.next_due = loaded
        .graph
        .header
        .schedule
        .as_ref()
        .and_then(|schedule| next_due(schedule, now));
    let fresh = format!("{:x}-{:x}", now.0, std::process::id());
    let inputs = inputs(arguments, &loaded, salt.unwrap_or(&fresh))?;
    let made_by = concat!("caxplan ", env!("CARGO_PKG_VERSION"));
    Ok(Artefact::new(
        made_by,
        now,
        offline,
        inputs,
        preview,
        loaded.graph,
    ))
}

/// When a schedule is due next, by the clock of its time zone; jitter is not in it.
fn next_due(schedule: &Schedule, now: Timestamp) -> Option<String> {
    let zone = bundled_zone(schedule.timezone.as_deref())?;
    let next = Calendar::new(schedule, zone.clone(), "").ok()?.after(now)?;
    let due = jiff::Timestamp::from_millisecond(i64::try_from(next.due.0).ok()?).ok()?;
    Some(due.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
}

fn inputs(arguments: &PlanArguments, loaded: &Loaded, salt: &str) -> Answer<Inputs> {
    let text =
        |path: &Path| -> Answer<String> { Ok(std::path::absolute(path)?.to_string_lossy().into_owned()) };
    let mut params = arguments.params.values()?;
    params.retain(|name, _| !loaded.secret_params.contains_key(name));
    let env = loaded.graph.header.env.iter().map(|name| {
        let value = std::env::var(name).ok();
        let digest = value.map(|value| Inputs::env_digest(salt, name, &value));
        (name.clone(), digest)
    });
    Ok(Inputs {
        plan: text(&arguments.file()?.file)?,
        entry: arguments.file()?.entry.clone(),
        libraries: arguments
            .libraries
            .iter()
            .map(|path| text(path))
            .collect::<Answer<_>>()?,
        inventory: arguments.inventory.as_deref().map(text).transpose()?,
        limit: arguments.limit.clone(),
        params,
        secret_params: loaded.secret_params.keys().cloned().collect(),
        salt: salt.to_owned(),
        env: env.collect(),
    })
}

/// Writes a preview to a file.
pub(crate) fn save(artefact: &Artefact, file: &Path) -> Answer<()> {
    std::fs::write(file, artefact.to_text()).map_err(|error| {
        Failure::new(format!(
            "the preview cannot be written to {}: {error}",
            file.display()
        ))
    })
}

/// Reads a preview from a file.
pub(crate) fn read(file: &Path) -> Answer<Artefact> {
    let wrong = |what: String| {
        Failure::invalid(format!("{} is not usable: {what}", file.display()))
            .hint("`caxplan preview PLAN --save FILE` makes a preview that can be run")
    };
    let about = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if !about.is_file() {
        return Err(wrong("it is no file".to_owned()));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(wrong(format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
    Artefact::read(&text).map_err(wrong)
}

/// Fills in what the command line does not say from what the preview was made with. What it says, wins.
pub(crate) fn complete(arguments: &mut PlanArguments, inputs: &Inputs) {
    if arguments.plan.is_none() {
        arguments.plan = Some(crate::plan::PlanPath {
            file: inputs.plan.clone().into(),
            entry: inputs.entry.clone(),
        });
    }
    if arguments.libraries.is_empty() {
        arguments.libraries = inputs.libraries.iter().map(Into::into).collect();
    }
    if arguments.inventory.is_none() {
        arguments.inventory = inputs.inventory.as_ref().map(Into::into);
    }
    if arguments.limit.is_empty() {
        arguments.limit.clone_from(&inputs.limit);
    }
    for (name, value) in &inputs.params {
        arguments
            .params
            .known
            .entry(name.clone())
            .or_insert_with(|| Value::clone(value));
    }
}

/// Refuses if anything is not as it was when the preview was made.
pub(crate) async fn check(
    artefact: &Artefact,
    dir: &StateDir,
    registry: &Registry,
    arguments: &PlanArguments,
    loaded: &Loaded,
) -> Answer<()> {
    let now = make(
        dir,
        registry,
        arguments,
        loaded.clone(),
        artefact.offline,
        Some(&artefact.inputs.salt),
    )
    .await?;
    let moved = artefact.moved(&now);
    if moved.is_empty() {
        if artefact.offline {
            ui::say("the preview was made offline: the state of the targets was not compared\n");
        }
        return Ok(());
    }
    let mut message = format!(
        "this is no longer what was previewed; {} differences:",
        moved.len()
    );
    for line in moved.iter().take(MOVED_MAX) {
        message.push_str(&format!("\n  {line}"));
    }
    if moved.len() > MOVED_MAX {
        message.push_str(&format!("\n  … and {} more", moved.len() - MOVED_MAX));
    }
    Err(Failure::invalid(message).hint("nothing was started; make and review the preview anew"))
}
