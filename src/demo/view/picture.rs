//! The picture: a sample as lines that fit a terminal.
//!
//! Promise: no line is wider and the whole is shorter than the terminal, so that going up over it always works. At 80 by 24
//! nothing is cut.

use tidegate_runtime::quote::printable;
use tidegate_schemas::Infraction;

use super::super::sample::{Flow, Phase, Sample};
use super::super::tap::INFRACTIONS_KEPT;
use super::Palette;

/// Customers shown, as many as leave the picture below 24 lines.
const CUSTOMERS_SHOWN: usize = 5;

/// How wide bars are: the progress, and the greatest customer's.
const PROGRESS_WIDTH: usize = 58;
const BAR_WIDTH: usize = 30;

/// The lines of the picture, for a terminal of `(width, height)`.
pub(super) fn lines(sample: &Sample, palette: Palette, (width, height): (usize, usize)) -> Vec<String> {
    let mut all = head(sample);
    all.extend(counts(sample));
    all.push(Line::blank());
    all.push(Line::title("last infractions"));
    let infractions = sample.news.infractions.iter().rev();
    let missing = INFRACTIONS_KEPT.saturating_sub(sample.news.infractions.len());
    all.extend(infractions.map(|infraction| Line::plain(infraction_line(infraction))));
    all.extend((0..missing).map(|_| Line::blank()));
    all.push(Line::blank());
    all.push(Line::title("top customers, closed windows"));
    all.extend(customers(sample));
    // One line stays free for the cursor.
    all.truncate(height.saturating_sub(1));
    all.into_iter().map(|line| line.dressed(palette, width)).collect()
}

/// A line before it is cut and dressed: emphasis takes no room.
struct Line {
    text: String,
    is_title: bool,
    is_dim: bool,
}

impl Line {
    fn plain(text: String) -> Line {
        // Plates and customers stand in it as records have them.
        Line { text: printable(&text).into_owned(), is_title: false, is_dim: false }
    }

    fn title(text: &str) -> Line {
        Line { text: text.to_owned(), is_title: true, is_dim: false }
    }

    fn dim(text: String) -> Line {
        Line { text, is_title: false, is_dim: true }
    }

    fn blank() -> Line {
        Line::plain(String::new())
    }

    fn dressed(&self, palette: Palette, width: usize) -> String {
        // The last column stays free: some terminals wrap as soon as it is written.
        let cut: String = self.text.chars().take(width.saturating_sub(1)).collect();
        match (self.is_title, self.is_dim) {
            (true, _) => format!("{}{cut}{}", palette.bold, palette.end),
            (_, true) => format!("{}{cut}{}", palette.dim, palette.end),
            _ => cut,
        }
    }
}

fn head(sample: &Sample) -> Vec<Line> {
    let step = 1 + Phase::ALL.iter().take_while(|phase| **phase < sample.phase).count();
    let left = format!("tidegate demo  {step}/{} {}  ", Phase::ALL.len(), sample.phase.words());
    let right = format!("seed {}  {} s", sample.scenario.seed, sample.elapsed.as_secs());
    let [written, expected] = [
        sample.readings.written + sample.invoices.written,
        sample.readings.expected + sample.invoices.expected,
    ];
    let percent = (written * 100 / expected.max(1)).min(100);
    let full = usize::try_from(percent).unwrap_or_default() * PROGRESS_WIDTH / 100;
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(PROGRESS_WIDTH - full));
    vec![
        Line::title(&format!("{left:<58}{right:>21}")),
        Line::plain(format!("{bar}  {percent} % of the input")),
        Line::blank(),
    ]
}

fn counts(sample: &Sample) -> Vec<Line> {
    let flow = |name: &str, flow: Flow| {
        let Flow { written, expected, per_second, lag_records } = flow;
        Line::plain(format!(
            "{name:<9}{written:>10}{:>10}{per_second:>8}{lag_records:>8}",
            format!("~{expected}")
        ))
    };
    let named = |counts: &[(&str, u64)]| {
        let parts = counts.iter().map(|(name, count)| format!("{count} {name}"));
        parts.collect::<Vec<_>>().join("  ")
    };
    vec![
        Line::dim(format!("{:<9}{:>10}{:>10}{:>8}{:>8}", "", "written", "of", "per s", "lag")),
        flow("readings", sample.readings),
        flow("invoices", sample.invoices),
        Line::plain(format!("speeding {}", named(&sample.speeding))),
        Line::plain(format!("totals   {}", named(&sample.totals))),
        Line::plain(format!(
            "sinks    {} records behind, into CSV files and the read store",
            sample.sinks_lag_records
        )),
    ]
}

