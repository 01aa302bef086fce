//! A twin as serde writes it: driven by the plan of its schema, straight into the buffer of the record.
//!
//! Promise: the bytes are those apache-avro writes. A twin that does not fit is a [`Misfit`], which says where; what was appended until then is
//! for the caller to cut off.

use serde::ser::{Serialize, Serializer};

use super::number;
use super::plan::{Node, Record, WideNumber};

mod misfit;
mod parts;

pub(super) use misfit::Misfit;
use parts::{Blocks, Entries, Fields, Tuple};

/// The place of a `node` at the end of a datum.
pub(super) struct Place<'p, 'o> {
    node: &'p Node,
    out: &'o mut Vec<u8>,
}

impl<'p, 'o> Place<'p, 'o> {
    #[inline]
    pub(super) fn new(node: &'p Node, out: &'o mut Vec<u8>) -> Place<'p, 'o> {
        Place { node, out }
    }

    /// Itself if it `fits` a `value`, or the first variant of the union it is that does.
    #[inline]
    fn settled(self, value: &str, fits: impl Fn(&Node) -> bool) -> Result<Place<'p, 'o>, Misfit> {
        match self.node {
            Node::Union(union) => match union.variants.iter().position(fits) {
                Some(at) => Ok(self.variant(&union.variants, at)),
                None => Err(Misfit::of(value, self.node)),
            },
            node if fits(node) => Ok(self),
            node => Err(Misfit::of(value, node)),
        }
    }

    /// The variant at `at`, its number written.
    fn variant(self, variants: &'p [Node], at: usize) -> Place<'p, 'o> {
        number::write_index(at, self.out);
        Place { node: &variants[at], out: self.out }
    }

    /// The variant a Rust enum's variant of the same number stands for.
    fn nth(self, value: &str, at: u32, fits: impl Fn(&Node) -> bool) -> Result<Place<'p, 'o>, Misfit> {
        match self.node {
            Node::Union(union) if union.variants.get(at as usize).is_some_and(fits) => {
                Ok(self.variant(&union.variants, at as usize))
            }
            node => Err(Misfit::of(value, node)),
        }
    }

    fn int(self, value: &str, int: i32) -> Result<(), Misfit> {
        let place = self.settled(value, |node| matches!(node, Node::Int))?;
        number::write(int.into(), place.out);
        Ok(())
    }

    #[inline]
    fn long(self, value: &str, long: i64) -> Result<(), Misfit> {
        let place = self.settled(value, |node| matches!(node, Node::Long))?;
        number::write(long, place.out);
        Ok(())
    }

    fn wide(self, value: &str, number: WideNumber, bytes: &[u8]) -> Result<(), Misfit> {
        let fits = |node: &Node| matches!(node, Node::Fixed(fixed) if fixed.number == Some(number));
        self.settled(value, fits)?.out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn text(self, value: &str, text: &str) -> Result<(), Misfit> {
        let place = self.settled(value, |node| matches!(node, Node::Text))?;
        number::write_bytes(text.as_bytes(), place.out);
        Ok(())
    }

    /// The fields of the record it is, if that one `fits`.
    fn record(self, value: &str, fits: impl Fn(&Record) -> bool) -> Result<Fields<'p, 'o>, Misfit> {
        let fits = |node: &Node| matches!(node, Node::Record(record) if fits(record));
        match self.settled(value, fits)? {
            Place { node: Node::Record(record), out } => Ok(Fields::new(record, out)),
            Place { node, .. } => Err(Misfit::of(value, node)),
        }
    }
}

impl<'p, 'o> Serializer for Place<'p, 'o> {
    type Ok = ();
    type Error = Misfit;
    type SerializeSeq = Blocks<'p, 'o>;
    type SerializeTuple = Tuple<'p, 'o>;
    type SerializeTupleStruct = Fields<'p, 'o>;
    type SerializeTupleVariant = Fields<'p, 'o>;
    type SerializeMap = Entries<'p, 'o>;
    type SerializeStruct = Fields<'p, 'o>;
    type SerializeStructVariant = Fields<'p, 'o>;

    fn serialize_bool(self, flag: bool) -> Result<(), Misfit> {
        let place = self.settled("a bool", |node| matches!(node, Node::Boolean))?;
        place.out.push(u8::from(flag));
        Ok(())
    }

    fn serialize_i8(self, int: i8) -> Result<(), Misfit> {
        self.int("an i8", int.into())
    }

    fn serialize_i16(self, int: i16) -> Result<(), Misfit> {
        self.int("an i16", int.into())
    }

    fn serialize_i32(self, int: i32) -> Result<(), Misfit> {
        self.int("an i32", int)
    }

    #[inline]
    fn serialize_i64(self, long: i64) -> Result<(), Misfit> {
        self.long("an i64", long)
    }

    fn serialize_i128(self, wide: i128) -> Result<(), Misfit> {
        self.wide("an i128", WideNumber::I128, &wide.to_le_bytes())
    }

    fn serialize_u8(self, int: u8) -> Result<(), Misfit> {
        self.int("a u8", int.into())
    }

    fn serialize_u16(self, int: u16) -> Result<(), Misfit> {
        self.int("a u16", int.into())
    }

    fn serialize_u32(self, long: u32) -> Result<(), Misfit> {
        self.long("a u32", long.into())
    }

    fn serialize_u64(self, wide: u64) -> Result<(), Misfit> {
        self.wide("a u64", WideNumber::U64, &wide.to_le_bytes())
    }

