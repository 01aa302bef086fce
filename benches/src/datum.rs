//! Results as they stand in topics, decoded by hand: the check shares no decoder with the engine, and no number hides an error of both.

use anyhow::{Context, Result, bail};

use crate::results::{Found, infraction, total};
use crate::work::{Job, Work};

/// Magic byte and schema id of Confluent's wire format.
const HEADER_BYTES: usize = 5;

/// Who wrote a result: what its bytes mean depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Framed Avro by the schemas of `schemas/avro`.
    Avro,
    /// A peer's, as the contract with them says: three big-endian numbers, or a line of text.
    Plain,
}

/// Decodes one result; what cannot be understood is a stray.
pub(crate) fn decode(work: &Work, form: Form, key: &[u8], value: &[u8]) -> Found {
    let found = match (form, work.job) {
        (Form::Avro, Job::Totals) => avro_total(value),
        (Form::Avro, Job::Speeding) => avro_infraction(work, value),
        (Form::Plain, Job::Totals) => plain_total(key, value),
        (Form::Plain, Job::Speeding) => plain_infraction(work, key, value),
    };
    found.unwrap_or(Found::Stray)
}

fn avro_total(value: &[u8]) -> Result<Found> {
    let mut datum = Datum::framed(value)?;
    let customer = datum.text()?;
    let _currency = datum.text()?;
    let (start, _end) = (datum.long()?, datum.long()?);
    let (count, amount) = (datum.long()?, datum.long()?);
    datum.end()?;
    Ok(total(start, customer, count, amount))
}

fn avro_infraction(work: &Work, value: &[u8]) -> Result<Found> {
    let mut datum = Datum::framed(value)?;
    let (_id, _radar) = (datum.text()?, datum.text()?);
    let (plate, owner, measured_at) = (datum.text()?, datum.text()?, datum.long()?);
    Ok(infraction(work, plate, measured_at, owner))
}

fn plain_total(key: &[u8], value: &[u8]) -> Result<Found> {
    let numbers: &[u8; 24] = value.try_into().context("not 24 bytes")?;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&numbers[at..at + 8]);
        i64::from_be_bytes(bytes)
    };
    Ok(total(number(0), std::str::from_utf8(key)?, number(8), number(16)))
}

/// `radar_id|measured_at|owner_id|speed|limit`
fn plain_infraction(work: &Work, key: &[u8], value: &[u8]) -> Result<Found> {
    let parts: Vec<&str> = std::str::from_utf8(value)?.split('|').collect();
    let [_radar, measured_at, owner, _speed, _limit] = parts.as_slice() else { bail!("not five parts") };
    Ok(infraction(work, std::str::from_utf8(key)?, measured_at.parse()?, owner))
}

/// The rest of a datum.
struct Datum<'d>(&'d [u8]);

impl<'d> Datum<'d> {
    fn framed(value: &'d [u8]) -> Result<Datum<'d>> {
        let (header, datum) = value.split_at_checked(HEADER_BYTES).context("shorter than a header")?;
        if header[0] != 0 {
            bail!("not framed");
        }
        Ok(Datum(datum))
    }

    /// A zigzag varint.
    fn long(&mut self) -> Result<i64> {
        let mut raw = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().context("cut short")?;
            self.0 = rest;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        bail!("a number without an end")
    }

    fn text(&mut self) -> Result<&'d str> {
        let length = usize::try_from(self.long()?)?;
        let (text, rest) = self.0.split_at_checked(length).context("cut short")?;
        self.0 = rest;
        Ok(std::str::from_utf8(text)?)
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { bail!("{} bytes too many", self.0.len()) }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::avro::Encoder;
    use tidegate_runtime::log::SchemaId;
    use tidegate_schemas::CustomerTotal;
    use tidegate_schemas::topics::CUSTOMER_TOTALS;

    use super::*;
    use crate::input::START_MS;

    const WORK: Work = Work { job: Job::Totals, records: 10, keys: 10, partitions: 1 };
    const FOUND: Found = Found::Total { window: 2, customer: 7, count: 3, amount: -450 };

    #[test]
    fn a_total_of_ours_is_read_as_the_engine_writes_it() {
        let encoder = Encoder::new(SchemaId(9), CUSTOMER_TOTALS.schema).unwrap();
        let mut value = Vec::new();
        let written = CustomerTotal {
            customer_id: "C000007".to_owned(),
            currency: "EUR".to_owned(),
            window_start: START_MS + 10_000,
            window_end: START_MS + 15_000,
            count: 3,
            amount_minor: -450,
        };
        encoder.encode(&written, &mut value).unwrap();
        assert_eq!(decode(&WORK, Form::Avro, b"C000007", &value), FOUND);
        value.push(0);
        assert_eq!(decode(&WORK, Form::Avro, b"C000007", &value), Found::Stray, "a byte too many");
        assert_eq!(decode(&WORK, Form::Avro, b"C000007", &value[..9]), Found::Stray, "cut short");
        assert_eq!(decode(&WORK, Form::Plain, b"C000007", &value), Found::Stray);
    }

    #[test]
    fn a_peers_total_is_three_numbers() {
        let value = [START_MS + 10_000, 3, -450].map(i64::to_be_bytes).concat();
        assert_eq!(decode(&WORK, Form::Plain, b"C000007", &value), FOUND);
        assert_eq!(decode(&WORK, Form::Plain, b"C000007", &value[1..]), Found::Stray);
        assert_eq!(decode(&WORK, Form::Plain, b"C7", &value), Found::Stray, "no id of ours");
    }

    #[test]
    fn a_peers_infraction_is_a_line() {
        let work = Work { job: Job::Speeding, keys: 1, ..WORK };
        let value = format!("radar-0|{START_MS}|owner-0|70|50");
        let right = Found::Infraction { number: 0, right: true };
        assert_eq!(decode(&work, Form::Plain, b"V-000000", value.as_bytes()), right);
        assert_eq!(decode(&work, Form::Plain, b"V-000000", b"radar-0|x|owner-0|70|50"), Found::Stray);
    }
}
