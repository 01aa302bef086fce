//! `replay radars`: one radar's file, every vehicle, no plates.
//!
//! A line is `dd.mm.yy hh:mm:ss;00;speed km/h;length m;direction`, ended by CRLF or LF, in the local time of the radar's zone. The
//! plate of row `n` is a function of the seed and `n`, and so is everything registered; the radar's counter is the row.

use std::path::{Path, PathBuf};

use tidegate_runtime::time::EventTime;
use tidegate_schemas::MAX_SPEED_KMH;
use tidegate_schemas::validity::Why;
use tidegate_schemas::{RadarEvent, RadarEventKind, RadarKind, Reading, ReadingFields};

use super::lines::{Lines, ReplayBounds};
use super::zone::Zone;
use super::{Expected, Misfit, ReplayError, TakeBad, sift};
use crate::fleet::{Fleet, PLATES, plate};
use crate::options::OptionError;
use crate::produced::Produced;
use crate::random::{Dice, Purpose};

/// Where the file's readings are from that this format is known by.
const PLACE: &str = "Römerstraße, Moers";

/// What a radar's file does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadarFile {
    /// The radar's id.
    pub radar_id: String,
    /// The limit it enforces.
    pub speed_limit_kmh: i32,
    /// The time zone whose clock wrote the times, by its name in the IANA database.
    pub zone: String,
    /// Draws the plates.
    pub seed: u64,
    /// How many vehicles the plates are drawn from: 5 000 make a plausible street.
    pub vehicles: u32,
}

impl Default for RadarFile {
    fn default() -> RadarFile {
        RadarFile {
            radar_id: "moers-roemerstrasse".to_owned(),
            speed_limit_kmh: 30,
            zone: "Europe/Berlin".to_owned(),
            seed: 1,
            vehicles: 5_000,
        }
    }
}

impl RadarFile {
    /// Where the radar stands: known of one only, any other is named by its id.
    #[must_use]
    pub fn place(&self) -> &str {
        if self.radar_id == RadarFile::default().radar_id { PLACE } else { &self.radar_id }
    }

    fn check(&self) -> Result<Zone, ReplayError> {
        if self.vehicles == 0 || self.vehicles > PLATES {
            return Err(OptionError::new("keys", self.vehicles, "give from 1 to 279561159 vehicles").into());
        }
        if self.radar_id.is_empty() || self.radar_id.len() > MAX_RADAR_ID_BYTES {
            return Err(OptionError::new("radar", &self.radar_id, "give a name of 1 to 200 bytes").into());
        }
        if !(1..=MAX_SPEED_KMH).contains(&self.speed_limit_kmh) {
            return Err(OptionError::new("limit", self.speed_limit_kmh, "give from 1 to 400 km/h").into());
        }
        let unknown = "give a name of the IANA database, such as `Europe/Berlin` or `UTC`";
        Zone::named(&self.zone).ok_or_else(|| OptionError::new("zone", &self.zone, unknown).into())
    }
}

const MAX_RADAR_ID_BYTES: usize = 200;

/// What a replay of radar readings has handed out so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoersSummary {
    /// Registrations of the radar, vehicles and owners.
    pub registrations: u64,
    /// Readings: a line each.
    pub readings: u64,
    /// Of them, measured above the radar's limit.
    pub over_limit: u64,
    /// Of them, at an hour that the clock showed twice; the first one was taken.
    pub ambiguous_times: u64,
}

/// The registrations, then the readings of a file, in its order.
pub struct MoersReplay {
    readings: Readings,
    expected: Expected,
    readings_left: u64,
    registrations: Box<dyn Iterator<Item = Produced> + Send>,
    failed: bool,
    summary: MoersSummary,
}

/// The readings of a file.
struct Readings {
    file: PathBuf,
    lines: Lines,
    options: RadarFile,
    zone: Zone,
    /// Begins with the first reading.
    fleet: Fleet,
}

