//! Values of random schemas as twins: written and asked for by exactly the calls a derived twin of that schema would make.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Value as Tree;

use super::shape::{FIELDS, Plain, SYMBOLS, Shape, Value, name_of};

/// A value on its way out.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) shape: &'a Shape,
    pub(super) value: &'a Value,
    /// Whether arrays and maps say how long they are.
    pub(super) counted: bool,
}

impl<'a> Written<'a> {
    fn part(self, shape: &'a Shape, value: &'a Value) -> Written<'a> {
        Written { shape, value, counted: self.counted }
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.shape, self.value) {
            (_, Value::Null) => serializer.serialize_unit(),
            (_, Value::Boolean(flag)) => serializer.serialize_bool(*flag),
            (_, Value::Int(int)) => serializer.serialize_i32(*int),
            (_, Value::Long(long)) => serializer.serialize_i64(*long),
            (_, Value::Float(bits)) => serializer.serialize_f32(f32::from_bits(*bits)),
            (_, Value::Double(bits)) => serializer.serialize_f64(f64::from_bits(*bits)),
            (_, Value::Bytes(bytes)) => serializer.serialize_bytes(bytes),
            (_, Value::Text(text)) => serializer.serialize_str(text),
            (shape, Value::Symbol(at)) => {
                serializer.serialize_unit_variant(name_of(shape), index(*at), SYMBOLS[*at])
            }
            (Shape::Array(items), Value::List(list)) => {
                let mut elements = serializer.serialize_seq(self.counted.then_some(list.len()))?;
                list.iter().try_for_each(|element| elements.serialize_element(&self.part(items, element)))?;
                elements.end()
            }
            (Shape::Map(values), Value::Entries(entries)) => {
                let mut map = serializer.serialize_map(self.counted.then_some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &self.part(values, value))?;
                }
                map.end()
            }
            (Shape::Union(variants), Value::Variant(at, value)) => {
                let value = self.part(&variants[*at], value);
                match value {
                    Written { value: Value::Null, .. } if optional(variants).is_some() => {
                        serializer.serialize_none()
                    }
                    some if optional(variants).is_some() => serializer.serialize_some(&some),
                    Written { value: Value::Null, .. } => {
                        serializer.serialize_unit_variant("U", index(*at), "Null")
                    }
                    value => serializer.serialize_newtype_variant("U", index(*at), "Some", &value),
                }
            }
            (shape @ Shape::Record(shapes), Value::Record(values)) => {
                let mut record = serializer.serialize_struct(name_of(shape), values.len())?;
                for (at, value) in values.iter().enumerate() {
                    record.serialize_field(FIELDS[at], &self.part(&shapes[at], value))?;
                }
                record.end()
            }
            (shape, value) => panic!("{value:?} is no {shape:?}"),
        }
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap()
}

/// The variant beside null, if there is one of it and null.
fn optional(variants: &[Shape]) -> Option<&Shape> {
    let null = |shape: &Shape| matches!(shape, Shape::Plain(Plain::Null, _));
    match variants {
        [first, other] | [other, first] if null(first) => Some(other),
        _ => None,
    }
}

thread_local! {
    static WANTED: RefCell<Option<Shape>> = const { RefCell::new(None) };
}

/// A value on its way in, asked for as [`WANTED`] says; without, as whatever the schema has.
#[derive(Debug, PartialEq)]
pub(super) struct Read(pub(super) Tree);

impl Read {
    /// Calls `read` with every [`Read`] in it asking for `shape`.
    pub(super) fn wanting<T>(shape: Option<&Shape>, read: impl FnOnce() -> T) -> T {
        WANTED.set(shape.cloned());
        read()
    }
}

impl<'de> de::Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
        let wanted = WANTED.with_borrow(Clone::clone);
        Wanted(wanted.as_ref()).deserialize(deserializer).map(Read)
    }
}

#[derive(Clone, Copy)]
struct Wanted<'s>(Option<&'s Shape>);

