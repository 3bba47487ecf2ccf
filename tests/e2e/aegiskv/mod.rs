//! The plans of `plans/aegiskv`, run on systemd hosts against a service that answers as AegisKV does
//! (`tests/support/aegiskv_stand_in`).
//!
//! All of it is one test, since hosts take long to make; each part brings the cluster into order first.

#![expect(clippy::print_stderr, reason = "a long test says where it is")]

mod cluster;
mod daily;
mod emergency;
mod incident;
mod maintain;
mod recover;
mod scale;
mod upgrade;

use cluster::Cluster;
use std::panic::AssertUnwindSafe;

/// A part of the runbook: what it is called, and what tries it.
type Part = (&'static str, fn(&Cluster));

#[test]
fn the_aegiskv_runbook_runs_on_three_hosts() {
    let cluster = Cluster::new();
    let parts: &[Part] = &[
        ("daily health check", daily::health_is_checked_on_every_node),
        ("log review", daily::logs_are_reviewed_by_their_words),
        ("metrics review", daily::what_needs_no_dashboard_is_checked),
        (
            "useful commands",
            daily::commands_of_the_appendix_say_what_is_not_offered,
        ),
        ("high latency", daily::latency_is_diagnosed_from_the_hosts),
        ("rolling restart", maintain::nodes_restart_one_at_a_time),
        ("configuration reload", maintain::a_reload_is_verified_in_the_log),
        ("WAL clean-up", maintain::old_segments_are_moved_aside_and_back),
        (
            "rate limit",
            maintain::a_rate_limit_goes_through_the_configuration,
        ),
        ("circuit breaker", maintain::a_service_is_cut_off_and_let_back),
        ("upgrade", upgrade::a_staged_upgrade_reaches_all_nodes),
        ("broken upgrade", upgrade::a_broken_program_brings_all_nodes_back),
        (
            "complete outage",
            incident::an_outage_gets_a_verdict_for_each_node,
        ),
        ("node failure", incident::a_failed_node_is_found_and_restarted),
        ("single node", recover::one_node_recovers_without_its_log),
        ("full cluster", recover::the_node_with_the_newest_log_starts_first),
        (
            "corruption",
            recover::corrupt_data_are_cleared_beside_healthy_nodes_only,
        ),
        ("scaling", scale::a_node_comes_and_goes),
        ("emergency node", scale::emergency_nodes_come_without_ceremony),
        ("shutdown", emergency::all_nodes_stop_at_once),
        ("export", emergency::data_are_brought_home),
    ];
    // `AEGISKV_PART=upgrade` runs those whose name holds that word.
    let only = std::env::var("AEGISKV_PART").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, part) in parts.iter().filter(|(name, _)| name.contains(&only)) {
        let start = std::time::Instant::now();
        eprintln!("── {name}");
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
            cluster.restore();
            part(&cluster);
        }));
        eprintln!("── {name}: {:.1} s", start.elapsed().as_secs_f32());
        if ended.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "these failed: {}", failed.join(", "));
}
