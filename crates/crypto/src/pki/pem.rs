//! PEM (RFC 7468): a private key in any of its three encodings, and certificates.
//!
//! Text around the blocks is allowed, as `openssl pkcs12` writes it. Encrypted keys are refused: a password for them is
//! nowhere in Key Vault's protocol.

use data_encoding::BASE64;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence};
use zeroize::Zeroizing;

use super::bundle::{Bundle, BundleRefused, ChainOrder};
use super::chain::CHAIN_CERTIFICATES_MAX;
use super::{CERTIFICATE_BYTES_MAX, ReadRefused};
use crate::secret::{Reason, SecretBytes, SecretString};

/// The largest PEM text that is read.
pub const PEM_BYTES_MAX: usize = 256 * 1024;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Reads a key and its certificates out of PEM text.
pub fn read_pem(text: &SecretString, order: ChainOrder) -> Result<Bundle, BundleRefused> {
    let text = text.expose(Reason::Cipher);
    let mut key = None;
    let mut certificates = Vec::new();
    for block in blocks(text)? {
        match block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" => certificates.push(block.certificate()?),
            // `openssl ecparam -genkey` puts the curve in front of a key that names it again.
            "EC PARAMETERS" => {}
            label => {
                let read = match label {
                    "PRIVATE KEY" => SecretBytes::new(block.secret()?.to_vec()),
                    "RSA PRIVATE KEY" => from_pkcs1(&block.secret()?)?,
                    "EC PRIVATE KEY" => from_sec1(&block.secret()?)?,
                    "ENCRYPTED PRIVATE KEY" => {
                        return Err(ReadRefused::Unsupported("an encrypted private key in PEM").into());
                    }
                    _ => return Err(ReadRefused::Unsupported("a PEM block of this kind").into()),
                };
                if key.replace(read).is_some() {
                    return Err(BundleRefused::ManyKeys);
                }
            }
        }
    }
    Bundle::of(key.ok_or(BundleRefused::NoKey)?, certificates, order)
}

/// Reads certificates only, in the order of the text; a private key among them is refused.
pub fn read_certificates_pem(text: &str) -> Result<Vec<Vec<u8>>, ReadRefused> {
    let mut certificates = Vec::new();
    for block in blocks(text)? {
        match block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" => certificates.push(block.certificate()?),
            _ => return Err(ReadRefused::Unsupported("a PEM block that is not a certificate")),
        }
    }
    if certificates.len() > CHAIN_CERTIFICATES_MAX {
        return Err(ReadRefused::TooMany("certificates"));
    }
    Ok(certificates)
}

/// Writes the key as PKCS#8 and after it the certificates, which is how Key Vault gives out a PEM certificate.
pub fn write_pem(bundle: &Bundle) -> SecretString {
    // All of it at once, so that the text with the key in it never moves.
    let bytes = bundle.key.len() + bundle.chain.iter().map(|der| der.len() + 128).sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes + 256));
    append("PRIVATE KEY", bundle.key.expose(Reason::Answer), &mut text);
    for certificate in &bundle.chain {
        append("CERTIFICATE", certificate, &mut text);
    }
    SecretString::new(std::mem::take(&mut *text))
}

/// Writes one thing that is not secret: a certificate, a request, a revocation list.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let mut text = String::with_capacity(2 * der.len() + 128);
    append(label, der, &mut text);
    text
}

/// Bytes of a line of 64 characters.
const LINE_BYTES: usize = 48;

fn append(label: &str, der: &[u8], text: &mut String) {
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    for line in der.chunks(LINE_BYTES) {
        BASE64.encode_append(line, text);
        text.push('\n');
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
}

struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

impl Block<'_> {
    fn certificate(&self) -> Result<Vec<u8>, ReadRefused> {
        if self.body.len() > 2 * CERTIFICATE_BYTES_MAX {
            return Err(ReadRefused::TooLarge("a certificate"));
        }
        Ok(self.secret()?.to_vec())
    }

    fn secret(&self) -> Result<Zeroizing<Vec<u8>>, ReadRefused> {
        let malformed = ReadRefused::Malformed("PEM");
        let mut digits = Zeroizing::new(Vec::with_capacity(self.body.len()));
        digits.extend(self.body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let mut bytes = Zeroizing::new(vec![0; BASE64.decode_len(digits.len()).map_err(|_| malformed)?]);
        let length = BASE64.decode_mut(&digits, &mut bytes).map_err(|_| malformed)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, ReadRefused> {
    if text.len() > PEM_BYTES_MAX {
        return Err(ReadRefused::TooLarge("the PEM text"));
    }
    let malformed = ReadRefused::Malformed("PEM");
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or(malformed)?;
        let (body, ended) = body.split_once("-----END ").ok_or(malformed)?;
        let (same, after) = ended.split_once("-----").ok_or(malformed)?;
        if same != label {
            return Err(malformed);
        }
        found.push(Block { label, body });
        if found.len() > 2 * CHAIN_CERTIFICATES_MAX {
            return Err(ReadRefused::TooMany("PEM blocks"));
        }
        rest = after;
    }
    Ok(found)
}

/// `PrivateKeyInfo` of RFC 5208 around a key that came without it.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: spki::AlgorithmIdentifierRef<'a>,
    key: &'a OctetStringRef,
}

/// `ECPrivateKey` of RFC 5915.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    point: Option<BitStringRef<'a>>,
}

fn from_pkcs1(key: &[u8]) -> Result<SecretBytes, ReadRefused> {
    wrap(key, RSA_ENCRYPTION, AnyRef::NULL)
}

fn from_sec1(key: &[u8]) -> Result<SecretBytes, ReadRefused> {
    let read = EcPrivateKey::from_der(key).map_err(|_| ReadRefused::Malformed("an EC private key"))?;
    let curve =
        read.curve.ok_or(ReadRefused::Unsupported("an EC private key that does not name its curve"))?;
    wrap(key, EC_PUBLIC_KEY, AnyRef::from(&curve))
}

fn wrap(key: &[u8], oid: ObjectIdentifier, parameters: AnyRef<'_>) -> Result<SecretBytes, ReadRefused> {
    let malformed = |_| ReadRefused::Malformed("a private key");
    let algorithm = spki::AlgorithmIdentifierRef { oid, parameters: Some(parameters) };
    let info = PrivateKeyInfo { version: 0, algorithm, key: OctetStringRef::new(key).map_err(malformed)? };
    info.to_der().map(SecretBytes::new).map_err(malformed)
}
