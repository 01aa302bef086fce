//! What a process costs, as the kernel counts it: processor time of all threads, and the most memory it has had resident.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What a measured process has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// User and system time of every thread, ended children included.
    pub(crate) cpu_ms: u64,
    /// The most memory resident; of several processes, the sum of each one's most.
    pub(crate) peak_kib: u64,
}

/// Linux counts a process's time in hundredths of a second, whatever the kernel's own tick (`USER_HZ`).
const MS_PER_TICK: u64 = 10;

/// What all processes of a group have cost so far: a peer may start others, as long as they stay in its group.
pub(crate) fn of_group(group: u32) -> Result<Cost> {
    let mut sum = Cost::default();
    let mut members = 0;
    for entry in fs::read_dir("/proc").context("the kernel's counts need Linux")? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit()) {
            continue;
        }
        // A process may end between two looks; then its parent has its time.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        let stat = Stat::parse(&stat)?;
        if stat.group != group {
            continue;
        }
        members += 1;
        sum.cpu_ms += stat.ticks * MS_PER_TICK;
        sum.peak_kib += peak_in(&path)?;
    }
    if members == 0 {
        bail!("process group {group} has ended");
    }
    Ok(sum)
}

/// The most memory a process has had resident; nothing once it has ended.
pub(crate) fn peak_of(process: u32) -> Result<u64> {
    peak_in(Path::new(&format!("/proc/{process}")))
}

fn peak_in(folder: &Path) -> Result<u64> {
    fs::read_to_string(folder.join("status")).ok().map_or(Ok(0), |text| peak_kib(&text))
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Result<Stat> {
        // The name in parentheses may hold anything: the fields begin behind its end.
        let (_, fields) = text.rsplit_once(") ").context("`/proc/PID/stat` has another form")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |index: usize| -> Result<u64> {
            Ok(fields.get(index).context("`/proc/PID/stat` is too short")?.parse()?)
        };
        // utime, stime, and both of children that have been waited for.
        let ticks = (11..=14).map(field).sum::<Result<u64>>()?;
        Ok(Stat { group: u32::try_from(field(2)?)?, ticks })
    }
}

/// `VmHWM` of `/proc/PID/status`; a process that has ended and waits for its parent has no memory any more.
fn peak_kib(status: &str) -> Result<u64> {
    let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { return Ok(0) };
    Ok(line.split_whitespace().next().context("`VmHWM` is empty")?.parse()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) b (c) S 1 77 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7";
        assert_eq!(Stat::parse(text).unwrap(), Stat { group: 77, ticks: 127 });
        assert!(Stat::parse("42 (a) S 1 77").is_err());
        assert!(Stat::parse("42").is_err());
    }

    #[test]
    fn the_peak_is_the_high_water_mark() {
        assert_eq!(peak_kib("Name:\tx\nVmHWM:\t    9876 kB\nVmRSS:\t 1 kB\n").unwrap(), 9_876);
        assert_eq!(peak_kib("Name:\tx\n").unwrap(), 0);
        assert!(peak_kib("VmHWM:\t\n").is_err());
    }

    #[test]
    fn a_group_is_added_up_with_its_children() {
        // The shell waits for a child that has worked, then says so and waits for us.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; read _";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
        let cost = of_group(shell.id()).unwrap();
        let group = shell.id();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(cost.cpu_ms >= 20 && cost.peak_kib > 100, "{cost:?}");
        assert!(of_group(group).is_err(), "nobody is left");
    }
}
