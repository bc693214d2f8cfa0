//! When a token of keys does not answer: whoever asks is told when to come again, as the token's keeper knows it, and
//! whoever asks for something else does not notice.

use http::header;
use serde_json::{Value, json};
use vouchsafe_domain::ports::hsm::HsmError;
use vouchsafe_testkit::faulty_hsm::Mood;

use crate::Bench;
use crate::keys::text;

#[tokio::test]
async fn a_token_that_does_not_answer_says_when_to_come_again_and_only_its_keys_are_away() {
    let (bench, token) = Bench::with_token(91).await;
    bench.done("POST", "/keys/held/create", json!({ "kty": "EC-HSM" })).await;
    bench.done("POST", "/keys/soft/create", json!({ "kty": "EC" })).await;
    let digest = || json!({ "alg": "ES256", "value": text(&[7; 32]) });
    bench.done("POST", "/keys/held//sign", digest()).await;
    for (error, seconds) in [
        (HsmError::Unavailable { retry_after_seconds: 1 }, "1"),
        (HsmError::Unavailable { retry_after_seconds: 27 }, "27"),
        (HsmError::Unavailable { retry_after_seconds: 0 }, "1"),
        (HsmError::Locked, "1"),
    ] {
        token.set(Mood::Answers(error.clone()));
        for (path, body) in [("/keys/held//sign", digest()), ("/keys/new/create", json!({ "kty": "EC-HSM" }))]
        {
            let answer = bench.ask("POST", path, body).await;
            assert_eq!(answer.status, 503, "{error:?} {path}: {answer:?}");
            assert_eq!(answer.headers[header::RETRY_AFTER], seconds, "{error:?} {path}");
            // What is out of order is the operator's business.
            assert!(!answer.body.contains("hold") && !answer.body.contains("token"), "{answer:?}");
        }
        bench.done("POST", "/keys/soft//sign", digest()).await;
        bench.done("GET", "/keys/held", Value::Null).await;
    }
    token.set(Mood::Works);
    bench.done("POST", "/keys/held//sign", digest()).await;
}
