//! Making a PKCS#12 file.

use std::num::NonZeroU32;

use der::asn1::{AnyRef, OctetStringRef};
use der::{Any, Decode, Encode, Tag};
use zeroize::Zeroizing;

use super::format::{
    Attribute, Bag, CERTIFICATE_BAG, CertificateBag, ContentInfo, DATA, Digest, ENCRYPTED_DATA,
    EncryptedContent, EncryptedData, EncryptedKey, LOCAL_KEY_ID, MacData, Pfx, SHROUDED_KEY_BAG,
    X509_CERTIFICATE,
};
use super::scheme::{Password, encrypt, mac, mac_algorithm};
use crate::digest::sha1;
use crate::pki::build::BuildRefused;
use crate::pki::bundle::Bundle;
use crate::secret::{Reason, SecretBytes, SecretString};

/// Iterations where there is a password to guess.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).expect("it is not zero");
/// Iterations where the password is empty and everybody knows it.
const ITERATIONS_WITHOUT_PASSWORD: NonZeroU32 = NonZeroU32::new(2_048).expect("it is not zero");

/// Makes a PKCS#12 file of a key and its certificates, of which the one at `leaf_at` is marked as the key's: readers
/// find each other's counterpart by the mark (`localKeyId`, RFC 2985 §5.5.2) and not by the order.
pub fn write_pfx(
    bundle: &Bundle,
    leaf_at: usize,
    password: &SecretString,
) -> Result<SecretBytes, BuildRefused> {
    write(Some((&bundle.key, leaf_at)), &bundle.chain, password)
}

/// Makes a PKCS#12 file of certificates only, for a key that does not leave.
pub fn write_certificates_pfx(
    chain: &[Vec<u8>],
    password: &SecretString,
) -> Result<SecretBytes, BuildRefused> {
    write(None, chain, password)
}

fn write(
    key: Option<(&SecretBytes, usize)>,
    chain: &[Vec<u8>],
    password: &SecretString,
) -> Result<SecretBytes, BuildRefused> {
    let password = Password::new(password).map_err(|_| BuildRefused::TooLarge)?;
    // The only errors left are lengths beyond DER's and a system without randomness.
    file(key, chain, &password).map(SecretBytes::new).ok_or(BuildRefused::TooLarge)
}

fn file(key: Option<(&SecretBytes, usize)>, chain: &[Vec<u8>], password: &Password) -> Option<Vec<u8>> {
    let iterations = if password.is_empty() { ITERATIONS_WITHOUT_PASSWORD } else { ITERATIONS };
    let leaf = key.and_then(|(_, leaf_at)| chain.get(leaf_at)).map(|leaf| sha1(leaf));
    let certificates = certificate_safe(chain, leaf, password, iterations)?;
    let certificates = AnyRef::from_der(&certificates).ok()?;
    let mut safes = vec![ContentInfo { kind: ENCRYPTED_DATA, content: certificates }.to_der().ok()?];
    if let Some((key, _)) = key {
        let keys = key_safe(key, leaf, password, iterations)?;
        let keys = AnyRef::from_der(&keys).ok()?;
        safes.push(ContentInfo { kind: DATA, content: keys }.to_der().ok()?);
    }
    let safes = sequence(&safes)?;
    let (salt, tag) = mac(&safes, password, iterations)?;
    let content = OctetStringRef::new(&safes).ok()?.to_der().ok()?;
    let pfx = Pfx {
        version: 3,
        safe: ContentInfo { kind: DATA, content: AnyRef::from_der(&content).ok()? },
        mac: Some(MacData {
            mac: Digest { algorithm: mac_algorithm(), value: OctetStringRef::new(&tag).ok()? },
            salt: OctetStringRef::new(&salt).ok()?,
            iterations: iterations.get(),
        }),
    };
    pfx.to_der().ok()
}

/// `EncryptedData` with a bag for each certificate.
fn certificate_safe(
    chain: &[Vec<u8>],
    leaf: Option<[u8; 20]>,
    password: &Password,
    iterations: NonZeroU32,
) -> Option<Vec<u8>> {
    let mut bags = Vec::new();
    for certificate in chain {
        let bag = CertificateBag { kind: X509_CERTIFICATE, bytes: OctetStringRef::new(certificate).ok()? };
        let mark = leaf.filter(|leaf| *leaf == sha1(certificate));
        bags.push(bag_der(CERTIFICATE_BAG, &bag.to_der().ok()?, mark)?);
    }
    let plain = Zeroizing::new(sequence(&bags)?);
    let (algorithm, bytes) = encrypt(plain, password, iterations)?;
    let bytes = OctetStringRef::new(&bytes).ok()?;
    EncryptedData { version: 0, content: EncryptedContent { kind: DATA, algorithm, bytes } }.to_der().ok()
}

/// An OCTET STRING with the one bag of the encrypted key.
fn key_safe(
    key: &SecretBytes,
    leaf: Option<[u8; 20]>,
    password: &Password,
    iterations: NonZeroU32,
) -> Option<Vec<u8>> {
    let plain = Zeroizing::new(key.expose(Reason::Answer).to_vec());
    let (algorithm, bytes) = encrypt(plain, password, iterations)?;
    let bag = EncryptedKey { algorithm, bytes: OctetStringRef::new(&bytes).ok()? };
    let bag = bag_der(SHROUDED_KEY_BAG, &bag.to_der().ok()?, leaf)?;
    OctetStringRef::new(&sequence(&[bag])?).ok()?.to_der().ok()
}

fn bag_der(kind: der::asn1::ObjectIdentifier, value: &[u8], mark: Option<[u8; 20]>) -> Option<Vec<u8>> {
    let attributes = match mark {
        Some(mark) => {
            let values = Any::new(Tag::Set, OctetStringRef::new(&mark).ok()?.to_der().ok()?).ok()?;
            let attribute = Attribute { kind: LOCAL_KEY_ID, values }.to_der().ok()?;
            Some(Any::new(Tag::Set, attribute).ok()?)
        }
        None => None,
    };
    let value = AnyRef::from_der(value).ok()?;
    Bag { kind, value, attributes: attributes.as_ref().map(AnyRef::from) }.to_der().ok()
}

fn sequence(elements: &[Vec<u8>]) -> Option<Vec<u8>> {
    AnyRef::new(Tag::Sequence, &elements.concat()).ok()?.to_der().ok()
}
