//! What server and process of a PKCS#11 module say to each other: frames as they come out of a socket, then orders and
//! answers. Each side takes the other for a stranger: a message or a refusal, and what is read is written the same way
//! again. An answer is always one to what was asked.
//!
//! The first byte chooses what is read, the second to which request an answer belongs.
#![no_main]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::keys::{
    Encrypted, EncryptionAlgorithm, KeySpec, PrivateKey, SignatureAlgorithm, TransportAlgorithm,
};
use vouchsafe_domain::ports::hsm::Exportable;
use vouchsafe_hsm::pkcs11::connection::{Reply, Request};
use vouchsafe_hsm::pkcs11::frame;
use vouchsafe_hsm::pkcs11::material::{Check, TokenKey};
use vouchsafe_hsm::pkcs11::message::{Answer, Order};

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, place], rest)) = data.split_first_chunk::<2>() else { return };
    match kind % 4 {
        0 => frames(rest),
        1 => order(rest),
        2 => answer(rest, &requests()[usize::from(place) % requests().len()]),
        _ => {
            if let Ok((opened, shown)) = Answer::decode_opened(rest) {
                let written = Answer::Opened(opened.clone(), shown).encode();
                assert!(Answer::decode_opened(&written) == Ok((opened, shown)));
            }
            let _ = Answer::decode_forgotten(rest);
        }
    }
});

/// Frames until the end or the first one that is none: together with their lengths they are what was sent.
fn frames(bytes: &[u8]) {
    // More would have to be read while it is written.
    let bytes = &bytes[..bytes.len().min(32 * 1_024)];
    let (mut here, there) = UnixStream::pair().expect("a socket pair");
    here.write_all(bytes).expect("room in the socket");
    here.shutdown(Shutdown::Write).expect("an end");
    let mut rest = bytes;
    while let Ok(frame) = frame::read(&there, None) {
        let (length, after) = rest.split_first_chunk::<4>().expect("a frame has a length");
        assert_eq!(u32::from_be_bytes(*length) as usize, frame.len());
        let (sent, after) = after.split_at(frame.len());
        assert!(sent == frame.as_slice(), "a frame of other bytes than were sent");
        rest = after;
    }
}

fn order(bytes: &[u8]) {
    let Ok(read) = Order::decode(bytes) else { return };
    let written = match &read {
        Order::Open(name, care) => Order::encode_open(name, *care),
        Order::Forget(id) => Order::encode_forget(*id),
        Order::Perform { request, generation, next_id } => {
            Order::encode_request(request, *generation, *next_id)
        }
    };
    let again = match Order::decode(&written).expect("an order that we wrote can be read") {
        Order::Open(name, care) => Order::encode_open(&name, care),
        Order::Forget(id) => Order::encode_forget(id),
        Order::Perform { request, generation, next_id } => {
            Order::encode_request(&request, generation, next_id)
        }
    };
    assert!(*again == *written, "an order was read differently the second time");
}

fn answer(bytes: &[u8], request: &Request) {
    let Ok(Ok(reply)) = Answer::decode_performed(bytes, request) else { return };
    let fits = match (&reply, request) {
        (Reply::Held(key, _), _) => request.made() == Some((key.spec, key.exportable)),
        (Reply::Signature(_), Request::Sign(..))
        | (Reply::Encrypted(_), Request::Encrypt { .. })
        | (Reply::Secret(_), Request::Decrypt { .. } | Request::Random(_))
        | (Reply::Done, Request::Find(_) | Request::Destroy(_))
        | (Reply::Attested(_), Request::Attest(_))
        | (Reply::Wrapped(_), Request::WrapFor { .. }) => true,
        (Reply::Crossed { .. } | Reply::NeedsBridge, Request::Decrypt { .. }) => true,
        (Reply::Serial(_), Request::Identify) => true,
        _ => false,
    };
    assert!(fits, "an answer to another request");
    let written = Answer::Performed(Ok(reply)).encode();
    let again = Answer::decode_performed(&written, request).expect("an answer that we wrote can be read");
    assert!(*Answer::Performed(again).encode() == *written, "an answer was read differently the second time");
}

fn requests() -> &'static [Request] {
    static REQUESTS: OnceLock<Vec<Request>> = OnceLock::new();
    REQUESTS.get_or_init(|| {
        let key = || TokenKey {
            spec: KeySpec::Oct256,
            id: [3; 16],
            exportable: Exportable::OnRelease,
            check: Check::Value([5; 32]),
        };
        let recipient = PrivateKey::generate(KeySpec::P256).public().expect("a public key");
        let encrypted =
            Encrypted { value: vec![1; 16], iv: Some(vec![2; 12]), tag: Some(vec![3; 16]), aad: None };
        vec![
            Request::Generate(KeySpec::Oct256, Exportable::Never),
            Request::Generate(KeySpec::P256, Exportable::OnRelease),
            Request::Sign(key(), SignatureAlgorithm::Es256, vec![0; 32]),
            Request::Encrypt {
                key: key(),
                algorithm: EncryptionAlgorithm::A256Gcm,
                plaintext: vouchsafe_crypto::SecretBytes::new(vec![4; 16]),
                iv: None,
                aad: None,
            },
            Request::Decrypt { key: key(), algorithm: EncryptionAlgorithm::A256Gcm, encrypted, bridge: None },
            Request::Find(key()),
            Request::Attest(key()),
            Request::Destroy(key()),
            Request::Random(16),
            Request::Identify,
            Request::WrapFor { key: key(), recipient, algorithm: TransportAlgorithm::RsaAesKeyWrap256 },
        ]
    })
}
