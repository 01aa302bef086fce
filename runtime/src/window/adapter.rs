//! The window operator over any stream of timestamped items: same core, same rules, no log needed.
//!
//! Promise: it holds the open windows and nothing else. A window that closes is handed out entry by entry before the next
//! item is asked for, however many windows one item closed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_stream::Stream;

use super::store::{Closed, WindowStore};
use super::time_windows::{TimeWindows, Window};
use crate::time::{EventTime, StreamTime};

/// An item of a stream to be windowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamped<K, T> {
    /// When it happened.
    pub time: EventTime,
    /// What it counts under.
    pub key: K,
    /// What it adds.
    pub item: T,
}

/// What comes out of a windowed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowEvent<K, T, A> {
    /// A window has closed: its final value for one key. In the order of end and key.
    Closed {
        /// The window.
        window: Window,
        /// The key's bytes.
        key: Vec<u8>,
        /// What the items came to.
        value: A,
    },
    /// An item came too late for some windows. It counts in those of its windows that are not named here.
    Late {
        /// The windows it missed, earliest first.
        missed: Vec<Window>,
        /// The stream time it met.
        stream_time: EventTime,
        /// The item.
        item: Timestamped<K, T>,
    },
}

/// Folds a stream's items into windows, and gives each window as it closes. When the stream ends, so do all windows.
///
/// The rules are those of topologies: stream time is the greatest time seen, an item counts in a window until stream time reaches
/// its end plus the grace, a closed window comes out once, in `(end, key)` order. Times before 1970 are as good as any here.
///
/// ```
/// use tidegate_runtime::time::EventTime;
/// use tidegate_runtime::window::{TimeWindows, Timestamped, WindowEvent, windowed};
/// use tokio_stream::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sales = [(1_000, "tea", 3), (4_999, "jam", 1), (2_000, "tea", 2), (5_000, "tea", 7), (4_000, "jam", 9)];
/// let sales = sales.map(|(ms, key, item)| Timestamped { time: EventTime(ms), key, item });
///
/// let windows = TimeWindows::tumbling(5_000, 0)?;
/// let mut totals = windowed(tokio_stream::iter(sales), windows, |sum: &mut u64, item: &u64| *sum += item);
///
/// let mut lines = Vec::new();
/// while let Some(event) = totals.next().await {
///     lines.push(match event {
///         WindowEvent::Closed { window, key, value } => {
///             format!("{} {} {value}", window.end.0, String::from_utf8(key)?)
///         }
///         WindowEvent::Late { item, .. } => format!("late: {} {}", item.key, item.item),
///     });
/// }
/// assert_eq!(lines, ["5000 jam 1", "5000 tea 5", "late: jam 9", "10000 tea 7"]);
/// # Ok(())
/// # }
/// ```
pub fn windowed<S, K, T, A, F>(stream: S, windows: TimeWindows, fold: F) -> Windowed<S, A, F>
where
    S: Stream<Item = Timestamped<K, T>> + Unpin,
    K: AsRef<[u8]>,
    A: Default,
    F: FnMut(&mut A, &T),
{
    let store = WindowStore::new("", windows, 0);
    Windowed { stream, fold, store, clock: StreamTime::default(), closing: None, ended: false }
}

/// A windowed stream: see [`windowed`].
#[derive(Debug)]
pub struct Windowed<S, A, F> {
    stream: S,
    fold: F,
    store: WindowStore<A>,
    clock: StreamTime,
    closing: Option<Closed<A>>,
    ended: bool,
}

// Nothing but the stream is ever pinned, and that one is `Unpin` itself.
impl<S: Unpin, A, F> Unpin for Windowed<S, A, F> {}

impl<S, A: Default, F> Windowed<S, A, F> {
    /// The next entry of the window that is closing, or of the next one that is due.
    fn next_closed<K, T>(&mut self) -> Option<WindowEvent<K, T, A>> {
        loop {
            if let Some(closed) = &mut self.closing
                && let Some(at) = closed.order.next()
            {
                let key = closed.table.key(at).to_vec();
                return Some(WindowEvent::Closed {
                    window: closed.window,
                    key,
                    value: closed.table.take(at),
                });
            }
            if let Some(finished) = self.closing.take() {
                self.store.finish(finished);
            }
            self.closing = match self.clock.now() {
                _ if self.ended => self.store.pop_first(),
                Some(now) => self.store.pop_due(now),
                None => None,
            };
            self.closing.as_ref()?;
        }
    }

    /// Counts an item; what it missed, if anything.
    fn add<K: AsRef<[u8]>, T>(&mut self, item: Timestamped<K, T>) -> Option<WindowEvent<K, T, A>>
    where
        F: FnMut(&mut A, &T),
    {
        self.clock.observe(item.time);
        let now = self.clock.now().unwrap_or(item.time);
        let fold = &mut self.fold;
        let add = |accumulator: &mut A| fold(accumulator, &item.item);
        let added = self.store.add(now, item.time, item.key.as_ref(), |_| Ok::<(), Infallible>(()), add);
        let missed: Vec<Window> = match added {
            Ok(missed) => self.store.windows().of(item.time).take(missed).collect(),
            Err(never) => match never {},
        };
        (!missed.is_empty()).then_some(WindowEvent::Late { missed, stream_time: now, item })
    }
}

impl<S, K, T, A, F> Stream for Windowed<S, A, F>
where
    S: Stream<Item = Timestamped<K, T>> + Unpin,
    K: AsRef<[u8]>,
    A: Default,
    F: FnMut(&mut A, &T),
{
    type Item = WindowEvent<K, T, A>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(closed) = this.next_closed() {
                return Poll::Ready(Some(closed));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut this.stream).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => this.ended = true,
                Poll::Ready(Some(item)) => {
                    if let Some(late) = this.add(item) {
                        return Poll::Ready(Some(late));
                    }
                }
            }
        }
    }
}
