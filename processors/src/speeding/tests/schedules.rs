//! Margins, brackets and periods at their boundaries; files that are refused, and how.

use tidegate_schemas::RadarKind::{self, Fixed, Mobile};

use super::*;

fn period(of: &str) -> Period {
    let time = of.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    Schedule::france().at(EventTime(time)).unwrap().clone()
}

/// Retained speed, excess, fine and points.
fn judged(period: &Period, radar: RadarKind, measured: i32, limit: i32) -> Option<(i32, i32, i64, i32)> {
    let offence = period.judge(radar, measured, limit)?;
    assert_eq!(offence.currency, "EUR");
    Some((offence.retained_kmh, offence.excess_kmh, offence.bracket.fine_minor, offence.bracket.points))
}

#[test]
fn the_margin_is_taken_off_and_rounded_down() {
    let period = period("2026-11-01T00:00:00Z");
    for (measured, fixed, mobile) in [
        (0, 0, 0),
        (5, 0, 0),
        (6, 1, 0),
        (11, 6, 1),
        (98, 93, 88),
        (99, 94, 89),
        (100, 95, 90),
        (101, 95, 90),
        (102, 96, 91),
        (109, 103, 98),
        (110, 104, 99),
        (132, 125, 118),
        (150, 142, 135),
        (200, 190, 180),
        (i32::MAX, 2_040_109_464, 1_932_735_282),
    ] {
        assert_eq!(period.fixed.retained_kmh(measured), fixed, "fixed, {measured}");
        assert_eq!(period.mobile.retained_kmh(measured), mobile, "mobile, {measured}");
    }
}

#[test]
fn the_most_that_remains_of_any_speed_up_to_one() {
    let margin = Margin { below_kmh: 100, minus_kmh: 5, percent: 50 };
    for measured in 0..300 {
        let most = (0..=measured).map(|speed| margin.retained_kmh(speed)).max();
        assert_eq!(Some(margin.most_retained_kmh(measured)), most, "{measured}");
    }
    let always = Margin { below_kmh: 0, ..margin };
    assert_eq!(always.most_retained_kmh(100), 50);
}

#[test]
fn periods_between_two_times_include_both() {
    let schedule = Schedule::france();
    let begins: Vec<i64> = schedule.periods.iter().map(|period| period.valid_from.0).collect();
    let between = |from, to| {
        let found = schedule.between(EventTime(from), EventTime(to));
        found.map(|period| period.valid_from.0).collect::<Vec<_>>()
    };
    assert!(begins.len() > 2);
    assert_eq!(between(begins[1] - 1, begins[1] - 1), begins[..1]);
    assert_eq!(between(begins[1] - 1, begins[1]), begins[..2]);
    assert_eq!(between(begins[1], begins[2] - 1), begins[1..2]);
    assert_eq!(between(0, i64::MAX), begins);
}

#[test]
fn only_what_is_over_the_limit_is_an_offence() {
    let period = period("2026-11-01T00:00:00Z");
    assert_eq!(judged(&period, Fixed, 34, 30), None);
    assert_eq!(judged(&period, Fixed, 35, 30), None);
    assert_eq!(judged(&period, Fixed, 36, 30), Some((31, 1, 13_500, 0)));
    assert_eq!(judged(&period, Mobile, 40, 30), None);
    assert_eq!(judged(&period, Mobile, 41, 30), Some((31, 1, 13_500, 0)));
    assert_eq!(judged(&period, Fixed, 0, 1), None);
}

