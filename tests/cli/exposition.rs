//! A small reader of Prometheus' text format, written from the format's description: it shares nothing with whoever writes the text, and
//! refuses what a scraper would.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// A page of metrics that keeps to the format.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The type of every metric.
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Page {
    /// Reads a page, or says what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Page, String> {
        let mut page = Page::default();
        let mut helped = BTreeSet::new();
        let mut closed: BTreeSet<String> = BTreeSet::new();
        let mut current: Option<String> = None;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        for line in text.lines() {
            let wrong = |why: &str| format!("{why}: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                check(is_name(name) && !help.is_empty(), || wrong("no name or no help"))?;
                check(helped.insert(name.to_owned()), || wrong("a second HELP"))?;
                if let Some(before) = current.replace(name.to_owned()) {
                    closed.insert(before);
                }
                check(!closed.contains(name), || wrong("the metric was there before"))?;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                check(["counter", "gauge", "histogram"].contains(&kind), || wrong("unknown type"))?;
                check(current.as_deref() == Some(name), || wrong("TYPE without HELP before it"))?;
                let known = page.types.insert(name.to_owned(), kind.to_owned());
                check(known.is_none(), || wrong("a second TYPE"))?;
            } else {
                check(!line.starts_with('#'), || wrong("a comment nobody needs"))?;
                let sample = Sample::read(line).map_err(|why| wrong(&why))?;
                let family = page.family_of(&sample.name).ok_or_else(|| wrong("no TYPE"))?;
                check(current.as_deref() == Some(family), || wrong("not with its metric"))?;
                page.samples.push(sample);
            }
        }
        page.check_series()?;
        Ok(page)
    }

    /// The metric a sample belongs to.
    fn family_of(&self, sample: &str) -> Option<&str> {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = sample.strip_suffix(suffix)?;
            self.types.get_key_value(family).filter(|(_, kind)| *kind == "histogram")
        });
        let of_itself = self.types.get_key_value(sample).filter(|(_, kind)| *kind != "histogram");
        of_histogram.or(of_itself).map(|(family, _)| family.as_str())
    }

    fn check_series(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            check(seen.insert((&sample.name, &sample.labels)), || format!("twice: {sample:?}"))?;
            let is_counter = self.types.get(&sample.name).is_some_and(|kind| kind == "counter");
            check(!is_counter || sample.value >= 0.0, || format!("below zero: {sample:?}"))?;
        }
        for family in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(family, _)| family) {
            self.check_histogram(family)?;
        }
        let empty = self.types.keys().find(|family| {
            !self.samples.iter().any(|sample| self.family_of(&sample.name) == Some(family.as_str()))
        });
        check(empty.is_none(), || format!("no sample of {empty:?}"))
    }

    fn check_histogram(&self, family: &str) -> Result<(), String> {
        for count in self.samples.iter().filter(|sample| sample.name == format!("{family}_count")) {
            let buckets = self.samples.iter().filter(|sample| sample.name == format!("{family}_bucket"));
            let own: Vec<(f64, f64)> = buckets
                .filter_map(|sample| {
                    let mut labels = sample.labels.clone();
                    let bound = labels.remove("le")?;
                    (labels == count.labels)
                        .then(|| (bound.replace("+Inf", "inf").parse().unwrap(), sample.value))
                })
                .collect();
            let ascends = own.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            check(ascends, || format!("{family}: {own:?} does not ascend"))?;
            let all = Some(&(f64::INFINITY, count.value));
            check(own.last() == all, || format!("{family}: {own:?} does not end with all"))?;
        }
        Ok(())
    }

    /// The value of a series, named by some of its labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.with(name, labels);
        let first = found.next()?;
        assert_eq!(found.next(), None, "{name} {labels:?} names more than one");
        Some(first.value)
    }

    /// The sum of all series with these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.with(name, labels).map(|sample| sample.value).sum()
    }

    fn with(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| {
            let fits =
                |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|own| own == value);
            sample.name == name && labels.iter().all(fits)
        })
    }
}

