//! Query strings, forms and headers of every dialect: the first byte chooses which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_wire::oauth::{BasicCredentials, TokenRequest, client_capabilities};
use vouchsafe_wire::{arm, imds, keyvault};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    let text = std::str::from_utf8(rest);
    let refusal = match (kind % 7, text) {
        (0, _) => TokenRequest::parse(rest).err().map(|error| error.to_string()),
        (1, Ok(text)) => arm::Query::parse(Some(text)).err().map(|error| error.to_string()),
        (2, Ok(text)) => arm::Filter::parse(text).err().map(|error| error.to_string()),
        (3, Ok(text)) => keyvault::Query::parse(Some(text)).err().map(|error| error.to_string()),
        (4, Ok(text)) => imds::TokenQuery::parse(text).err().map(|error| error.to_string()),
        (5, Ok(text)) => BasicCredentials::parse(text).err().map(|error| error.to_string()),
        (6, Ok(text)) => client_capabilities(text).err().map(|error| error.to_string()),
        _ => None,
    };
    if let Some(said) = refusal {
        assert!(!said.is_empty() && said.len() < 4_096, "a refusal of {} bytes", said.len());
    }
});
