//! `caxton cluster performance`

use crate::ui::{Table, Ui};
use crate::{connect::Connect, exit::Exit};
use serde::Serialize;

/// 99 of 100 messages between nodes shall be handled within this.
const P99_TARGET_MS: f64 = 50.0;
/// At most this part of all messages may fail.
const ERROR_TARGET_PERCENT: f64 = 1.0;

#[derive(Serialize)]
struct Figure {
    metric: String,
    target: String,
    actual: String,
    ok: bool,
}

pub(super) async fn run(connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
    let client = connect.client()?;
    let mut figures = Vec::new();
    for member in client.members().await? {
        let measured = client.pinned(&member.api_addr)?.metrics().await;
        let id = member.id;
        let Ok(metrics) = measured else {
            figures.push(figure(
                format!("Node {id}"),
                "answers",
                "does not answer".to_owned(),
                false,
            ));
            continue;
        };
        figures.push(figure(
            format!("Message routing P99 on {id}"),
            &format!("{P99_TARGET_MS}ms"),
            format!("{:.1}ms", metrics.p99_latency_ms),
            metrics.p99_latency_ms <= P99_TARGET_MS,
        ));
        figures.push(figure(
            format!("Errors on {id}"),
            &format!("{ERROR_TARGET_PERCENT}%"),
            format!("{:.2}%", metrics.error_rate_percent),
            metrics.error_rate_percent <= ERROR_TARGET_PERCENT,
        ));
        figures.push(figure(
            format!("Messages on {id}"),
            "-",
            format!("{:.0}/s", metrics.message_rate),
            true,
        ));
    }
    ui.show(&figures, |figures| {
        let mut table = Table::new(&["METRIC", "TARGET", "ACTUAL", "STATUS"]);
        for figure in figures {
            let status = if figure.ok { "✓ OK" } else { "✗ DEGRADED" };
            table.row([
                figure.metric.clone(),
                figure.target.clone(),
                figure.actual.clone(),
                status.to_owned(),
            ]);
        }
        table.to_string()
    })?;
    Ok(Exit::when(figures.iter().all(|figure| figure.ok)))
}

fn figure(metric: String, target: &str, actual: String, ok: bool) -> Figure {
    Figure {
        metric,
        target: target.to_owned(),
        actual,
        ok,
    }
}