fn infraction_line(infraction: &Infraction) -> String {
    let Infraction {
        plate, radar_id, measured_speed_kmh, speed_limit_kmh, excess_kmh, points, currency, ..
    } = infraction;
    format!(
        "{}  {plate}  {radar_id}  {measured_speed_kmh:>3} km/h where {speed_limit_kmh:>3}  +{excess_kmh:<2} {:>10} {currency}  {points} pt",
        time_of_day(infraction.measured_at),
        money(infraction.fine_minor),
    )
}

fn customers(sample: &Sample) -> Vec<Line> {
    let mut sums: Vec<_> = sample.news.customers.iter().collect();
    sums.sort_by_key(|(name, sum)| (std::cmp::Reverse(sum.amount_minor), *name));
    let most = sums.first().map_or(1, |(_, sum)| sum.amount_minor).max(1);
    let shown = sums.into_iter().take(CUSTOMERS_SHOWN);
    let line = |((customer, currency), sum): (&(String, String), &super::super::tap::Sum)| {
        let share = i128::from(sum.amount_minor.max(0)) * 30 / i128::from(most);
        let bar = "█".repeat(usize::try_from(share).unwrap_or_default().min(BAR_WIDTH));
        Line::plain(format!(
            "{customer:<8}{:>5} invoices {:>14} {currency}  {bar}",
            sum.invoices,
            money(sum.amount_minor)
        ))
    };
    shown.map(line).collect()
}

/// The UTC time of a moment, to the second.
fn time_of_day(ms: i64) -> String {
    let seconds = ms.rem_euclid(86_400_000) / 1_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Minor units of a currency with two decimals: the demo's are.
fn money(minor: i64) -> String {
    let (sign, parts) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    format!("{sign}{}.{:02}", parts / 100, parts % 100)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_schemas::InfractionState;

    use super::super::super::Scenario;
    use super::super::super::tap::{News, Sum};
    use super::*;

    fn sample() -> Sample {
        let infraction = Infraction {
            infraction_id: "00".repeat(16),
            radar_id: "R-0003".to_owned(),
            plate: "AB-123-CD".to_owned(),
            owner_id: "O-000001".to_owned(),
            measured_at: 1_709_542_872_000,
            measured_speed_kmh: 190,
            retained_speed_kmh: 180,
            speed_limit_kmh: 130,
            excess_kmh: 50,
            fine_minor: 150_000,
            currency: "EUR".to_owned(),
            points: 6,
            rule: "a rule".to_owned(),
            revision: 1,
            state: InfractionState::Issued,
            reason: "reading".to_owned(),
        };
        let mut news = News::default();
        for customer in 0..40 {
            let sum = Sum { invoices: 10_000, amount_minor: 1_000_000_000 - customer };
            news.customers.insert((format!("{}", 10_000 + customer), "EUR".to_owned()), sum);
        }
        news.infractions = vec![infraction; INFRACTIONS_KEPT].into();
        let flow = Flow { written: 120_000, expected: 120_000, per_second: 99_999, lag_records: 99_999 };
        Sample {
            phase: Phase::Rest,
            scenario: Scenario { seed: 123_456, seconds: 600 },
            elapsed: Duration::from_secs(600),
            readings: flow,
            invoices: flow,
            speeding: [
                ("over", 12_000),
                ("under", 104_000),
                ("held", 5_000),
                ("doubled", 2_400),
                ("late", 800),
                ("dead", 1_800),
            ],
            totals: ["windows closed", "late", "dead letters"].map(|name| (name, 99_999)),
            sinks_lag_records: 99_999,
            news,
        }
    }

    #[test]
    fn the_whole_picture_fits_80_by_24() {
        let picture = lines(&sample(), Palette::PLAIN, (80, 24));
        assert_eq!(picture.len(), 23, "{}", picture.join("\n"));
        let uncut = lines(&sample(), Palette::PLAIN, (800, 240));
        assert_eq!(picture, uncut, "nothing is cut");
        assert!(picture.iter().all(|line| line.chars().count() < 80));
    }

    #[test]
    fn it_is_as_high_before_anything_has_come_out() {
        let empty = Sample { news: News::default(), ..sample() };
        let height = lines(&empty, Palette::PLAIN, (80, 24)).len();
        assert!(height + CUSTOMERS_SHOWN >= 23, "{height}");
    }

    #[test]
    fn a_small_terminal_gets_what_fits() {
        let picture = lines(&sample(), Palette::PLAIN, (40, 10));
        assert_eq!(picture.len(), 9);
        assert!(picture.iter().all(|line| line.chars().count() < 40));
    }

    #[test]
    fn amounts_and_times_are_written_for_people() {
        assert_eq!(money(-5), "-0.05");
        assert_eq!(money(1_234_567), "12345.67");
        assert_eq!(time_of_day(1_709_542_872_000), "09:01:12");
    }
}
