//! To whom a key may be released: Azure's policy grammar, version 1.0.0, read into a tree that is bounded and complete.
//!
//! A policy names authorities; the first of them that vouches for an environment as its conditions ask lets the key go.
//! A condition compares one claim with one value, by type and value; a claim that is not there equals nothing. There is
//! no negation, so that leaving something out of a token never opens more.

use serde_json::{Map, Value};
use vouchsafe_crypto::jose::attestation::VerifiedAttestation;
use vouchsafe_crypto::jose::json;

use crate::limits;

/// The one version of the grammar.
const VERSION: &str = "1.0.0";
/// What a policy's content type can be, where it is said.
const CONTENT_TYPES: [&str; 2] = ["application/json; charset=utf-8", "application/json"];

/// A policy that was understood whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ReleaseRules(Vec<AuthorityRule>);

/// What one authority must say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AuthorityRule {
    /// The issuer of its tokens, exactly.
    pub authority: String,
    condition: Condition,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Claim { path: String, equals: Expected },
}

/// Values that mean the same to everybody: floats are not among them.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Expected {
    Text(String),
    Integer(i64),
    Truth(bool),
}

impl AuthorityRule {
    /// Whether what the authority says is what is asked for.
    pub(super) fn holds(&self, said: &VerifiedAttestation) -> bool {
        self.condition.holds(said)
    }
}

impl Condition {
    fn holds(&self, said: &VerifiedAttestation) -> bool {
        match self {
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(said)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(said)),
            Self::Claim { path, equals } => match (said.claim(path), equals) {
                (Some(Value::String(claim)), Expected::Text(text)) => claim == text,
                (Some(Value::Number(claim)), Expected::Integer(number)) => claim.as_i64() == Some(*number),
                (Some(Value::Bool(claim)), Expected::Truth(truth)) => claim == truth,
                _ => false,
            },
        }
    }
}

impl ReleaseRules {
    /// Reads a policy; whatever is not understood is a mistake of its author, and never passed over.
    pub(super) fn parse(content_type: Option<&str>, data: &[u8]) -> Result<Self, String> {
        if content_type
            .is_some_and(|given| !CONTENT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(given)))
        {
            return Err(format!("its content type must be `{}`", CONTENT_TYPES[0]));
        }
        if data.len() > limits::RELEASE_POLICY_BYTES_MAX {
            return Err("it is too long".to_owned());
        }
        let policy =
            json::parse(data, limits::RELEASE_POLICY_DEPTH_MAX).map_err(|error| error.to_string())?;
        let Value::Object(mut policy) = policy else { return Err("it must be a JSON object".to_owned()) };
        if policy.remove("version").as_ref().and_then(Value::as_str) != Some(VERSION) {
            return Err(format!("its member `version` must be `{VERSION}`"));
        }
        let mut left = limits::RELEASE_CONDITIONS_MAX;
        let authorities = list(&mut policy, "anyOf", &mut left)?.ok_or("its member `anyOf` is missing")?;
        nothing_else(&policy)?;
        let rules = authorities.into_iter().map(|authority| AuthorityRule::read(authority, &mut left));
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// What it asks of each authority, in the order of the policy.
    pub(super) fn authorities(&self) -> &[AuthorityRule] {
        &self.0
    }
}

impl AuthorityRule {
    fn read(value: Value, left: &mut usize) -> Result<Self, String> {
        let Value::Object(mut members) = value else {
            return Err("an authority must be an object".to_owned());
        };
        let authority = text(&mut members, "authority", limits::ATTESTATION_ISSUER_BYTES_MAX)?;
        if !authority.starts_with("https://") {
            return Err("an `authority` must be the https URL that its tokens name as issuer".to_owned());
        }
        let condition = Condition::of_lists(&mut members, left)?.ok_or(
            "an authority must have one of `anyOf` and `allOf`: without conditions it would let every key go",
        )?;
        nothing_else(&members)?;
        Ok(Self { authority, condition })
    }
}

