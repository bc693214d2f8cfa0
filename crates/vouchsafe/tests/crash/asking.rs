//! How clients ask a server that is there again after its recovery: it answers, or the test is over.

use http::{Method, StatusCode};
use serde_json::Value;
use vouchsafe_testkit::running::Client;

use crate::Round;

/// What a vault says of something, if it has it.
pub async fn get(client: &mut Client, round: &Round, path: &str) -> Option<Value> {
    let answer = client.request(Method::GET, &round.vault, path, Some(&round.vault_token), None).await;
    let answer = answer.expect("the server answers after its recovery");
    match answer.status {
        StatusCode::OK => Some(answer.json()),
        StatusCode::NOT_FOUND => None,
        status => panic!("{path}: {status}: {}", answer.text()),
    }
}

/// What a vault answers to what it must do.
pub async fn post(client: &mut Client, round: &Round, path: &str, body: Value) -> Value {
    let body = body.to_string().into_bytes();
    let sent = client.request(Method::POST, &round.vault, path, Some(&round.vault_token), Some(&body)).await;
    let answer = sent.expect("the server answers after its recovery");
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

/// Every item of a list, page by page.
pub async fn list(client: &mut Client, round: &Round, path: String) -> Vec<Value> {
    let (mut items, mut path) = (Vec::new(), Some(path));
    while let Some(next) = path {
        let page = get(client, round, &next).await.unwrap_or_else(|| panic!("there is nothing at {next}"));
        items.extend(page["value"].as_array().into_iter().flatten().cloned());
        path = page["nextLink"].as_str().map(|link| {
            let rest = link.strip_prefix("https://").unwrap_or(link);
            rest.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"))
        });
    }
    items
}
