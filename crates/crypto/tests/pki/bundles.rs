//! PKCS#12 and PEM, in both directions.

use vouchsafe_crypto::keys::{KeySpec, PrivateKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    Bundle, BundleRefused, ChainOrder, ParsedCertificate, ReadRefused, issue, read_certificates_pem,
    read_pem, read_pfx, to_pem, write_pem, write_pfx,
};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use crate::support::{
    Key, OpenSsl, authority, authority_profile, profile, python, replace_integers, without_mac,
};

/// A key of our own with a chain of three.
pub fn bundle(spec: KeySpec) -> Bundle {
    let key = PrivateKey::generate(spec);
    let (root_key, root) = authority("Root");
    let middle_key = Key::p256();
    let middle = issue(&authority_profile("Middle", &middle_key), &root, SignatureAlgorithm::Es256).unwrap();
    let middle = ParsedCertificate::from_der(&root_key.finish(&middle)).unwrap();
    let mut wanted = profile("a.contoso.com", &middle_key);
    wanted.public_key = key.public().unwrap().spki_der();
    let leaf = middle_key.finish(&issue(&wanted, &middle, SignatureAlgorithm::Es256).unwrap());
    let chain = vec![leaf, middle.der().to_vec(), root.der().to_vec()];
    Bundle { key: key.to_pkcs8().unwrap(), chain }
}

pub fn password(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

fn same(one: &Bundle, other: &Bundle) -> bool {
    let public = |bundle: &Bundle| PrivateKey::from_pkcs8(&bundle.key).unwrap().public().unwrap();
    public(one) == public(other) && one.chain == other.chain
}

const SPECS: [KeySpec; 5] = [KeySpec::Rsa2048, KeySpec::P256, KeySpec::P384, KeySpec::P521, KeySpec::P256K];
const PASSWORDS: [&str; 3] = ["", "correct horse", "pässwörd 🔑"];

#[test]
fn what_we_write_we_read() {
    for spec in SPECS {
        let made = bundle(spec);
        for text in PASSWORDS {
            let file = write_pfx(&made, 0, &password(text)).unwrap();
            let read = read_pfx(file.expose(Reason::Test), &password(text), ChainOrder::AsGiven).unwrap();
            assert!(read.key.matches(made.key.expose(Reason::Test)) && same(&made, &read), "{spec:?}");
            let wrong = read_pfx(file.expose(Reason::Test), &password("wrong"), ChainOrder::AsGiven);
            assert_eq!(wrong.err(), Some(BundleRefused::Password));
        }
        let read = read_pem(&write_pem(&made), ChainOrder::AsGiven).unwrap();
        assert!(same(&made, &read), "{spec:?}");
    }
}

#[test]
fn openssl_opens_what_we_write() {
    let openssl = OpenSsl::new();
    for spec in SPECS {
        let made = bundle(spec);
        for text in PASSWORDS {
            openssl.write("made.pfx", write_pfx(&made, 0, &password(text)).unwrap().expose(Reason::Test));
            openssl.write("password", format!("{text}\n").as_bytes());
            openssl.run("pkcs12 -in made.pfx -passin file:password -noenc -out opened.pem");
            let opened = SecretString::from_utf8(SecretBytes::new(openssl.read("opened.pem"))).unwrap();
            let read = read_pem(&opened, ChainOrder::LeafFirst).unwrap();
            assert!(same(&made, &read), "{spec:?}");
        }
        openssl.write("made.pem", write_pem(&made).expose(Reason::Test).as_bytes());
        openssl.run("pkey -in made.pem -noout -check");
        let shown = openssl.run("x509 -in made.pem -noout -subject");
        assert!(shown.contains("a.contoso.com"), "{shown}");
    }
}

/// What `openssl pkcs12 -export` is told beside its input.
const EXPORTS: [&str; 10] = [
    "",
    " -legacy",
    " -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-128",
    " -legacy -keypbe PBE-SHA1-2DES -certpbe PBE-SHA1-RC2-40",
    " -keypbe AES-128-CBC -certpbe AES-192-CBC",
    " -keypbe DES-EDE3-CBC -certpbe AES-256-CBC -macalg sha1",
    " -keypbe NONE -certpbe NONE",
    " -nomac",
    " -macalg sha512 -iter 100000",
    " -noiter -nomaciter",
];

#[test]
fn we_open_what_openssl_writes() {
    let openssl = OpenSsl::new();
    for spec in [KeySpec::Rsa2048, KeySpec::P521] {
        let made = bundle(spec);
        // The order that OpenSSL keeps is that of its input, so this one is the wrong one.
        let [leaf, middle, root] = made.chain.as_slice() else { panic!("three certificates") };
        openssl.write_pem("chain.pem", &[root, leaf, middle]);
        openssl.write("key.pem", to_pem("PRIVATE KEY", made.key.expose(Reason::Test)).as_bytes());
        for export in EXPORTS {
            for text in ["", "secret"] {
                openssl.run(&format!(
                    "pkcs12 -export -inkey key.pem -in chain.pem -out made.pfx -passout pass:{text}{export}"
                ));
                let file = openssl.read("made.pfx");
                let read = read_pfx(&file, &password(text), ChainOrder::LeafFirst);
                let read = read.unwrap_or_else(|error| panic!("`{export}` with `{text}`: {error}"));
                assert!(same(&made, &read), "{export}");
                let given = read_pfx(&file, &password(text), ChainOrder::AsGiven).unwrap();
                assert_eq!(given.chain.len(), 3);
                if !export.contains("NONE") {
                    let wrong = read_pfx(&file, &password("wrong"), ChainOrder::AsGiven);
                    // Without a MAC the padding is right once in 256 times; then what comes out is no key.
                    let no_key = |read: Bundle| PrivateKey::from_pkcs8(&read.key).is_err();
                    assert!(wrong.map_or(true, no_key), "{export} with a wrong password");
                }
            }
        }
    }
}

/// Opens `in.pfx`, tells what is inside, and writes it again in three ways.
const SCRIPT: &str = r#"
import sys
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, pkcs12)
from cryptography.hazmat.primitives import hashes
password = sys.argv[1].encode()
key, leaf, others = pkcs12.load_key_and_certificates(open("in.pfx", "rb").read(), password)
assert key.public_key() == leaf.public_key()
assert len(others) == 2, others
print(leaf.subject.rfc4514_string())
old = (PrivateFormat.PKCS12.encryption_builder().kdf_rounds(50000)
       .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).hmac_hash(hashes.SHA1()).build(b"secret"))