#[test]
fn every_boundary_of_the_french_brackets() {
    // Excess; then, for a limit of 50 and of 51, fine and points in 2016, in 2024 and from 29 December 2025 on.
    type Row = (i32, [(i64, i32); 3], [(i64, i32); 3]);
    let rows: [Row; 12] = [
        (1, [(135, 1), (135, 0), (135, 0)], [(68, 1), (68, 0), (68, 0)]),
        (4, [(135, 1), (135, 0), (135, 0)], [(68, 1), (68, 0), (68, 0)]),
        (5, [(135, 1), (135, 1), (135, 1)], [(68, 1), (68, 1), (68, 1)]),
        (19, [(135, 1), (135, 1), (135, 1)], [(68, 1), (68, 1), (68, 1)]),
        (20, [(135, 2); 3], [(135, 2); 3]),
        (29, [(135, 2); 3], [(135, 2); 3]),
        (30, [(135, 3); 3], [(135, 3); 3]),
        (39, [(135, 3); 3], [(135, 3); 3]),
        (40, [(135, 4); 3], [(135, 4); 3]),
        (49, [(135, 4); 3], [(135, 4); 3]),
        (50, [(1500, 6), (1500, 6), (300, 6)], [(1500, 6), (1500, 6), (300, 6)]),
        (150, [(1500, 6), (1500, 6), (300, 6)], [(1500, 6), (1500, 6), (300, 6)]),
    ];
    let periods = ["2016-10-24T06:37:29Z", "2024-06-01T00:00:00Z", "2026-11-01T00:00:00Z"].map(period);
    for (excess, up_to_50, over_50) in rows {
        for (number, period) in periods.iter().enumerate() {
            for (limit, (euros, points)) in [
                (20, up_to_50[number]),
                (50, up_to_50[number]),
                (51, over_50[number]),
                (130, over_50[number]),
            ] {
                // The least measured speed of which that excess remains.
                let measured =
                    (limit + excess..).find(|speed| period.fixed.retained_kmh(*speed) == limit + excess);
                let expected = Some((limit + excess, excess, euros * 100, points));
                assert_eq!(
                    judged(period, Fixed, measured.unwrap(), limit),
                    expected,
                    "{excess} over {limit} in {}",
                    period.valid_from
                );
            }
        }
    }
}