    fn serialize_u128(self, wide: u128) -> Result<(), Misfit> {
        self.wide("a u128", WideNumber::U128, &wide.to_le_bytes())
    }

    fn serialize_f32(self, float: f32) -> Result<(), Misfit> {
        let place = self.settled("an f32", |node| matches!(node, Node::Float))?;
        place.out.extend_from_slice(&float.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, double: f64) -> Result<(), Misfit> {
        let place = self.settled("an f64", |node| matches!(node, Node::Double))?;
        place.out.extend_from_slice(&double.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, character: char) -> Result<(), Misfit> {
        self.text("a char", character.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Misfit> {
        self.text("a string", text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Misfit> {
        let fits = |node: &Node| match node {
            Node::Bytes => true,
            Node::Fixed(fixed) => fixed.size == bytes.len(),
            _ => false,
        };
        match self.settled("a byte string", fits)? {
            Place { node: Node::Fixed(_), out } => out.extend_from_slice(bytes),
            Place { out, .. } => number::write_bytes(bytes, out),
        }
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Misfit> {
        match self.node {
            Node::Union(union) => match union.optional() {
                Some((null, _)) => {
                    self.variant(&union.variants, null);
                    Ok(())
                }
                None => Err(Misfit::of("no value", self.node)),
            },
            node => Err(Misfit::of("no value", node)),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Misfit> {
        match self.node {
            Node::Union(union) => match union.optional() {
                Some((_, some)) => value.serialize(self.variant(&union.variants, some)),
                None => Err(Misfit::of("an optional value", self.node)),
            },
            node => Err(Misfit::of("an optional value", node)),
        }
    }

    fn serialize_unit(self) -> Result<(), Misfit> {
        self.settled("nothing", |node| matches!(node, Node::Null)).map(drop)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Misfit> {
        self.record(name, |record| record.fields.is_empty() && record.name == name).map(drop)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        variant_index: u32,
        variant: &'static str,
    ) -> Result<(), Misfit> {
        let stands_for_it = |node: &Node| match node {
            Node::Null => true,
            Node::Record(record) => record.fields.is_empty() && record.name == variant,
            _ => false,
        };
        if let Node::Union(union) = self.node
            && union.variants.get(variant_index as usize).is_some_and(stands_for_it)
        {
            self.variant(&union.variants, variant_index as usize);
            return Ok(());
        }
        let in_union = matches!(self.node, Node::Union(_));
        let fits = |node: &Node| matches!(node, Node::Enum(symbols) if !in_union || symbols.name == name);
        let place = self.settled(variant, fits)?;
        let Node::Enum(symbols) = place.node else { return Err(Misfit::of(variant, place.node)) };
        match symbols.index_of(variant_index, variant) {
            Some(at) => number::write_index(at, place.out),
            None => return Err(Misfit::of(variant, place.node)),
        }
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Misfit> {
        let mut fields = self.record(name, |record| record.fields.len() == 1 && record.name == name)?;
        fields.write_next(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        variant_index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Misfit> {
        let Place { node, out } = self.nth(variant, variant_index, |_| true)?;
        let node = match node {
            Node::Record(record) if record.name == variant => node.unwrapped(),
            _ => node,
        };
        value.serialize(Place { node, out })
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Blocks<'p, 'o>, Misfit> {
        match self.settled("a sequence", |node| matches!(node, Node::Array(_)))? {
            Place { node: Node::Array(items), out } => Ok(Blocks::new(items, len, out)),
            Place { node, .. } => Err(Misfit::of("a sequence", node)),
        }
    }

    fn serialize_tuple(self, len: usize) -> Result<Tuple<'p, 'o>, Misfit> {
        match len {
            0 => {
                let fits = |node: &Node| match node {
                    Node::Null => true,
                    Node::Record(record) => record.fields.is_empty(),
                    _ => false,
                };
                self.settled("an empty tuple", fits).map(|_| Tuple::Empty)
            }
            // A tuple of one is what stands in it.
            1 => Ok(Tuple::Single(self)),
            _ => self.record("a tuple", |record| record.fields.len() == len).map(Tuple::Fields),
        }
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Fields<'p, 'o>, Misfit> {
        self.record(name, |record| record.fields.len() == len && record.name == name)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        variant_index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'p, 'o>, Misfit> {
        self.serialize_struct_variant(name, variant_index, variant, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'p, 'o>, Misfit> {
        let in_union = matches!(self.node, Node::Union(_));
        // A twin with flattened fields is written as a map.
        let fits = |node: &Node| match node {
            Node::Map(_) => true,
            Node::Record(record) => !in_union || len == Some(record.fields.len()),
            _ => false,
        };
        match self.settled("a map", fits)? {
            Place { node: Node::Map(values), out } => Ok(Entries::Map(Blocks::new(values, len, out))),
            Place { node: Node::Record(record), out } => Ok(Entries::Record(Fields::new(record, out))),
            Place { node, .. } => Err(Misfit::of("a map", node)),
        }
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Fields<'p, 'o>, Misfit> {
        // Serde's name of a struct is not always its own (in internally tagged enums), so only a union goes by it.
        let in_union = matches!(self.node, Node::Union(_));
        self.record(name, |record| !in_union || record.name == name)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        variant_index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'p, 'o>, Misfit> {
        let fits = |record: &Record| record.fields.len() == len && record.name == variant;
        let place =
            self.nth(variant, variant_index, |node| matches!(node, Node::Record(record) if fits(record)))?;
        place.record(variant, fits)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
