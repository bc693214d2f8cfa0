//! JSON that means the same to everyone who reads it (RFC 8259; RFC 7515 §10.12 and RFC 8725 §2.4 on why).
//!
//! A member that appears twice is refused at any depth, because two readers may each keep a different one. Names are
//! compared after their escapes are resolved. Nesting is bounded by the caller, and so should the size be.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one JSON text that is nested at most `depth_max` arrays and objects deep.
pub fn parse(bytes: &[u8], depth_max: usize) -> Result<Value, Invalid> {
    let problem = Cell::new(Problem::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Strict { depth_left: depth_max, problem: &problem }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Invalid { problem: problem.get(), line: error.line(), column: error.column() })
}

/// Reads one JSON object; see [`parse`].
pub(super) fn parse_object(bytes: &[u8], depth_max: usize) -> Result<Map<String, Value>, ObjectInvalid> {
    match parse(bytes, depth_max) {
        Ok(Value::Object(members)) => Ok(members),
        Err(Invalid { problem: Problem::DuplicateMember, .. }) => Err(ObjectInvalid::DuplicateMember),
        _ => Err(ObjectInvalid::NotAnObject),
    }
}

pub(super) enum ObjectInvalid {
    DuplicateMember,
    NotAnObject,
}

/// Why and where a text was refused; nothing of the text is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem} at line {line} column {column}")]
pub struct Invalid {
    /// What is wrong.
    pub problem: Problem,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in bytes.
    pub column: usize,
}

/// What can be wrong with a JSON text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// It is not JSON in UTF-8.
    #[error("not valid JSON")]
    Syntax,
    /// An object has two members of one name.
    #[error("an object has two members of the same name")]
    DuplicateMember,
    /// It is nested deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    problem: &'a Cell<Problem>,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(Problem::TooDeep)),
        }
    }

    /// Remembers the reason, because serde's error would only keep its text.
    fn refuse<E: de::Error>(self, problem: Problem) -> E {
        self.problem.set(problem);
        E::custom(problem)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse(Problem::Syntax))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(Problem::DuplicateMember));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn problem(text: &str) -> Option<Problem> {
        parse(text.as_bytes(), 3).err().map(|invalid| invalid.problem)
    }

    #[test]
    fn ordinary_json_is_read() {
        let text = r#" {"a":[1,-2,0.5,true,null,"\u00e9"],"b":{"a":{}}, "18446744073709551615":18446744073709551615} "#;
        let expected = json!({"a":[1,-2,0.5,true,null,"é"],"b":{"a":{}},"18446744073709551615":u64::MAX});
        assert_eq!(parse(text.as_bytes(), 3), Ok(expected));
    }

    #[test]
    fn duplicate_members_are_refused_at_any_depth_and_in_any_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":null}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"\ud83d\ude00":1,"😀":2}"#,
            r#"{"b":{"a":1,"a":1}}"#,
            r#"[[{"":1,"":1}]]"#,
        ] {
            assert_eq!(problem(text), Some(Problem::DuplicateMember), "{text}");
        }
        assert_eq!(problem(r#"{"a":{"a":1},"A":2}"#), None);
    }

    #[test]
    fn nesting_ends_where_the_caller_says() {
        assert_eq!(problem("[[[]]]"), None);
        assert_eq!(problem(r#"{"a":[{"b":1}]}"#), None);
        assert_eq!(problem("[[[[]]]]"), Some(Problem::TooDeep));
        assert_eq!(problem(r#"{"a":[{"b":{}}]}"#), Some(Problem::TooDeep));
        assert_eq!(problem(&"[".repeat(1_000_000)), Some(Problem::TooDeep));
        assert_eq!(problem(&r#"{"a":"#.repeat(1_000_000)), Some(Problem::TooDeep));
        assert_eq!(parse(b"1", 0), Ok(json!(1)));
        assert!(parse(b"[]", 0).is_err());
        // The underlying reader has a bound of its own, which is also an error and not a crash.
        assert!(parse("[".repeat(1_000_000).as_bytes(), usize::MAX).is_err());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{} {}",
            "{}x",
            "{a:1}",
            "{'a':1}",
            "[1,]",
            "01",
            "1e400",
            "-1e400",
            "NaN",
            "nul",
            "\u{feff}{}",
            r#""\ud800""#,
            r#"{"\ud800":1}"#,
            "\"\t\"",
            "{\"a\"}",
            "+1",
            ".5",
            "1.",
            "\0",
        ] {
            assert_eq!(problem(text), Some(Problem::Syntax), "{text:?}");
        }
        assert!(parse(b"\"\xff\"", 3).is_err());
        assert!(parse(b"{\"\xc3\x28\":1}", 3).is_err());
    }

    #[test]
    fn an_error_says_where_and_repeats_nothing() {
        let invalid = parse(b"{\n \"hunter2\":1,\n \"hunter2\":1}", 3).expect_err("duplicate");
        assert_eq!((invalid.line, invalid.to_string().contains("hunter2")), (3, false), "{invalid}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|number| json!(number)),
            any::<u64>().prop_map(|number| json!(number)),
            ".{0,8}".prop_map(Value::String),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                proptest::collection::btree_map(".{0,4}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_the_usual_reader_reads_without_duplicates_is_read_alike(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(parse(text.as_bytes(), 16), Ok(value));
        }

        #[test]
        fn noise_never_reads_otherwise_than_the_usual_reader(noise in "[\\[\\]{}\":,0-9ae\\\\. ]{0,24}") {
            if let Ok(value) = parse(noise.as_bytes(), 64) {
                prop_assert_eq!(serde_json::from_str::<Value>(&noise).ok(), Some(value));
            }
        }
    }
}
