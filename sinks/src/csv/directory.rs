//! A directory of CSV files: whose it is, and where its sink stands.
//!
//! Promise: the position comes from the names of finished files. `sink.json` adds what they cannot say (stretches without a record,
//! files that were moved away, the first offset there was, the ends of `--until-end`), so the further of the two is where it goes on;
//! an older `sink.json` does no harm. Whatever is called `….open` is cut back at start: it is removed, never
//! truncated, because a crash may have left it as a second name of a finished file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_runtime::log::{Offset, TopicInfo};
use tidegate_runtime::{Error, Result};

use super::disk;
use super::segment::{self, OPEN, Part, REJECTS, Segment, folder, parse_finished};
use crate::layout::Layout;
use crate::place::{self, storage};

const STATE: &str = "sink.json";
const LOCK: &str = "sink.lock";
/// What `sink.json` means; a later version is refused. Version 1 had no `topic_id`; in versions 1 and 2 the rejects stood among the rows,
/// where they stay and count.
const FORMAT: u32 = 3;

/// What `sink.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) format: u32,
    pub(super) sink: String,
    pub(super) topic: String,
    /// Tells the topic from another one that is made later under its name; none where the log has no such id.
    #[serde(default)]
    pub(super) topic_id: Option<String>,
    pub(super) log: String,
    pub(super) segment_records: i64,
    /// Where each partition's open segment begins.
    pub(super) positions: Vec<i64>,
    /// Where `--until-end` ends, until it has.
    pub(super) until: Option<Vec<i64>>,
}

/// What every version of `sink.json` says.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl State {
    pub(super) fn new(sink: &str, topic: &TopicInfo, log: String, segment_records: i64) -> State {
        State {
            format: FORMAT,
            sink: sink.to_owned(),
            topic: topic.name.clone(),
            topic_id: topic.id.clone(),
            log,
            segment_records,
            positions: Vec::new(),
            until: None,
        }
    }
}

/// A directory that is ours while this lives.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) state: State,
    /// Where a segment must end because its rejects are finished already; see [`super::tail`].
    pub(super) forced_ends: BTreeMap<usize, Offset>,
    _lock: File,
}

impl Directory {
    /// Takes the directory for the sink of `topic` that `asked` describes; `first_positions` are asked for when it is new.
    pub(super) fn open(
        path: &Path,
        asked: State,
        topic: &TopicInfo,
        layout: &Layout,
        first_positions: impl FnOnce() -> Result<Vec<i64>>,
    ) -> Result<Directory> {
        fs::create_dir_all(path).map_err(|cause| storage("create", path, cause))?;
        let lock = place::lock(&path.join(LOCK), path)?;
        let names = Names::list(path)?;
        let state = match read_state(path)? {
            Some(found) => {
                check_identity(path, &asked, &found)?;
                place::check_identity(topic, found.topic_id.as_deref(), &found.sink)?;
                State { format: FORMAT, topic_id: asked.topic_id.or(found.topic_id), ..found }
            }
            None => {
                check_empty(path, &names.of_rows)?;
                State { positions: first_positions()?, ..asked }
            }
        };
        let mut directory =
            Directory { path: path.to_owned(), state, forced_ends: BTreeMap::new(), _lock: lock };
        directory.check_columns(&names.of_rows, layout)?;
        directory.adopt(&names)?;
        directory.save()?;
        Ok(directory)
    }

    /// Refuses files with other columns than the topic has now: those to come would not fit beside them.
    fn check_columns(&self, names: &[String], layout: &Layout) -> Result<()> {
        let finished = names.iter().filter_map(|name| {
            let (_, segment, part) = parse_finished(&self.state.topic, name)?;
            (part == Part::Rows).then_some((segment, name))
        });
        let Some((_, newest)) = finished.max() else { return Ok(()) };
        let path = self.path.join(newest);
        let unread = |cause: csv::Error| Error::Storage {
            what: format!("could not read `{}`", path.display()),
            cause: Box::new(cause),
        };
        let mut reader = csv::Reader::from_path(&path).map_err(unread)?;
        if reader.headers().map_err(unread)?.iter().eq(layout.columns.iter().map(|column| column.name)) {
            return Ok(());
        }
        Err(Error::Refused {
            what: format!("`{}` has other columns than topic `{}` has now", path.display(), self.state.topic),
            remedy: "files can be made again from the log: start the sink in another directory".into(),
        })
    }

    /// Makes the state durable.
    pub(super) fn save(&self) -> Result<()> {
        let json = serde_json::to_vec_pretty(&self.state);
        let json = json.map_err(|error| Error::Defect(format!("`{STATE}` cannot be written: {error}")))?;
        disk::replace(&self.path.join(STATE), &json)
    }

    /// Removes what a crash left, and moves the positions up to the finished files.
    fn adopt(&mut self, names: &Names) -> Result<()> {
        let finished = self.finished(names)?;
        let mut ends: BTreeMap<usize, Offset> = BTreeMap::new();
        for ((partition, segment), found) in &finished {
            if !found.rows {
                continue;
            }
            let known = usize::try_from(segment.end.0).is_ok() && *partition < self.state.positions.len();
            if !known || ends.get(partition).is_some_and(|end| segment.first < *end) {
                return Err(self.foreign_file(&self.path, *partition, *segment, Part::Rows));
            }
            ends.insert(*partition, segment.end);
        }
        for (partition, position) in self.state.positions.iter_mut().enumerate() {
            *position = ends.get(&partition).map_or(*position, |end| end.0.max(*position));
        }
        for ((partition, segment), found) in &finished {
            let refused = || {
                let folder = found.rejects.as_ref().unwrap_or(&self.path);
                Err(self.foreign_file(folder, *partition, *segment, Part::Rejects))
            };
            let Some(position) = self.state.positions.get(*partition).copied() else { return refused() };
            if found.rows || segment.end.0 <= position {
                continue;
            }
            // Rejects without rows: the segment that was finishing. Everything before it had finished, empty stretches included.
            if segment.first.0 < position || self.forced_ends.contains_key(partition) {
                return refused();
            }
            self.state.positions[*partition] = segment.first.0;
            self.forced_ends.insert(*partition, segment.end);
        }
        Ok(())
    }

