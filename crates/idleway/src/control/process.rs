//! The process, as the system sees it: for Prometheus, under the names that its client libraries use.

use std::fs;

use crate::metrics::Page;

/// What of it the system tells: on Linux all, elsewhere nothing. Whoever embeds the gateway has these of its own, so they
/// stand on the page of the admin API alone.
pub(crate) fn process() -> String {
    let mut page = Page::default();
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (stat, status, limits) = (read("stat"), read("status"), read("limits"));
    let system = fs::read_to_string("/proc/stat").unwrap_or_default();
    let metrics: [(_, _, _, Option<f64>); 6] = [
        (
            "process_cpu_seconds_total",
            "counter",
            "Time on a processor, in user mode and in the kernel, in seconds.",
            cpu_seconds(&stat),
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Memory that is in RAM, in bytes.",
            kibibytes(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Addresses that are in use, in bytes.",
            kibibytes(&status, "VmSize:").map(|kibibytes| kibibytes * 1024.0),
        ),
        ("process_open_fds", "gauge", "Open file descriptors.", open_descriptors()),
        ("process_max_fds", "gauge", "File descriptors that may be open.", most_descriptors(&limits)),
        (
            "process_start_time_seconds",
            "gauge",
            "When the process started, in seconds since 1970.",
            started(&stat, &system),
        ),
    ];
    for (name, kind, help, value) in metrics {
        if let Some(value) = value {
            page.metric(name, kind, help);
            page.sample(&[], value);
        }
    }
    page.finish()
}

/// Ticks of the kernel's clock in a second, as it tells them to programs: 100 on every machine that Linux runs on today
/// (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A field of `/proc/self/stat`, counted as in proc(5), from those behind the program's name on, which may hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

/// The clock of the kernel began when the machine was started, which is told with the precision of a second.
fn started(stat: &str, system: &str) -> Option<f64> {
    let booted: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(stat, 22)? / TICKS)
}

fn kibibytes(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// None where there is no limit, too.
fn most_descriptors(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_descriptors() -> Option<f64> {
    // Linux 6.2 and later tell the number; elsewhere there is a name for each, that of this look among them.
    let told = fs::metadata("/proc/self/fd").ok()?.len();
    let count =
        if told > 0 { told } else { (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1) };
    u32::try_from(count).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_name_is_nasty_is_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 12345 1000 200 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(started(stat, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_123.45));
        let status = "Name:\ta\nVmSize:\t  200 kB\nVmRSS:\t   12 kB\n";
        assert_eq!((kibibytes(status, "VmRSS:"), kibibytes(status, "VmSize:")), (Some(12.0), Some(200.0)));
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(most_descriptors(limits), Some(1024.0));
        assert_eq!(
            most_descriptors("Max open files            unlimited            unlimited            files"),
            None
        );
    }

    #[test]
    fn what_is_not_there_is_not_told() {
        for text in ["", ")", "7 (a", "7 (a) S 1"] {
            assert_eq!((cpu_seconds(text), started(text, ""), kibibytes(text, "VmRSS:")), (None, None, None));
        }
        assert_eq!(most_descriptors("Max open files"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_all_of_it() {
        let page = process();
        assert_eq!(page.lines().filter(|line| !line.starts_with('#')).count(), 6, "{page}");
        let open = || open_descriptors().unwrap();
        let (before, file) = (open(), fs::File::open("/proc/self/stat").unwrap());
        // Other tests of this process open and close their own; this one stays open all the while.
        assert!(before >= 3.0 && open() >= 4.0, "{before}");
        drop(file);
    }
}
