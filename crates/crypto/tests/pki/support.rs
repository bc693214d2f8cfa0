//! Keys that sign, profiles to start from, and the `openssl` program in a directory of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaEncoding, RsaKeyPair};
use der::Encode;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use tempfile::TempDir;
use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_crypto::pki::{
    AlternativeNames, BasicConstraints, CertificateProfile, DistinguishedName, KeyUsage, ParsedCertificate,
    Serial, ToBeSigned, Validity,
};

/// 2026-01-02T00:00:00Z.
pub const START: u64 = 1_767_312_000;
/// A day in seconds.
pub const DAY: u64 = 86_400;
/// A moment in which every certificate of [`profile`] holds.
pub const NOW: u64 = START + 10 * DAY;

/// Every algorithm that certificates are signed with here.
pub const ALGORITHMS: [SignatureAlgorithm; 10] = [
    SignatureAlgorithm::Rs256,
    SignatureAlgorithm::Rs384,
    SignatureAlgorithm::Rs512,
    SignatureAlgorithm::Ps256,
    SignatureAlgorithm::Ps384,
    SignatureAlgorithm::Ps512,
    SignatureAlgorithm::Es256,
    SignatureAlgorithm::Es384,
    SignatureAlgorithm::Es512,
    SignatureAlgorithm::Es256k,
];

/// A key that signs as the holder of keys would: raw `r || s` for ECDSA.
pub enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
}

impl Key {
    pub fn for_algorithm(algorithm: SignatureAlgorithm) -> Self {
        let (signing, curve): (&'static EcdsaSigningAlgorithm, _) = match algorithm {
            SignatureAlgorithm::Es256 => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "1.2.840.10045.3.1.7"),
            SignatureAlgorithm::Es384 => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "1.3.132.0.34"),
            SignatureAlgorithm::Es512 => (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "1.3.132.0.35"),
            SignatureAlgorithm::Es256k => (&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING, "1.3.132.0.10"),
            _ => return Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self::Ec(EcdsaKeyPair::generate(signing).unwrap(), curve)
    }

    pub fn p256() -> Self {
        Self::for_algorithm(SignatureAlgorithm::Es256)
    }

    pub fn spki(&self) -> Vec<u8> {
        let (oid, parameters, key) = match self {
            Self::Rsa(pair) => {
                ("1.2.840.113549.1.1.1", der::Any::null(), pair.public_key().as_ref().to_vec())
            }
            Self::Ec(pair, curve) => {
                let curve = spki::ObjectIdentifier::new(curve).unwrap();
                ("1.2.840.10045.2.1", der::Any::from(&curve), pair.public_key().as_ref().to_vec())
            }
        };
        let algorithm = AlgorithmIdentifierOwned {
            oid: spki::ObjectIdentifier::new(oid).unwrap(),
            parameters: Some(parameters),
        };
        let subject_public_key = der::asn1::BitString::from_bytes(&key).unwrap();
        SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der().unwrap()
    }

    pub fn sign(&self, wanted: &ToBeSigned) -> Vec<u8> {
        match self {
            Self::Ec(pair, ..) => pair.sign(&SystemRandom::new(), wanted.bytes()).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match wanted.algorithm() {
                    SignatureAlgorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    SignatureAlgorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    SignatureAlgorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    SignatureAlgorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    SignatureAlgorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), wanted.bytes(), &mut signature).unwrap();
                signature
            }
        }
    }

    pub fn finish(&self, wanted: &ToBeSigned) -> Vec<u8> {
        wanted.assemble(&self.sign(wanted)).unwrap()
    }
}

/// A leaf's profile: `CN=<name>`, also as a host, for servers and clients, a year long.
pub fn profile(name: &str, key: &Key) -> CertificateProfile {
    CertificateProfile {
        subject: DistinguishedName::parse(&format!("CN={name}, O=Contoso, C=US")).unwrap(),
        alternative_names: AlternativeNames { dns: vec![name.to_owned()], ..AlternativeNames::default() },
        purposes: vec!["1.3.6.1.5.5.7.3.1".to_owned(), "1.3.6.1.5.5.7.3.2".to_owned()],
        key_usage: BTreeSet::from([KeyUsage::DigitalSignature]),
        validity: Validity { not_before: START, not_after: START + 365 * DAY },
        basic_constraints: Some(BasicConstraints { is_authority: false, path_length: None }),
        serial: Serial::from_random([0x5a; 16]),
        revocation_list_url: None,
        ocsp_url: None,
        issuer_url: None,
        public_key: key.spki(),
    }
}

