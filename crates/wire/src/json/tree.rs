//! A JSON text as a tree, read within a budget; the grammar itself is `serde_json`'s.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::{BadBody, Budget, shown};

/// One JSON value. Text wipes itself, because it may be a secret on its way.
pub(super) enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
}

/// Reads a whole text as one value.
pub(super) fn read(text: &str, budget: &Budget) -> Result<Node, BadBody> {
    let meter = Meter { budget, values: Cell::new(0), failure: RefCell::new(None) };
    let mut grammar = serde_json::Deserializer::from_str(text);
    let read = Seed { meter: &meter, path: &Path::Body, depth: 0 }.deserialize(&mut grammar);
    let read = read.and_then(|node| grammar.end().map(|()| node));
    read.map_err(|error| {
        let ours = meter.failure.take();
        ours.unwrap_or_else(|| BadBody::NotJson { problem: error.to_string() })
    })
}

/// What has been spent so far, and our own reason for stopping when there is one.
struct Meter<'a> {
    budget: &'a Budget,
    values: Cell<usize>,
    failure: RefCell<Option<BadBody>>,
}

impl Meter<'_> {
    fn stop<E: Error>(&self, failure: BadBody) -> E {
        *self.failure.borrow_mut() = Some(failure);
        E::custom("stopped")
    }
}

/// Where in the body we are, as a list that lives on the stack.
enum Path<'a> {
    Body,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Member(Self::Body, name) => f.write_str(&shown(name)),
            Self::Member(parent, name) => write!(f, "{parent}.{}", shown(name)),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    meter: &'a Meter<'a>,
    path: &'a Path<'a>,
    depth: usize,
}

impl<'a> Seed<'a> {
    fn deeper<E: Error>(self) -> Result<usize, E> {
        let depth_max = self.meter.budget.depth_max;
        if self.depth >= depth_max {
            return Err(self.meter.stop(BadBody::TooDeep { depth_max }));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let values_max = self.meter.budget.values_max;
        if self.meter.values.get() >= values_max {
            return Err(self.meter.stop(BadBody::TooMany { values_max }));
        }
        self.meter.values.set(self.meter.values.get() + 1);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut list = Vec::new();
        loop {
            let path = Path::Item(self.path, list.len());
            let Some(item) = items.next_element_seed(Seed { path: &path, depth, ..self })? else {
                return Ok(Node::List(list));
            };
            list.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut object = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = Path::Member(self.path, &name);
            if object.contains_key(&name) {
                return Err(self.meter.stop(BadBody::Duplicate { path: path.to_string() }));
            }
            let value = members.next_value_seed(Seed { path: &path, depth, ..self })?;
            object.insert(name, value);
        }
        Ok(Node::Object(object))
    }
}
