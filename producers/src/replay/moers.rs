//! `replay radars`: one radar's file, every vehicle, no plates.
//!
//! A line is `dd.mm.yy hh:mm:ss;00;speed km/h;length m;direction`, ended by CRLF or LF, in the local time of Europe/Berlin. The
//! plate of row `n` is a function of the seed and `n`, and so is everything registered; the radar's counter is the row.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use tidegate_runtime::time::EventTime;
use tidegate_schemas::validity::Why;
use tidegate_schemas::{RadarEvent, RadarEventKind, RadarKind, Reading, ReadingFields};

use super::zone::Zone;
use super::{Misfit, ReplayError, open, unreadable};
use crate::fleet::{Fleet, PLATES, plate};
use crate::options::OptionError;
use crate::produced::Produced;
use crate::random::{Dice, Purpose};

const RADAR_ID: &str = "moers-roemerstrasse";
const PLACE: &str = "Römerstraße, Moers";
const SPEED_LIMIT_KMH: i32 = 30;
const ZONE: &str = "Europe/Berlin";

/// What a replay of radar readings has handed out so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoersSummary {
    /// Registrations of the radar, vehicles and owners.
    pub registrations: u64,
    /// Readings: a line each.
    pub readings: u64,
    /// Of them, measured above the radar's limit of 30 km/h.
    pub over_limit: u64,
    /// Of them, at an hour that the clock showed twice; the first one was taken.
    pub ambiguous_times: u64,
}

/// The registrations, then the readings of a file, in its order.
pub struct MoersReplay {
    file: PathBuf,
    lines: Box<dyn BufRead + Send>,
    line: String,
    row: u64,
    zone: Zone,
    fleet: Fleet,
    /// The first reading: read ahead, because registrations are made valid before it.
    first: Option<(Reading, bool)>,
    registrations: Box<dyn Iterator<Item = Produced> + Send>,
    failed: bool,
    summary: MoersSummary,
}

/// Replays the radar file `file`; plates of `vehicles` vehicles (5 000 make a plausible street) are drawn by `seed`.
///
/// # Errors
/// If the file cannot be opened, its first line is no reading, or `vehicles` is out of bounds.
pub fn replay_radars(file: &Path, seed: u64, vehicles: u32) -> Result<MoersReplay, ReplayError> {
    if vehicles == 0 || vehicles > PLATES {
        return Err(OptionError::new("keys", vehicles, "give from 1 to 279561159 vehicles").into());
    }
    let missing = "update tidegate: its time zones are compiled in";
    let zone = Zone::named(ZONE).ok_or_else(|| OptionError::new("zone", ZONE, missing))?;
    let mut replay = MoersReplay {
        file: file.to_owned(),
        lines: open(file)?,
        line: String::new(),
        row: 0,
        zone,
        fleet: Fleet { seed, vehicles, start_ms: 0 },
        first: None,
        registrations: Box::new(std::iter::empty()),
        failed: false,
        summary: MoersSummary::default(),
    };
    replay.first = replay.read()?;
    if let Some((first, _)) = &replay.first {
        replay.fleet.start_ms = first.measured_at;
        let radar = Produced::of(radar(replay.fleet.registered_ms()));
        replay.registrations = Box::new(std::iter::once(radar).chain(replay.fleet.registrations()));
    }
    Ok(replay)
}

impl MoersReplay {
    /// What has been handed out so far.
    #[must_use]
    pub fn summary(&self) -> &MoersSummary {
        &self.summary
    }

    /// The next reading and whether its time is ambiguous.
    fn read(&mut self) -> Result<Option<(Reading, bool)>, ReplayError> {
        self.line.clear();
        self.lines.read_line(&mut self.line).map_err(|cause| unreadable(&self.file, cause))?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.row += 1;
        self.parse().map(Some).map_err(|misfit| misfit.at(&self.file, self.row))
    }

    fn parse(&self) -> Result<(Reading, bool), Misfit> {
        let line = self.line.trim_end();
        let fields: Vec<_> = line.split(';').collect();
        let [time, hundredths, speed, length, direction] = fields[..] else {
            return Err(Misfit::new("the line", line, "expected time;00;speed;length;direction"));
        };
        let unread = || {
            Misfit::new("time", time, "expected a time as `24.10.16 08:37:29` that Berlin's clocks showed")
        };
        let moment = self.zone.moment("%d.%m.%y %H:%M:%S", time).ok_or_else(unread)?;
        if hundredths != "00" {
            return Err(Misfit::new(
                "the field after the time",
                hundredths,
                "expected `00`: nothing else is known",
            ));
        }
        number("length", length)?;
        if direction != "0" && direction != "1" {
            return Err(Misfit::new("direction", direction, "expected `0` or `1`"));
        }
        let speed_kmh = number("speed", speed)?;
        let fields = ReadingFields { measured_at: moment.utc_ms, speed_kmh: speed_kmh.into() };
        fields.judge(EventTime::DEFAULT_MAX.0).map_err(|invalid| match invalid.why {
            Why::EventTime(_) => Misfit::new("time", time, "expected a time from 1970 to 2099"),
            Why::Key(_) | Why::Rule(_) => Misfit::new("speed", speed, "expected at most 400 km/h"),
        })?;
        // The fleet's registrations begin a year before the first reading; a row before that would never be judged.
        if self.row > 1 && moment.utc_ms < self.fleet.registered_ms() {
            return Err(Misfit::new("time", time, "expected no time a year before the first line's"));
        }
        let vehicle = Dice::new(self.fleet.seed, Purpose::ReplayedPlate, self.row).below(self.fleet.vehicles);
        let reading = Reading {
            radar_id: RADAR_ID.into(),
            sequence: self.row.cast_signed(),
            plate: plate(self.fleet.seed, vehicle),
            measured_at: moment.utc_ms,
            speed_kmh,
        };
        Ok((reading, moment.ambiguous))
    }

    fn next_reading(&mut self) -> Result<Option<Produced>, ReplayError> {
        let read = match self.first.take() {
            Some(first) => Some(first),
            None => self.read()?,
        };
        Ok(read.map(|(reading, ambiguous)| {
            self.summary.readings += 1;
            self.summary.over_limit += u64::from(reading.speed_kmh > SPEED_LIMIT_KMH);
            self.summary.ambiguous_times += u64::from(ambiguous);
            Produced::of(reading)
        }))
    }
}

impl Iterator for MoersReplay {
    type Item = Result<Produced, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(registration) = self.registrations.next() {
            self.summary.registrations += 1;
            return Some(Ok(registration));
        }
        if self.failed {
            return None;
        }
        let next = self.next_reading();
        self.failed = next.is_err();
        next.transpose()
    }
}

fn radar(valid_from: i64) -> RadarEvent {
    RadarEvent {
        radar_id: RADAR_ID.into(),
        kind: RadarEventKind::Installed,
        radar_kind: RadarKind::Fixed,
        speed_limit_kmh: SPEED_LIMIT_KMH,
        place: PLACE.into(),
        valid_from,
    }
}

fn number(field: &'static str, text: &str) -> Result<i32, Misfit> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| Misfit::new(field, text, "expected a whole number"))
}
