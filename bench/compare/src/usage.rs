//! What the kernel says of a process and of all that it started: CPU time and memory.

use std::ops::Sub;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// CPU time of a process and its descendants, all threads.
#[derive(Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// Time on a CPU, from the scheduler, ended threads included: precise.
    total: Duration,
    /// Clock ticks in user mode and in the kernel: coarse, good only for how the time divides.
    user_ticks: u64,
    system_ticks: u64,
}

impl CpuTime {
    /// The time so far.
    pub(crate) fn of(root: u32) -> Result<CpuTime> {
        let mut sum = CpuTime::default();
        for process in tree(root)? {
            let clock = clock_getcpuclockid(Pid::from_raw(process.try_into()?))?;
            sum.total += Duration::from(clock_gettime(clock)?);
            let (user, system) = ticks(process)?;
            sum.user_ticks += user;
            sum.system_ticks += system;
        }
        Ok(sum)
    }

    /// Microseconds on a CPU.
    pub(crate) fn microseconds(self) -> f64 {
        self.total.as_secs_f64() * 1e6
    }

    /// The part of the time that was spent in the kernel, 0 to 1.
    pub(crate) fn system_share(self) -> f64 {
        self.system_ticks as f64 / (self.user_ticks + self.system_ticks).max(1) as f64
    }
}

impl Sub for CpuTime {
    type Output = CpuTime;

    fn sub(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            total: self.total.saturating_sub(earlier.total),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }
}

/// The proportional set size of a process and its descendants, in bytes: a page that several share counts once.
pub(crate) fn proportional_set_size(root: u32) -> Result<u64> {
    let mut sum = 0;
    for process in tree(root)? {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let kibibytes: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim_end().parse().ok())
            .with_context(|| format!("no Pss in {path}"))?;
        sum += kibibytes * 1024;
    }
    Ok(sum)
}

/// Raises the limit of open files as far as allowed, for the idle connections; child processes inherit it.
pub(crate) fn raise_open_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raising the limit of open files")
}

/// A process and all its descendants.
pub(crate) fn tree(root: u32) -> Result<Vec<u32>> {
    let mut processes = vec![root];
    let mut next = 0;
    while let Some(&process) = processes.get(next) {
        next += 1;
        for thread in threads(process)? {
            let path = format!("/proc/{process}/task/{thread}/children");
            let text = match fs::read_to_string(&path) {
                // A thread that ended meanwhile left its children to another one.
                Err(error) if ended(&error) => continue,
                read => read.with_context(|| format!("reading {path}"))?,
            };
            processes.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    Ok(processes)
}

/// Whether what was read about has ended, before it was opened or since.
fn ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

fn threads(process: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{process}/task");
    let entries = fs::read_dir(&path).with_context(|| format!("reading {path}"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// User and system ticks: fields 14 and 15 of `stat`, whose second field is a name in brackets that may hold spaces.
fn ticks(process: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok((user, system)),
        _ => anyhow::bail!("no CPU times in {path}"),
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_done_shows_as_cpu_time() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let began = Instant::now();
        let mut number = 0_u64;
        // Tests of other threads share this process, so only the lower bound is certain.
        while (CpuTime::of(std::process::id()).unwrap() - before).microseconds() < 30_000.0 {
            for _ in 0..100_000 {
                number = black_box(number.wrapping_mul(31).wrapping_add(1));
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no CPU time was counted");
        }
    }

    #[test]
    fn memory_taken_shows_in_the_set_size() {
        const TAKEN: u64 = 64 << 20;
        let before = proportional_set_size(std::process::id()).unwrap();
        let taken = black_box(vec![1_u8; 64 << 20]);
        let after = proportional_set_size(std::process::id()).unwrap();
        drop(taken);
        assert!(after >= before + TAKEN - (4 << 20), "{before} -> {after}");
    }
}
