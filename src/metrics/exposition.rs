//! From numbers to Prometheus' text format.
//!
//! Promise: every metric comes with HELP and TYPE, once; its series come in the order they were added; a value that is no number is left out.
//! The text itself is written by the `prometheus` crate, escapes included.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::TextEncoder;
use prometheus::proto::{self, MetricFamily, MetricType};
use tidegate_runtime::worker::Histogram;

use super::catalogue::{Kind, Metric};

/// A label and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// Metrics on their way to the text format.
#[derive(Default)]
pub(super) struct Exposition {
    families: BTreeMap<&'static str, MetricFamily>,
}

impl Exposition {
    /// A whole number: a counter or a gauge.
    pub(super) fn whole(&mut self, metric: &Metric, labels: &[Label<'_>], value: u64) {
        // Exact up to 2^53, which is what Prometheus can hold.
        self.number(metric, labels, value as f64);
    }

    /// Any number: a counter or a gauge.
    pub(super) fn number(&mut self, metric: &Metric, labels: &[Label<'_>], value: f64) {
        if !value.is_finite() {
            return;
        }
        let mut sample = sample(labels);
        match metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        }
        self.push(metric, sample);
    }

    /// A moment, as seconds since 1970.
    pub(super) fn moment(&mut self, metric: &Metric, labels: &[Label<'_>], moment: SystemTime) {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.number(metric, labels, since.as_secs_f64());
    }

    pub(super) fn histogram(&mut self, metric: &Metric, labels: &[Label<'_>], histogram: &Histogram) {
        let buckets = histogram.cumulative().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut shown = proto::Histogram::default();
        shown.set_bucket(buckets.collect());
        shown.set_sample_count(histogram.count());
        shown.set_sample_sum(histogram.sum().as_secs_f64());
        let mut sample = sample(labels);
        sample.set_histogram(shown);
        self.push(metric, sample);
    }

    fn push(&mut self, metric: &Metric, sample: proto::Metric) {
        let family = self.families.entry(metric.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(match metric.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family
        });
        family.mut_metric().push(sample);
    }

    /// The text, metrics by name.
    pub(super) fn text(self) -> Result<String, prometheus::Error> {
        let families: Vec<MetricFamily> = self.families.into_values().collect();
        TextEncoder::new().encode_to_string(&families)
    }
}

fn sample(labels: &[Label<'_>]) -> proto::Metric {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    proto::Metric::from_label(labels.iter().map(pair).collect())
}

/// Kafka gives durations in milliseconds.
#[expect(clippy::float_arithmetic, reason = "a metric's samples are floats; nothing is decided by them")]
pub(super) fn as_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// `part` of `whole`; 0 if there is none.
#[expect(clippy::float_arithmetic, reason = "a metric's samples are floats; nothing is decided by them")]
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
