//! Imports that are refused: each differs in one thing from one that is taken.

use der::Encode;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::pem::LineEnding;
use num_bigint::BigUint;
use pkcs8::PrivateKeyInfoRef;
use vouchsafe_crypto::keys::{
    ImportRefused, ImportedKey, KeyFamily, KeySpec, Malformed, PrivateKey, PublicKey,
};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use crate::weak_rsa::honest;
use crate::{key, octets};

const CURVES: [KeySpec; 4] = [KeySpec::P256, KeySpec::P384, KeySpec::P521, KeySpec::P256K];

/// The orders of the four curves (SEC 2, FIPS 186-4).
const ORDERS: [&str; 4] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
     51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
];

fn refusal(key: ImportedKey) -> Option<ImportRefused> {
    PrivateKey::from_components(key).err()
}

fn bytes(part: &Option<SecretBytes>) -> Vec<u8> {
    part.as_ref().unwrap().expose(Reason::Test).to_vec()
}

fn secret(bytes: &[u8]) -> Option<SecretBytes> {
    Some(SecretBytes::new(bytes.to_vec()))
}

/// The private number of a key, as the last field of its stable encoding says it.
fn scalar(key: &PrivateKey) -> Vec<u8> {
    let pkcs8 = key.to_pkcs8().unwrap();
    let info = PrivateKeyInfoRef::try_from(pkcs8.expose(Reason::Test)).unwrap();
    // ECPrivateKey: SEQUENCE, INTEGER 1, OCTET STRING.
    let inner = info.private_key.as_bytes();
    let at = inner.windows(4).position(|window| window[..3] == [2, 1, 1] && window[3] == 4).unwrap() + 4;
    inner[at + 1..][..usize::from(inner[at])].to_vec()
}

fn ec_parts(curve: KeySpec) -> ImportedKey {
    let key = key(curve);
    let Some(PublicKey::Ec { x, y, .. }) = key.public() else { panic!("not on a curve") };
    ImportedKey {
        curve: Some(curve),
        x: Some(x),
        y: Some(y),
        d: secret(&scalar(key)),
        ..ImportedKey::of(KeyFamily::Ec)
    }
}

#[test]
fn keys_on_curves_are_imported_whole() {
    for curve in CURVES {
        let imported = PrivateKey::from_components(ec_parts(curve)).unwrap();
        assert_eq!(imported.public(), key(curve).public());
        assert!(imported.to_material().matches(key(curve).to_material().expose(Reason::Test)), "{curve:?}");
    }
}

#[test]
fn symmetric_keys_are_imported_in_three_lengths_only() {
    for (bytes, spec) in [(16, KeySpec::Oct128), (24, KeySpec::Oct192), (32, KeySpec::Oct256)] {
        let key = octets(&vec![7; bytes]).unwrap();
        assert_eq!(key.spec(), spec);
        assert_eq!(key.to_material().expose(Reason::Test), vec![7; bytes]);
        assert!(key.public().is_none() && key.to_pkcs8().is_none());
    }
    for bytes in [0, 1, 8, 15, 17, 23, 25, 31, 33, 48, 64, 1 << 16] {
        assert_eq!(octets(&vec![7; bytes]).err(), Some(ImportRefused::Unsupported), "{bytes}");
    }
}

type Change = fn(&mut ImportedKey);

#[test]
fn each_missing_part_is_named() {
    let rsa: [(&str, Change); 8] = [
        ("n", |key| key.n = None),
        ("e", |key| key.e = None),
        ("d", |key| key.d = None),
        ("p", |key| key.p = None),
        ("q", |key| key.q = None),
        ("dp", |key| key.dp = None),
        ("dq", |key| key.dq = None),
        ("qi", |key| key.qi = None),
    ];
    let ec: [(&str, Change); 4] = [
        ("crv", |key| key.curve = None),
        ("x", |key| key.x = None),
        ("y", |key| key.y = None),
        ("d", |key| key.d = None),
    ];
    for (name, without) in rsa {
        let mut key = honest();
        without(&mut key);
        assert_eq!(refusal(key), Some(ImportRefused::Missing(name)));
    }
    for (name, without) in ec {
        let mut key = ec_parts(KeySpec::P256);
        without(&mut key);
        assert_eq!(refusal(key), Some(ImportRefused::Missing(name)));
    }
    assert_eq!(refusal(ImportedKey::of(KeyFamily::Oct)), Some(ImportRefused::Missing("k")));
}

