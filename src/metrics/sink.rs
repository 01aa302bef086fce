//! The metrics of `sink`: what it shows on its board.

use tidegate_sinks::SinkStatus;

use super::catalogue as names;
use super::exposition::Exposition;

pub(super) fn collect(out: &mut Exposition, name: &str, status: &SinkStatus) {
    let labels = [("sink", name)];
    for (partition, lane) in &status.lanes {
        let number = partition.partition.to_string();
        let labels = [labels[0], ("topic", &*partition.topic), ("partition", &number)];
        out.whole(&names::SINK_ROWS, &labels, lane.rows);
        out.whole(&names::SINK_REJECTS, &labels, lane.rejects);
        out.number(&names::SINK_POSITION, &labels, lane.position.0 as f64);
        if let Some(lag_records) = lane.lag_records {
            out.number(&names::SINK_LAG, &labels, lag_records as f64);
        }
    }
    out.histogram(&names::SINK_COMMIT_DURATION, &labels, &status.commits);
    out.whole(&names::SINK_COMMIT_WAITS, &labels, status.waits);
    if let Some(committed) = status.committed {
        out.moment(&names::SINK_LAST_COMMIT, &labels, committed);
    }
}
