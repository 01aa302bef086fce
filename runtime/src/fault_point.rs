//! Named places in the code where a test ends or stops the process: at the worst moments, not at random ones.
//!
//! Without the feature `fault-points` there is nothing here: [`reached`] is empty and inlined. With it, three variables of the environment
//! are read once: `TIDEGATE_FAULT_POINT=NAME[:VISIT]` kills the process at that visit (the first by default),
//! `TIDEGATE_FAULT_STOP=NAME[:VISIT]` stops it as SIGSTOP does until somebody sends SIGCONT, and `TIDEGATE_FAULT_LOG=FILE` gets a line
//! with the name of every point at its first visit, so that a test can prove that none was left out. Broken by a name that is not in
//! [`POINTS`]: it panics, or a test would wait for a place that does not exist.

/// Every point there is.
pub const POINTS: [&str; 15] = [
    // A worker, from its start to its end.
    "joined-before-producer-opened",
    "in-restore",
    "in-restore-from-copy",
    "before-first-commit",
    "after-processing-before-produce",
    "after-produce-before-commit",
    "after-commit",
    "in-revocation-before-commit",
    "in-revocation-after-commit",
    "in-abort",
    // A sink.
    "sink-before-write",
    "sink-after-write-before-commit",
    "sink-after-commit",
    // A simulator or a replay.
    "ingest-after-produce-before-commit",
    "ingest-after-commit",
];

#[cfg(feature = "fault-points")]
pub use armed::reached;

/// The code has come to this point; nothing happens without the feature `fault-points`.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn reached(_point: &str) {}

#[cfg(feature = "fault-points")]
mod armed {
    #![allow(
        clippy::disallowed_methods,
        reason = "told by the environment, as the test that starts the process can"
    )]

    use std::collections::BTreeMap;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::process::Command;
    use std::sync::{LazyLock, Mutex, PoisonError};

    use super::POINTS;

    static ARMED: LazyLock<Armed> = LazyLock::new(Armed::from_environment);

    struct Armed {
        /// Where to end, and where to stand still.
        fatal: Option<Visit>,
        stop: Option<Visit>,
        /// Where first visits are written down.
        log: Option<String>,
        visits: Mutex<BTreeMap<String, u64>>,
    }

    #[derive(PartialEq, Eq)]
    struct Visit {
        point: String,
        number: u64,
    }

    /// The code has come to this point: ends the process as SIGKILL does or stops it as SIGSTOP does, if this is the visit it was told.
    pub fn reached(point: &str) {
        check(point);
        let count = ARMED.count(point);
        if let (1, Some(log)) = (count, &ARMED.log) {
            let file = OpenOptions::new().create(true).append(true).open(log);
            let written = file.and_then(|mut file| file.write_all(format!("{point}\n").as_bytes()));
            written.unwrap_or_else(|cause| panic!("could not write `{log}`: {cause}"));
        }
        let visit = Some(Visit { point: point.to_owned(), number: count });
        if ARMED.stop == visit {
            signal("STOP");
        }
        if ARMED.fatal == visit {
            signal("KILL");
            // About to feel it.
            loop {
                std::thread::park();
            }
        }
    }

    impl Armed {
        fn from_environment() -> Armed {
            let visit = |variable| std::env::var(variable).ok().map(|text| Visit::from_text(&text));
            let (fatal, stop) = (visit("TIDEGATE_FAULT_POINT"), visit("TIDEGATE_FAULT_STOP"));
            let log = std::env::var("TIDEGATE_FAULT_LOG").ok();
            Armed { fatal, stop, log, visits: Mutex::default() }
        }

        fn count(&self, point: &str) -> u64 {
            let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            let count = visits.entry(point.to_owned()).or_default();
            *count += 1;
            *count
        }
    }

    impl Visit {
        fn from_text(text: &str) -> Visit {
            let (point, number) = text.split_once(':').unwrap_or((text, "1"));
            check(point);
            let number = number.parse().unwrap_or_else(|_| panic!("`{number}` is no number of a visit"));
            Visit { point: point.to_owned(), number }
        }
    }

    fn check(point: &str) {
        assert!(POINTS.contains(&point), "there is no fault point `{point}`");
    }

    /// Sends itself a signal. After SIGKILL nothing of this process runs, no destructor and no handler: what a power cut would leave.
    fn signal(name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &std::process::id().to_string()]).status();
        assert!(sent.is_ok(), "could not run `kill`: {sent:?}");
    }
}

#[cfg(all(test, feature = "fault-points"))]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test that starts a process")]

    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::reached;

    /// Does nothing unless the test below runs it in a process of its own.
    #[test]
    fn child() {
        if std::env::var_os("TIDEGATE_FAULT_LOG").is_some() {
            reached("in-abort");
            reached("after-commit");
            reached("after-commit");
            reached("in-restore");
            reached("in-revocation-after-commit");
        }
    }

    #[test]
    fn a_process_ends_at_the_visit_it_was_told_and_writes_down_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("visited");
        let run = |point: &str| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "fault_point::tests::child"]).env("TIDEGATE_FAULT_LOG", &log);
            child.env("TIDEGATE_FAULT_POINT", point).output().unwrap().status
        };
        assert_eq!(run("after-commit:2").signal(), Some(9));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "in-abort\nafter-commit\n");
        assert!(run("after-commit:3").success(), "it is visited twice only");
        let misspelt = run("after-comit");
        assert!(!misspelt.success() && misspelt.signal().is_none(), "{misspelt}");
    }

    #[test]
    fn a_process_stands_still_at_the_visit_it_was_told_until_it_is_woken() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("visited");
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "fault_point::tests::child"]).env("TIDEGATE_FAULT_LOG", &log);
        let mut child = child.env("TIDEGATE_FAULT_STOP", "after-commit:2").spawn().unwrap();
        // The third word of its line is its state; `T` is stopped by a signal.
        let stat = format!("/proc/{}/stat", child.id());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it did not stop");
            std::thread::yield_now();
        }
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "in-abort\nafter-commit\n");
        Command::new("kill").args(["-CONT", &child.id().to_string()]).status().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(std::fs::read_to_string(&log).unwrap().ends_with("in-revocation-after-commit\n"));
    }
}
