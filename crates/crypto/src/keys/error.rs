//! What can be wrong with a request for a key operation, and how much of it the caller is told.

/// The caller's request does not fit the key or the algorithm. Nothing here depends on secret bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misuse {
    /// The algorithm is for another kind or size of key.
    #[error("the algorithm does not fit the key")]
    Algorithm,
    /// The operation needs the private or symmetric key, and only a public one is there, or the other way around.
    #[error("the key does not do this operation")]
    Operation,
    /// The digest is not of the algorithm's length.
    #[error("the digest must be {expected} bytes long")]
    DigestLength {
        /// How many bytes the algorithm signs.
        expected: usize,
    },
    /// There is no initialization vector, and the algorithm needs one.
    #[error("the algorithm needs an initialization vector")]
    IvMissing,
    /// The initialization vector is too long or too short.
    #[error("the initialization vector must be {expected} bytes long")]
    IvLength {
        /// How many bytes the algorithm takes.
        expected: usize,
    },
    /// An initialization vector was given where the algorithm has none, or makes its own.
    #[error("the algorithm does not take an initialization vector")]
    IvNotAllowed,
    /// There is no authentication tag, and the algorithm needs one.
    #[error("the algorithm needs an authentication tag")]
    TagMissing,
    /// The authentication tag is too long or too short.
    #[error("the authentication tag must be {expected} bytes long")]
    TagLength {
        /// How many bytes the algorithm takes.
        expected: usize,
    },
    /// An authentication tag was given where the algorithm has none.
    #[error("the algorithm does not take an authentication tag")]
    TagNotAllowed,
    /// Additional data was given where the algorithm authenticates none.
    #[error("the algorithm does not authenticate additional data")]
    AadNotAllowed,
    /// There is more plaintext than fits.
    #[error("the plaintext must be at most {max} bytes long")]
    PlaintextTooLong {
        /// How many bytes fit.
        max: usize,
    },
    /// The plaintext has a length that the algorithm does not take.
    #[error("the plaintext must be at least {min} bytes and a multiple of {multiple} bytes long")]
    PlaintextLength {
        /// The fewest bytes.
        min: usize,
        /// The block.
        multiple: usize,
    },
    /// The ciphertext has a length that the algorithm never gives.
    #[error("the ciphertext has a length that the algorithm does not give")]
    CiphertextLength,
    /// The public key is not one: its parts do not make a key of a supported kind.
    #[error("the public key is not usable")]
    Key,
    /// The cryptographic library refused, which says that a key was damaged or memory is short.
    #[error("the cryptographic library refused")]
    Failed,
}

/// Why nothing was decrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecryptError {
    /// The request does not fit; public facts only.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The ciphertext is not authentic, not for this key, or badly padded.
    ///
    /// SECURITY: one value for all of them. Which one it was would be an oracle.
    #[error("the ciphertext could not be decrypted")]
    Refused,
}

/// Why a key was not imported. The importer knows the key, so the reason may be exact; it never quotes a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ImportRefused {
    /// A part that the kind of key needs is not there.
    #[error("the key lacks its part `{0}`")]
    Missing(&'static str),
    /// A part that does not belong to the kind of key is there.
    #[error("the key has a part that its kind does not have")]
    Unexpected,
    /// The encoding is not what it says it is.
    #[error("the key is malformed")]
    Malformed,
    /// It is encrypted; only the one who holds the password can open it.
    #[error("the key is encrypted")]
    EncryptedKey,
    /// The kind, curve or size is not used here.
    #[error(
        "the key must be RSA with 2048, 3072 or 4096 bits, on P-256, P-384, P-521 or P-256K, or 128, 192 or 256 symmetric bits"
    )]
    Unsupported,
    /// A part has another length than its kind gives it.
    #[error("the part `{0}` of the key has the wrong length")]
    Length(&'static str),
    /// The public exponent is even, too small or too large.
    #[error("the public exponent must be odd, at least 65537 and at most 32 bits long")]
    Exponent,
    /// The parts contradict each other.
    #[error("the parts of the key do not belong together")]
    Inconsistent,
    /// A factor of the modulus is not a prime number.
    #[error("a factor of the modulus is not prime")]
    NotPrime,
    /// The factors are equal or so close that the modulus is factored in seconds.
    #[error("the two primes of the key are too close to each other")]
    PrimesTooClose,
    /// The modulus bears the mark of a generator with a known weakness (CVE-2017-15361).
    #[error("the key was made by a generator that makes weak keys (CVE-2017-15361)")]
    WeakGenerator,
    /// The private number of a key on a curve is zero or not below the order.
    #[error("the private number of the key is out of range")]
    Scalar,
    /// The public point is not on the curve.
    #[error("the public point of the key is not on the curve")]
    Point,
}

/// Stored key material or a public key that does not decode.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the key is malformed")]
pub struct Malformed;
