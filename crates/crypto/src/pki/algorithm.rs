//! Signature algorithms as X.509 writes them (RFC 3279, RFC 4055, RFC 5480, RFC 5758), and their verification.
//!
//! There is one list of what verifies, [`verifiable`], for requests, for what we assemble and for chains: `rustls-webpki`'s
//! algorithms over `aws-lc-rs` and ECDSA over secp256k1, which X.509 libraries rarely know but Key Vault has.

use aws_lc_rs::{digest, signature};
use der::asn1::{BitString, Uint};
use der::{Decode, Encode, Sequence};
use rustls_pki_types::{
    AlgorithmIdentifier as Encoded, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::keys::SignatureAlgorithm;

/// How `algorithm` is written in a certificate; `None` if certificates cannot be signed by it.
pub(super) fn identifier(algorithm: SignatureAlgorithm) -> Option<AlgorithmIdentifierOwned> {
    let encoded = match algorithm {
        SignatureAlgorithm::Rs256 => alg_id::RSA_PKCS1_SHA256,
        SignatureAlgorithm::Rs384 => alg_id::RSA_PKCS1_SHA384,
        SignatureAlgorithm::Rs512 => alg_id::RSA_PKCS1_SHA512,
        SignatureAlgorithm::Ps256 => alg_id::RSA_PSS_SHA256,
        SignatureAlgorithm::Ps384 => alg_id::RSA_PSS_SHA384,
        SignatureAlgorithm::Ps512 => alg_id::RSA_PSS_SHA512,
        SignatureAlgorithm::Es256 | SignatureAlgorithm::Es256k => alg_id::ECDSA_SHA256,
        SignatureAlgorithm::Es384 => alg_id::ECDSA_SHA384,
        SignatureAlgorithm::Es512 => alg_id::ECDSA_SHA512,
        SignatureAlgorithm::Hs256 | SignatureAlgorithm::Hs384 | SignatureAlgorithm::Hs512 => return None,
    };
    let sequence = der::AnyRef::new(der::Tag::Sequence, encoded.as_ref()).ok()?;
    AlgorithmIdentifierOwned::from_der(&sequence.to_der().ok()?).ok()
}

/// The digest of `message` that `algorithm` signs.
pub(super) fn digest_for(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    let function = match algorithm.digest_bytes() {
        48 => &digest::SHA384,
        64 => &digest::SHA512,
        _ => &digest::SHA256,
    };
    digest::digest(function, message).as_ref().to_vec()
}

/// A signature as X.509 carries it, from what the key gave: `r || s` becomes a sequence, RSA stays as it is.
pub(super) fn as_bits(algorithm: SignatureAlgorithm, raw: &[u8]) -> Option<BitString> {
    let coordinate = match algorithm {
        SignatureAlgorithm::Es256 | SignatureAlgorithm::Es256k => 32,
        SignatureAlgorithm::Es384 => 48,
        SignatureAlgorithm::Es512 => 66,
        _ => return BitString::from_bytes(raw).ok(),
    };
    if raw.len() != 2 * coordinate {
        return None;
    }
    let (r, s) = raw.split_at(coordinate);
    let pair = EcdsaSignature { r: Uint::new(r).ok()?, s: Uint::new(s).ok()? };
    BitString::from_bytes(&pair.to_der().ok()?).ok()
}

#[derive(Sequence)]
struct EcdsaSignature {
    r: Uint,
    s: Uint,
}

/// ECDSA over secp256k1 with SHA-256 (RFC 8812, SEC 2).
#[derive(Debug)]
struct Es256k;

impl SignatureVerificationAlgorithm for Es256k {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        // SECURITY: only the uncompressed form, so that one key has one encoding.
        if public_key.first() != Some(&0x04) {
            return Err(InvalidSignature);
        }
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256K1_SHA256_ASN1, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> Encoded {
        alg_id::ECDSA_P256K1
    }

    fn signature_alg_id(&self) -> Encoded {
        alg_id::ECDSA_SHA256
    }
}

/// Everything that verifies here; which of it does is chosen by the key and the identifier.
pub(super) fn verifiable() -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    let mut all = webpki::ALL_VERIFICATION_ALGS.to_vec();
    all.push(&Es256k);
    all
}

/// Whether `signature` over `message` was made with the key `spki` by the algorithm that `identifier` names.
pub(super) fn verifies(
    spki: &SubjectPublicKeyInfoOwned,
    identifier: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &BitString,
) -> bool {
    let (Ok(key_identifier), Ok(identifier)) = (contents(&spki.algorithm), contents(identifier)) else {
        return false;
    };
    let (Some(key), Some(signature)) = (spki.subject_public_key.as_bytes(), signature.as_bytes()) else {
        return false;
    };
    verifiable()
        .into_iter()
        .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == key_identifier)
        .filter(|algorithm| algorithm.signature_alg_id().as_ref() == identifier)
        .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

/// The bytes of an algorithm identifier inside its sequence, which is how `rustls-pki-types` has them.
fn contents(identifier: &AlgorithmIdentifierOwned) -> der::Result<Vec<u8>> {
    let encoded = identifier.to_der()?;
    Ok(der::AnyRef::from_der(&encoded)?.value().to_vec())
}

/// Whether a key of this kind can sign by `algorithm`.
pub(super) fn fits(algorithm: SignatureAlgorithm, spki: &SubjectPublicKeyInfoOwned) -> bool {
    let wanted = match algorithm {
        SignatureAlgorithm::Es256 => alg_id::ECDSA_P256,
        SignatureAlgorithm::Es384 => alg_id::ECDSA_P384,
        SignatureAlgorithm::Es512 => alg_id::ECDSA_P521,
        SignatureAlgorithm::Es256k => alg_id::ECDSA_P256K1,
        SignatureAlgorithm::Hs256 | SignatureAlgorithm::Hs384 | SignatureAlgorithm::Hs512 => return false,
        _ => alg_id::RSA_ENCRYPTION,
    };
    contents(&spki.algorithm).is_ok_and(|found| found == wanted.as_ref())
}
