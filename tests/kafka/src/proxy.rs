//! A TCP proxy between the program and a server that changes nothing on its way, but can lose what matters most: a commit.
//!
//! Before a broker it reads just enough of Kafka's protocol to know an EndTxn request (length, then api key 26 and a correlation id) and
//! its answer (length, then the correlation id). The broker needs a listener that is advertised at the proxy's port.

use std::collections::BTreeSet;
use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const END_TXN: i16 = 26;

/// What the proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// The broker hears of a commit; its answer is lost, and the connection with it.
    LoseAnswers,
    /// The broker never hears of a commit, and the connection is lost.
    LoseRequests,
    /// Nothing passes: connections are cut, new ones end at once.
    Cut,
}

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Kafka,
    Any,
}

/// A proxy; ends with the process.
pub struct Proxy {
    state: Arc<State>,
    pub port: u16,
}

struct State {
    protocol: Protocol,
    mode: AtomicU8,
    /// Commits lost so far.
    lost: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    /// How often what was open has gone dead.
    deaths: AtomicUsize,
}

/// What becomes of a frame.
#[derive(PartialEq, Eq)]
enum Fate {
    Passes,
    /// And the connection with it.
    IsLost,
    /// And neither side is told.
    Vanishes,
}

impl Proxy {
    /// Listens on a free port, before a server that may not be there yet.
    pub fn before(server_port: u16, protocol: Protocol) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = AtomicU8::new(Mode::Pass as u8);
        let state = Arc::new(State {
            protocol,
            mode,
            lost: AtomicUsize::new(0),
            open: Mutex::default(),
            deaths: AtomicUsize::new(0),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Dropped, a connection ends: as with a server that is away.
                if !shared.is(Mode::Cut)
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", server_port))
                {
                    shared.clone().join(client, server);
                }
            }
        });
        Proxy { state, port }
    }

    pub fn set(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Ordering::SeqCst);
        if mode == Mode::Cut {
            for stream in self.state.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Whatever is open is dead from now on, and nobody is told: as when a broker's machine loses power, or a firewall forgets. New
    /// connections work.
    pub fn go_dead(&self) {
        self.state.deaths.fetch_add(1, Ordering::SeqCst);
    }

    /// How many commits have been lost.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
    }
}

impl State {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }

    fn join(self: Arc<State>, client: TcpStream, server: TcpStream) {
        let clone = |stream: &TcpStream| {
            stream.set_nodelay(true).unwrap();
            stream.try_clone().unwrap()
        };
        let there = (clone(&client), clone(&server));
        let back = (clone(&server), clone(&client));
        self.open.lock().unwrap().extend([client, server]);
        let commits = Arc::<Mutex<BTreeSet<i32>>>::default();
        let (state, seen) = (self.clone(), commits.clone());
        let born = self.deaths.load(Ordering::SeqCst);
        std::thread::spawn(move || match state.protocol {
            Protocol::Kafka => forward(there, |frame| state.fate(born, || state.request(frame, &seen))),
            Protocol::Any => forward_anything(there),
        });
        std::thread::spawn(move || match self.protocol {
            Protocol::Kafka => forward(back, |frame| self.fate(born, || self.answer(frame, &commits))),
            Protocol::Any => forward_anything(back),
        });
    }

    fn fate(&self, born: usize, passes: impl FnOnce() -> bool) -> Fate {
        match passes() {
            _ if self.deaths.load(Ordering::SeqCst) > born => Fate::Vanishes,
            true => Fate::Passes,
            false => Fate::IsLost,
        }
    }

    /// True if the request may pass.
    fn request(&self, frame: &[u8], commits: &Mutex<BTreeSet<i32>>) -> bool {
        let (Some(key), Some(correlation)) = (frame.get(..2), frame.get(4..8)) else { return true };
        if i16::from_be_bytes(key.try_into().unwrap()) != END_TXN {
            return true;
        }
        if self.is(Mode::LoseRequests) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        commits.lock().unwrap().insert(i32::from_be_bytes(correlation.try_into().unwrap()));
        true
    }

    /// True if the answer may pass.
    fn answer(&self, frame: &[u8], commits: &Mutex<BTreeSet<i32>>) -> bool {
        let Some(correlation) = frame.get(..4) else { return true };
        let is_commit = commits.lock().unwrap().remove(&i32::from_be_bytes(correlation.try_into().unwrap()));
        if is_commit && self.is(Mode::LoseAnswers) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        true
    }
}

/// Passes frames on, each whole, until one is lost or a side ends; then ends both.
fn forward((mut from, mut to): (TcpStream, TcpStream), mut fate: impl FnMut(&[u8]) -> Fate) {
    let mut frame = Vec::new();
    let mut pass = || {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        frame.resize(usize::try_from(u32::from_be_bytes(length)).unwrap(), 0);
        from.read_exact(&mut frame)?;
        let fate = fate(&frame);
        if fate == Fate::Passes {
            to.write_all(&length)?;
            to.write_all(&frame)?;
        }
        Ok(fate != Fate::IsLost)
    };
    while matches!(pass(), Ok::<bool, std::io::Error>(true)) {}
    end(&from, &to);
}

fn forward_anything((mut from, mut to): (TcpStream, TcpStream)) {
    // However it ends, it ends.
    let _ = copy(&mut from, &mut to);
    end(&from, &to);
}

fn end(one: &TcpStream, other: &TcpStream) {
    for stream in [one, other] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