for name, way in [("best", BestAvailableEncryption(b"secret")), ("old", old), ("plain", NoEncryption())]:
    open(name + ".pfx", "wb").write(
        pkcs12.serialize_key_and_certificates(b"name", key, leaf, list(reversed(others)), way))
"#;

#[test]
fn pythons_cryptography_opens_ours_and_we_open_its() {
    let Some(python) = python() else { return };
    let place = OpenSsl::new();
    place.write("script.py", SCRIPT.as_bytes());
    for spec in [KeySpec::Rsa2048, KeySpec::P256K] {
        let made = bundle(spec);
        for text in PASSWORDS {
            place.write("in.pfx", write_pfx(&made, 0, &password(text)).unwrap().expose(Reason::Test));
            let output = place.run_program(&python, &["script.py", text]);
            let said = crate::support::text(&output);
            assert!(output.status.success() && said.contains("CN=a.contoso.com"), "{spec:?}: {said}");
        }
        for (file, text) in [("best.pfx", "secret"), ("old.pfx", "secret"), ("plain.pfx", "")] {
            let read = read_pfx(&place.read(file), &password(text), ChainOrder::LeafFirst).unwrap();
            assert!(same(&made, &read), "{file}");
        }
    }
}

#[test]
fn a_file_that_asks_for_too_much_work_is_refused_at_once() {
    let made = bundle(KeySpec::P256);
    let file = write_pfx(&made, 0, &password("")).unwrap();
    let file = file.expose(Reason::Test);
    let begun = std::time::Instant::now();
    // The key derivations of the bags, without a MAC before them.
    for iterations in [2_000_001, i64::from(u32::MAX)] {
        let absurd = without_mac(&replace_integers(file, 2_048, iterations));
        let refused = read_pfx(&absurd, &password(""), ChainOrder::AsGiven).err();
        assert_eq!(refused, Some(BundleRefused::TooMuchWork), "{iterations}");
    }
    // The MAC's own.
    for iterations in [4_000_001, i64::from(u32::MAX)] {
        let absurd = replace_integers(file, 2_048, iterations);
        let refused = read_pfx(&absurd, &password(""), ChainOrder::AsGiven).err();
        assert_eq!(refused, Some(BundleRefused::TooMuchWork), "{iterations}");
    }
    for iterations in [0, -1, 1 << 33] {
        let absurd = without_mac(&replace_integers(file, 2_048, iterations));
        assert!(read_pfx(&absurd, &password(""), ChainOrder::AsGiven).is_err(), "{iterations}");
    }
    assert!(begun.elapsed().as_secs() < 20, "it did the work: {:?}", begun.elapsed());
    assert!(read_pfx(&without_mac(file), &password(""), ChainOrder::AsGiven).is_ok());
    let large = vec![0x30; 256 * 1024 + 1];
    let refused = read_pfx(&large, &password(""), ChainOrder::AsGiven).err();
    assert_eq!(refused, Some(BundleRefused::Read(ReadRefused::TooLarge("the PKCS#12 file"))));
    let long = read_pfx(file, &password(&"x".repeat(1_025)), ChainOrder::AsGiven).err();
    assert_eq!(long, Some(BundleRefused::Read(ReadRefused::TooLarge("the password"))));
}