#[test]
fn parts_of_another_family_are_refused() {
    let k = || secret(&[7; 32]);
    let oct = || ImportedKey { k: k(), ..ImportedKey::of(KeyFamily::Oct) };
    for key in [
        ImportedKey { k: k(), ..honest() },
        ImportedKey { x: Some(vec![1]), ..honest() },
        ImportedKey { curve: Some(KeySpec::P256), ..honest() },
        ImportedKey { k: k(), ..ec_parts(KeySpec::P256) },
        ImportedKey { n: Some(vec![1]), ..ec_parts(KeySpec::P256) },
        ImportedKey { qi: k(), ..ec_parts(KeySpec::P256) },
        ImportedKey { d: k(), ..oct() },
        ImportedKey { e: Some(vec![1, 0, 1]), ..oct() },
        ImportedKey { y: Some(vec![1]), ..oct() },
        ImportedKey { family: KeyFamily::Ec, ..honest() },
        ImportedKey { family: KeyFamily::Rsa, ..ec_parts(KeySpec::P256) },
    ] {
        assert_eq!(refusal(key), Some(ImportRefused::Unexpected));
    }
    let with_curve = |curve| ImportedKey { curve: Some(curve), ..ec_parts(KeySpec::P256) };
    assert_eq!(refusal(with_curve(KeySpec::Rsa2048)), Some(ImportRefused::Unsupported));
    assert_eq!(refusal(with_curve(KeySpec::Oct256)), Some(ImportRefused::Unsupported));
    assert_eq!(refusal(with_curve(KeySpec::P384)), Some(ImportRefused::Point));
    assert_eq!(refusal(with_curve(KeySpec::P256K)), Some(ImportRefused::Point));
}

/// Every number of an RSA key, moved by two (so that none becomes even for that alone): the library finds each.
#[test]
fn rsa_numbers_that_contradict_each_other_are_refused() {
    let moved = |part: &Option<SecretBytes>| {
        let mut bytes = bytes(part);
        *bytes.last_mut().unwrap() ^= 2;
        secret(&bytes)
    };
    let same = honest();
    let [mut n, mut e] = [same.n.clone().unwrap(), same.e.clone().unwrap()];
    n[255] ^= 2;
    e[2] ^= 2;
    for (name, key) in [
        ("n", ImportedKey { n: Some(n), ..honest() }),
        ("e", ImportedKey { e: Some(e), ..honest() }),
        ("d", ImportedKey { d: moved(&same.d), ..honest() }),
        ("p", ImportedKey { p: moved(&same.p), ..honest() }),
        ("q", ImportedKey { q: moved(&same.q), ..honest() }),
        ("dp", ImportedKey { dp: moved(&same.dp), ..honest() }),
        ("dq", ImportedKey { dq: moved(&same.dq), ..honest() }),
        ("qi", ImportedKey { qi: moved(&same.qi), ..honest() }),
        ("dp and dq", ImportedKey { dp: secret(&bytes(&same.dq)), dq: secret(&bytes(&same.dp)), ..honest() }),
        ("p and q", ImportedKey { p: secret(&bytes(&same.q)), q: secret(&bytes(&same.p)), ..honest() }),
    ] {
        assert_eq!(refusal(key), Some(ImportRefused::Inconsistent), "{name}");
    }
    for zero in [vec![], vec![0], vec![0; 128]] {
        let zero = || secret(&zero);
        assert_eq!(refusal(ImportedKey { d: zero(), ..honest() }), Some(ImportRefused::Inconsistent));
        assert_eq!(refusal(ImportedKey { dp: zero(), ..honest() }), Some(ImportRefused::Inconsistent));
        assert_eq!(refusal(ImportedKey { qi: zero(), ..honest() }), Some(ImportRefused::Inconsistent));
        assert_eq!(refusal(ImportedKey { p: zero(), ..honest() }), Some(ImportRefused::Length("p")));
        assert_eq!(refusal(ImportedKey { q: zero(), ..honest() }), Some(ImportRefused::Length("q")));
    }
}

