//! A node, as people want to see it.

use crate::{exit::Exit, ui::Ui};
use caxton_model::api::{Health, NodeInfo};
use serde::Serialize;

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    info: &'a NodeInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'a Health>,
}

pub(super) fn show(ui: &Ui, info: &NodeInfo, health: Option<&Health>) -> anyhow::Result<Exit> {
    ui.show(&Shown { info, health }, |shown| describe(shown))?;
    Ok(Exit::when(health.is_none_or(|health| health.status == "healthy")))
}

fn describe(shown: &Shown<'_>) -> String {
    let info = shown.info;
    let previous = info
        .previous_version
        .as_ref()
        .map_or("none", |version| version.as_str());
    let mut text = format!(
        "{}: {:?}, version {} (before: {previous})\nAgents: {}, messages waiting: {}, in flight: {}\nProcess: {}, up {}s\nData: {}\n",
        info.id,
        info.state,
        info.version,
        info.agents,
        info.outbox,
        info.in_flight,
        info.pid,
        info.uptime_ms / 1_000,
        info.data_dir,
    );
    for check in shown.health.into_iter().flat_map(|health| &health.checks) {
        let mark = if check.ok { "✓" } else { "✗" };
        text.push_str(&format!("{mark} {}: {}\n", check.name, check.detail));
    }
    text
}
