//! The parts of records, arrays, maps and tuples.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::super::input::Input;
use super::super::number;
use super::super::plan::{Node, Record};
use super::{Misfit, Place};

/// What is named or keyed is written as text first.
static KEY: Node = Node::Text;

/// How large a block becomes when nobody says how many elements come: apache-avro's size.
const BLOCK_BYTES: usize = 1024;

/// The fields of a record, by name in any order, or in theirs.
pub(in super::super) struct Fields<'p, 'o> {
    record: &'p Record,
    out: &'o mut Vec<u8>,
    /// The field that is written next.
    next: usize,
    /// Fields that came before their turn.
    early: Vec<(usize, Vec<u8>)>,
    /// The field a map's key named.
    named: Option<usize>,
}

impl<'p, 'o> Fields<'p, 'o> {
    #[inline]
    pub(super) fn new(record: &'p Record, out: &'o mut Vec<u8>) -> Fields<'p, 'o> {
        Fields { record, out, next: 0, early: Vec::new(), named: None }
    }

    #[inline]
    fn position(&self, name: &str) -> Result<usize, Misfit> {
        let fields = &self.record.fields;
        // Twins have their fields in the schema's order, nearly always.
        match fields.get(self.next) {
            Some(field) if field.name == name => Ok(self.next),
            _ => fields.iter().position(|field| field.name == name).ok_or_else(|| self.unknown(name)),
        }
    }

    #[cold]
    fn unknown(&self, name: &str) -> Misfit {
        Misfit::new(format_args!("record `{}` has no field `{name}`", self.record.name))
    }

    /// Writes the field at `at` by `write`, or keeps it until its turn.
    #[inline]
    fn put(
        &mut self,
        at: usize,
        write: impl FnOnce(Place<'p, '_>) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        let field = &self.record.fields[at];
        if at == self.next {
            write(Place::new(&field.node, self.out)).map_err(|misfit| misfit.within(&field.name))?;
            self.next += 1;
            self.write_early();
            return Ok(());
        }
        if at < self.next || self.early.iter().any(|(early, _)| *early == at) {
            return Err(Misfit::new(format_args!("field `{}` comes twice", field.name)));
        }
        let mut bytes = Vec::new();
        write(Place::new(&field.node, &mut bytes)).map_err(|misfit| misfit.within(&field.name))?;
        self.early.push((at, bytes));
        Ok(())
    }

    /// Writes the fields whose turn has come.
    #[inline]
    fn write_early(&mut self) {
        while let Some(found) = self.early.iter().position(|(at, _)| *at == self.next) {
            let (_, bytes) = self.early.swap_remove(found);
            self.out.extend_from_slice(&bytes);
            self.next += 1;
        }
    }

    fn put_default(&mut self, at: usize) -> Result<(), Misfit> {
        let field = &self.record.fields[at];
        let Some(default) = &field.default else {
            let (record, field) = (&self.record.name, &field.name);
            return Err(Misfit::new(format_args!(
                "field `{field}` of `{record}` is missing and has no default"
            )));
        };
        self.put(at, |place| {
            place.out.extend_from_slice(default);
            Ok(())
        })
    }

    /// Writes the field whose turn it is.
    pub(super) fn write_next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        if self.next == self.record.fields.len() {
            return Err(Misfit::new(format_args!("record `{}` has no further field", self.record.name)));
        }
        self.put(self.next, |place| value.serialize(place))
    }

    /// Fills what was skipped with its defaults.
    #[inline]
    fn finish(mut self) -> Result<(), Misfit> {
        while self.next < self.record.fields.len() {
            self.put_default(self.next)?;
        }
        Ok(())
    }

    fn finish_tuple(self) -> Result<(), Misfit> {
        if self.next < self.record.fields.len() {
            let (has, name) = (self.record.fields.len(), &self.record.name);
            let message = format_args!("record `{name}` has `{has}` fields, and `{}` were given", self.next);
            return Err(Misfit::new(message));
        }
        Ok(())
    }
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Misfit> {
        let at = self.position(key)?;
        self.put(at, |place| value.serialize(place))
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Misfit> {
        let at = self.position(key)?;
        self.put_default(at)
    }

    #[inline]
    fn end(self) -> Result<(), Misfit> {
        self.finish()
    }
}

impl SerializeStructVariant for Fields<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Misfit> {
        SerializeStruct::serialize_field(self, key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Misfit> {
        SerializeStruct::skip_field(self, key)
    }

    fn end(self) -> Result<(), Misfit> {
        self.finish()
    }
}

impl SerializeTupleStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        self.write_next(value)
    }

    fn end(self) -> Result<(), Misfit> {
        self.finish_tuple()
    }
}