impl Sample {
    fn read(line: &str) -> Result<Sample, String> {
        let mut rest = line.chars().peekable();
        let name = take_word(&mut rest);
        check(is_name(&name), || "no name".to_owned())?;
        let mut labels = BTreeMap::new();
        if rest.next_if_eq(&'{').is_some() {
            while rest.next_if_eq(&'}').is_none() {
                let label = take_word(&mut rest);
                check(is_name(&label) && !label.contains(':'), || "no label".to_owned())?;
                check(rest.next() == Some('=') && rest.next() == Some('"'), || "no value".to_owned())?;
                let value = take_quoted(&mut rest)?;
                check(labels.insert(label, value).is_none(), || "a label twice".to_owned())?;
                let ends = rest.next_if_eq(&',').is_some() || rest.peek() == Some(&'}');
                check(ends, || "no end of a label".to_owned())?;
            }
        }
        check(rest.next() == Some(' '), || "no space before the value".to_owned())?;
        let value: String = rest.collect();
        let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        Ok(Sample { name, labels, value })
    }
}

fn take_word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(letter) = rest.next_if(|letter| letter.is_ascii_alphanumeric() || "_:".contains(*letter)) {
        word.push(letter);
    }
    word
}

/// What stands in quotes, up to and with the closing one.
fn take_quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut value = String::new();
    loop {
        match rest.next().ok_or("no closing quote")? {
            '"' => return Ok(value),
            '\\' => value.push(match rest.next() {
                Some('n') => '\n',
                Some(escaped @ ('"' | '\\')) => escaped,
                other => return Err(format!("`\\{other:?}` is no escape")),
            }),
            letter => value.push(letter),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || "_:".contains(letter);
    text.starts_with(is_letter) && text.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

#[test]
fn the_reader_refuses_what_a_scraper_would() {
    let head = "# HELP a_total A.\n# TYPE a_total counter\n";
    let good = format!("{head}a_total{{x=\"a\\\"b\\\\c\\nd\",y=\"\"}} 1\na_total 2.5e3\n");
    let page = Page::read(&good).unwrap();
    assert_eq!(page.value("a_total", &[("x", "a\"b\\c\nd")]), Some(1.0));
    assert_eq!(page.sum("a_total", &[]), 2_501.0);
    let histogram = |buckets: &str| format!("# HELP h H.\n# TYPE h histogram\n{buckets}h_sum 1\nh_count 2\n");
    Page::read(&histogram("h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n")).unwrap();
    for (text, why) in [
        (format!("{head}a_total 1"), "no end"),
        (format!("{head}a_total 1\na_total 2\n"), "twice"),
        (format!("{head}a_total{{x=\"1\",x=\"2\"}} 1\n"), "a label twice"),
        (format!("{head}a_total{{x=\"1}} 1\n"), "no closing quote"),
        (format!("{head}a_total{{x=1}} 1\n"), "no value"),
        (format!("{head}a_total{{x=\"\\d\"}} 1\n"), "no escape"),
        (format!("{head}a_total -1\n"), "below zero"),
        (format!("{head}a_total one\n"), "no number"),
        (format!("{head}b_total 1\n"), "no TYPE"),
        (format!("{head}1a 1\n"), "no name"),
        ("# TYPE a_total counter\na_total 1\n".to_owned(), "TYPE without HELP"),
        (format!("{head}a_total 1\n{head}"), "a second HELP"),
        (head.to_owned(), "no sample"),
        ("# HELP a_total A.\n# TYPE a_total number\n".to_owned(), "unknown type"),
        (histogram("h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\n"), "does not ascend"),
        (histogram("h_bucket{le=\"1\"} 1\n"), "does not end with all"),
    ] {
        let refused = Page::read(&text).expect_err(why);
        assert!(refused.contains(why), "`{refused}` does not say `{why}`");
    }
}
