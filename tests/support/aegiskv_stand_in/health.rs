//! The health port: what each path answers.

use crate::Node;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves the health port, if `--health-addr` says where. If it cannot listen there, nobody is told.
pub(crate) async fn start(node: &Arc<Node>) {
    let Some(address) = &node.settings.health else {
        return;
    };
    let address = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address.clone()
    };
    let Ok(listener) = TcpListener::bind(&address).await else {
        return;
    };
    let node = node.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, node.clone()));
        }
    });
}

/// Answers one request, whatever its method: so it is in the real program.
async fn serve(mut stream: TcpStream, node: Arc<Node>) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 64 * 1024 {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => head.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or("/");
    let (status, kind, body) = answer(path.split('?').next().unwrap_or("/"), &node);
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        _ => "Service Unavailable",
    };
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn answer(path: &str, node: &Node) -> (u16, &'static str, String) {
    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain; charset=utf-8";
    let id = &node.settings.node_id;
    match path {
        "/health" => (
            200,
            JSON,
            format!(
                "{{\"status\":\"healthy\",\"node_id\":\"{id}\",\"time\":\"{}\"}}\n",
                now(false)
            ),
        ),
        "/ready" => (
            200,
            JSON,
            format!("{{\"status\":\"ready\",\"node_id\":\"{id}\"}}\n"),
        ),
        "/live" => (200, TEXT, "OK".to_owned()),
        "/stats" => (200, JSON, stats(node)),
        "/admin/state" => (
            200,
            JSON,
            format!("{{\"draining\":false,\"node_id\":\"{id}\",\"ready\":true}}\n"),
        ),
        "/admin/members" | "/admin/shards" | "/admin/all" => {
            (503, JSON, "{\"error\":\"admin info not available\"}\n".to_owned())
        }
        // `/metrics`, `/cluster`, `/debug/pprof` and all that the runbook posts to.
        _ => (404, TEXT, "404 page not found\n".to_owned()),
    }
}

/// Figures. `cluster_size` counts the node itself twice: so it is in the real program.
fn stats(node: &Node) -> String {
    let (known, rank) = node
        .members
        .lock()
        .map_or((1, 0), |members| (members.known(), members.rank()));
    let shards = |at: usize| (0..256).filter(|shard| shard % known == at % known).count();
    let primary = shards(rank);
    let followers = if known > 1 { shards(rank + 1) } else { 0 };
    format!(
        "{{\"active_conns\":{},\"cluster_size\":{},\"dropped_replicas\":0,\"follower_shards\":{followers},\"node_id\":\"{}\",\
         \"primary_shards\":{primary},\"time\":\"{}\",\"total_requests\":0,\"total_shards\":{}}}\n",
        node.connections.load(Ordering::Relaxed),
        known + 1,
        node.settings.node_id,
        now(false),
        primary + followers,
    )
}

/// The time in UTC, as `2026-11-27T19:27:02Z`, or with milliseconds and without the zone, as in log lines.
pub(crate) fn now(of_log: bool) -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let (seconds, day) = (
        since.as_secs() % 86_400,
        i64::try_from(since.as_secs() / 86_400).unwrap_or(0),
    );
    // Civil date of a day number (Howard Hinnant's `civil_from_days`).
    let z = day + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let text = format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}");
    if of_log {
        format!("{text}.{:03}", since.subsec_millis())
    } else {
        format!("{text}Z")
    }
}
