//! The bytes of a datum, read from the front.
//!
//! Promise: nothing is allocated, no declared length is believed before the bytes are there, and passing over a value finds the same faults as
//! building it: a datum is good or bad whatever its reader has a use for.

use std::io::ErrorKind;

use apache_avro::error::Details;
use apache_avro::{Error, Schema};

use super::MAX_ALLOCATION_BYTES;
use super::plan::Node;

/// A number of 64 bits takes at most ten bytes of seven.
const MAX_NUMBER_BYTES: usize = 10;

/// What is left of a datum.
pub(super) struct Input<'de> {
    rest: &'de [u8],
}

impl<'de> Input<'de> {
    pub(super) fn new(datum: &'de [u8]) -> Input<'de> {
        Input { rest: datum }
    }

    pub(super) fn rest(&self) -> &'de [u8] {
        self.rest
    }

    /// A zigzag number. Bits beyond the 64th are dropped, as by apache-avro.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Error> {
        // Most numbers are lengths and small.
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        let mut raw = 0_u64;
        for (at, byte) in self.rest.iter().take(MAX_NUMBER_BYTES).enumerate() {
            raw |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(if self.rest.len() < MAX_NUMBER_BYTES { ends_early() } else { Details::IntegerOverflow.into() })
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, Error> {
        let long = self.long()?;
        i32::try_from(long).map_err(|error| Details::ZagI32(error, long).into())
    }

    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => Err(mismatch("bool", format!("{byte} is not a valid boolean"))),
        }
    }

    /// `count` bytes.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'de [u8], Error> {
        let declared = self.long()?;
        let length =
            usize::try_from(declared).map_err(|error| Details::ConvertI64ToUsize(error, declared))?;
        if length > MAX_ALLOCATION_BYTES {
            let (desired, maximum) = (Some(length), MAX_ALLOCATION_BYTES);
            return Err(Details::MemoryAllocation { desired, maximum }.into());
        }
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'de str, Error> {
        checked(self.bytes()?)
    }

    /// Text as its bytes, to be passed over or compared: checked all the same, and in less time where it is ASCII, as ids and codes are.
    #[inline]
    pub(super) fn text_bytes(&mut self) -> Result<&'de [u8], Error> {
        let bytes = self.bytes()?;
        if bytes.is_ascii() { Ok(bytes) } else { checked(bytes).map(str::as_bytes) }
    }

    /// The variant of a union that comes next, behind its number.
    pub(super) fn variant<'p>(&mut self, variants: &'p [Node]) -> Result<(u32, &'p Node), Error> {
        let given = self.int()?;
        let index = u32::try_from(given).map_err(|error| Details::ConvertI32ToUsize(error, given))?;
        let outside = || Details::GetUnionVariant { index: given.into(), num_variants: variants.len() };
        variants.get(index as usize).map(|node| (index, node)).ok_or_else(|| outside().into())
    }

    /// The symbol of an enum that comes next.
    pub(super) fn symbol<'p>(&mut self, symbols: &'p [String]) -> Result<&'p str, Error> {
        let given = self.int()?;
        let index = usize::try_from(given).map_err(|error| Details::ConvertI32ToUsize(error, given))?;
        let outside = || Details::EnumSymbolIndex { index, num_variants: symbols.len() };
        symbols.get(index).map(String::as_str).ok_or_else(|| outside().into())
    }

    /// How many elements the next block of an array or map has; none behind the last. A block's size in bytes is not used: one that lies
    /// would lead to other values than reading the elements does.
    pub(super) fn block(&mut self) -> Result<u64, Error> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }

    /// Passes over a value of `node`.
    pub(super) fn skip(&mut self, node: &Node) -> Result<(), Error> {
        match node {
            Node::Null => {}
            Node::Boolean => drop(self.flag()?),
            Node::Int => drop(self.int()?),
            Node::Long => drop(self.long()?),
            Node::Float => drop(self.array::<4>()?),
            Node::Double => drop(self.array::<8>()?),
            Node::Bytes => drop(self.bytes()?),
            Node::Text => drop(self.text_bytes()?),
            Node::Fixed(fixed) => drop(self.take(fixed.size)?),
            Node::Enum(symbols) => drop(self.symbol(&symbols.symbols)?),
            Node::Array(items) => self.skip_blocks(|input| input.skip(items))?,
            Node::Map(values) => self.skip_blocks(|input| {
                input.text_bytes()?;
                input.skip(values)
            })?,
            Node::Union(union) => {
                let (_, variant) = self.variant(&union.variants)?;
                self.skip(variant)?;
            }
            Node::Record(record) => record.fields.iter().try_for_each(|field| self.skip(&field.node))?,
        }
        Ok(())
    }

    fn skip_blocks(&mut self, skip: impl Fn(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                skip(self)?;
            }
        }
    }
}

#[inline]
fn checked(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Details::ConvertToUtf8Error(error).into())
}

#[cold]
fn ends_early() -> Error {
    Details::ReadBytes(ErrorKind::UnexpectedEof.into()).into()
}

/// The writer's schema has something here that a reader of `wanted` cannot take. The error's own schema is left open: it is never shown.
#[cold]
pub(super) fn mismatch(wanted: &'static str, message: impl Into<String>) -> Error {
    Details::DeserializeSchemaAware { value_type: wanted, value: message.into(), schema: Schema::Null }.into()
}
