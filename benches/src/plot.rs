//! The plot: horizontal bars with whiskers from the least to the most, as SVG that any browser shows.

use std::fmt::Write as _;

use crate::sheet::{Case, Metric, Sheet};
use crate::stats::Spread;

const WIDTH: f64 = 860.0;
const LABEL: f64 = 250.0;
const ROOM_FOR_VALUE: f64 = 90.0;
const BAR: f64 = 18.0;
const GAP: f64 = 8.0;
const HEADING: f64 = 44.0;

/// What is drawn, if it was measured; the number is divided by the second value.
const DRAWN: [(Metric, &str); 6] = [
    (Metric::CpuMs, "CPU µs per record"),
    (Metric::Instructions, "instructions per record"),
    (Metric::PeakKib, "peak memory, MiB"),
    (Metric::P50Us, "p50, ms"),
    (Metric::P99Us, "p99, ms"),
    (Metric::FirstCommitMs, "start to first commit, s"),
];

/// One panel per case and metric, below each other.
pub(crate) fn render(sheet: &Sheet) -> String {
    let mut body = String::new();
    let mut top = 10.0;
    for case in sheet.cases() {
        for (metric, unit) in DRAWN {
            let bars = bars(sheet, &case, metric);
            if !bars.is_empty() {
                top = panel(&mut body, top, &case.title(), unit, &bars);
            }
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

struct Bar {
    label: String,
    least: f64,
    median: f64,
    most: f64,
}

fn bars(sheet: &Sheet, case: &Case, metric: Metric) -> Vec<Bar> {
    let scale = match metric {
        Metric::CpuMs => 1e3 / case.records as f64,
        Metric::Instructions => 1.0 / case.records as f64,
        Metric::PeakKib => 1.0 / 1_024.0,
        _ => 1e-3,
    };
    let bar = |label: String| {
        let spread = Spread::of(&sheet.values(case, &label, metric))?;
        let Spread { least, median, most, .. } = spread;
        Some(Bar { label, least: least * scale, median: median * scale, most: most * scale })
    };
    sheet.peers(case).into_iter().filter_map(bar).collect()
}

/// Draws a panel; tells where the next one begins.
fn panel(body: &mut String, top: f64, title: &str, unit: &str, bars: &[Bar]) -> f64 {
    let most = bars.iter().map(|bar| bar.most).fold(f64::MIN_POSITIVE, f64::max);
    let length = |value: f64| value / most * (WIDTH - LABEL - ROOM_FOR_VALUE);
    let _ = writeln!(
        body,
        "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{}: {unit}</text>",
        top + 22.0,
        escape(title)
    );
    let mut y = top + HEADING - GAP;
    for bar in bars {
        let middle = y + BAR / 2.0;
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
            LABEL - 8.0,
            middle + 4.0,
            escape(&bar.label)
        );
        let fill = if bar.label.starts_with("tidegate") { "#1b6ca8" } else { "#9aa5b1" };
        let _ = writeln!(
            body,
            "<rect x=\"{LABEL}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>",
            length(bar.median).max(1.0)
        );
        let (from, to) = (LABEL + length(bar.least), LABEL + length(bar.most));
        let _ = writeln!(
            body,
            "<path d=\"M{from:.1} {middle:.0}H{to:.1}M{from:.1} {:.0}v8M{to:.1} {:.0}v8\" stroke=\"black\"/>",
            middle - 4.0,
            middle - 4.0
        );
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            to + 6.0,
            middle + 4.0,
            short(bar.median)
        );
        y += BAR + GAP;
    }
    y + GAP
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_medians() {
        let case = Case {
            bench: "totals".to_owned(),
            home: "kafka".to_owned(),
            records: 1_000,
            keys: 1,
            partitions: 1,
            instances: 1,
        };
        let mut sheet = Sheet::default();
        for (peer, ms) in [("tidegate", 10), ("a<b", 40)] {
            sheet.add(&case, peer, 1, &[(Metric::CpuMs, ms)]);
        }
        let svg = render(&sheet);
        let widths: Vec<f64> =
            svg.split("width=\"").filter_map(|part| part.split('"').next()?.parse().ok()).collect();
        assert_eq!(widths, [130.0, 520.0]);
        assert!(svg.contains("a&lt;b") && svg.contains(">10.0<") && svg.contains("CPU µs per record"));
        assert!(!svg.contains("p99"), "what was not measured is not drawn");
    }
}
