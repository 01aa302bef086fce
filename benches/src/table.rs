//! The table at the end: a line per peer, in Markdown, so that the screen and the README of a run show the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::sheet::{Case, Metric, Sheet};
use crate::stats::Spread;

/// Everything measured, case by case.
pub(crate) fn render(sheet: &Sheet) -> String {
    let mut text = String::new();
    for case in sheet.cases() {
        let _ = writeln!(text, "### {}\n\n{}", case.title(), of_case(sheet, &case));
    }
    let cases = sheet.cases();
    // Where more than two of a kind stand apart, one looks for what changes from one to the next.
    if cases.len() > 2 && cases.iter().all(|case| case.bench == cases[0].bench) {
        let _ = writeln!(text, "### Side by side\n\n{}", overview(sheet));
    }
    for (peer, why) in &sheet.absent {
        let _ = writeln!(text, "{peer}: no numbers: {why}\n");
    }
    text
}

fn of_case(sheet: &Sheet, case: &Case) -> String {
    let peers = sheet.peers(case);
    let reference = peers.first().and_then(|peer| median(sheet, case, peer, Metric::CpuMs));
    let mut columns: Vec<Vec<String>> = vec![peers.clone()];
    let mut headings = vec!["peer".to_owned()];
    for column in Column::ALL {
        let cells: Vec<Option<String>> =
            peers.iter().map(|peer| column.cell(sheet, case, peer, reference)).collect();
        // A column that nobody has a number for says nothing; one reference needs no ratio to itself.
        if cells.iter().all(Option::is_none) || (column == Column::Ratio && peers.len() < 2) {
            continue;
        }
        headings.push(column.heading().to_owned());
        columns.push(cells.into_iter().map(Option::unwrap_or_default).collect());
    }
    let lines = (0..peers.len()).map(|line| columns.iter().map(|column| column[line].clone()).collect());
    align(&headings, lines.collect())
}

/// A line per case and peer: how the cost of a record changes with what is varied.
fn overview(sheet: &Sheet) -> String {
    let per_record = |case: &Case, peer: &str| {
        median(sheet, case, peer, Metric::CpuMs).map(|cpu_ms| cpu_ms * 1e3 / case.records.max(1) as f64)
    };
    let mut first: BTreeMap<String, f64> = BTreeMap::new();
    let mut lines = Vec::new();
    for case in sheet.cases() {
        for peer in sheet.peers(&case) {
            let Some(micros) = per_record(&case, &peer) else { continue };
            let base = *first.entry(peer.clone()).or_insert(micros);
            lines.push(vec![
                peer.clone(),
                case.records.to_string(),
                case.keys.to_string(),
                case.partitions.to_string(),
                case.instances.to_string(),
                format!("{micros:.3}"),
                format!("{:.2}", micros / base.max(f64::MIN_POSITIVE)),
            ]);
        }
    }
    let headings = ["peer", "records", "keys", "partitions", "instances", "µs/record", "× the first"];
    align(&headings.map(str::to_owned), lines)
}

fn median(sheet: &Sheet, case: &Case, peer: &str, metric: Metric) -> Option<f64> {
    Spread::of(&sheet.values(case, peer, metric)).map(|spread| spread.median)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Cpu,
    PerRecord,
    Ratio,
    Instructions,
    Peak,
    P50,
    P99,
    FirstCommit,
    Wall,
    Written,
    Results,
}

impl Column {
    const ALL: [Column; 11] = [
        Column::Cpu,
        Column::PerRecord,
        Column::Ratio,
        Column::Instructions,
        Column::Peak,
        Column::P50,
        Column::P99,
        Column::FirstCommit,
        Column::Wall,
        Column::Written,
        Column::Results,
    ];

