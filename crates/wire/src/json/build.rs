//! Builds a shape from a tree, keeping the path to the member that does not fit.

use std::collections::btree_map;
use std::fmt::{self, Display};
use std::vec;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor, value::StringDeserializer,
};
use serde::forward_to_deserialize_any;

use super::tree::Node;
use super::{BadBody, shown};

/// Builds the asked shape.
pub(super) fn build<T: DeserializeOwned>(tree: Node) -> Result<T, BadBody> {
    T::deserialize(Builder(tree)).map_err(|Fault { mut steps, problem }| {
        steps.reverse();
        let mut path = String::new();
        for step in steps {
            match step {
                Step::Member(name) if path.is_empty() => path.push_str(&shown(&name)),
                Step::Member(name) => path.extend([".", &shown(&name)]),
                Step::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        BadBody::Mismatch { path, problem }
    })
}

/// What is wrong, and the steps from the faulty member outwards.
#[derive(Debug)]
struct Fault {
    steps: Vec<Step>,
    problem: String,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Item(usize),
}

impl Fault {
    fn new(problem: String) -> Self {
        Self { steps: Vec::new(), problem }
    }

    fn at(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    // SECURITY: `found` holds the value itself; only its kind is said.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}, not {}", wanted(expected), kind(&found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", wanted(expected)))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", wanted(expected)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("must be one of {}", quoted(expected)))
    }

    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Self {
        let known = if expected.is_empty() { "none".to_owned() } else { quoted(expected) };
        Self::new(format!("is unknown; known here: {known}")).at(Step::Member(name.to_owned()))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new("is missing".to_owned()).at(Step::Member(name.to_owned()))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new("is given twice".to_owned()).at(Step::Member(name.to_owned()))
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The kind of what was found, without the thing itself.
fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "this",
    }
}

/// What was expected, in the words of JSON instead of those of Rust.
fn wanted(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    let plain = match words.as_str() {
        "a string" | "a borrowed string" | "a character" => "text",
        "a boolean" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "unit" => "null",
        "a map" => "an object",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("tuple ") || other.starts_with("a tuple ") => "a list",
        other if other.starts_with("enum ") || other == "variant identifier" => "one of the known names",
        other => other,
    };
    plain.to_owned()
}

/// Offers one node of the tree to the shape.
struct Builder(Node);

impl Builder {
    fn refuse<'de, V: Visitor<'de>>(self, visitor: &V) -> Fault {
        let found = match &self.0 {
            Node::Null => Unexpected::Unit,
            Node::Bool(value) => Unexpected::Bool(*value),
            Node::Unsigned(value) => Unexpected::Unsigned(*value),
            Node::Signed(value) => Unexpected::Signed(*value),
            Node::Float(value) => Unexpected::Float(*value),
            Node::Text(_) => Unexpected::Str(""),
            Node::List(_) => Unexpected::Seq,
            Node::Object(_) => Unexpected::Map,
        };
        Fault::invalid_type(found, visitor)
    }
}

impl<'de> Deserializer<'de> for Builder {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Unsigned(value) => visitor.visit_u64(value),
            Node::Signed(value) => visitor.visit_i64(value),
            Node::Float(value) => visitor.visit_f64(value),
            Node::Text(mut text) => visitor.visit_string(std::mem::take(&mut *text)),
            Node::List(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0 }),
            Node::Object(members) => {
                visitor.visit_map(Members { members: members.into_iter(), pending: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if matches!(self.0, Node::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    // A derived shape would also accept a list of its members in order, which no client means.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if matches!(self.0, Node::Object(_)) {
            self.deserialize_any(visitor)
        } else {
            Err(self.refuse(&visitor))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Node::Text(mut name) => {
                visitor.visit_enum(Choice { name: std::mem::take(&mut *name), content: None })
            }
            Node::Object(mut members) if members.len() == 1 => match members.pop_first() {
                Some((name, content)) => visitor.visit_enum(Choice { name, content: Some(content) }),
                None => Err(Fault::new("must have one member".to_owned())),
            },
            Node::Object(_) => Err(Fault::new("must have exactly one member".to_owned())),
            other => Err(Builder(other).refuse(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier
    }
}

struct Items {
    items: vec::IntoIter<Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Builder(item)).map(Some).map_err(|fault| fault.at(Step::Item(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Members {
    members: btree_map::IntoIter<String, Node>,
    pending: Option<(String, Node)>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        self.pending = Some((name.clone(), value));
        let name: StringDeserializer<Fault> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some((name, value)) = self.pending.take() else {
            return Err(Fault::new("has a member without a name".to_owned()));
        };
        seed.deserialize(Builder(value)).map_err(|fault| fault.at(Step::Member(name)))
    }
}

/// A name out of a few, with or without content.
struct Choice {
    name: String,
    content: Option<Node>,
}

impl<'de> EnumAccess<'de> for Choice {
    type Error = Fault;
    type Variant = Content;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content), Fault> {
        let name: StringDeserializer<Fault> = self.name.clone().into_deserializer();
        let choice = seed.deserialize(name)?;
        Ok((choice, Content { name: self.name, content: self.content }))
    }
}

struct Content {
    name: String,
    content: Option<Node>,
}

impl Content {
    fn inside(self) -> Result<(Builder, Step), Fault> {
        match self.content {
            Some(content) => Ok((Builder(content), Step::Member(self.name))),
            None => Err(Fault::new(format!("must be an object with the member `{}`", shown(&self.name)))),
        }
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None | Some(Node::Null) => Ok(()),
            Some(_) => Err(Fault::new("must be null".to_owned()).at(Step::Member(self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let (content, step) = self.inside()?;
        seed.deserialize(content).map_err(|fault| fault.at(step))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        let (content, step) = self.inside()?;
        content.deserialize_any(visitor).map_err(|fault| fault.at(step))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (content, step) = self.inside()?;
        content.deserialize_struct("", &[], visitor).map_err(|fault| fault.at(step))
    }
}