/// Replays the radar file `file`. The whole file is checked first: each line that is no reading is handed to `bad`.
///
/// # Errors
/// If the file cannot be read to its end, `bad` ends it, or an option is out of bounds.
pub fn replay_radars(
    file: &Path,
    options: RadarFile,
    bounds: ReplayBounds,
    bad: TakeBad<'_>,
) -> Result<MoersReplay, ReplayError> {
    let zone = options.check()?;
    let fleet = Fleet { seed: options.seed, vehicles: options.vehicles, start_ms: i64::MAX };
    let lines = Lines::open(file, bounds)?;
    let mut readings = Readings { file: file.to_owned(), lines, options, zone, fleet };
    let (mut bad_left, mut readings_left) = (0, 0);
    let mut count_bad = |error| {
        bad_left += 1;
        bad(error)
    };
    while readings.read(&mut count_bad)?.is_some() {
        readings_left += 1;
    }
    let mut registrations: Box<dyn Iterator<Item = Produced> + Send> = Box::new(std::iter::empty());
    if readings_left > 0 {
        // Valid before the first reading.
        let radar = Produced::of(radar(&readings.options, readings.fleet.registered_ms()));
        registrations = Box::new(std::iter::once(radar).chain(readings.fleet.registrations()));
    }
    readings.lines = Lines::open(file, bounds)?;
    let expected = Expected { bad_left };
    let summary = MoersSummary::default();
    Ok(MoersReplay { readings, expected, readings_left, registrations, failed: false, summary })
}

impl MoersReplay {
    /// What has been handed out so far.
    #[must_use]
    pub fn summary(&self) -> &MoersSummary {
        &self.summary
    }

    fn next_reading(&mut self) -> Result<Option<Produced>, ReplayError> {
        let MoersReplay { readings, expected, .. } = self;
        let file = readings.file.clone();
        let read = readings.read(&mut |_| expected.take(&file))?;
        let Some((reading, ambiguous)) = read else {
            self.expected.end(&file)?;
            return if self.readings_left == 0 { Ok(None) } else { Err(ReplayError::Changed { file }) };
        };
        self.readings_left = self.readings_left.checked_sub(1).ok_or(ReplayError::Changed { file })?;
        self.summary.readings += 1;
        self.summary.over_limit += u64::from(reading.speed_kmh > self.readings.options.speed_limit_kmh);
        self.summary.ambiguous_times += u64::from(ambiguous);
        Ok(Some(Produced::of(reading)))
    }
}

impl Readings {
    /// The next reading and whether its time is ambiguous.
    fn read(&mut self, bad: TakeBad<'_>) -> Result<Option<(Reading, bool)>, ReplayError> {
        loop {
            match self.lines.advance() {
                Ok(false) => return Ok(None),
                Ok(true) => {}
                Err(error) => {
                    sift(Err::<(), _>(error), bad)?;
                    continue;
                }
            }
            let parsed = self.parse();
            let text = self.lines.text();
            let parsed = parsed.map_err(|misfit| misfit.at(&self.file, self.lines.number(), text));
            if let Some(reading) = sift(parsed, bad)? {
                if self.fleet.start_ms == i64::MAX {
                    self.fleet.start_ms = reading.0.measured_at;
                }
                return Ok(Some(reading));
            }
        }
    }

    fn parse(&self) -> Result<(Reading, bool), Misfit> {
        let text = self.lines.text();
        let not_text = |_| Misfit::new("the line", text, "expected text in UTF-8");
        let line = std::str::from_utf8(text).map_err(not_text)?.trim_end();
        let fields: Vec<_> = line.split(';').collect();
        let [time, hundredths, speed, length, direction] = fields[..] else {
            return Err(Misfit::new("the line", line, "expected time;00;speed;length;direction"));
        };
        let unread = || {
            Misfit::new(
                "time",
                time,
                "expected a time as `24.10.16 08:37:29` that the clocks of its zone showed",
            )
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
        if self.fleet.start_ms < i64::MAX && moment.utc_ms < self.fleet.registered_ms() {
            return Err(Misfit::new("time", time, "expected no time a year before the first line's"));
        }
        let row = self.lines.number();
        let vehicle = Dice::new(self.fleet.seed, Purpose::ReplayedPlate, row).below(self.fleet.vehicles);
        let reading = Reading {
            radar_id: self.options.radar_id.clone(),
            sequence: row.cast_signed(),
            plate: plate(self.fleet.seed, vehicle),
            measured_at: moment.utc_ms,
            speed_kmh,
        };
        Ok((reading, moment.ambiguous))
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

fn radar(options: &RadarFile, valid_from: i64) -> RadarEvent {
    RadarEvent {
        radar_id: options.radar_id.clone(),
        kind: RadarEventKind::Installed,
        radar_kind: RadarKind::Fixed,
        speed_limit_kmh: options.speed_limit_kmh,
        place: options.place().to_owned(),
        valid_from,
    }
}

fn number(field: &'static str, text: &str) -> Result<i32, Misfit> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| Misfit::new(field, text, "expected a whole number"))
}
