//! Named places in the code where a test ends the process as `kill -9` does: at the worst moments, not at random ones.
//!
//! Without the feature `fault-points` there is nothing here: [`reached`] is empty and inlined. With it, two variables of the environment
//! are read once: `TIDEGATE_FAULT_POINT=NAME[:VISIT]` kills the process at that visit (the first by default), and
//! `TIDEGATE_FAULT_LOG=FILE` gets a line with the name of every point at its first visit, so that a test can prove that none was left
//! out. Broken by a name that is not in [`POINTS`]: it panics, or a test would wait for a place that does not exist.

/// Every point there is.
pub const POINTS: [&str; 13] = [
    // A worker, from its start to its end.
    "joined-before-producer-opened",
    "in-restore",
    "before-first-commit",
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
        /// Where to end, and at which visit.
        fatal: Option<(String, u64)>,
        /// Where first visits are written down.
        log: Option<String>,
        visits: Mutex<BTreeMap<String, u64>>,
    }

    /// The code has come to this point: ends the process as SIGKILL does, if this is the visit it was told to end at.
    pub fn reached(point: &str) {
        check(point);
        let count = ARMED.count(point);
        if let (1, Some(log)) = (count, &ARMED.log) {
            let file = OpenOptions::new().create(true).append(true).open(log);
            let written = file.and_then(|mut file| file.write_all(format!("{point}\n").as_bytes()));
            written.unwrap_or_else(|cause| panic!("could not write `{log}`: {cause}"));
        }
        if ARMED.fatal.as_ref().is_some_and(|(fatal, visit)| fatal == point && *visit == count) {
            end();
        }
    }

    impl Armed {
        fn from_environment() -> Armed {
            let fatal = std::env::var("TIDEGATE_FAULT_POINT").ok().map(|text| {
                let (point, visit) = text.split_once(':').unwrap_or((&text, "1"));
                check(point);
                let visit = visit.parse().unwrap_or_else(|_| panic!("`{visit}` is no number of a visit"));
                (point.to_owned(), visit)
            });
            let log = std::env::var("TIDEGATE_FAULT_LOG").ok();
            Armed { fatal, log, visits: Mutex::default() }
        }

        fn count(&self, point: &str) -> u64 {
            let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            let count = visits.entry(point.to_owned()).or_default();
            *count += 1;
            *count
        }
    }

    fn check(point: &str) {
        assert!(POINTS.contains(&point), "there is no fault point `{point}`");
    }

    /// Nothing of this process runs after it, no destructor and no handler: what a power cut or the kernel's own kill would leave.
    fn end() -> ! {
        let killed = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        // Whoever gets here could not start `kill`, or is about to feel it.
        assert!(killed.is_ok(), "could not run `kill`: {killed:?}");
        loop {
            std::thread::park();
        }
    }
}

#[cfg(all(test, feature = "fault-points"))]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test that starts a process")]

    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::reached;

    /// Does nothing unless the test below runs it in a process of its own.
    #[test]
    fn child() {
        if std::env::var_os("TIDEGATE_FAULT_LOG").is_some() {
            reached("in-abort");
            reached("after-commit");
            reached("after-commit");
            reached("in-restore");
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
}
