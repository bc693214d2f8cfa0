//! What a statement makes of what a token says: each attribute stands under its own name, about the half that it was
//! said of. A real token says several of them alike, of every key; here they are said one by one.

use serde_json::{Map, Value, json};
use vouchsafe_domain::ports::hsm::{ObjectStatement, TokenStatement};
use vouchsafe_testkit::faulty_hsm::Mood;

use crate::Bench;
use crate::keys::bytes;

/// Where an attribute stands in what a token says.
type Place = fn(&mut ObjectStatement) -> &mut Option<bool>;

/// The attributes that a token says.
const SAID: [(&str, Place); 7] = [
    ("CKA_TOKEN", |said| &mut said.token),
    ("CKA_PRIVATE", |said| &mut said.private),
    ("CKA_SENSITIVE", |said| &mut said.sensitive),
    ("CKA_ALWAYS_SENSITIVE", |said| &mut said.always_sensitive),
    ("CKA_EXTRACTABLE", |said| &mut said.extractable),
    ("CKA_NEVER_EXTRACTABLE", |said| &mut said.never_extractable),
    ("CKA_LOCAL", |said| &mut said.local),
];

/// What a statement says of an object besides its class, its kind and its id.
fn stated(attested: &Value, member: &str) -> Map<String, Value> {
    let statement = String::from_utf8(bytes(&attested["attributes"]["attestation"][member])).unwrap();
    let payload = statement.split('.').nth(1).unwrap();
    let payload: Value = serde_json::from_slice(&bytes(&json!(payload))).unwrap();
    let mut attributes = payload["attributes"].as_object().unwrap().clone();
    attributes.retain(|name, _| SAID.iter().any(|(said, _)| said == name));
    attributes
}

#[tokio::test]
async fn each_attribute_that_a_token_says_is_stated_as_itself_and_no_other() {
    let (bench, token) = Bench::with_token(92).await;
    bench.done("POST", "/keys/held/create", json!({ "kty": "EC-HSM" })).await;
    for (name, place) in SAID {
        for value in [true, false] {
            let mut object = ObjectStatement::default();
            *place(&mut object) = Some(value);
            let silent = ObjectStatement::default();
            for (secret, public) in [(object, silent), (silent, object)] {
                let said = TokenStatement { secret, public: Some(public), ..TokenStatement::default() };
                token.set(Mood::Says(Box::new(said)));
                let attested = bench.done("GET", "/keys/held//attestation", Value::Null).await;
                let found =
                    ["privateKeyAttestation", "publicKeyAttestation"].map(|half| stated(&attested, half));
                let alone = Map::from_iter([(name.to_owned(), json!(value))]);
                let expected = if secret == object { [alone, Map::new()] } else { [Map::new(), alone] };
                assert_eq!(found, expected, "{name} is {value}");
            }
        }
    }
}
