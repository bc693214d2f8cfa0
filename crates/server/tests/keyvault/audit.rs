//! A02: what callers send does not shape the log. An entry is one object of JSON in one line, of a bounded length, and
//! has nothing in it that a terminal or a reader could take for something else.

use serde_json::{Value, json};

use crate::support::{Ask, TLS};
use crate::{Bench, VAULT};

/// The longest entry: every field has a bound of its own.
const ENTRY_BYTES_MAX: usize = 4 * 1024;

#[tokio::test]
async fn whatever_callers_send_an_entry_is_one_bounded_line_of_json() {
    let bench = Bench::new(95).await;
    let host = format!("{VAULT}.vault.localhost:8443");
    let log = || bench.server.memory.log.entries();
    bench.done("PUT", "/secrets/honest", json!({ "value": "v" })).await;
    let before = log().len();
    let hostile = [
        "a%0d%0a%7b%22v%22%3a1%7d",
        "a%1b%5b2J",
        "a%e2%80%ae",
        "%22%7d%2c%7b%22v%22%3a1",
        "a%00",
        "..%2f..%2fetc",
        &"a".repeat(127),
        &"a".repeat(3_000),
    ];
    for name in hostile {
        for (method, path) in [
            ("GET", format!("/secrets/{name}")),
            ("GET", format!("/secrets/honest/{name}")),
            ("DELETE", format!("/keys/{name}")),
            ("GET", format!("/certificates/{name}/pending")),
        ] {
            let ask = Ask::new(method, &host, &path)
                .bearer(&bench.token)
                .header("user-agent", "x\u{9}".repeat(2_000))
                .header("x-ms-client-request-id", "a\\u001b[2J\"}")
                .header("x-forwarded-for", "\"}{");
            let answer = bench.server.ask(TLS, &ask).await;
            assert!((400..500).contains(&answer.status), "{method} {path}: {answer:?}");
        }
    }
    // Text that is stored may say anything; the log does not repeat it.
    let odd = "\u{202e}\r\n\u{1b}[2J\"}";
    let body = json!({ "value": odd, "tags": { "k": odd }, "contentType": odd });
    bench.ask("PUT", "/secrets/odd", body).await;
    bench.done("GET", "/secrets/honest", Value::Null).await;
    let entries = log();
    assert!(entries.len() > before + 3, "hardly anything was recorded: {} entries", entries.len() - before);
    for (position, entry) in &entries {
        let bytes = entry.encode();
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        assert!(bytes.len() <= ENTRY_BYTES_MAX, "{position:?} has {} bytes", bytes.len());
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{position:?}: {text:?}");
        assert!(
            serde_json::from_str::<Value>(text).is_ok_and(|entry| entry["v"] == 1),
            "{position:?}: {text}"
        );
        for part in ["[2J", "etc", "u202e", "x\\t", "u001b"] {
            assert!(!text.contains(part), "{position:?} repeats what a caller sent: {text}");
        }
    }
    let (_, last) = entries.last().expect("an entry");
    assert!(last.resource.ends_with("/secrets/honest"), "the twin: {last:?}");
}