impl<'s> Wanted<'s> {
    fn part(self, part: impl FnOnce(&'s Shape) -> Option<&'s Shape>) -> Wanted<'s> {
        Wanted(self.0.and_then(part))
    }
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        match self.0 {
            None => deserializer.deserialize_any(self),
            Some(Shape::Plain(Plain::Null, _)) => deserializer.deserialize_unit(self),
            Some(Shape::Plain(Plain::Boolean, _)) => deserializer.deserialize_bool(self),
            Some(Shape::Plain(Plain::Int, _)) => deserializer.deserialize_i32(self),
            Some(Shape::Plain(Plain::Long, _)) => deserializer.deserialize_i64(self),
            Some(Shape::Plain(Plain::Float, _)) => deserializer.deserialize_f32(self),
            Some(Shape::Plain(Plain::Double, _)) => deserializer.deserialize_f64(self),
            Some(Shape::Plain(Plain::Bytes, _) | Shape::Fixed(_)) => deserializer.deserialize_bytes(self),
            Some(Shape::Plain(Plain::Text, _)) => deserializer.deserialize_string(self),
            Some(shape @ Shape::Enum(_)) => deserializer.deserialize_enum(name_of(shape), &SYMBOLS, self),
            Some(Shape::Array(_)) => deserializer.deserialize_seq(self),
            Some(Shape::Map(_)) => deserializer.deserialize_map(self),
            Some(Shape::Union(variants)) if optional(variants).is_some() => {
                deserializer.deserialize_option(self)
            }
            Some(Shape::Union(_)) => deserializer.deserialize_enum("U", &[], self),
            Some(shape @ Shape::Record(_)) => deserializer.deserialize_struct(name_of(shape), &FIELDS, self),
        }
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the schema has")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok("none".into())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let part = |shape: &'_ Shape| match shape {
            Shape::Union(variants) => optional(variants).cloned(),
            _ => None,
        };
        let inner = self.0.and_then(part);
        Wanted(inner.as_ref()).deserialize(deserializer).map(|some| vec![some].into())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(flag.into())
    }

    fn visit_i32<E>(self, int: i32) -> Result<Tree, E> {
        Ok(format!("int {int}").into())
    }

    fn visit_i64<E>(self, long: i64) -> Result<Tree, E> {
        Ok(format!("long {long}").into())
    }

    fn visit_f32<E>(self, float: f32) -> Result<Tree, E> {
        Ok(format!("float {}", float.to_bits()).into())
    }

    fn visit_f64<E>(self, double: f64) -> Result<Tree, E> {
        Ok(format!("double {}", double.to_bits()).into())
    }

    fn visit_u32<E>(self, index: u32) -> Result<Tree, E> {
        Ok(index.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Tree, E> {
        Ok(bytes.to_vec().into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let items = self.part(|shape| match shape {
            Shape::Array(items) => Some(items),
            _ => None,
        });
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(items)? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = entries.next_key_seed(Name)? {
            let value = self.part(|shape| match shape {
                Shape::Map(values) => Some(values),
                Shape::Record(fields) => fields.get(list.len()),
                _ => None,
            });
            list.push(Tree::from(vec![key, entries.next_value_seed(value)?]));
        }
        Ok(list.into())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Tree, A::Error> {
        let (name, content) = data.variant_seed(Name)?;
        match (self.0, name.as_u64()) {
            (Some(Shape::Union(variants)), Some(at)) => {
                let Some(shape) = variants.get(usize::try_from(at).unwrap()) else {
                    return Err(A::Error::custom("a variant too many"));
                };
                let value = content.newtype_variant_seed(Wanted(Some(shape)))?;
                Ok(vec![name, value].into())
            }
            _ => content.unit_variant().map(|()| name),
        }
    }
}

/// A field's name, a map's key, a symbol, or the number of a variant.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_identifier(Wanted(None))
    }
}