    /// The finished files of both folders; what is open in them is removed.
    fn finished(&self, names: &Names) -> Result<BTreeMap<(usize, Segment), Found>> {
        let mut finished: BTreeMap<(usize, Segment), Found> = BTreeMap::new();
        let apart = folder(&self.path, Part::Rejects);
        let of_rows = names.of_rows.iter().map(|name| (&self.path, name));
        for (folder, name) in of_rows.chain(names.of_rejects.iter().map(|name| (&apart, name))) {
            if name.starts_with(&self.state.topic) && name.ends_with(OPEN) {
                disk::remove(&folder.join(name))?;
                continue;
            }
            let Some((partition, segment, part)) = parse_finished(&self.state.topic, name) else { continue };
            let found = finished.entry((partition, segment)).or_default();
            // Neither rows among the rejects nor rejects in both folders were put there by a sink.
            let fits = match part {
                Part::Rows => folder == &self.path,
                Part::Rejects => found.rejects.is_none(),
            };
            if !fits {
                return Err(self.foreign_file(folder, partition, segment, part));
            }
            match part {
                Part::Rows => found.rows = true,
                Part::Rejects => found.rejects = Some(folder.clone()),
            }
        }
        Ok(finished)
    }

    fn foreign_file(&self, folder: &Path, partition: usize, segment: Segment, part: Part) -> Error {
        let name = segment::finished_name(&self.state.topic, partition, segment, part);
        Error::Refused {
            what: format!("`{}` does not fit what is in its directory", folder.join(name).display()),
            remedy: "it was put there by somebody else: move it away".into(),
        }
    }
}

/// Which of a segment's files have finished.
#[derive(Default)]
struct Found {
    rows: bool,
    /// The folder that the rejects stand in.
    rejects: Option<PathBuf>,
}

/// What is in the two folders.
struct Names {
    of_rows: Vec<String>,
    of_rejects: Vec<String>,
}

impl Names {
    fn list(path: &Path) -> Result<Names> {
        let (of_rows, apart) = (list(path)?, folder(path, Part::Rejects));
        let of_rejects = match of_rows.iter().any(|name| name == REJECTS) {
            true if !apart.is_dir() => {
                return Err(Error::Refused {
                    what: format!("`{}` is not a folder, and the rejects go into one there", apart.display()),
                    remedy: "move it away".into(),
                });
            }
            true => list(&apart)?,
            false => Vec::new(),
        };
        Ok(Names { of_rows, of_rejects })
    }
}

fn list(path: &Path) -> Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        names.collect()
    };
    read().map_err(|cause| storage("list", path, cause))
}

fn read_state(path: &Path) -> Result<Option<State>> {
    let file = path.join(STATE);
    let bytes = match fs::read(&file) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|cause| storage("read", &file, cause))?,
    };
    let refused = |what: String| Error::Refused {
        what,
        remedy: "restore it, or start the sink in another directory".into(),
    };
    let damaged = |error: serde_json::Error| refused(format!("`{}` is damaged: {error}", file.display()));
    // First of all: a later version may have other fields.
    let Version { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if !(1..=FORMAT).contains(&format) {
        return Err(refused(format!(
            "`{}` has format version {format}, and this program reads version {FORMAT}",
            file.display(),
        )));
    }
    let state: State = serde_json::from_slice(&bytes).map_err(damaged)?;
    if state.until.as_ref().is_some_and(|until| until.len() != state.positions.len()) {
        return Err(refused(format!("`{}` is damaged: not every partition has an end", file.display())));
    }
    Ok(Some(state))
}

fn check_identity(path: &Path, asked: &State, found: &State) -> Result<()> {
    let pairs = [
        ("sink", &asked.sink, &found.sink),
        ("topic", &asked.topic, &found.topic),
        ("log", &asked.log, &found.log),
        ("segment-records", &asked.segment_records.to_string(), &found.segment_records.to_string()),
    ];
    match pairs.into_iter().find(|(_, asked, found)| asked != found) {
        None => Ok(()),
        Some((what, asked, found)) => Err(Error::Refused {
            what: format!("`{}` belongs to {what} `{found}`, not to `{asked}`", path.display()),
            remedy:
                "name another directory, or go on with what it was started with (a log that was made anew in \
                     the same place is another log)"
                    .into(),
        }),
    }
}

fn check_empty(path: &Path, names: &[String]) -> Result<()> {
    let ours = |name: &&String| *name != LOCK && !name.starts_with("sink.new");
    match names.iter().find(ours) {
        None => Ok(()),
        Some(name) => Err(Error::Refused {
            what: format!("`{}` is no sink's directory, and there is `{name}` in it", path.display()),
            remedy: "name a new or an empty directory".into(),
        }),
    }
}