/// Clients write a zero octet for the sign, or fill with zeros; what counts is the number, and it is kept in one form.
#[test]
fn leading_zeros_change_nothing_and_other_lengths_are_refused() {
    let padded = |bytes: Vec<u8>| [&[0, 0], bytes.as_slice()].concat();
    let same = honest();
    let zeros = |part: &Option<SecretBytes>| secret(&padded(bytes(part)));
    let key = PrivateKey::from_components(ImportedKey {
        n: same.n.clone().map(padded),
        e: same.e.clone().map(padded),
        d: zeros(&same.d),
        p: zeros(&same.p),
        q: zeros(&same.q),
        dp: zeros(&same.dp),
        dq: zeros(&same.dq),
        qi: zeros(&same.qi),
        ..honest()
    })
    .unwrap();
    let plain = PrivateKey::from_components(honest()).unwrap();
    assert!(key.to_material().matches(plain.to_material().expose(Reason::Test)));
    let Some(PublicKey::Rsa { n, e }) = key.public() else { panic!("not RSA") };
    assert_eq!((n[0] >= 0x80, n.len(), e), (true, 256, vec![1, 0, 1]));

    let long = |length| secret(&vec![0xff; length]);
    for (name, key) in [
        ("d", ImportedKey { d: long(257), ..honest() }),
        ("p", ImportedKey { p: long(129), ..honest() }),
        ("q", ImportedKey { q: long(129), ..honest() }),
        ("dp", ImportedKey { dp: long(129), ..honest() }),
        ("dq", ImportedKey { dq: long(129), ..honest() }),
        ("qi", ImportedKey { qi: long(1 << 16), ..honest() }),
    ] {
        assert_eq!(refusal(key), Some(ImportRefused::Length(name)));
    }

    for curve in CURVES {
        let same = ec_parts(curve);
        let plain = key_of(ec_parts(curve));
        let key = key_of(ImportedKey {
            x: same.x.clone().map(padded),
            y: same.y.clone().map(padded),
            d: zeros(&same.d),
            ..ec_parts(curve)
        });
        assert!(key.to_material().matches(plain.to_material().expose(Reason::Test)));
        let long = vec![1; curve.bytes() + 1];
        for (name, key) in [
            ("x", ImportedKey { x: Some(long.clone()), ..ec_parts(curve) }),
            ("y", ImportedKey { y: Some(long.clone()), ..ec_parts(curve) }),
            ("d", ImportedKey { d: secret(&long), ..ec_parts(curve) }),
        ] {
            assert_eq!(refusal(key), Some(ImportRefused::Length(name)), "{curve:?}");
        }
    }
}

fn key_of(parts: ImportedKey) -> PrivateKey {
    PrivateKey::from_components(parts).unwrap()
}

#[test]
fn points_that_are_not_on_the_curve_are_refused() {
    for curve in CURVES {
        let same = ec_parts(curve);
        let (x, y) = (same.x.clone().unwrap(), same.y.clone().unwrap());
        let mut moved = y.clone();
        *moved.last_mut().unwrap() ^= 1;
        let zero = vec![0; curve.bytes()];
        let full = vec![0xff; curve.bytes()];
        for (x, y) in
            [(x.clone(), moved), (y.clone(), x), (zero.clone(), zero), (full.clone(), full), (vec![], vec![])]
        {
            assert_eq!(PublicKey::ec(curve, &x, &y).err(), Some(Malformed));
            let key = ImportedKey { x: Some(x), y: Some(y), ..ec_parts(curve) };
            assert_eq!(refusal(key), Some(ImportRefused::Point), "{curve:?}");
        }
    }
}

#[test]
fn private_numbers_that_are_zero_too_large_or_anothers_are_refused() {
    for (curve, order) in CURVES.into_iter().zip(ORDERS) {
        let order = BigUint::parse_bytes(order.as_bytes(), 16).unwrap();
        let own = BigUint::from_bytes_be(&scalar(key(curve)));
        for (d, reason) in [
            (BigUint::ZERO, ImportRefused::Scalar),
            (order.clone(), ImportRefused::Scalar),
            (&order + 1_u32, ImportRefused::Scalar),
            (&order - 1_u32, ImportRefused::Inconsistent),
            (BigUint::from(1_u32), ImportRefused::Inconsistent),
            // The negative of the number has the same x and another y.
            (&order - &own, ImportRefused::Inconsistent),
        ] {
            let parts = ImportedKey { d: secret(&d.to_bytes_be()), ..ec_parts(curve) };
            assert_eq!(refusal(parts), Some(reason), "{curve:?} {d}");
        }
        let another = scalar(&PrivateKey::generate(curve));
        let key = ImportedKey { d: secret(&another), ..ec_parts(curve) };
        assert_eq!(refusal(key), Some(ImportRefused::Inconsistent));
    }
}

