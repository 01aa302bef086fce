//! Instructions of a process and its children, where the kernel counts them: many virtual machines have no counters. Unlike CPU
//! seconds, they hardly change with what else the machine does.
#![allow(unsafe_code, reason = "there is no safe call for the kernel's counters")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::FromRawFd as _;

/// `perf_event_attr` of the first version of the call, which is all that is needed.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
}

const HARDWARE: u32 = 0;
const INSTRUCTIONS: u64 = 1;
/// Not before it becomes the measured program; all it starts; nothing in the kernel, which an unprivileged user may not count.
const FLAGS: u64 = DISABLED | INHERIT | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | ENABLE_ON_EXEC;
const DISABLED: u64 = 1;
const INHERIT: u64 = 1 << 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const ENABLE_ON_EXEC: u64 = 1 << 12;
/// The processes that are counted must not hold the counter.
const FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// Counts what the next processes that this thread starts do.
pub(crate) struct Counter(File);

impl Counter {
    /// None where the kernel has no such counter, or keeps it to itself.
    pub(crate) fn of_next_process() -> Option<Counter> {
        Counter::open(HARDWARE, INSTRUCTIONS)
    }

    fn open(kind: u32, config: u64) -> Option<Counter> {
        let size = u32::try_from(size_of::<Attributes>()).ok()?;
        let attributes = Attributes { kind, size, config, flags: FLAGS, ..Attributes::default() };
        let (this_thread, any_core, no_group) = (0, -1, -1);
        // SAFETY: the attributes live through the call, and say how large they are.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                this_thread,
                any_core,
                no_group,
                FD_CLOEXEC,
            )
        };
        let number = i32::try_from(opened).ok().filter(|number| *number >= 0)?;
        // SAFETY: the kernel has just given us this number, and nobody else has it.
        Some(Counter(unsafe { File::from_raw_fd(number) }))
    }

    /// So far, of all of them.
    pub(crate) fn read(&mut self) -> Option<u64> {
        let mut count = [0; 8];
        self.0.read_exact(&mut count).ok()?;
        Some(u64::from_ne_bytes(count))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The kernel's own clock of a task goes through the same call and is there on every machine.
    const SOFTWARE: u32 = 1;
    const TASK_CLOCK_NS: u64 = 1;

    #[test]
    fn what_a_child_and_its_children_do_is_counted_and_not_what_we_do() {
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut counter = Counter::open(SOFTWARE, TASK_CLOCK_NS).unwrap();
        assert!(crate::weather::calibration_us() > 0);
        assert_eq!(counter.read(), Some(0));
        assert!(
            Command::new("sh").args(["-c", &format!("sh -c '{work}'; true")]).status().unwrap().success()
        );
        let counted_ns = counter.read().unwrap();
        assert!(counted_ns > 10_000_000, "{counted_ns}");
    }

    #[test]
    fn a_counter_that_is_not_there_is_none() {
        assert!(Counter::open(u32::MAX, 0).is_none());
    }
}
