//! What was measured, as lines to read and as raw rows to keep.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Job;
use crate::measure::Cost;

/// One run.
pub(crate) struct Row {
    pub(crate) number: u32,
    pub(crate) job: Job,
    pub(crate) records: u64,
    pub(crate) keys: u64,
    pub(crate) cost: Cost,
}

impl Row {
    pub(crate) fn line(&self) -> String {
        let Cost { cpu_ms, peak_kib, wall_ms } = self.cost;
        format!(
            "{:?} run {}: {} records, {} keys: {:.2} CPU s, {} records per CPU second, {} MiB at most, {:.2} s on the clock; output exact",
            self.job,
            self.number,
            self.records,
            self.keys,
            cpu_ms as f64 / 1e3,
            self.per_cpu_second(),
            peak_kib / 1_024,
            wall_ms as f64 / 1e3,
        )
    }

    fn per_cpu_second(&self) -> u64 {
        self.records * 1_000 / self.cost.cpu_ms.max(1)
    }
}

/// Minimum, median and maximum; a wide spread is said.
pub(crate) fn summary(rows: &[Row]) -> String {
    let mut rates: Vec<u64> = rows.iter().map(Row::per_cpu_second).collect();
    rates.sort_unstable();
    let (Some(least), Some(most)) = (rates.first(), rates.last()) else {
        return "nothing was measured".to_owned();
    };
    let median = rates[rates.len() / 2];
    let peak = rows.iter().map(|row| row.cost.peak_kib).max().unwrap_or_default();
    let mut text = format!(
        "records per CPU second: {least} at least, {median} in the middle, {most} at most; peak memory {} MiB",
        peak / 1_024
    );
    if most * 4 > least * 5 {
        text.push_str(
            "\nthe runs differ by more than a quarter: the machine was busy, do not trust a single number",
        );
    }
    text
}

/// Writes `raw.csv` and a README with command, versions and machine into a folder of its own.
pub(crate) fn save(folder: &Path, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    let mut raw = String::from("job,run,records,keys,cpu_ms,peak_kib,wall_ms\n");
    for row in rows {
        let Cost { cpu_ms, peak_kib, wall_ms } = row.cost;
        let job = format!("{:?}", row.job).to_lowercase();
        let _ =
            writeln!(raw, "{job},{},{},{},{cpu_ms},{peak_kib},{wall_ms}", row.number, row.records, row.keys);
    }
    std::fs::write(folder.join("raw.csv"), raw)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = format!(
        "# {}\n\n- command: `cargo run --release -p tidegate-benches -- {}`\n- version: {} ({})\n- machine: {cores} cores,{}\n\n{}\n",
        folder.file_name().unwrap_or_default().to_string_lossy(),
        arguments.join(" "),
        env!("CARGO_PKG_VERSION"),
        if cfg!(debug_assertions) { "debug: not to be trusted" } else { "release" },
        model.trim_start_matches(['\t', ':']),
        rows.iter().map(|row| row.line() + "\n\n").collect::<String>() + &summary(rows),
    );
    std::fs::write(folder.join("README.md"), text)?;
    Ok(())
}