/// The three encodings that come with certificates, in DER and in PEM, as other software writes them.
#[test]
fn pkcs8_pkcs1_and_sec1_are_read_in_der_and_in_pem() {
    for spec in KeySpec::ALL {
        let Some(pkcs8) = key(spec).to_pkcs8() else { continue };
        let info = PrivateKeyInfoRef::try_from(pkcs8.expose(Reason::Test)).unwrap();
        let inner = SecretBytes::new(info.private_key.as_bytes().to_vec());
        let is_rsa = spec.family() == KeyFamily::Rsa;
        let mut forms = vec![("PRIVATE KEY", SecretBytes::new(pkcs8.expose(Reason::Test).to_vec()))];
        if is_rsa {
            forms.push(("RSA PRIVATE KEY", inner));
        } else {
            forms.push(("EC PRIVATE KEY", SecretBytes::new(sec1_with_curve(&info))));
        }
        for (label, der) in forms {
            let read = match label {
                "PRIVATE KEY" => PrivateKey::from_pkcs8(&der),
                "RSA PRIVATE KEY" => PrivateKey::from_pkcs1(&der),
                _ => PrivateKey::from_sec1(&der),
            };
            let pem = pem(label, der.expose(Reason::Test));
            for read in [read, PrivateKey::from_pem(&SecretString::new(pem))] {
                let read = read.unwrap();
                assert_eq!(read.public(), key(spec).public(), "{spec:?} {label}");
                assert!(read.to_material().matches(pkcs8.expose(Reason::Test)));
            }
        }
    }
}

/// What `openssl ecparam -genkey` writes: the curve inside.
fn sec1_with_curve(info: &PrivateKeyInfoRef<'_>) -> Vec<u8> {
    let inner = info.private_key.as_bytes();
    let curve = info.algorithm.parameters.unwrap().to_der().unwrap();
    let (d, rest) = split_ec_private_key(inner);
    let tagged = [&[0xa0, u8::try_from(curve.len()).unwrap()], curve.as_slice()].concat();
    sequence(&[&[2, 1, 1], d, &tagged, rest].concat())
}

/// Cuts an `ECPrivateKey` behind its version: the number, and what comes after it.
fn split_ec_private_key(inner: &[u8]) -> (&[u8], &[u8]) {
    let at = inner.windows(4).position(|window| window == [2, 1, 1, 4]).unwrap() + 3;
    inner[at..].split_at(2 + usize::from(inner[at + 1]))
}

fn sequence(content: &[u8]) -> Vec<u8> {
    AnyRef::new(der::Tag::Sequence, content).unwrap().to_der().unwrap()
}

fn pem(label: &'static str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der).unwrap()
}

#[test]
fn a_key_on_a_curve_may_come_without_its_point() {
    for curve in CURVES {
        let pkcs8 = key(curve).to_pkcs8().unwrap();
        let mut info = PrivateKeyInfoRef::try_from(pkcs8.expose(Reason::Test)).unwrap();
        let (d, _) = split_ec_private_key(info.private_key.as_bytes());
        let inner = sequence(&[&[2, 1, 1], d].concat());
        info.private_key = OctetStringRef::new(&inner).unwrap();
        let read = PrivateKey::from_pkcs8(&SecretBytes::new(info.to_der().unwrap())).unwrap();
        assert_eq!(read.public(), key(curve).public(), "{curve:?}");
        // Without a curve the number means nothing.
        assert_eq!(
            PrivateKey::from_sec1(&SecretBytes::new(inner.clone())).err(),
            Some(ImportRefused::Malformed)
        );

        let zero = sequence(&[&[2, 1, 1, 4, d[1]], vec![0; usize::from(d[1])].as_slice()].concat());
        info.private_key = OctetStringRef::new(&zero).unwrap();
        let zero = PrivateKey::from_pkcs8(&SecretBytes::new(info.to_der().unwrap()));
        assert_eq!(zero.err(), Some(ImportRefused::Scalar), "{curve:?}");
        let full = sequence(&[&[2, 1, 1, 4, d[1]], vec![0xff; usize::from(d[1])].as_slice()].concat());
        info.private_key = OctetStringRef::new(&full).unwrap();
        let full = PrivateKey::from_pkcs8(&SecretBytes::new(info.to_der().unwrap()));
        assert_eq!(full.err(), Some(ImportRefused::Scalar), "{curve:?}");
    }
}

