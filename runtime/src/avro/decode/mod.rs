//! A datum as serde reads it: driven by the plan of its writer's schema, straight from the bytes.
//!
//! Promise: text and bytes are handed out borrowed, so that a twin that borrows allocates nothing; fields the twin has no use for are passed
//! over. What a twin may ask of a type is what Avro's schema resolution promotes it to: int to long, these and float to double, text to
//! bytes and back, a value to an optional one. Everything else is refused by type, never by what the value happens to be.

use apache_avro::Error;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Visitor};

use super::input::{Input, mismatch};
use super::plan::{Node, Record, WideNumber};

mod access;

use access::{Blocks, Choice, Fields, Single, Symbol};

/// The value of `node` that comes next.
pub(super) struct Datum<'p, 'i, 'de> {
    node: &'p Node,
    input: &'i mut Input<'de>,
}

impl<'p, 'i, 'de> Datum<'p, 'i, 'de> {
    #[inline]
    pub(super) fn new(node: &'p Node, input: &'i mut Input<'de>) -> Datum<'p, 'i, 'de> {
        Datum { node, input }
    }

    /// Itself, or the variant of the union it is; a union holds no union.
    #[inline]
    fn settled(self) -> Result<Datum<'p, 'i, 'de>, Error> {
        match self.node {
            Node::Union(union) => {
                let (_, node) = self.input.variant(&union.variants)?;
                Ok(Datum { node, input: self.input })
            }
            _ => Ok(self),
        }
    }

    fn small<V: Visitor<'de>>(self, wanted: &'static str, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Int => visitor.visit_i32(input.int()?),
            _ => Err(mismatch(wanted, "Expected Schema::Int | Schema::Date | Schema::TimeMillis")),
        }
    }

    #[inline]
    fn large<V: Visitor<'de>>(self, wanted: &'static str, visitor: V) -> Result<V::Value, Error> {
        const EXPECTED: &str =
            "Expected Schema::Long | Schema::TimeMicros | Schema::{,Local}Timestamp{Millis,Micros,Nanos}";
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Long => visitor.visit_i64(input.long()?),
            Node::Int => visitor.visit_i64(input.int()?.into()),
            _ => Err(mismatch(wanted, EXPECTED)),
        }
    }

    /// The bytes of a wide number, which apache-avro keeps in a fixed type.
    fn wide<const N: usize>(self, wanted: WideNumber, names: [&'static str; 2]) -> Result<[u8; N], Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Fixed(fixed) if fixed.number == Some(wanted) => input.array(),
            _ => {
                let [name, full] = names;
                Err(mismatch(name, format!("Expected Schema::Fixed(name: \"{full}\", size: {N})")))
            }
        }
    }

    #[inline]
    fn text<V: Visitor<'de>>(self, wanted: &'static str, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Text => visitor.visit_borrowed_str(input.text()?),
            Node::Bytes => visitor.visit_borrowed_bytes(input.bytes()?),
            _ => Err(mismatch(wanted, "Expected Schema::String | Schema::Uuid(String)")),
        }
    }

    #[inline]
    fn binary<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        const EXPECTED: &str = "Expected Schema::Bytes | Schema::Fixed | Schema::BigDecimal | Schema::Decimal | Schema::Uuid(Fixed | Bytes) | Schema::Duration";
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Bytes => visitor.visit_borrowed_bytes(input.bytes()?),
            Node::Text => visitor.visit_borrowed_bytes(input.text_bytes()?),
            Node::Fixed(fixed) => visitor.visit_borrowed_bytes(input.take(fixed.size)?),
            _ => Err(mismatch("bytes", EXPECTED)),
        }
    }

    /// As a record that `fits`, by its fields in their order.
    fn sequence<V: Visitor<'de>>(
        self,
        wanted: &'static str,
        visitor: V,
        fits: impl Fn(&Record) -> bool,
        expected: impl Fn() -> String,
    ) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Record(record) if fits(record) => visitor.visit_seq(Fields::new(record, input)),
            _ => Err(mismatch(wanted, expected())),
        }
    }

    /// As a record, whatever its name.
    #[inline]
    fn record<V: Visitor<'de>>(
        record: &'p Record,
        input: &'i mut Input<'de>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields::new(record, input))
    }
}