impl SerializeTupleVariant for Fields<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        self.write_next(value)
    }

    fn end(self) -> Result<(), Misfit> {
        self.finish_tuple()
    }
}

/// The elements of a tuple.
pub(in super::super) enum Tuple<'p, 'o> {
    Empty,
    Single(Place<'p, 'o>),
    Fields(Fields<'p, 'o>),
}

impl SerializeTuple for Tuple<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        match self {
            Tuple::Empty => Err(Misfit::new("an empty tuple has an element")),
            Tuple::Single(place) => value.serialize(Place::new(place.node, place.out)),
            Tuple::Fields(fields) => fields.write_next(value),
        }
    }

    fn end(self) -> Result<(), Misfit> {
        match self {
            Tuple::Empty | Tuple::Single(_) => Ok(()),
            Tuple::Fields(fields) => fields.finish_tuple(),
        }
    }
}

/// The elements of an array, or the entries of a map.
pub(in super::super) struct Blocks<'p, 'o> {
    node: &'p Node,
    out: &'o mut Vec<u8>,
    count: Count,
}

/// How many elements there are.
enum Count {
    /// As announced, and written before them; this many are still to come.
    Known(usize),
    /// Unknown: they are gathered in blocks.
    Gathered { elements: usize, bytes: Vec<u8> },
}

impl<'p, 'o> Blocks<'p, 'o> {
    pub(super) fn new(node: &'p Node, len: Option<usize>, out: &'o mut Vec<u8>) -> Blocks<'p, 'o> {
        let count = match len {
            Some(len) => {
                if len != 0 {
                    number::write_index(len, out);
                }
                Count::Known(len)
            }
            None => Count::Gathered { elements: 0, bytes: Vec::new() },
        };
        Blocks { node, out, count }
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Misfit> {
        let out = match &mut self.count {
            Count::Known(_) => &mut *self.out,
            Count::Gathered { bytes, .. } => bytes,
        };
        key.serialize(Place::new(&KEY, out))
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        match &mut self.count {
            Count::Known(0) => Err(Misfit::new("there are more elements than were announced")),
            Count::Known(left) => {
                *left -= 1;
                value.serialize(Place::new(self.node, self.out))
            }
            Count::Gathered { elements, bytes } => {
                value.serialize(Place::new(self.node, bytes))?;
                *elements += 1;
                if bytes.len() >= BLOCK_BYTES {
                    self.write_block();
                }
                Ok(())
            }
        }
    }

    /// Writes what is gathered: a negative count says that the size in bytes follows.
    fn write_block(&mut self) {
        if let Count::Gathered { elements, bytes } = &mut self.count
            && *elements > 0
        {
            number::write(-(elements.cast_signed() as i64), self.out);
            number::write_bytes(bytes, self.out);
            *elements = 0;
            bytes.clear();
        }
    }

    fn finish(mut self) -> Result<(), Misfit> {
        if let Count::Known(left @ 1..) = self.count {
            return Err(Misfit::new(format_args!("`{left}` elements fewer than announced were given")));
        }
        self.write_block();
        self.out.push(0);
        Ok(())
    }
}

impl SerializeSeq for Blocks<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        self.value(value)
    }

    fn end(self) -> Result<(), Misfit> {
        self.finish()
    }
}

/// The entries of a map, or the fields of a record by name.
pub(in super::super) enum Entries<'p, 'o> {
    Map(Blocks<'p, 'o>),
    Record(Fields<'p, 'o>),
}

impl SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Misfit> {
        match self {
            Entries::Map(blocks) => blocks.key(key),
            Entries::Record(fields) => {
                let mut named = Vec::new();
                key.serialize(Place::new(&KEY, &mut named))?;
                let name = Input::new(&named).text().map_err(Misfit::new)?;
                fields.named = Some(fields.position(name)?);
                Ok(())
            }
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        match self {
            Entries::Map(blocks) => blocks.value(value),
            Entries::Record(fields) => match fields.named.take() {
                Some(at) => fields.put(at, |place| value.serialize(place)),
                None => Err(Misfit::new("a field's value is given before its name")),
            },
        }
    }

    fn end(self) -> Result<(), Misfit> {
        match self {
            Entries::Map(blocks) => blocks.finish(),
            Entries::Record(fields) => fields.finish(),
        }
    }
}
