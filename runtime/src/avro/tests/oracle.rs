//! apache-avro as the oracle: whatever the schema and the bytes, ours says what it says, to the word.

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::super::codec::{Codec, interned};
use super::shape::{Shape, Value, any_datum, schema_of};
use super::twin::{Read, Written};
use super::*;

fn codec(shape: &Shape) -> &'static Codec {
    let text = schema_of(shape);
    interned(&text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// The bytes apache-avro writes, arrays and maps in blocks of `block` bytes with their sizes before them, or in one without.
fn written(shape: &Shape, value: &Value, block: Option<usize>) -> Vec<u8> {
    let schema = Schema::parse_str(&schema_of(shape)).unwrap();
    let writer = GenericDatumWriter::builder(&schema).maybe_target_block_size(block).build().unwrap();
    writer.write_ser_to_vec(&Written { shape, value, counted: true }).unwrap()
}

fn said<T>(codec: &Codec, read: Result<T, apache_avro::Error>) -> Result<T, String> {
    read.map_err(|error| undecodable(SchemaId(1), codec, &error).message)
}

/// What is read and how many bytes are left, or what the fault is.
type Outcome<T> = Result<(T, usize), String>;

fn ours<'d, T: Deserialize<'d>>(codec: &'d Codec, datum: &'d [u8]) -> Outcome<T> {
    let mut input = Input::new(datum);
    let read = said(codec, T::deserialize(Datum::new(&codec.plan, &mut input)))?;
    Ok((read, input.rest().len()))
}

fn theirs(codec: &Codec, mut datum: &[u8]) -> Outcome<Read> {
    let read = said(codec, codec.reader.read_deser(&mut datum))?;
    Ok((read, datum.len()))
}

/// Both agree on `datum`, asked for by type and asked for anything, and so does who has no use for it.
fn agree(codec: &'static Codec, shape: &Shape, datum: &[u8]) -> Result<(), TestCaseError> {
    for wanted in [Some(shape), None] {
        let (ours, theirs) = Read::wanting(wanted, || (ours::<Read>(codec, datum), theirs(codec, datum)));
        prop_assert_eq!(&ours, &theirs, "{:?} of {}", datum, schema_of(shape));
    }
    let anything = Read::wanting(None, || ours::<Read>(codec, datum)).map(|(_, left)| left);
    prop_assert_eq!(ours::<IgnoredAny>(codec, datum).map(|(_, left)| left), anything);
    Ok(())
}

fn any_block() -> impl Strategy<Value = Option<usize>> {
    prop::option::of(1_usize..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_apache_avro_writes_is_read_as_it_reads_it((shape, value) in any_datum(), block in any_block()) {
        let codec = codec(&shape);
        let datum = written(&shape, &value, block);
        agree(codec, &shape, &datum)?;
        prop_assert_eq!(ours::<IgnoredAny>(codec, &datum).map(|(_, left)| left), Ok(0));
    }

    #[test]
    fn every_truncation_is_what_apache_avro_says((shape, value) in any_datum(), block in any_block()) {
        let codec = codec(&shape);
        let datum = written(&shape, &value, block);
        for kept in 0..datum.len() {
            agree(codec, &shape, &datum[..kept])?;
            prop_assert!(ours::<IgnoredAny>(codec, &datum[..kept]).is_err());
        }
    }

    #[test]
    fn damaged_bytes_are_what_apache_avro_says(
        (shape, value) in any_datum(),
        block in any_block(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let codec = codec(&shape);
        let mut datum = written(&shape, &value, block);
        for (at, byte, insert) in damage {
            match insert {
                true => datum.insert(at.index(datum.len() + 1), byte),
                false if datum.is_empty() => {}
                false => {
                    let at = at.index(datum.len());
                    datum[at] = byte;
                }
            }
            agree(codec, &shape, &datum)?;
        }
    }

    #[test]
    fn any_bytes_are_what_apache_avro_says(
        (shape, _) in any_datum(),
        datum in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        agree(codec(&shape), &shape, &datum)?;
    }
}
