//! The `process_` metrics that every Prometheus client library has.
//!
//! Names and meanings: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>; values from `/proc`.
//! They are written as text because CPU time is a counter with a fraction, which the `metrics` crate does not have.
//! Where there is no `/proc` they are absent.

use std::fmt::Write;
use std::fs;

/// Clock ticks a second in `/proc`: `USER_HZ`, 100 on every architecture that Rust runs Linux on. Source: proc(5).
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends what the system says of this process.
pub(super) fn render(text: &mut String) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let open_files = fs::read_dir("/proc/self/fd")
        .ok()
        .map(|files| files.count());
    let process = Process::parse(
        &read("/proc/self/stat"),
        &read("/proc/self/status"),
        &read("/proc/self/limits"),
        &read("/proc/stat"),
    );
    for (name, kind, help, value) in [
        (
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            process.cpu_seconds,
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            process.start_seconds,
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            process.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory size in bytes.",
            process.virtual_bytes,
        ),
        (
            "process_open_fds",
            "gauge",
            "Number of open file descriptors.",
            open_files.map(|count| count as f64),
        ),
        (
            "process_max_fds",
            "gauge",
            "Maximum number of open file descriptors.",
            process.files_max,
        ),
    ] {
        if let Some(value) = value {
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        }
    }
}

/// What could be read of a process.
#[derive(Debug, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    files_max: Option<f64>,
}

impl Process {
    /// Reads the files of these names as proc(5) describes them.
    fn parse(stat: &str, status: &str, limits: &str, system_stat: &str) -> Self {
        // The name in parentheses may hold anything, so fields are counted from behind it; the first is field 3.
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .map_or("", |(_, fields)| fields)
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        let ticks = |field: usize| fields.get(field - 3).copied();
        let kibibytes = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(rest.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
        };
        let booted: Option<f64> = system_stat
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|seconds| seconds.trim().parse().ok());
        Self {
            cpu_seconds: ticks(14)
                .zip(ticks(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            start_seconds: booted
                .zip(ticks(22))
                .map(|(booted, started)| booted + started / TICKS_PER_SECOND),
            resident_bytes: kibibytes("VmRSS:"),
            virtual_bytes: kibibytes("VmSize:"),
            files_max: limits
                .lines()
                .find_map(|line| line.strip_prefix("Max open files"))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_whatever_the_process_is_called() {
        let process = Process::parse(
            "26231 (a) (R) b) S 1 26231 26231 0 -1 4194560 35 0 0 0 250 50 0 0 20 0 1 0 82375 56274944 1981 18446744073709551615",
            "Name:\tx\nVmSize:\t   54956 kB\nVmRSS:\t    7924 kB\n",
            "Limit                     Soft Limit           Hard Limit           Units\nMax open files            2048                 4096                 files\n",
            "cpu  301854 612\nbtime 1418183276\n",
        );
        assert_eq!(
            process,
            Process {
                cpu_seconds: Some(3.0),
                start_seconds: Some(1_418_184_099.75),
                resident_bytes: Some(7924.0 * 1024.0),
                virtual_bytes: Some(54956.0 * 1024.0),
                files_max: Some(2048.0),
            }
        );
    }

    #[test]
    fn without_proc_nothing_is_claimed() {
        let process = Process::parse("", "", "", "");
        assert_eq!(process.cpu_seconds, None);
        assert_eq!(process.resident_bytes, None);
    }
}