#[test]
fn a_file_without_its_key_or_its_certificate_is_refused() {
    let openssl = OpenSsl::new();
    let made = bundle(KeySpec::P256);
    let leaf = made.chain[0].as_slice();
    openssl.write_pem("leaf.pem", &[leaf]);
    openssl.write("key.pem", to_pem("PRIVATE KEY", made.key.expose(Reason::Test)).as_bytes());
    let open = |arguments: &str| {
        openssl.run(&format!("pkcs12 -export -out made.pfx -passout pass: {arguments}"));
        read_pfx(&openssl.read("made.pfx"), &password(""), ChainOrder::LeafFirst).err()
    };
    assert_eq!(open("-nokeys -in leaf.pem"), Some(BundleRefused::NoKey));
    assert_eq!(open("-nocerts -inkey key.pem -in key.pem"), Some(BundleRefused::NoCertificate));
    assert_eq!(open("-inkey key.pem -in leaf.pem"), None);

    let other = bundle(KeySpec::P256);
    let read = |parts: &[String]| read_pem(&SecretString::new(parts.concat()), ChainOrder::LeafFirst).err();
    let key = to_pem("PRIVATE KEY", made.key.expose(Reason::Test));
    let certificate = to_pem("CERTIFICATE", leaf);
    assert_eq!(read(std::slice::from_ref(&key)), Some(BundleRefused::NoCertificate));
    assert_eq!(read(std::slice::from_ref(&certificate)), Some(BundleRefused::NoKey));
    assert_eq!(read(&[key.clone(), key.clone(), certificate.clone()]), Some(BundleRefused::ManyKeys));
    let stranger = to_pem("CERTIFICATE", &other.chain[0]);
    assert_eq!(read(&[key, stranger]), Some(BundleRefused::KeyMismatch));
}

#[test]
fn every_encoding_of_a_private_key_is_read_from_pem() {
    let openssl = OpenSsl::new();
    for (spec, labels) in [
        (KeySpec::Rsa2048, ["PRIVATE KEY", "RSA PRIVATE KEY"]),
        (KeySpec::P256, ["PRIVATE KEY", "EC PRIVATE KEY"]),
        (KeySpec::P521, ["PRIVATE KEY", "EC PRIVATE KEY"]),
        (KeySpec::P256K, ["PRIVATE KEY", "EC PRIVATE KEY"]),
    ] {
        let made = bundle(spec);
        openssl.write("key.pem", to_pem("PRIVATE KEY", made.key.expose(Reason::Test)).as_bytes());
        openssl.run("pkey -in key.pem -out pkcs8.pem");
        openssl.run("pkey -in key.pem -traditional -out traditional.pem");
        for (name, label) in ["pkcs8.pem", "traditional.pem"].into_iter().zip(labels) {
            let key = String::from_utf8(openssl.read(name)).unwrap();
            assert!(key.contains(label), "{key}");
            let curve = to_pem("EC PARAMETERS", &[5, 0]);
            let certificates: String =
                made.chain.iter().rev().map(|der| to_pem("CERTIFICATE", der)).collect();
            let all = format!("Bag Attributes\n    friendlyName: a\n{certificates}subject=x\n{curve}{key}")
                .replace('\n', "\r\n");
            let read = read_pem(&SecretString::new(all.clone()), ChainOrder::LeafFirst).unwrap();
            assert!(same(&made, &read), "{name} of {spec:?}");
            let given = read_pem(&SecretString::new(all), ChainOrder::AsGiven).unwrap();
            assert!(given.chain.iter().eq(made.chain.iter().rev()));
        }
    }
    openssl.run("pkcs8 -topk8 -in key.pem -passout pass:secret -out encrypted.pem");
    let encrypted = SecretString::from_utf8(SecretBytes::new(openssl.read("encrypted.pem"))).unwrap();
    let refused = read_pem(&encrypted, ChainOrder::LeafFirst).err();
    let wanted = ReadRefused::Unsupported("an encrypted private key in PEM");
    assert_eq!(refused, Some(BundleRefused::Read(wanted)));
}

#[test]
fn certificates_alone_are_read_from_pem_without_a_key_beside_them() {
    let made = bundle(KeySpec::P256);
    let text: String = made.chain.iter().map(|der| to_pem("CERTIFICATE", der)).collect();
    assert_eq!(read_certificates_pem(&text).unwrap(), made.chain);
    assert!(read_certificates_pem(write_pem(&made).expose(Reason::Test)).is_err());
    for broken in [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN A-----\n-----END B-----",
        "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----",
    ] {
        assert!(read_certificates_pem(broken).is_err(), "{broken}");
    }
    assert_eq!(read_certificates_pem("").unwrap(), Vec::<Vec<u8>>::new());
}
