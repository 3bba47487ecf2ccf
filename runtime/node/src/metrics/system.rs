//! What the machine has left.

use std::path::Path;
use sysinfo::{MemoryRefreshKind, System};

/// Load and memory of the machine, sampled every second.
#[derive(Debug)]
pub(crate) struct SystemSampler {
    system: System,
}

/// One sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SystemSample {
    pub(crate) cpu_percent: f64,
    pub(crate) memory_percent: f64,
    pub(crate) memory_available_bytes: u64,
}

impl SystemSampler {
    pub(crate) fn new() -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        Self { system }
    }

    /// The load since the last call, and the memory now.
    pub(crate) fn sample(&mut self) -> SystemSample {
        self.system.refresh_cpu_usage();
        self.system
            .refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = self.system.total_memory();
        let available = self.system.available_memory();
        SystemSample {
            cpu_percent: f64::from(self.system.global_cpu_usage()),
            memory_percent: percent(total.saturating_sub(available), total),
            memory_available_bytes: available,
        }
    }
}

/// Used space of the disk that holds the folder, in percent. Like `df`, it leaves out what is reserved for root.
pub(crate) fn disk_usage_percent(folder: &Path) -> std::io::Result<f64> {
    let disk = rustix::fs::statvfs(folder)?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    Ok(percent(used, used + disk.f_bavail))
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}
