//! What `crypto` says, in the words of the port, which are fixed texts without numbers.

use vouchsafe_crypto::keys::{ImportRefused, Misuse};
use vouchsafe_domain::ports::hsm::HsmError;

/// A request that does not fit the key.
pub fn misuse(error: Misuse) -> HsmError {
    HsmError::Refused(match error {
        Misuse::Algorithm => "the algorithm does not fit the key",
        Misuse::Operation => "the key does not do this operation",
        Misuse::DigestLength { .. } => "the digest does not have the length that the algorithm signs",
        Misuse::IvMissing => "the algorithm needs an initialization vector",
        Misuse::IvLength { .. } => "the initialization vector has the wrong length",
        Misuse::IvNotAllowed => "the algorithm does not take an initialization vector",
        Misuse::TagMissing => "the algorithm needs an authentication tag",
        Misuse::TagLength { .. } => "the authentication tag has the wrong length",
        Misuse::TagNotAllowed => "the algorithm does not take an authentication tag",
        Misuse::AadNotAllowed => "the algorithm does not authenticate additional data",
        Misuse::PlaintextTooLong { .. } => "the plaintext is too long for the key",
        Misuse::PlaintextLength { .. } => "the plaintext has a length that the algorithm does not take",
        Misuse::CiphertextLength => "the ciphertext has a length that the algorithm does not give",
        Misuse::Key => "the public key is not usable",
        Misuse::Failed => return HsmError::Broken(error.to_string()),
    })
}

/// A key that is not taken over.
pub fn refused_import(error: ImportRefused) -> HsmError {
    HsmError::Refused(match error {
        ImportRefused::Missing(_) | ImportRefused::Unexpected | ImportRefused::Malformed => {
            "the key is malformed"
        }
        ImportRefused::EncryptedKey => "the key is encrypted",
        ImportRefused::Unsupported | ImportRefused::Length(_) => {
            "the kind or size of the key is not used here"
        }
        ImportRefused::Exponent => "the public exponent of the key is not acceptable",
        ImportRefused::Inconsistent => {
            "the parts of the key do not belong together, or it is of another kind"
        }
        ImportRefused::NotPrime | ImportRefused::PrimesTooClose | ImportRefused::WeakGenerator => {
            "the key is weak"
        }
        ImportRefused::Scalar | ImportRefused::Point => "the key is not one of its curve",
    })
}