#[test]
fn a_period_begins_at_midnight_in_paris() {
    let schedule = Schedule::france();
    let begins =
        |time: &str| schedule.at(EventTime(time.parse::<jiff::Timestamp>().unwrap().as_millisecond()));
    assert_eq!(begins("2004-12-07T22:59:59.999Z"), None);
    for (before, begin) in [
        ("2023-12-31T22:59:59.999Z", "2023-12-31T23:00:00Z"),
        ("2025-12-28T22:59:59.999Z", "2025-12-28T23:00:00Z"),
    ] {
        let (before, after) = (begins(before).unwrap(), begins(begin).unwrap());
        assert_eq!(after.valid_from.0, begin.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert!(before.valid_from < after.valid_from);
    }
    assert_eq!(schedule.begins(), begins("2004-12-07T23:00:00Z").unwrap().valid_from);
}

#[test]
fn rules_are_cited() {
    let rule =
        |of: &str, measured, limit| period(of).judge(Fixed, measured, limit).unwrap().bracket.rule.clone();
    assert_eq!(rule("2026-11-01T00:00:00Z", 60, 50), "code de la route R413-14 I al. 1, III 4");
    assert_eq!(rule("2026-11-01T00:00:00Z", 58, 50), "code de la route R413-14 I al. 1");
    assert!(rule("2016-11-01T00:00:00Z", 200, 50).contains("R413-14-1"));
    assert!(rule("2026-11-01T00:00:00Z", 200, 50).contains("L413-1 "));
}

const HEAD: &str = "name = \"S\"\n[[period]]\nvalid_from = 2024-01-01T00:00:00Z\ncurrency = \"EUR\"\n\
    margin.fixed = { below_kmh = 100, minus_kmh = 5, percent = 5 }\n\
    margin.mobile = { below_kmh = 100, minus_kmh = 10, percent = 10 }\n";

/// Line 7 is the first bracket's header; each bracket takes four lines.
fn brackets(spans: &[&str]) -> String {
    let bracket =
        |span: &&str| format!("[[period.bracket]]\n{span}\nfine_minor = 1\npoints = 0; rule = \"r\"\n");
    spans.iter().map(bracket).collect::<String>().replace("; ", "\n")
}

fn refusal(text: &str) -> String {
    let error = Schedule::parse("s.toml", text).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error.strip_prefix("schedule `s.toml`, ").unwrap_or(&error).to_owned()
}

#[test]
fn brackets_must_cover_every_excess_once() {
    let begun = "period 2024-01-01T00:00:00.000Z: ";
    for (spans, expected) in [
        (vec!["from_excess_kmh = 1"], ""),
        (vec!["from_excess_kmh = 20", "from_excess_kmh = 1\nto_excess_kmh = 20"], ""),
        (
            vec!["from_excess_kmh = 1\nto_excess_kmh = 20", "from_excess_kmh = 15"],
            "line 13: {}brackets `[1, 20)` and `[15, ∞)` overlap for any limit",
        ),
        (
            vec!["from_excess_kmh = 1", "from_excess_kmh = 15"],
            "line 12: {}brackets `[1, ∞)` and `[15, ∞)` overlap for any limit",
        ),
        (
            vec!["from_excess_kmh = 2"],
            "line 7: {}no bracket covers an excess of `1` to `1` km/h for any limit",
        ),
        (
            vec!["from_excess_kmh = 1\nto_excess_kmh = 20", "from_excess_kmh = 25"],
            "line 13: {}no bracket covers an excess of `20` to `24` km/h for any limit",
        ),
        (
            vec!["from_excess_kmh = 1\nto_excess_kmh = 20"],
            "line 7: {}no bracket covers an excess of `20` km/h or more for any limit",
        ),
        (
            vec!["from_excess_kmh = 1\nlimit_over_kmh = 50"],
            "line 7: {}no bracket covers an excess of `1` km/h or more for limits up to 50 km/h",
        ),
        (
            vec!["from_excess_kmh = 1\nlimit_up_to_kmh = 50"],
            "line 7: {}no bracket covers an excess of `1` km/h or more for limits over 50 km/h",
        ),
        (
            vec!["from_excess_kmh = 1\nlimit_up_to_kmh = 60", "from_excess_kmh = 1\nlimit_over_kmh = 50"],
            "line 13: {}brackets `[1, ∞)` and `[1, ∞)` overlap for limits over 50 up to 60 km/h",
        ),
    ] {
        let text = format!("{HEAD}{}", brackets(&spans));
        match expected {
            "" => drop(Schedule::parse("s.toml", &text).unwrap()),
            expected => assert_eq!(refusal(&text), expected.replace("{}", begun)),
        }
    }
}

#[test]
fn what_makes_no_schedule_is_named_by_its_line() {
    let good = format!("{HEAD}{}", brackets(&["from_excess_kmh = 1"]));
    Schedule::parse("s.toml", &good).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from));
        refusal(&good.replace(from, to))
    };
    for (from, to, expected) in [
        ("name = \"S\"", "name = \" \"", "line 1: its name is empty"),
        (
            "01-01T00:00:00Z",
            "01-01",
            "line 3: valid_from `2024-01-01` is no moment; write it like `2024-01-01T00:00:00+01:00`",
        ),
        (
            "01-01T00:00:00Z",
            "01-01T00:00:00",
            "line 3: valid_from `2024-01-01T00:00:00` is no moment; write it like `2024-01-01T00:00:00+01:00`",
        ),
        ("\"EUR\"", "\"euro\"", "line 4: currency `euro` is no ISO 4217 code, such as `EUR`"),
        ("minus_kmh = 5", "minus_kmh = -5", "line 5: minus_kmh `-5` is below 0 or too large"),
        ("percent = 10", "percent = 101", "line 6: percent `101` is not between 0 and 100"),
        ("from_excess_kmh = 1", "from_excess_kmh = 0", "line 7: from_excess_kmh `0` is below 1 or too large"),
        (
            "from_excess_kmh = 1",
            "from_excess_kmh = 9\nto_excess_kmh = 9",
            "line 7: bracket `[9, 9)` is empty",
        ),
        (
            "from_excess_kmh = 1",
            "from_excess_kmh = 1\nlimit_over_kmh = 50\nlimit_up_to_kmh = 50",
            "line 7: no limit is over `50` and at most `50`",
        ),
        ("fine_minor = 1", "fine_minor = -1", "line 7: fine_minor `-1` is below 0"),
        ("points = 0", "points = -1", "line 7: points `-1` is below 0 or too large"),
        ("rule = \"r\"", "rule = \"\"", "line 7: its rule is empty; name the article it follows from"),
    ] {
        assert_eq!(changed(from, to), expected);
    }
    for (from, to, line, part) in [
        ("points = 0", "point = 0", "line 10:", "unknown field `point`"),
        ("points = 0\n", "", "line 7:", "missing field `points`"),
        ("fine_minor = 1", "fine_minor = 1.5", "line 9:", "floating point `1.5`"),
        ("2024-01-01T00:00:00Z", "2024-13-01T00:00:00Z", "line 3:", "month"),
        ("2024-01-01T00:00:00Z", "\"2024\"", "line 3:", "invalid type: string"),
        ("2024-01-01T00:00:00Z", "2023-02-29T00:00:00Z", "line 3:", "day"),
        ("name = \"S\"", "name = \"S", "line 1:", "string"),
        ("margin.mobile", "margin.parked", "line 6:", "unknown field `parked`"),
    ] {
        let refusal = changed(from, to);
        assert!(refusal.starts_with(line) && refusal.contains(part), "{refusal}");
    }
}

