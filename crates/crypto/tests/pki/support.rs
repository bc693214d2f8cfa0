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

    /// Runs it, insists on success and returns everything it printed.
    pub fn run(&self, arguments: &str) -> String {
        let output = self.try_run(arguments);
        let printed = text(&output);
        assert!(output.status.success(), "openssl {arguments}\n{printed}");
        printed
    }
}

pub fn run(program: impl AsRef<Path>, directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program.as_ref()).args(arguments).current_dir(directory).output().unwrap()
}

/// What a program printed, on both streams.
pub fn text(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat()
}
