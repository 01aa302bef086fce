//! A schema as decoding and encoding walk it: references replaced by what they name, logical types by their bases.
//!
//! Promise: under a plan, a value takes stack by the schema's depth alone, at most [`MAX_DEPTH`], and time by its own bytes: every element of
//! an array has at least one, and between two bytes lie at most [`MAX_STEPS`] nodes. Schemas that allow more are refused; none of
//! ours is one, but a foreign registry may hold any.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{
    DecimalSchema, EnumSchema, FixedSchema, InnerDecimalSchema, Name, RecordSchema, UuidSchema,
};
use serde_json::Value;

use super::default;

/// Types within types. Schemas are written by people, who stop far earlier; a thread's stack takes many times as many.
const MAX_DEPTH: usize = 64;

/// Nodes in a type when every named one is written out where it is used. Doubling at each of [`MAX_DEPTH`] levels would be more than any
/// processor can walk; a schema with a hundred records of a hundred fields is below it.
const MAX_STEPS: usize = 1 << 16;

/// A type. Named ones are shared by all places that use them.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(Arc<Fixed>),
    Enum(Arc<Enum>),
    Array(Arc<Node>),
    Map(Arc<Node>),
    Union(Arc<Union>),
    Record(Arc<Record>),
}

#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) size: usize,
    pub(super) number: Option<WideNumber>,
}

/// Rust's numbers beyond Avro's, which apache-avro's derive keeps in fixed types of agreed names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WideNumber {
    U64,
    U128,
    I128,
}

#[derive(Debug)]
pub(super) struct Enum {
    pub(super) name: String,
    pub(super) symbols: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Union {
    pub(super) variants: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Record {
    /// Without its namespace, as twins name themselves.
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    /// It stands for a Rust tuple, says the schema: it is read as a sequence by who asks for anything.
    pub(super) tuple: bool,
    /// It only gives its one field a name to be told by in a union, says the schema.
    wrapper: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) node: Node,
    /// The bytes of its default, for twins that skip it.
    pub(super) default: Option<Vec<u8>>,
}

impl Node {
    /// The plan of `schema`.
    pub(super) fn of(schema: &Schema) -> Result<Node, String> {
        Planner::default().plan(schema).map(|planned| planned.node)
    }

    /// What a message calls it.
    pub(super) fn kind(&self) -> String {
        match self {
            Node::Null => "null".into(),
            Node::Boolean => "a boolean".into(),
            Node::Int => "an int".into(),
            Node::Long => "a long".into(),
            Node::Float => "a float".into(),
            Node::Double => "a double".into(),
            Node::Bytes => "bytes".into(),
            Node::Text => "a string".into(),
            Node::Fixed(fixed) => format!("`{}` bytes", fixed.size),
            Node::Enum(symbols) => format!("enum `{}`", symbols.name),
            Node::Array(_) => "an array".into(),
            Node::Map(_) => "a map".into(),
            Node::Union(union) => {
                let variants: Vec<_> = union.variants.iter().map(Node::kind).collect();
                format!("a union of {}", variants.join(", "))
            }
            Node::Record(record) => format!("record `{}`", record.name),
        }
    }

    /// What stands in its place where it is a wrapper.
    pub(super) fn unwrapped(&self) -> &Node {
        match self {
            Node::Record(record) if record.wrapper => &record.fields[0].node,
            _ => self,
        }
    }
}

impl Enum {
    /// The number of a Rust enum's variant, which is `near` where the symbols stand in the enum's order.
    pub(super) fn index_of(&self, near: u32, variant: &str) -> Option<usize> {
        match self.symbols.get(near as usize) {
            Some(symbol) if symbol == variant => Some(near as usize),
            _ => self.symbols.iter().position(|symbol| symbol == variant),
        }
    }
}

impl Union {
    /// Where it has null and where the other variant, if it is one of null and something.
    pub(super) fn optional(&self) -> Option<(usize, usize)> {
        match self.variants.as_slice() {
            [Node::Null, _] => Some((0, 1)),
            [_, Node::Null] => Some((1, 0)),
            _ => None,
        }
    }
}

/// A node, and what a value of it takes.
#[derive(Clone)]
struct Planned {
    node: Node,
    /// Values take no bytes at all.
    empty: bool,
    depth: usize,
    steps: usize,
}

impl Planned {
    fn leaf(node: Node) -> Planned {
        Planned { node, empty: false, depth: 1, steps: 1 }
    }

    /// `node` over `inner`; has bytes of its own.
    fn over(node: Node, inner: &[Planned]) -> Planned {
        Planned {
            node,
            empty: false,
            depth: 1 + inner.iter().map(|part| part.depth).max().unwrap_or(0),
            steps: inner.iter().fold(1, |steps, part| steps.saturating_add(part.steps)),
        }
    }
}

#[derive(Default)]
struct Planner<'s> {
    /// The records around the place being looked at.
    open: Vec<&'s Name>,
    named: HashMap<&'s Name, Planned>,
}