impl Condition {
    fn read(value: Value, left: &mut usize) -> Result<Self, String> {
        let Value::Object(mut members) = value else {
            return Err("a condition must be an object".to_owned());
        };
        let condition = match Self::of_lists(&mut members, left)? {
            Some(condition) => condition,
            None => {
                let path = text(&mut members, "claim", limits::RELEASE_TEXT_BYTES_MAX)?;
                let equals =
                    members.remove("equals").ok_or("a condition must say what its claim `equals`")?;
                Self::Claim { path, equals: Expected::read(equals)? }
            }
        };
        nothing_else(&members)?;
        Ok(condition)
    }

    /// `anyOf` or `allOf`, if one of them is there.
    fn of_lists(members: &mut Map<String, Value>, left: &mut usize) -> Result<Option<Self>, String> {
        let mut conditions = |name, left: &mut usize| {
            let Some(values) = list(members, name, left)? else { return Ok(None) };
            values
                .into_iter()
                .map(|value| Self::read(value, left))
                .collect::<Result<Vec<_>, String>>()
                .map(Some)
        };
        // What has both is left with the second one, which nothing reads: it is refused as a member too many.
        match conditions("anyOf", left)? {
            Some(any) => Ok(Some(Self::Any(any))),
            None => Ok(conditions("allOf", left)?.map(Self::All)),
        }
    }
}

impl Expected {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text.len() <= limits::RELEASE_TEXT_BYTES_MAX => Ok(Self::Text(text)),
            Value::Bool(truth) => Ok(Self::Truth(truth)),
            Value::Number(number) => {
                let integer = number.as_i64();
                integer
                    .map(Self::Integer)
                    .ok_or_else(|| "a number in `equals` must be a whole one".to_owned())
            }
            _ => Err("`equals` must be a text, a whole number, true or false".to_owned()),
        }
    }
}

/// A list of one to many, each of which counts.
fn list(
    members: &mut Map<String, Value>,
    name: &str,
    left: &mut usize,
) -> Result<Option<Vec<Value>>, String> {
    let values = match members.remove(name) {
        None => return Ok(None),
        Some(Value::Array(values)) if !values.is_empty() => values,
        Some(_) => return Err(format!("`{name}` must be a list that is not empty")),
    };
    let fewer = left.checked_sub(values.len());
    *left = fewer.ok_or_else(|| format!("it has more than {} conditions", limits::RELEASE_CONDITIONS_MAX))?;
    Ok(Some(values))
}

fn text(members: &mut Map<String, Value>, name: &str, bytes_max: usize) -> Result<String, String> {
    match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() && text.len() <= bytes_max => Ok(text),
        _ => Err(format!("`{name}` must be a text of 1 to {bytes_max} bytes")),
    }
}