#[test]
fn an_encoded_key_passes_the_same_checks_as_a_jwk() {
    let pkcs8 = |key: &PrivateKey| key.to_pkcs8().unwrap().expose(Reason::Test).to_vec();
    let rsa = pkcs8(&PrivateKey::from_components(honest()).unwrap());
    let p256 = pkcs8(key(KeySpec::P256));
    let read = |der: &[u8]| PrivateKey::from_pkcs8(&SecretBytes::new(der.to_vec())).err();
    // The coefficient stands last in the one, the point in the other.
    for (der, reason) in [(&rsa, ImportRefused::Inconsistent), (&p256, ImportRefused::Point)] {
        assert_eq!(read(der), None);
        let mut altered = der.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(read(&altered), Some(reason));
        assert_eq!(read(&[der.as_slice(), &[0]].concat()), Some(ImportRefused::Malformed));
        assert_eq!(read(&der[..der.len() - 1]), Some(ImportRefused::Malformed));
        assert_eq!(read(&[]), Some(ImportRefused::Malformed));
        assert_eq!(read(&vec![0x30; 1 << 20]), Some(ImportRefused::Malformed));
    }
    // A negative modulus: its sign octet becomes part of the one before it.
    let at = rsa.windows(4).position(|window| window == [0x02, 0x82, 0x01, 0x01]).unwrap() + 4;
    let mut negative = rsa.clone();
    negative[at] = 0xff;
    assert_eq!(read(&negative), Some(ImportRefused::Malformed));
}

#[test]
fn keys_of_other_kinds_and_encrypted_keys_are_named_as_such() {
    let key = key(KeySpec::P256).to_pkcs8().unwrap();
    let mut info = PrivateKeyInfoRef::try_from(key.expose(Reason::Test)).unwrap();
    // Ed25519, and RSA that is for PSS only.
    for oid in ["1.3.101.112", "1.2.840.113549.1.1.10"] {
        info.algorithm.oid = ObjectIdentifier::new_unwrap(oid);
        let der = SecretBytes::new(info.to_der().unwrap());
        assert_eq!(PrivateKey::from_pkcs8(&der).err(), Some(ImportRefused::Unsupported), "{oid}");
    }
    info = PrivateKeyInfoRef::try_from(key.expose(Reason::Test)).unwrap();
    // brainpoolP256r1.
    let other = ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.7");
    info.algorithm.parameters = Some(AnyRef::from(&other));
    let der = SecretBytes::new(info.to_der().unwrap());
    assert_eq!(PrivateKey::from_pkcs8(&der).err(), Some(ImportRefused::Unsupported));
    info.algorithm.parameters = None;
    let der = SecretBytes::new(info.to_der().unwrap());
    assert_eq!(PrivateKey::from_pkcs8(&der).err(), Some(ImportRefused::Malformed));

    for (label, reason) in [
        ("ENCRYPTED PRIVATE KEY", ImportRefused::EncryptedKey),
        ("CERTIFICATE", ImportRefused::Unsupported),
        ("RSA PRIVATE KEY", ImportRefused::Malformed),
    ] {
        let pem = SecretString::new(pem(label, key.expose(Reason::Test)));
        assert_eq!(PrivateKey::from_pem(&pem).err(), Some(reason), "{label}");
    }
    for text in ["", "-----BEGIN PRIVATE KEY-----", "MIGH"] {
        let read = PrivateKey::from_pem(&SecretString::new(text.to_owned()));
        assert_eq!(read.err(), Some(ImportRefused::Malformed));
    }
}
