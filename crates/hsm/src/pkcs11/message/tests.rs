//! Messages arrive as they were sent, and whatever else arrives harms nobody.

use vouchsafe_domain::ports::hsm::{ObjectStatement, TokenStatement};

use super::super::material::Check;
use super::*;

fn curve() -> TokenKey {
    let public = PrivateKey::generate(KeySpec::P256).public().expect("a public key");
    TokenKey {
        spec: KeySpec::P256,
        id: [3; ID_BYTES],
        exportable: Exportable::OnRelease,
        check: Check::Public(public.spki_der()),
    }
}

fn symmetric() -> TokenKey {
    TokenKey {
        spec: KeySpec::Oct256,
        id: [4; ID_BYTES],
        exportable: Exportable::Never,
        check: Check::Value([5; 32]),
    }
}

fn requests() -> Vec<Request> {
    let encrypted = Encrypted {
        value: vec![1, 2, 3],
        iv: Some(vec![4; 12]),
        tag: Some(vec![5; 16]),
        aad: Some(Vec::new()),
    };
    let bridge = PrivateKey::generate(KeySpec::P256).public();
    vec![
        Request::Generate(KeySpec::Rsa3072, Exportable::Never),
        Request::Import(Box::new(PrivateKey::generate(KeySpec::Oct192)), Exportable::OnRelease),
        Request::Import(Box::new(PrivateKey::generate(KeySpec::P256K)), Exportable::Never),
        Request::ImportWrapped {
            exchange: curve(),
            wrapping_key: vec![6; 256],
            wrapped: vec![7; 40],
            spec: KeySpec::Oct128,
            exportable: Exportable::OnRelease,
        },
        Request::Sign(curve(), SignatureAlgorithm::Es256, vec![8; 32]),
        Request::Encrypt {
            key: symmetric(),
            algorithm: EncryptionAlgorithm::A256Cbc,
            plaintext: SecretBytes::new(vec![9; 32]),
            iv: Some(vec![10; 16]),
            aad: None,
        },
        Request::Decrypt {
            key: symmetric(),
            algorithm: EncryptionAlgorithm::A256Gcm,
            encrypted: encrypted.clone(),
            bridge: None,
        },
        Request::Decrypt { key: curve(), algorithm: EncryptionAlgorithm::RsaOaep256, encrypted, bridge },
        Request::Find(symmetric()),
        Request::Destroy(curve()),
        Request::Random(RANDOM_BYTES_MAX),
        Request::Identify,
        Request::Attest(curve()),
        Request::WrapFor {
            key: symmetric(),
            recipient: PrivateKey::generate(KeySpec::Rsa2048).public().expect("a public key"),
            algorithm: TransportAlgorithm::RsaAesKeyWrap384,
        },
    ]
}

/// Replies, each with the place of its request in the list.
fn replies() -> Vec<(usize, Reply)> {
    let encrypted = Encrypted { value: vec![1], iv: None, tag: Some(vec![2; 16]), aad: None };
    let made = TokenKey {
        spec: KeySpec::Oct192,
        id: [6; ID_BYTES],
        exportable: Exportable::OnRelease,
        check: Check::Value([7; 32]),
    };
    vec![
        (1, Reply::Held(made, None)),
        (4, Reply::Signature(vec![3; 64])),
        (5, Reply::Encrypted(encrypted)),
        (6, Reply::Secret(SecretBytes::new(vec![4; 20]))),
        (6, Reply::NeedsBridge),
        (7, Reply::Crossed { first: 255, crossed: vec![5; 256] }),
        (8, Reply::Done),
        (9, Reply::Done),
        (10, Reply::Secret(SecretBytes::new(vec![6; RANDOM_BYTES_MAX]))),
        (11, Reply::Serial("4711".into())),
        (12, Reply::Attested(Box::new(statement()))),
        (13, Reply::Wrapped(vec![8; 300])),
    ]
}

fn statement() -> TokenStatement {
    let secret = ObjectStatement {
        token: Some(true),
        private: Some(false),
        sensitive: Some(true),
        always_sensitive: Some(false),
        extractable: None,
        never_extractable: Some(true),
        local: Some(false),
    };
    TokenStatement {
        manufacturer: "somebody".into(),
        model: "something".into(),
        serial: "4711".into(),
        label: "a token".into(),
        id: vec![3; ID_BYTES],
        secret,
        public: Some(ObjectStatement { local: Some(true), ..ObjectStatement::default() }),
    }
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::Lost("gone".into()),
        Fault::Failed(String::new()),
        Fault::Stale,
        Fault::Answer(HsmError::Unsupported("the token does not do this")),
        Fault::Answer(HsmError::Refused("the ciphertext could not be decrypted")),
        Fault::Answer(HsmError::Mismatch),
        Fault::Answer(HsmError::NotFound),
        Fault::Answer(HsmError::Locked),
        Fault::Answer(HsmError::Broken("strange".into())),
    ]
}