impl<'de> Deserializer<'de> for Datum<'_, '_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Null => visitor.visit_unit(),
            Node::Boolean => visitor.visit_bool(input.flag()?),
            Node::Int => visitor.visit_i32(input.int()?),
            Node::Long => visitor.visit_i64(input.long()?),
            Node::Float => visitor.visit_f32(f32::from_le_bytes(input.array()?)),
            Node::Double => visitor.visit_f64(f64::from_le_bytes(input.array()?)),
            Node::Bytes => visitor.visit_borrowed_bytes(input.bytes()?),
            Node::Text => visitor.visit_borrowed_str(input.text()?),
            Node::Fixed(fixed) => visitor.visit_borrowed_bytes(input.take(fixed.size)?),
            Node::Enum(symbols) => visitor.visit_enum(Symbol::new(symbols, input)),
            Node::Array(items) => visitor.visit_seq(Blocks::new(items, input)?),
            Node::Map(values) => visitor.visit_map(Blocks::new(values, input)?),
            Node::Union(_) => Datum { node, input }.deserialize_any(visitor),
            Node::Record(record) if record.tuple => visitor.visit_seq(Fields::new(record, input)),
            Node::Record(record) => Self::record(record, input, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Boolean => visitor.visit_bool(input.flag()?),
            _ => Err(mismatch("bool", "Expected Schema::Boolean")),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.small("i8", visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.small("i16", visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.small("i32", visitor)
    }

    #[inline]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.large("i64", visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.wide(WideNumber::I128, ["i128", "org.apache.avro.rust.i128"])?;
        visitor.visit_i128(i128::from_le_bytes(bytes))
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.small("u8", visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.small("u16", visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.large("u32", visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.wide(WideNumber::U64, ["u64", "org.apache.avro.rust.u64"])?;
        visitor.visit_u64(u64::from_le_bytes(bytes))
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.wide(WideNumber::U128, ["u128", "org.apache.avro.rust.u128"])?;
        visitor.visit_u128(u128::from_le_bytes(bytes))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Float => visitor.visit_f32(f32::from_le_bytes(input.array()?)),
            Node::Int => visitor.visit_i32(input.int()?),
            Node::Long => visitor.visit_i64(input.long()?),
            _ => Err(mismatch("f32", "Expected Schema::Float")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Double => visitor.visit_f64(f64::from_le_bytes(input.array()?)),
            Node::Float => visitor.visit_f32(f32::from_le_bytes(input.array()?)),
            Node::Int => visitor.visit_i32(input.int()?),
            Node::Long => visitor.visit_i64(input.long()?),
            _ => Err(mismatch("f64", "Expected Schema::Double")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text("char", visitor)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text("string", visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text("string", visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.binary(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.binary(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::Union(union) if union.optional().is_none() => {
                Err(mismatch("option", "Expected Schema::Union([Schema::Null, _])"))
            }
            _ => match self.settled()? {
                Datum { node: Node::Null, .. } => visitor.visit_none(),
                some => visitor.visit_some(some),
            },
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.settled()?.node {
            Node::Null => visitor.visit_unit(),
            _ => Err(mismatch("unit", "Expected Schema::Null")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.settled()?.node {
            Node::Record(record) if record.fields.is_empty() && record.name == name => visitor.visit_unit(),
            _ => {
                let expected = format!("Expected Schema::Record(name: {name}, fields.len() == 0)");
                Err(mismatch("unit struct", expected))
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Record(record) if record.fields.len() == 1 && record.name == name => {
                visitor.visit_newtype_struct(Datum { node: &record.fields[0].node, input })
            }
            _ => {
                let expected = format!("Expected Schema::Record(name: {name}, fields.len() == 1)");
                Err(mismatch("newtype struct", expected))
            }
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Array(items) => visitor.visit_seq(Blocks::new(items, input)?),
            _ => Err(mismatch("seq", "Expected Schema::Array")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match (len, self.node) {
            (0, Node::Null) => visitor.visit_unit(),
            // A tuple of one is what stands in it.
            (1, _) => visitor.visit_seq(Single::new(self)),
            _ => self.sequence(
                "tuple",
                visitor,
                |record| record.fields.len() == len,
                || format!("Expected Schema::Record(fields.len() == {len}) for {len}-tuple"),
            ),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.sequence(
            "tuple struct",
            visitor,
            |record| record.fields.len() == len && record.name == name,
            || format!("Expected Schema::Record(name: {name}, fields.len() == {len})"),
        )
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Map(values) => visitor.visit_map(Blocks::new(values, input)?),
            // A twin with flattened fields asks for a map.
            Node::Record(record) => Self::record(record, input, visitor),
            _ => Err(mismatch("map", "Expected Schema::Map")),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Datum { node, input } = self.settled()?;
        match node {
            Node::Record(record) if record.name == name => Self::record(record, input, visitor),
            _ => Err(mismatch("struct", format!("Expected Schema::Record(name: {name})"))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node {
            Node::Enum(symbols) => visitor.visit_enum(Symbol::new(symbols, self.input)),
            Node::Union(union) => visitor.visit_enum(Choice::new(union, self.input)),
            _ => Err(mismatch("enum", "Expected Schema::Enum | Schema::Union")),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::Text => visitor.visit_borrowed_str(self.input.text()?),
            _ => Err(mismatch("identifier", "Expected Schema::String")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.input.skip(self.node)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A name the schema gives: a field's or a symbol.
fn name<'n>(name: &'n str) -> StrDeserializer<'n, Error> {
    StrDeserializer::new(name)
}
