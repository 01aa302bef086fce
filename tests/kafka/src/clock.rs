//! Waiting: for a condition with a deadline, or for time itself where time is the fault.

use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine: what is waited for so long hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; says how long it took.
pub fn until(what: &str, most: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < most, "waited {most:?} for {what}");
        // Nobody unparks: this gives the processor away between two looks.
        std::thread::park_timeout(LOOK);
    }
    started.elapsed()
}

/// Lets so much time pass. Only where an outage of a certain length is what is tested.
pub fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