fn nothing_else(members: &Map<String, Value>) -> Result<(), String> {
    if members.is_empty() {
        return Ok(());
    }
    Err("it has a member that the grammar does not have, or both of `anyOf` and `allOf`".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(policy: &Value) -> Result<ReleaseRules, String> {
        ReleaseRules::parse(None, policy.to_string().as_bytes())
    }

    fn claim() -> Value {
        json!({"claim": "x-ms-attestation-type", "equals": "sevsnpvm"})
    }

    fn policy(conditions: Value) -> Value {
        let mut authority = json!({"authority": "https://attest.example"});
        for (name, value) in conditions.as_object().expect("an object") {
            authority[name] = value.clone();
        }
        json!({"version": "1.0.0", "anyOf": [authority]})
    }

    #[test]
    fn a_policy_of_the_grammar_is_read() {
        for conditions in [
            json!({"allOf": [claim()]}),
            json!({"anyOf": [claim(), {"claim": "a.b", "equals": 3}, {"claim": "c", "equals": false}]}),
            json!({"allOf": [{"anyOf": [claim(), {"allOf": [claim(), claim()]}]}, claim()]}),
        ] {
            let rules = parse(&policy(conditions)).expect("a policy");
            assert_eq!(rules.authorities().len(), 1);
            assert_eq!(rules.authorities()[0].authority, "https://attest.example");
        }
        let data = policy(json!({"allOf": [claim()]})).to_string();
        for (content_type, good) in [
            (Some("application/json; charset=utf-8"), true),
            (Some("application/json"), true),
            (Some("text/yaml"), false),
            (None, true),
        ] {
            assert_eq!(ReleaseRules::parse(content_type, data.as_bytes()).is_ok(), good, "{content_type:?}");
        }
    }

    #[test]
    fn what_is_not_of_the_grammar_is_refused() {
        let deep = (0..40).fold(claim(), |inner, _| json!({"allOf": [inner]}));
        for wrong in [
            json!([]),
            json!({}),
            json!({"version": "1.0.0"}),
            json!({"version": "1.0.0", "anyOf": []}),
            json!({"version": "1.0.0", "anyOf": [{}]}),
            json!({"version": "1.0.0", "allOf": [{"authority": "https://a.example", "allOf": [claim()]}]}),
            json!({"version": "2.0.0", "anyOf": [{"authority": "https://a.example", "allOf": [claim()]}]}),
            json!({"version": "1.0.0", "anyOf": [{"authority": "http://a.example", "allOf": [claim()]}]}),
            json!({"version": "1.0.0", "anyOf": [{"authority": "https://a.example"}]}),
            json!({"version": "1.0.0", "anyOf": [{"allOf": [claim()]}]}),
            json!({"version": "1.0.0", "also": 1, "anyOf": [{"authority": "https://a.example", "allOf": [claim()]}]}),
            policy(json!({"allOf": []})),
            policy(json!({"allOf": [claim()], "anyOf": [claim()]})),
            policy(json!({"allOf": [claim()], "claim": "a", "equals": "b"})),
            policy(json!({"allOf": [{"claim": "a"}]})),
            policy(json!({"allOf": [{"equals": "a"}]})),
            policy(json!({"allOf": [{"claim": "a", "notEquals": "b"}]})),
            policy(json!({"allOf": [{"claim": "a", "equals": "b", "exists": true}]})),
            policy(json!({"allOf": [{"claim": "a", "equals": null}]})),
            policy(json!({"allOf": [{"claim": "a", "equals": 1.5}]})),
            policy(json!({"allOf": [{"claim": "a", "equals": ["b"]}]})),
            policy(json!({"allOf": [{"claim": "", "equals": "b"}]})),
            policy(json!({"allOf": [{"claim": "a", "equals": "b".repeat(2_000)}]})),
            policy(json!({"allOf": vec![claim(); limits::RELEASE_CONDITIONS_MAX]})),
            policy(json!({"allOf": [deep]})),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
        let twice = br#"{"version":"1.0.0","version":"1.0.0","anyOf":[{"authority":"https://a.example","allOf":[{"claim":"a","equals":"b"}]}]}"#;
        for wrong in [&twice[..], b"", b"\xff", b"{", &[b' '; 20_000]] {
            assert!(ReleaseRules::parse(None, wrong).is_err());
        }
    }

    #[test]
    fn a_policy_that_was_cut_or_touched_is_refused_or_another_and_nothing_panics() {
        let whole =
            policy(json!({"allOf": [{"anyOf": [claim()]}, {"claim": "a.b", "equals": 3}]})).to_string();
        let rules = ReleaseRules::parse(None, whole.as_bytes()).expect("a policy");
        for end in 0..whole.len() {
            assert!(ReleaseRules::parse(None, &whole.as_bytes()[..end]).is_err(), "cut at {end}");
            for bit in 0..8 {
                let mut touched = whole.clone().into_bytes();
                touched[end] ^= 1 << bit;
                assert!(
                    ReleaseRules::parse(None, &touched).map_or(true, |other| other != rules),
                    "{end} {bit}"
                );
            }
        }
    }
}
