//! What every process has: CPU time, memory, files. Read from `/proc`, under the names all Prometheus clients use; nothing elsewhere.

use super::exposition::Exposition;

#[cfg(target_os = "linux")]
pub(super) fn collect(out: &mut Exposition) {
    use procfs::process::{LimitValue, Process};

    use super::catalogue::{CPU, MAX_FILES, OPEN_FILES, RESIDENT, START_TIME, THREADS, VIRTUAL};
    use super::exposition::share;

    let Ok(process) = Process::myself() else { return };
    if let Ok(stat) = process.stat() {
        let ticks_per_second = procfs::ticks_per_second();
        out.number(&CPU, &[], share((stat.utime + stat.stime) as f64, ticks_per_second as f64));
        out.whole(&RESIDENT, &[], stat.rss * procfs::page_size());
        out.whole(&VIRTUAL, &[], stat.vsize);
        out.whole(&THREADS, &[], u64::try_from(stat.num_threads).unwrap_or_default());
        if let Ok(boot_seconds) = procfs::boot_time_secs() {
            let up = share(stat.starttime as f64, ticks_per_second as f64);
            out.number(&START_TIME, &[], after(boot_seconds as f64, up));
        }
    }
    if let Ok(count) = process.fd_count() {
        out.whole(&OPEN_FILES, &[], count as u64);
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        out.whole(&MAX_FILES, &[], most);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn collect(_: &mut Exposition) {}

#[cfg(target_os = "linux")]
#[expect(clippy::float_arithmetic, reason = "a metric's samples are floats; nothing is decided by them")]
fn after(moment: f64, duration: f64) -> f64 {
    moment + duration
}
