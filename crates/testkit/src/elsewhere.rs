//! Whoever else issues certificates, and whoever checks them.

use vouchsafe_crypto::SecretString;
use vouchsafe_crypto::digest::sha256;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    self, BasicConstraints, Bundle, CertificateProfile, DistinguishedName, KeyUsage, ParsedCertificate,
    Serial, Validity, parse_csr,
};

/// When what is made in a world of tests is valid, whose clock stands in January 2027.
const VALIDITY: Validity = Validity { not_before: 1_799_000_000, not_after: 1_831_000_000 };

/// An authority that is not ours.
pub struct Elsewhere {
    key: PrivateKey,
    validity: Validity,
    /// Its own certificate.
    pub certificate: Vec<u8>,
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self::new()
    }
}

impl Elsewhere {
    /// An authority whose certificates are valid in the world of tests.
    pub fn new() -> Self {
        Self::during(VALIDITY)
    }

    /// An authority that, like everything it issues, is valid then.
    pub fn during(validity: Validity) -> Self {
        let key = PrivateKey::generate(KeySpec::P256);
        let spki = key.public().expect("a pair").spki_der();
        let profile = profile("CN=Elsewhere", &spki, true, validity);
        let unsigned = pki::self_signed(&profile, SignatureAlgorithm::Es256).expect("a profile");
        let certificate = signed(&key, &unsigned);
        Self { key, validity, certificate }
    }

    /// What it makes of a request.
    pub fn answer(&self, csr: &[u8]) -> Vec<u8> {
        self.issue(parse_csr(csr).expect("a request").spki_der())
    }

    fn issue(&self, spki: &[u8]) -> Vec<u8> {
        let own = ParsedCertificate::from_der(&self.certificate).expect("X.509");
        let profile = profile("CN=theirs", spki, false, self.validity);
        signed(&self.key, &pki::issue(&profile, &own, SignatureAlgorithm::Es256).expect("a profile"))
    }

    /// A new key with a certificate of this authority.
    pub fn bundle(&self) -> Bundle {
        self.bundle_for(&PrivateKey::generate(KeySpec::P256))
    }

    /// A key with a certificate of this authority.
    pub fn bundle_for(&self, key: &PrivateKey) -> Bundle {
        let leaf = self.issue(&key.public().expect("a pair").spki_der());
        Bundle { key: key.to_pkcs8().expect("a pair"), chain: vec![leaf, self.certificate.clone()] }
    }

    /// The same as PEM text.
    pub fn pem(&self) -> SecretString {
        pki::write_pem(&self.bundle())
    }
}

fn profile(subject: &str, spki: &[u8], is_authority: bool, validity: Validity) -> CertificateProfile {
    let usage = if is_authority { KeyUsage::KeyCertSign } else { KeyUsage::DigitalSignature };
    CertificateProfile {
        subject: DistinguishedName::parse(subject).expect("a name"),
        alternative_names: pki::AlternativeNames::default(),
        purposes: Vec::new(),
        key_usage: [usage].into(),
        validity,
        basic_constraints: Some(BasicConstraints { is_authority, path_length: None }),
        serial: Serial::from_random([7; 16]),
        revocation_list_url: None,
        ocsp_url: None,
        issuer_url: None,
        public_key: spki.to_vec(),
    }
}

fn signed(key: &PrivateKey, unsigned: &pki::ToBeSigned) -> Vec<u8> {
    let signature = key.sign(unsigned.algorithm(), &unsigned.digest()).expect("a signature");
    unsigned.assemble(&signature).expect("a certificate")
}

/// Asks whether one certificate of an authority with a P-384 key still holds (RFC 6960 §4.1).
pub fn ocsp_request(issuer: &ParsedCertificate, serial: &[u8]) -> Vec<u8> {
    fn tlv(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let length = u8::try_from(content.len()).expect("short");
        let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, content].concat()
    }
    let key = issuer.spki_der().last_chunk::<97>().expect("an uncompressed point");
    let (name, key) = (sha256(&issuer.subject().to_der()), sha256(key));
    let hash = tlv(0x30, &[&tlv(0x06, &[&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]])]);
    let id = tlv(0x30, &[&hash, &tlv(4, &[&name]), &tlv(4, &[&key]), &tlv(2, &[serial])]);
    (0..4).fold(id, |inner, _| tlv(0x30, &[&inner]))
}

/// Whether the one certificate that was asked about holds: its status follows its serial number (RFC 6960 §4.2.1).
pub fn ocsp_says_good(answer: &[u8], serial: &[u8]) -> bool {
    let at = answer.windows(serial.len()).position(|window| window == serial).expect("an answer about it");
    match answer[at + serial.len()] {
        0x80 => true,
        0xa1 => false,
        other => panic!("{other:#x} is neither `good` nor `revoked`"),
    }
}
