//! The shapes of RFC 7292 §4, RFC 5652 §3 and §8, and RFC 8018 appendix A.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Any, Sequence};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

pub const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
pub const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
pub const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
pub const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
pub const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
pub const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
pub const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");

/// `PFX`.
#[derive(Sequence)]
pub struct Pfx<'a> {
    pub version: u8,
    pub safe: ContentInfo<'a>,
    pub mac: Option<MacData<'a>>,
}

/// `ContentInfo`: something of a kind.
#[derive(Sequence)]
pub struct ContentInfo<'a> {
    pub kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub content: AnyRef<'a>,
}

/// `MacData`.
#[derive(Sequence)]
pub struct MacData<'a> {
    pub mac: Digest<'a>,
    pub salt: &'a OctetStringRef,
    #[asn1(default = "one")]
    pub iterations: u32,
}

fn one() -> u32 {
    1
}

/// `DigestInfo`.
#[derive(Sequence)]
pub struct Digest<'a> {
    pub algorithm: AlgorithmIdentifierRef<'a>,
    pub value: &'a OctetStringRef,
}

/// `EncryptedData`.
#[derive(Sequence)]
pub struct EncryptedData<'a> {
    pub version: u8,
    pub content: EncryptedContent<'a>,
}

/// `EncryptedContentInfo`.
#[derive(Sequence)]
pub struct EncryptedContent<'a> {
    pub kind: ObjectIdentifier,
    pub algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    pub bytes: &'a OctetStringRef,
}

/// `SafeBag`. The attributes are a SET that old software does not sort, so they are not taken apart.
#[derive(Sequence)]
pub struct Bag<'a> {
    pub kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub value: AnyRef<'a>,
    pub attributes: Option<AnyRef<'a>>,
}

/// `CertBag`.
#[derive(Sequence)]
pub struct CertificateBag<'a> {
    pub kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub bytes: &'a OctetStringRef,
}

/// `EncryptedPrivateKeyInfo`.
#[derive(Sequence)]
pub struct EncryptedKey<'a> {
    pub algorithm: AlgorithmIdentifierOwned,
    pub bytes: &'a OctetStringRef,
}

/// `pkcs-12PbeParams`.
#[derive(Sequence)]
pub struct OldParameters<'a> {
    pub salt: &'a OctetStringRef,
    pub iterations: u32,
}

/// `PBES2-params`.
#[derive(Sequence)]
pub struct Pbes2Parameters {
    pub derivation: AlgorithmIdentifierOwned,
    pub cipher: AlgorithmIdentifierOwned,
}

/// `PBKDF2-params`, with the salt in the form that everybody uses.
#[derive(Sequence)]
pub struct Pbkdf2Parameters<'a> {
    pub salt: &'a OctetStringRef,
    pub iterations: u32,
    pub key_bytes: Option<u16>,
    pub function: Option<AlgorithmIdentifierOwned>,
}

/// `Attribute` with one value.
#[derive(Sequence)]
pub struct Attribute {
    pub kind: ObjectIdentifier,
    pub values: Any,
}