#[test]
fn a_request_arrives_as_it_was_made() {
    for (place, request) in requests().iter().enumerate() {
        for next_id in [None, Some([11; ID_BYTES])] {
            let sent = Order::encode_request(request, 7, next_id);
            let Ok(Order::Perform { request: read, generation: 7, next_id: id }) = Order::decode(&sent)
            else {
                panic!("request {place} was read as something else")
            };
            assert_eq!(id, next_id);
            assert!(*Order::encode_request(&read, 7, id) == *sent, "request {place}");
        }
    }
    let name = TokenName {
        module: "/usr/lib/module.so".into(),
        label: None,
        serial: Some("4711".into()),
        pin_file: "/etc/pin".into(),
    };
    let opened = Order::decode(&Order::encode_open(&name, Care::AfterAnUnknownEnd));
    assert!(matches!(opened, Ok(Order::Open(read, Care::AfterAnUnknownEnd)) if read == name));
    let forget = Order::decode(&Order::encode_forget([12; ID_BYTES]));
    assert!(matches!(forget, Ok(Order::Forget(id)) if id == [12; ID_BYTES]));
}

#[test]
fn a_reply_arrives_as_it_was_made_and_answers_no_other_request() {
    let requests = requests();
    for (place, reply) in replies() {
        let sent = Answer::Performed(Ok(reply)).encode();
        let read = Answer::decode_performed(&sent, &requests[place]).expect("understood").expect("a reply");
        assert!(*Answer::Performed(Ok(read)).encode() == *sent, "the reply to request {place}");
        // Generating is not what a key is found by, and a serial number is no signature.
        let other = if place == 11 { 8 } else { 11 };
        assert!(Answer::decode_performed(&sent, &requests[other]).is_err(), "request {place}");
    }
    for fault in faults() {
        for request in &requests {
            let sent = Answer::Performed(Err(fault.clone())).encode();
            let read = Answer::decode_performed(&sent, request).expect("understood");
            assert_eq!(read.err(), Some(fault.clone()));
        }
        let sent = Answer::Opened(Err(fault.clone()), true).encode();
        assert_eq!(Answer::decode_opened(&sent), Ok((Err(fault), true)));
    }
    let sent = Answer::Opened(Ok(vec![1, u64::MAX]), false).encode();
    assert_eq!(Answer::decode_opened(&sent), Ok((Ok(vec![1, u64::MAX]), false)));
}

#[test]
fn what_is_said_of_a_key_arrives_as_it_was_said_and_is_of_that_key() {
    for statement in [statement(), TokenStatement { public: None, ..statement() }] {
        let sent = Answer::Performed(Ok(Reply::Attested(Box::new(statement.clone())))).encode();
        let read = Answer::decode_performed(&sent, &Request::Attest(curve())).expect("understood");
        assert!(matches!(read, Ok(Reply::Attested(read)) if *read == statement));
        assert!(Answer::decode_performed(&sent, &Request::Attest(symmetric())).is_err(), "another key");
    }
    let long = TokenStatement { label: "a\nlabel".repeat(1_000), ..statement() };
    let sent = Answer::Performed(Ok(Reply::Attested(Box::new(long)))).encode();
    let Ok(Ok(Reply::Attested(read))) = Answer::decode_performed(&sent, &Request::Attest(curve())) else {
        panic!("another answer")
    };
    assert_eq!(read.label.chars().count(), limits::REASON_CHARS_MAX);
    assert!(!read.label.contains(char::is_control));
}

#[test]
fn what_a_module_makes_its_process_say_is_shortened_and_never_a_sentence() {
    let long = "a\nline\u{7}".repeat(1_000);
    let sent = Answer::Performed(Err(Fault::Failed(long))).encode();
    let Ok(Err(Fault::Failed(read))) = Answer::decode_performed(&sent, &Request::Identify) else {
        panic!("another answer")
    };
    assert_eq!(read.chars().count(), limits::REASON_CHARS_MAX);
    assert!(!read.contains(char::is_control));
    let unknown = Answer::Performed(Err(Fault::Answer(HsmError::Refused("a sentence of nobody")))).encode();
    let read = Answer::decode_performed(&unknown, &Request::Identify).expect("understood");
    assert!(matches!(read, Err(Fault::Answer(HsmError::Broken(_)))), "a failure for the log");
}

/// Whatever arrives is refused or read; reading what was changed never ends this process.
#[test]
fn changed_and_cut_messages_are_refused_or_read() {
    let requests = requests();
    let mut messages: Vec<_> =
        requests.iter().map(|request| Order::encode_request(request, 300, Some([1; ID_BYTES]))).collect();
    messages.extend(replies().into_iter().map(|(_, reply)| Answer::Performed(Ok(reply)).encode()));
    messages.extend(faults().into_iter().map(|fault| Answer::Performed(Err(fault)).encode()));
    let mut refused = 0;
    for message in &messages {
        let cut = (0..message.len()).map(|length| message[..length].to_vec());
        let changed = (0..message.len()).flat_map(|place| {
            [0x01, 0x08, 0x80, 0xff].map(|bits| {
                let mut message = message.to_vec();
                message[place] ^= bits;
                message
            })
        });
        for bytes in cut.chain(changed) {
            refused += usize::from(Order::decode(&bytes).is_err());
            refused += usize::from(Answer::decode_opened(&bytes).is_err());
            refused += usize::from(Answer::decode_forgotten(&bytes).is_err());
            for request in &requests {
                refused += usize::from(Answer::decode_performed(&bytes, request).is_err());
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}
