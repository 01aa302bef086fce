//! Processes of the program: started, listened to, stopped, killed.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use std::io::{BufRead, BufReader};

use crate::clock::{DEADLINE, until};

/// A running program; killed when dropped.
pub struct Process {
    child: Child,
    what: String,
    said: Arc<Mutex<Vec<String>>>,
    pub started: Instant,
}

impl Process {
    /// Starts a command and listens to what it says on standard error.
    pub fn start(mut command: Command) -> Process {
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let what = arguments.join(" ");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, stderr) = (Arc::<Mutex<Vec<String>>>::default(), child.stderr.take().unwrap());
        let listener = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                listener.lock().unwrap().push(line);
            }
        });
        Process { child, what, said, started: Instant::now() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Waits until it has said `words`.
    pub fn says(&mut self, words: &str) {
        self.says_one_of(&[words]);
    }

    /// Waits until it has said one of these.
    pub fn says_one_of(&mut self, all: &[&str]) {
        until(&format!("`{}` to say one of {all:?}", self.what), DEADLINE, || {
            let ended = self.has_ended_quietly();
            let said = self.said();
            let found = all.iter().any(|words| said.contains(words));
            assert!(found || !ended, "`{}` ended without one of {all:?}: {said}", self.what);
            found
        });
    }

    /// SIGKILL: nothing of it runs any more when this returns.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Waits until a signal has stopped it.
    pub fn stands_still(&mut self) {
        let stat = format!("/proc/{}/stat", self.id());
        until(&format!("`{}` to stand still", self.what), DEADLINE, || {
            assert!(!self.has_ended(), "`{}` ended instead of stopping: {}", self.what, self.said());
            // The third word of the line is the state.
            std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        });
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// True once it has ended and all it said has been heard.
    pub fn has_ended_quietly(&mut self) -> bool {
        self.has_ended() && self.is_silent()
    }

    /// Waits for its end, whatever it be.
    pub fn ended_within(&mut self, most: Duration) -> ExitStatus {
        let mut status = None;
        let started = Instant::now();
        while status.is_none() {
            assert!(started.elapsed() < most, "`{}` goes on after {most:?}: {}", self.what, self.said());
            std::thread::park_timeout(Duration::from_millis(10));
            status = self.child.try_wait().unwrap();
        }
        status.unwrap()
    }

    /// Waits for a good end.
    pub fn finish(mut self) {
        let status = self.ended_within(Duration::from_secs(180));
        assert!(status.success(), "`{}` gave {status}: {}", self.what, self.said());
    }

    /// Waits for a refusal: this code, and these words in what it says.
    pub fn refuses(mut self, code: i32, words: &[&str]) {
        let status = self.ended_within(DEADLINE);
        // What it said last may still be on its way through the pipe.
        until("its last words", DEADLINE, || {
            words.iter().all(|word| self.said().contains(word)) || self.is_silent()
        });
        let said = self.said();
        assert_eq!(status.code(), Some(code), "`{}`: {said}", self.what);
        for word in words {
            assert!(said.contains(word), "`{}` does not say `{word}`: {said}", self.what);
        }
    }

    /// True once its standard error is closed.
    fn is_silent(&self) -> bool {
        Arc::strong_count(&self.said) == 1
    }

    /// SIGTERM, and the good end that must follow.
    pub fn stop(self) {
        self.signal("TERM");
        self.finish();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process dies of SIGKILL as well; one that has ended is no fault.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- `{}` said:\n{}", self.what, self.said());
        }
    }
}

/// How to start the program.
#[derive(Clone, Debug)]
pub struct Program {
    pub executable: PathBuf,
    /// Words before every subcommand: which log.
    pub log: Vec<String>,
    /// Environment for the program alone.
    pub environment: Vec<(String, String)>,
}

impl Program {
    pub fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&self.executable);
        // What is set for the tests is not meant for the program.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_"))
        {
            command.env_remove(name);
        }
        command.args(words).envs(self.environment.iter().cloned()).stdout(Stdio::null());
        command
    }
}
