//! The strict JSON parser: what it refuses, what it says, and that it never panics.

use std::collections::BTreeMap;

use proptest::prelude::{any, proptest};
use serde::Deserialize;
use vouchsafe_wire::json::{BadBody, Budget, parse};

const BUDGET: Budget = Budget::new(1024);

#[derive(Debug, Deserialize, PartialEq)]
struct Sample {
    text: Option<String>,
    count: Option<u8>,
    inner: Option<Inner>,
    list: Option<Vec<Inner>>,
    names: Option<BTreeMap<String, String>>,
    colour: Option<Colour>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    flag: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Tint { depth: u32 },
}

fn refusal(body: &[u8]) -> BadBody {
    parse::<Sample>(body, &BUDGET).expect_err("this body must be refused")
}

#[test]
fn a_well_formed_body_is_read() {
    let body = br#" {"text":"\u0041b","count":255,"inner":{"flag":true},"list":[{"flag":false}],
        "names":{"a":"b"},"colour":"red","unknown":[1,{"x":null}]} "#;
    let sample: Sample = parse(body, &BUDGET).unwrap();
    assert_eq!(sample.text.as_deref(), Some("Ab"));
    assert_eq!(sample.count, Some(255));
    assert_eq!(sample.list, Some(vec![Inner { flag: false }]));
    assert_eq!(sample.names.unwrap()["a"], "b");
    let tint: Sample = parse(br#"{"colour":{"tint":{"depth":3}}}"#, &BUDGET).unwrap();
    assert_eq!(tint.colour, Some(Colour::Tint { depth: 3 }));
}

