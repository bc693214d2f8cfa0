//! JSON bodies of the vault and of the administration interface: read within their budget, or refused in plain words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_wire::admin::ApplyRequest;
use vouchsafe_wire::json::{self, Budget};
use vouchsafe_wire::keyvault::certificate::{
    CertificatePolicy, CreateCertificateRequest, ImportCertificateRequest, IssuerRequest,
    MergeCertificateRequest, SetContactsRequest,
};
use vouchsafe_wire::keyvault::key::{
    CreateKeyRequest, ImportKeyRequest, KeyRotationPolicy, OperationRequest, TransferBlob, UpdateKeyRequest,
    VerifyRequest,
};
use vouchsafe_wire::keyvault::{RestoreRequest, SecretOctets, SetSecretRequest, UpdateSecretRequest};

/// What is heard and said with one shape can be read again.
macro_rules! said_again {
    ($shape:ty, $data:expr, $budget:expr) => {
        if let Ok(heard) = json::parse::<$shape>($data, $budget) {
            let said = serde_json::to_vec(&heard).expect("a shape is JSON");
            json::parse::<$shape>(&said, &Budget::new(1 << 20)).expect("what we say we read");
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let budget = Budget::new(16 * 1024);
    let refusals = [
        SetSecretRequest::parse(data, &budget).err(),
        UpdateSecretRequest::parse(data, &budget).err(),
        RestoreRequest::parse(data, &budget).err(),
        CreateKeyRequest::parse(data, &budget).err(),
        ImportKeyRequest::parse(data, &budget).err(),
        UpdateKeyRequest::parse(data, &budget).err(),
        OperationRequest::parse(data, &budget).err(),
        VerifyRequest::parse(data, &budget).err(),
        TransferBlob::parse(&SecretOctets::new(data.to_vec())).err(),
        CreateCertificateRequest::parse(data, &budget).err(),
        ImportCertificateRequest::parse(data, &budget).err(),
        MergeCertificateRequest::parse(data, &budget).err(),
        IssuerRequest::parse(data, &budget).err(),
        SetContactsRequest::parse(data, &budget).err(),
        json::parse::<ApplyRequest>(data, &budget).err(),
    ];
    said_again!(KeyRotationPolicy, data, &budget);
    said_again!(CertificatePolicy, data, &budget);
    for refusal in refusals.into_iter().flatten() {
        let said = refusal.to_string();
        assert!(!said.is_empty() && said.len() < 4_096, "a refusal of {} bytes", said.len());
        assert!(!said.contains("vouchsafe_"), "a refusal names a Rust type: {said}");
    }
    if let Ok(value) = json::parse::<serde_json::Value>(data, &budget) {
        assert!(depth(&value) <= budget.depth_max, "deeper than the budget");
        let lenient: serde_json::Value = serde_json::from_slice(data).expect("what we read, others read");
        assert_eq!(value, lenient, "read differently from others");
        // Equality is not asked for here: the last digit of a float may differ, in this reader and in others.
        json::parse::<serde_json::Value>(value.to_string().as_bytes(), &Budget::new(1 << 20))
            .expect("what we read can be read again");
    }
});

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