/// An authority's profile.
pub fn authority_profile(name: &str, key: &Key) -> CertificateProfile {
    CertificateProfile {
        alternative_names: AlternativeNames::default(),
        purposes: Vec::new(),
        key_usage: BTreeSet::from([KeyUsage::KeyCertSign, KeyUsage::CrlSign, KeyUsage::DigitalSignature]),
        basic_constraints: Some(BasicConstraints { is_authority: true, path_length: None }),
        serial: Serial::from_random([0x11; 16]),
        ..profile(name, key)
    }
}

/// A self-signed authority over P-256.
pub fn authority(name: &str) -> (Key, ParsedCertificate) {
    let key = Key::p256();
    let wanted =
        vouchsafe_crypto::pki::self_signed(&authority_profile(name, &key), SignatureAlgorithm::Es256);
    let made = ParsedCertificate::from_der(&key.finish(&wanted.unwrap())).unwrap();
    (key, made)
}

/// The `openssl` program with files of its own.
pub struct OpenSsl {
    directory: TempDir,
}

impl OpenSsl {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Writes certificates to a PEM file.
    pub fn write_pem(&self, name: &str, certificates: &[&[u8]]) {
        let encode =
            |der: &&[u8]| der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap();
        self.write(name, certificates.iter().map(encode).collect::<String>().as_bytes());
    }

    pub fn try_run(&self, arguments: &str) -> Output {
        run("openssl", self.directory.path(), &arguments.split(' ').collect::<Vec<_>>())
    }

    /// Runs another program among the same files.
    pub fn run_program(&self, program: &Path, arguments: &[&str]) -> Output {
        run(program, self.directory.path(), arguments)
    }

    /// Runs it, insists on success and returns everything it printed.
    pub fn run(&self, arguments: &str) -> String {
        let output = self.try_run(arguments);
        let printed = text(&output);
        assert!(output.status.success(), "openssl {arguments}\n{printed}");
        printed
    }
}

fn run(program: impl AsRef<Path>, directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program.as_ref()).args(arguments).current_dir(directory).output().unwrap()
}

/// What a program printed, on both streams.
pub fn text(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat()
}

/// `target/venv`, which the project's own commands make.
fn environment() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venv")
}

/// Python with the package `cryptography`; `None` where it is not installed, which fails where `CI` is set.
pub fn python() -> Option<PathBuf> {
    let python = environment().join("bin/python");
    let works = Command::new(&python).args(["-c", "import cryptography"]).output();
    present(works.is_ok_and(|output| output.status.success()), python, "the Python package `cryptography`")
}

/// The directory of the Python package `cryptography_vectors`, as above.
pub fn vectors() -> Option<PathBuf> {
    let lib = std::fs::read_dir(environment().join("lib")).into_iter().flatten();
    let found = lib.map(|entry| entry.unwrap().path().join("site-packages/cryptography_vectors"));
    let found = found.into_iter().find(|path| path.exists());
    let there = found.is_some();
    present(there, found.unwrap_or_default(), "the Python package `cryptography_vectors`")
}

fn present(there: bool, path: PathBuf, what: &str) -> Option<PathBuf> {
    if there {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{what} is missing in {}", environment().display());
    println!("left out: {what} is missing; `cargo xtask test` installs it");
    None
}

/// DER in which every INTEGER `from` is `to`, also inside OCTET STRINGs that hold a SEQUENCE.
pub fn replace_integers(der: &[u8], from: i64, to: i64) -> Vec<u8> {
    use der::{AnyRef, Decode, Tag, Tagged};
    let Ok(whole) = AnyRef::from_der(der) else { return der.to_vec() };
    let inside = |bytes: &[u8]| -> Vec<u8> {
        children(bytes).iter().flat_map(|child| replace_integers(child, from, to)).collect()
    };
    let value = match whole.tag() {
        Tag::Integer if whole.decode_as::<i64>() == Ok(from) => return to.to_der().unwrap(),
        tag if tag.is_constructed() => inside(whole.value()),
        Tag::OctetString
            if AnyRef::from_der(whole.value()).is_ok_and(|inner| inner.tag() == Tag::Sequence) =>
        {
            inside(whole.value())
        }
        _ => return der.to_vec(),
    };
    AnyRef::new(whole.tag(), &value).unwrap().to_der().unwrap()
}

/// A PKCS#12 file without its MAC.
pub fn without_mac(file: &[u8]) -> Vec<u8> {
    use der::{AnyRef, Decode, Tag};
    let parts = children(AnyRef::from_der(file).unwrap().value());
    AnyRef::new(Tag::Sequence, &parts[..2].concat()).unwrap().to_der().unwrap()
}

fn children(bytes: &[u8]) -> Vec<Vec<u8>> {
    use der::Reader;
    let mut reader = der::SliceReader::new(bytes).unwrap();
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(reader.tlv_bytes().unwrap().to_vec());
    }
    found
}