#[test]
fn null_counts_as_absent() {
    let sample: Sample = parse(br#"{"text":null,"inner":null,"list":null}"#, &BUDGET).unwrap();
    assert_eq!((sample.text, sample.inner, sample.list), (None, None, None));
}

#[test]
fn every_refusal_names_the_member_in_plain_words_and_quotes_no_value() {
    let table: &[(&str, &str)] = &[
        (r#"["canary"]"#, "the body must be an object, not a list"),
        (r#""canary""#, "the body must be an object, not text"),
        ("4", "the body must be an object, not a number"),
        (r#"{"text":{"canary":1}}"#, "the member `text` must be text, not an object"),
        (r#"{"text":4711}"#, "the member `text` must be text, not a number"),
        (r#"{"count":"canary"}"#, "the member `count` must be a whole number from 0 to 255, not text"),
        (r#"{"count":4711}"#, "the member `count` must be a whole number from 0 to 255"),
        (r#"{"count":-1}"#, "the member `count` must be a whole number from 0 to 255"),
        (
            r#"{"count":1.5}"#,
            "the member `count` must be a whole number from 0 to 255, not a number with a fraction",
        ),
        (r#"{"inner":{"flag":"canary"}}"#, "the member `inner.flag` must be true or false, not text"),
        (r#"{"inner":[true]}"#, "the member `inner` must be an object, not a list"),
        (r#"{"inner":{}}"#, "the member `inner.flag` is missing"),
        (r#"{"inner":{"flag":true,"flog":1}}"#, "the member `inner.flog` is unknown; known here: `flag`"),
        (
            r#"{"list":[{"flag":true},{"flag":null}]}"#,
            "the member `list[1].flag` must be true or false, not null",
        ),
        (r#"{"list":{"0":1}}"#, "the member `list` must be a list, not an object"),
        (r#"{"names":{"k":7}}"#, "the member `names.k` must be text, not a number"),
        (r#"{"names":[]}"#, "the member `names` must be an object, not a list"),
        (r#"{"colour":"canary"}"#, "the member `colour` must be one of `red`, `tint`"),
        (r#"{"colour":7}"#, "the member `colour` must be one of the known names, not a number"),
        (r#"{"colour":{"red":1,"tint":2}}"#, "the member `colour` must have exactly one member"),
        (r#"{"colour":"tint"}"#, "the member `colour` must be an object with the member `tint`"),
        (
            r#"{"colour":{"tint":{"depth":-3}}}"#,
            "the member `colour.tint.depth` must be a whole number from 0 to 4294967295",
        ),
        (r#"{"text":"a","text":"b"}"#, "the member `text` is given twice"),
        (r#"{"ignored":[{"deep":{"x":1,"x":2}}]}"#, "the member `ignored[0].deep.x` is given twice"),
        (r#"{"text":"a","\u0074ext":"b"}"#, "the member `text` is given twice"),
        ("", "the body is empty; a JSON object is expected"),
        (" \r\n", "the body is empty; a JSON object is expected"),
    ];
    for (body, message) in table {
        let refusal = refusal(body.as_bytes()).to_string();
        assert_eq!(&refusal, message, "for {body}");
        assert!(!refusal.contains("canary") && !refusal.contains("4711"), "{refusal}");
    }
}

#[test]
fn what_is_not_json_is_refused_with_the_place() {
    let wrong: &[&[u8]] = &[
        b"{",
        b"{}{}",
        b"{'text':1}",
        b"{\"text\":\"a\nb\"}",
        b"{\"text\":\"\\ud800\"}",
        b"{\"count\":01}",
        b"{\"count\":1e999}",
        b"{\"count\":NaN}",
        b"{\"text\":\"a\",}",
        b"{/**/}",
        b"\xef\xbb\xbf{}",
    ];
    for body in wrong {
        let BadBody::NotJson { problem } = refusal(body) else {
            panic!("{:?} is refused for another reason", String::from_utf8_lossy(body))
        };
        assert!(problem.contains("line 1") || problem.contains("line 2"), "{problem}");
    }
}

#[test]
fn what_is_not_text_is_refused_with_the_offset() {
    assert_eq!(refusal(b"{\"text\":\"\xff\"}"), BadBody::NotText { at: 9 });
    assert_eq!(refusal(b"{\"text\":\"\xed\xa0\x80\"}"), BadBody::NotText { at: 9 });
}

#[test]
fn a_body_over_budget_is_refused_before_it_is_read() {
    let long = format!("{{\"text\":\"{}\"}}", "a".repeat(2000));
    assert_eq!(refusal(long.as_bytes()), BadBody::TooLong { bytes_max: 1024 });
}

#[test]
fn nesting_is_bounded_at_32_levels() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(parse::<Sample>(nested(32).as_bytes(), &BUDGET).is_ok());
    for depth in [33, 200] {
        assert_eq!(refusal(nested(depth).as_bytes()), BadBody::TooDeep { depth_max: 32 });
    }
    let objects = "{\"a\":".repeat(200) + "1" + &"}".repeat(200);
    assert_eq!(
        parse::<Sample>(objects.as_bytes(), &Budget::new(4096)),
        Err(BadBody::TooDeep { depth_max: 32 })
    );
}

#[test]
fn the_number_of_values_is_bounded() {
    let many = format!("{{\"x\":[{}0]}}", "0,".repeat(400));
    let budget = BUDGET.with_values_max(100);
    assert_eq!(parse::<Sample>(many.as_bytes(), &budget), Err(BadBody::TooMany { values_max: 100 }));
    assert!(parse::<Sample>(many.as_bytes(), &BUDGET).is_ok());
}

#[test]
fn long_and_odd_member_names_are_shortened_and_made_printable() {
    let body = format!("{{\"inner\":{{\"flag\":true,\"\\u0007{}\":1}}}}", "n".repeat(500));
    let path = refusal(body.as_bytes()).path().unwrap().to_owned();
    assert_eq!(path, format!("inner.\u{fffd}{}", "n".repeat(63)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body: Vec<u8>) {
        let _ = parse::<Sample>(&body, &BUDGET);
    }

    #[test]
    fn no_text_of_json_characters_makes_the_parser_panic(body in "[\\[\\]{}:,\"\\\\a-e0-9.\\- tunrlfse]{0,200}") {
        let _ = parse::<Sample>(body.as_bytes(), &BUDGET);
    }

    #[test]
    fn every_text_survives(text: String) {
        let body = serde_json::to_vec(&serde_json::json!({ "text": text })).unwrap();
        let read = parse::<Sample>(&body, &Budget::new(1 << 20)).unwrap();
        assert_eq!(read.text, Some(text));
    }

    #[test]
    fn a_count_is_read_exactly_or_refused(count in any::<i64>()) {
        let read = parse::<Sample>(format!("{{\"count\":{count}}}").as_bytes(), &BUDGET);
        assert_eq!(read.ok().and_then(|sample| sample.count), u8::try_from(count).ok());
    }
}
