//! Release policies: none panics, and what is accepted is a whole policy that names somebody and asks something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vouchsafe_domain::vault::ReleasePolicy;

fuzz_target!(|data: &[u8]| {
    let policy = ReleasePolicy { content_type: None, data: data.to_vec(), immutable: false };
    if policy.check().is_err() {
        return;
    }
    let read: Value = serde_json::from_slice(data).expect("an accepted policy is JSON");
    assert_eq!(read["version"], "1.0.0");
    assert_eq!(read.as_object().map(serde_json::Map::len), Some(2), "a member was passed over");
    let authorities = read["anyOf"].as_array().expect("an accepted policy has authorities");
    assert!(!authorities.is_empty());
    for authority in authorities {
        let name = authority["authority"].as_str().expect("an authority has a name");
        assert!(name.starts_with("https://"));
        let members = authority.as_object().expect("an authority is an object");
        assert_eq!(members.len(), 2, "a member of an authority was passed over");
        assert_asks_something(members.iter().find(|(name, _)| *name != "authority").expect("conditions"));
    }
});

/// A list of conditions that is not empty, each of which compares or is such a list.
fn assert_asks_something((name, conditions): (&String, &Value)) {
    assert!(name == "anyOf" || name == "allOf", "{name}");
    let conditions = conditions.as_array().expect("a list");
    assert!(!conditions.is_empty(), "a list without conditions was accepted");
    for condition in conditions {
        let members = condition.as_object().expect("a condition is an object");
        if members.contains_key("claim") {
            assert_eq!(members.len(), 2);
            assert!(condition["claim"].as_str().is_some_and(|claim| !claim.is_empty()));
            let equals = &condition["equals"];
            assert!(equals.is_string() || equals.is_boolean() || equals.as_i64().is_some(), "{equals}");
        } else {
            assert_eq!(members.len(), 1);
            assert_asks_something(members.iter().next().expect("one member"));
        }
    }
}
