//! A TCP proxy between the program and a server that changes nothing on its way, but can lose what matters most: a commit.
//!
//! Before a broker it reads just enough of Kafka's protocol to know a request (length, then api key and a correlation id) and its answer
//! (length, then the correlation id). The broker needs a listener that is advertised at the proxy's port.

use std::collections::BTreeMap;
use std::io::{Read, Write, copy};
use std::mem::replace;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const METADATA: i16 = 3;
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
    /// A connection is told once where the brokers are; asked again, the broker is silent.
    TellBrokersOnce,
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

/// What was said on one connection.
struct Talk {
    /// How many deaths there were before it.
    born: usize,
    /// By its correlation id, what was asked and not answered yet.
    asked: BTreeMap<i32, i16>,
    /// Where the brokers are.
    is_told: bool,
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
        let born = self.deaths.load(Ordering::SeqCst);
        let talk = Arc::new(Mutex::new(Talk { born, asked: BTreeMap::new(), is_told: false }));
        let (state, same) = (self.clone(), talk.clone());
        std::thread::spawn(move || match state.protocol {
            Protocol::Kafka => forward(there, |frame| state.request(frame, &mut same.lock().unwrap())),
            Protocol::Any => forward_anything(there),
        });
        std::thread::spawn(move || match self.protocol {
            Protocol::Kafka => forward(back, |frame| self.answer(frame, &mut talk.lock().unwrap())),
            Protocol::Any => forward_anything(back),
        });
    }

    fn request(&self, frame: &[u8], talk: &mut Talk) -> Fate {
        if self.is_dead(talk) {
            return Fate::Vanishes;
        }
        let (Some(key), Some(correlation)) = (frame.get(..2), frame.get(4..8)) else { return Fate::Passes };
        let key = i16::from_be_bytes(key.try_into().unwrap());
        if key == END_TXN && self.is(Mode::LoseRequests) {
            return self.lose();
        }
        if [METADATA, END_TXN].contains(&key) {
            talk.asked.insert(i32::from_be_bytes(correlation.try_into().unwrap()), key);
        }
        Fate::Passes
    }

    fn answer(&self, frame: &[u8], talk: &mut Talk) -> Fate {
        if self.is_dead(talk) {
            return Fate::Vanishes;
        }
        let Some(correlation) = frame.get(..4) else { return Fate::Passes };
        match talk.asked.remove(&i32::from_be_bytes(correlation.try_into().unwrap())) {
            Some(END_TXN) if self.is(Mode::LoseAnswers) => self.lose(),
            Some(METADATA) if replace(&mut talk.is_told, true) && self.is(Mode::TellBrokersOnce) => {
                Fate::Vanishes
            }
            _ => Fate::Passes,
        }
    }

    fn is_dead(&self, talk: &Talk) -> bool {
        self.deaths.load(Ordering::SeqCst) > talk.born
    }

    fn lose(&self) -> Fate {
        self.lost.fetch_add(1, Ordering::SeqCst);
        Fate::IsLost
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