#[test]
fn periods_must_be_there_and_in_order() {
    assert_eq!(refusal("name = \"S\"\n"), "line 1: it has no period; add a `[[period]]`");
    let empty = "line 2: period 2024-01-01T00:00:00.000Z has no bracket; add a `[[period.bracket]]`";
    assert_eq!(refusal(HEAD), empty);
    let good = format!("{HEAD}{}", brackets(&["from_excess_kmh = 1"]));
    let again = good.strip_prefix("name = \"S\"\n").unwrap();
    let order = "line 13: period 2024-01-01T00:00:00.000Z does not begin after period 2024-01-01T00:00:00.000Z; \
        list the oldest first";
    assert_eq!(refusal(&format!("{good}{again}")), order);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the file that is read has to be written")]
fn a_file_is_read_or_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.toml");
    let missing = Schedule::from_file(&path).unwrap_err().to_string();
    assert_eq!(missing, format!("schedule `{}` cannot be read", path.display()));
    std::fs::write(&path, format!("{HEAD}{}", brackets(&["from_excess_kmh = 1"]))).unwrap();
    assert_eq!(Schedule::from_file(&path).unwrap().name, "S");
    std::fs::write(&path, HEAD).unwrap();
    assert!(Schedule::from_file(&path).unwrap_err().to_string().contains(&path.display().to_string()));
}

#[test]
fn a_digest_follows_the_rules_and_not_the_text() {
    let good = format!("{HEAD}{}", brackets(&["from_excess_kmh = 1"]));
    let digest = |text: &str| Schedule::parse("s.toml", text).unwrap().digest();
    assert_eq!(digest(&good), digest(&format!("# a comment\n{}", good.replace("\"S\"", "\"T\""))));
    for (from, to) in [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+01:00"),
        ("EUR", "GBP"),
        ("minus_kmh = 5", "minus_kmh = 6"),
        ("percent = 10", "percent = 9"),
        ("fine_minor = 1", "fine_minor = 2"),
        ("points = 0", "points = 1"),
        ("\"r\"", "\"s\""),
    ] {
        assert_ne!(digest(&good), digest(&good.replace(from, to)), "{to}");
    }
}
