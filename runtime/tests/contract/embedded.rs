//! The embedded home under the contract.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tidegate_runtime::log::Log;
use tidegate_runtime::log::embedded::EmbeddedLog;

use crate::cases::child::play;
use crate::cases::contract;
use crate::cases::home::{Home, signal};

const DIRECTORY: &str = "TIDEGATE_CONTRACT_DIRECTORY";
const ROLE: &str = "TIDEGATE_CONTRACT_ROLE";

/// A log in a directory that goes when the test ends.
pub(crate) struct Embedded {
    pub(crate) directory: TempDir,
}

/// An empty log.
pub(crate) fn empty() -> Embedded {
    Embedded { directory: TempDir::new().unwrap() }
}

impl Home for Embedded {
    fn open(&self) -> Arc<dyn Log> {
        Arc::new(EmbeddedLog::open(self.directory.path()).unwrap())
    }

    fn session_timeout_ms(&self) -> u64 {
        1_000
    }

    fn child(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "embedded::child", "--nocapture", "--test-threads=1"]);
        command.env(DIRECTORY, self.directory.path()).env(ROLE, role);
        command
    }

    fn stop(&self, process: u32) {
        // While this test has the turn to write, the other one cannot be stopped in the middle of its own, which would
        // keep everybody waiting as long as it stands still.
        let gate = File::options().write(true).open(self.directory.path().join("log.lock")).unwrap();
        gate.lock().unwrap();
        signal("STOP", process);
    }
}

/// Not a test of its own: what [`Home::child`] runs.
#[test]
fn child() {
    if let (Ok(directory), Ok(role)) = (std::env::var(DIRECTORY), std::env::var(ROLE)) {
        play(&EmbeddedLog::open(Path::new(&directory)).unwrap(), &role);
    }
}

contract!(crate::embedded::empty);