impl<'s> Planner<'s> {
    fn plan(&mut self, schema: &'s Schema) -> Result<Planned, String> {
        let planned = match schema {
            Schema::Null => Planned { empty: true, ..Planned::leaf(Node::Null) },
            Schema::Boolean => Planned::leaf(Node::Boolean),
            Schema::Int | Schema::Date | Schema::TimeMillis => Planned::leaf(Node::Int),
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Planned::leaf(Node::Long),
            Schema::Float => Planned::leaf(Node::Float),
            Schema::Double => Planned::leaf(Node::Double),
            Schema::String | Schema::Uuid(UuidSchema::String) => Planned::leaf(Node::Text),
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::Bytes)
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => {
                Planned::leaf(Node::Bytes)
            }
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                self.fixed(fixed)
            }
            Schema::Enum(symbols) => self.symbols(symbols),
            Schema::Array(array) => {
                let items = self.plan(&array.items)?;
                if items.empty {
                    return Err("it has an array of elements that take no bytes".into());
                }
                Planned::over(Node::Array(Arc::new(items.node.clone())), &[items])
            }
            Schema::Map(map) => {
                let values = self.plan(&map.types)?;
                Planned::over(Node::Map(Arc::new(values.node.clone())), &[values])
            }
            Schema::Union(union) => {
                let inner = self.plan_all(union.variants())?;
                let variants = inner.iter().map(|variant| variant.node.clone()).collect();
                Planned::over(Node::Union(Arc::new(Union { variants })), &inner)
            }
            Schema::Record(record) => self.record(record)?,
            Schema::Ref { name } => self.reference(name)?,
        };
        if planned.depth > MAX_DEPTH {
            return Err(format!("its types stand in each other more than `{MAX_DEPTH}` deep"));
        }
        if planned.steps > MAX_STEPS {
            return Err(format!("it has more than `{MAX_STEPS}` types when named ones are written out"));
        }
        Ok(planned)
    }

    fn plan_all(&mut self, schemas: &'s [Schema]) -> Result<Vec<Planned>, String> {
        schemas.iter().map(|schema| self.plan(schema)).collect()
    }

    fn record(&mut self, schema: &'s RecordSchema) -> Result<Planned, String> {
        self.open.push(&schema.name);
        let inner: Vec<Planned> =
            schema.fields.iter().map(|field| self.plan(&field.schema)).collect::<Result<_, _>>()?;
        self.open.pop();
        let field = |(field, planned): (&apache_avro::schema::RecordField, &Planned)| Field {
            name: field.name.clone(),
            node: planned.node.clone(),
            default: field.default.as_ref().and_then(|value| default::bytes(value, &planned.node)),
        };
        let fields: Vec<Field> = schema.fields.iter().zip(&inner).map(field).collect();
        let attributes = &schema.attributes;
        let record = Record {
            name: schema.name.name().to_owned(),
            tuple: says(attributes, "org.apache.avro.rust.tuple"),
            wrapper: fields.len() == 1 && says(attributes, "org.apache.avro.rust.union_of_records"),
            fields,
        };
        let empty = inner.iter().all(|field| field.empty);
        let planned = Planned { empty, ..Planned::over(Node::Record(Arc::new(record)), &inner) };
        Ok(self.keep(&schema.name, planned))
    }

    fn fixed(&mut self, schema: &'s FixedSchema) -> Planned {
        let number = match (schema.name.as_ref(), schema.size) {
            ("org.apache.avro.rust.u64", 8) => Some(WideNumber::U64),
            ("org.apache.avro.rust.u128", 16) => Some(WideNumber::U128),
            ("org.apache.avro.rust.i128", 16) => Some(WideNumber::I128),
            _ => None,
        };
        let node = Node::Fixed(Arc::new(Fixed { size: schema.size, number }));
        self.keep(&schema.name, Planned { empty: schema.size == 0, ..Planned::leaf(node) })
    }

    fn symbols(&mut self, schema: &'s EnumSchema) -> Planned {
        let symbols = Enum { name: schema.name.name().to_owned(), symbols: schema.symbols.clone() };
        self.keep(&schema.name, Planned::leaf(Node::Enum(Arc::new(symbols))))
    }

    fn reference(&self, name: &Name) -> Result<Planned, String> {
        if self.open.contains(&name) {
            return Err(format!("type `{name}` contains itself"));
        }
        self.named
            .get(name)
            .cloned()
            .ok_or_else(|| format!("type `{name}` is nowhere defined before its use"))
    }

    fn keep(&mut self, name: &'s Name, planned: Planned) -> Planned {
        self.named.insert(name, planned.clone());
        planned
    }
}

fn says(attributes: &BTreeMap<String, Value>, name: &str) -> bool {
    attributes.get(name) == Some(&Value::Bool(true))
}
