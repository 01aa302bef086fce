//! The parts of records, arrays, maps, enums and unions.

use std::slice;

use apache_avro::Error;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};

use super::super::input::{Input, mismatch};
use super::super::plan::{Enum, Field, Node, Record, Union};
use super::{Datum, name};

/// The key of a map's entry.
static KEY: Node = Node::Text;

/// The fields of a record, by name or in their order.
pub(super) struct Fields<'p, 'i, 'de> {
    fields: slice::Iter<'p, Field>,
    input: &'i mut Input<'de>,
    /// The field whose name was given and whose value was not.
    named: Option<&'p Field>,
}

impl<'p, 'i, 'de> Fields<'p, 'i, 'de> {
    #[inline]
    pub(super) fn new(record: &'p Record, input: &'i mut Input<'de>) -> Fields<'p, 'i, 'de> {
        Fields { fields: record.fields.iter(), input, named: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.named = self.fields.next();
        self.named.map(|field| seed.deserialize(name(&field.name))).transpose()
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.named.take() {
            Some(field) => seed.deserialize(Datum::new(field.node.unwrapped(), self.input)),
            None => Err(Error::custom("a field's value is asked for before its name")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

impl<'de> SeqAccess<'de> for Fields<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        seed.deserialize(Datum::new(&field.node, self.input)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// A value as the only element of a tuple.
pub(super) struct Single<'p, 'i, 'de>(Option<Datum<'p, 'i, 'de>>);

impl<'p, 'i, 'de> Single<'p, 'i, 'de> {
    pub(super) fn new(datum: Datum<'p, 'i, 'de>) -> Single<'p, 'i, 'de> {
        Single(Some(datum))
    }
}

impl<'de> SeqAccess<'de> for Single<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|datum| seed.deserialize(datum)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::from(self.0.is_some()))
    }
}

/// The elements of an array, or the entries of a map.
pub(super) struct Blocks<'p, 'i, 'de> {
    node: &'p Node,
    input: &'i mut Input<'de>,
    /// Of the block being read; 0 behind the last.
    left: u64,
}

impl<'p, 'i, 'de> Blocks<'p, 'i, 'de> {
    pub(super) fn new(node: &'p Node, input: &'i mut Input<'de>) -> Result<Blocks<'p, 'i, 'de>, Error> {
        let left = input.block()?;
        Ok(Blocks { node, input, left })
    }

    fn value<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = seed.deserialize(Datum::new(self.node, self.input))?;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.left = self.input.block()?;
        }
        Ok(value)
    }

    /// No more than there are bytes, of which each element has one: visitors reserve room for as many.
    fn hint(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.input.rest().len())
    }
}

impl<'de> SeqAccess<'de> for Blocks<'_, '_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 { Ok(None) } else { self.value(seed).map(Some) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> MapAccess<'de> for Blocks<'_, '_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        seed.deserialize(Datum::new(&KEY, self.input)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.value(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

/// An enum's symbol.
pub(super) struct Symbol<'p, 'i, 'de> {
    symbols: &'p Enum,
    input: &'i mut Input<'de>,
}

impl<'p, 'i, 'de> Symbol<'p, 'i, 'de> {
    pub(super) fn new(symbols: &'p Enum, input: &'i mut Input<'de>) -> Symbol<'p, 'i, 'de> {
        Symbol { symbols, input }
    }
}

impl<'de> EnumAccess<'de> for Symbol<'_, '_, 'de> {
    type Error = Error;
    type Variant = NoContent;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, NoContent), Error> {
        let symbol = self.input.symbol(&self.symbols.symbols)?;
        Ok((seed.deserialize(name(symbol))?, NoContent))
    }
}

/// What stands behind a symbol: nothing.
pub(super) struct NoContent;

impl NoContent {
    fn refuse<T>(expected: &str) -> Result<T, Error> {
        Err(Error::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> VariantAccess<'de> for NoContent {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        NoContent::refuse("newtype variant")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        NoContent::refuse("tuple variant")
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        NoContent::refuse("struct variant")
    }
}

/// A union as a Rust enum, whose variants stand in the union's order.
pub(super) struct Choice<'p, 'i, 'de> {
    union: &'p Union,
    input: &'i mut Input<'de>,
}

impl<'p, 'i, 'de> Choice<'p, 'i, 'de> {
    pub(super) fn new(union: &'p Union, input: &'i mut Input<'de>) -> Choice<'p, 'i, 'de> {
        Choice { union, input }
    }
}

impl<'p, 'i, 'de> EnumAccess<'de> for Choice<'p, 'i, 'de> {
    type Error = Error;
    type Variant = Datum<'p, 'i, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Datum<'p, 'i, 'de>), Error> {
        let (index, node) = self.input.variant(&self.union.variants)?;
        let index = serde::de::value::U32Deserializer::<Error>::new(index);
        Ok((seed.deserialize(index)?, Datum::new(node, self.input)))
    }
}

impl<'de> VariantAccess<'de> for Datum<'_, '_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.node {
            Node::Null => Ok(()),
            Node::Record(record) if record.fields.is_empty() => Ok(()),
            _ => Err(mismatch("unit variant", "Expected Schema::Null | Schema::Record(fields.len() == 0)")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Datum::new(self.node.unwrapped(), self.input))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node {
            Node::Record(record) => visitor.visit_map(Fields::new(record, self.input)),
            _ => Err(mismatch("struct", "Expected Schema::Record")),
        }
    }
}