    fn heading(self) -> &'static str {
        match self {
            Column::Cpu => "CPU s (least–most)",
            Column::PerRecord => "µs/record",
            Column::Ratio => "CPU ×",
            Column::Instructions => "instructions/record",
            Column::Peak => "peak MiB",
            Column::P50 => "p50 ms",
            Column::P99 => "p99 ms",
            Column::FirstCommit => "first commit s",
            Column::Wall => "clock s",
            Column::Written => "written MiB",
            Column::Results => "results",
        }
    }

    fn cell(self, sheet: &Sheet, case: &Case, peer: &str, reference: Option<f64>) -> Option<String> {
        let of = |metric| median(sheet, case, peer, metric);
        let records = case.records as f64;
        Some(match self {
            Column::Cpu => {
                let cpu = Spread::of(&sheet.values(case, peer, Metric::CpuMs))?;
                format!("{:.2} ({:.2}–{:.2})", cpu.median / 1e3, cpu.least / 1e3, cpu.most / 1e3)
            }
            Column::PerRecord => format!("{:.3}", of(Metric::CpuMs)? * 1e3 / records),
            Column::Ratio => format!("{:.2}", of(Metric::CpuMs)? / reference.filter(|cpu| *cpu > 0.0)?),
            Column::Instructions => format!("{:.0}", of(Metric::Instructions)? / records),
            Column::Peak => format!("{:.0}", of(Metric::PeakKib)? / 1_024.0),
            Column::P50 => format!("{:.1}", of(Metric::P50Us)? / 1e3),
            Column::P99 => format!("{:.1}", of(Metric::P99Us)? / 1e3),
            Column::FirstCommit => format!("{:.2}", of(Metric::FirstCommitMs)? / 1e3),
            Column::Wall => format!("{:.1}", of(Metric::WallMs)? / 1e3),
            Column::Written => format!("{:.1}", of(Metric::WrittenKib)? / 1_024.0),
            Column::Results => results(sheet, case, peer)?,
        })
    }
}

/// How right a peer was, over all rounds.
fn results(sheet: &Sheet, case: &Case, peer: &str) -> Option<String> {
    let sum = |metric| sheet.values(case, peer, metric).iter().sum::<u64>();
    let rounds =
        u64::try_from(sheet.values(case, peer, Metric::Due).len()).ok().filter(|rounds| *rounds > 0)?;
    let due = sum(Metric::Due);
    let faults: Vec<String> = [
        (Metric::Missing, "missing"),
        (Metric::Pending, "not yet"),
        (Metric::Doubled, "doubled"),
        (Metric::Wrong, "wrong"),
    ]
    .into_iter()
    .filter(|(metric, _)| sum(*metric) > 0)
    .map(|(metric, word)| format!("{:.2} % {word}", sum(metric) as f64 * 100.0 / due.max(1) as f64))
    .collect();
    Some(if faults.is_empty() { format!("{} exact", due / rounds) } else { faults.join(", ") })
}

/// A Markdown table whose columns stand under each other on a screen as well.
pub(crate) fn align(headings: &[String], lines: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            // Names to the left, numbers to the right.
            .map(
                |(at, (cell, width))| {
                    if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        format!("| {} |\n", padded.join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(at, width)| if at == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) })
        .collect();
    let mut text = line(headings) + &line(&rule);
    for cells in &lines {
        text.push_str(&line(cells));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case {
            bench: "totals".to_owned(),
            home: "kafka".to_owned(),
            records: 1_000_000,
            keys: 100,
            partitions: 4,
            instances: 1,
        }
    }

    #[test]
    fn a_line_per_peer_with_medians_and_ratios() {
        let mut sheet = Sheet::default();
        for (round, cpu_ms) in (1..).zip([500, 510, 900]) {
            let exact = [(Metric::Due, 10), (Metric::Missing, 0), (Metric::Doubled, 0), (Metric::Wrong, 0)];
            sheet.add(&case(), "tidegate", round, &exact);
            sheet.add(&case(), "tidegate", round, &[(Metric::CpuMs, cpu_ms), (Metric::PeakKib, 30 * 1_024)]);
            sheet.add(
                &case(),
                "other",
                round,
                &[(Metric::CpuMs, 5_100), (Metric::Due, 10), (Metric::Missing, 2)],
            );
        }
        sheet.absent.insert("third".to_owned(), "install it".to_owned());
        let expected = "\
### totals on kafka: 1000000 records, 100 keys, 4 partitions

| peer     | CPU s (least–most) | µs/record | CPU × | peak MiB |         results |
| -------- | -----------------: | --------: | ----: | -------: | --------------: |
| tidegate |   0.51 (0.50–0.90) |     0.510 |  1.00 |       30 |        10 exact |
| other    |   5.10 (5.10–5.10) |     5.100 | 10.00 |          | 20.00 % missing |

third: no numbers: install it

";
        assert_eq!(render(&sheet), expected);
    }
}
