//! Which algorithms there are, which keys they go with, and what they take (RFC 7518 §3 and §4, RFC 8812 §3.2; the
//! names beyond the RFCs are Azure's).

use super::{KeyFamily, KeySpec};

/// Defines an enum whose entries have names that the outside uses, and which are read case-sensitively.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $entry:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name {
            $($(#[$what])* $entry,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$entry,)*];

            /// Reads a name, which is case-sensitive.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$entry),)*
                    _ => None,
                }
            }

            /// The name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$entry => $text,)*
                }
            }
        }
    };
}

named! {
    /// A way to sign a digest.
    SignatureAlgorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 = "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 = "RS512",
        /// RSASSA-PSS with SHA-256, MGF1 with the same, and a salt as long as the digest.
        Ps256 = "PS256",
        /// RSASSA-PSS with SHA-384, MGF1 with the same, and a salt as long as the digest.
        Ps384 = "PS384",
        /// RSASSA-PSS with SHA-512, MGF1 with the same, and a salt as long as the digest.
        Ps512 = "PS512",
        /// ECDSA on P-256 with SHA-256; the signature is r and s side by side.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384; the signature is r and s side by side.
        Es384 = "ES384",
        /// ECDSA on P-521 with SHA-512; the signature is r and s side by side.
        Es512 = "ES512",
        /// ECDSA on secp256k1 with SHA-256; the signature is r and s side by side.
        Es256k = "ES256K",
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
    }
}

impl SignatureAlgorithm {
    /// The exact length of the digest that is signed.
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Es256k | Self::Hs256 => 32,
            Self::Rs384 | Self::Ps384 | Self::Es384 | Self::Hs384 => 48,
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::Hs512 => 64,
        }
    }

    /// Whether a key of this kind can be used.
    ///
    /// HMAC takes the longest symmetric key that there is. RFC 7518 §3.2 asks for a key as long as the hash; for HS384
    /// and HS512 no such kind exists, and 256 bits are what these two then offer.
    pub const fn fits(self, spec: KeySpec) -> bool {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                matches!(spec.family(), KeyFamily::Rsa)
            }
            Self::Es256 => matches!(spec, KeySpec::P256),
            Self::Es384 => matches!(spec, KeySpec::P384),
            Self::Es512 => matches!(spec, KeySpec::P521),
            Self::Es256k => matches!(spec, KeySpec::P256K),
            Self::Hs256 | Self::Hs384 | Self::Hs512 => matches!(spec, KeySpec::Oct256),
        }
    }

    /// Whether signing and verifying take the same key.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

named! {
    /// A way to encrypt bytes or to wrap a key.
    EncryptionAlgorithm {
        /// RSAES-PKCS1-v1_5, which is for what cannot be changed.
        Rsa15 = "RSA1_5",
        /// RSAES-OAEP with SHA-1 and MGF1 with SHA-1.
        RsaOaep = "RSA-OAEP",
        /// RSAES-OAEP with SHA-256 and MGF1 with SHA-256.
        RsaOaep256 = "RSA-OAEP-256",
        /// AES in Galois/Counter Mode with a key of 128 bits.
        A128Gcm = "A128GCM",
        /// AES in Galois/Counter Mode with a key of 192 bits.
        A192Gcm = "A192GCM",
        /// AES in Galois/Counter Mode with a key of 256 bits.
        A256Gcm = "A256GCM",
        /// AES in Cipher Block Chaining mode, whole blocks only, with a key of 128 bits.
        A128Cbc = "A128CBC",
        /// AES in Cipher Block Chaining mode, whole blocks only, with a key of 192 bits.
        A192Cbc = "A192CBC",
        /// AES in Cipher Block Chaining mode, whole blocks only, with a key of 256 bits.
        A256Cbc = "A256CBC",
        /// AES in Cipher Block Chaining mode, padded as PKCS #7 says, with a key of 128 bits.
        A128CbcPad = "A128CBCPAD",
        /// AES in Cipher Block Chaining mode, padded as PKCS #7 says, with a key of 192 bits.
        A192CbcPad = "A192CBCPAD",
        /// AES in Cipher Block Chaining mode, padded as PKCS #7 says, with a key of 256 bits.
        A256CbcPad = "A256CBCPAD",
        /// AES Key Wrap (RFC 3394) with a key of 128 bits.
        A128Kw = "A128KW",
        /// AES Key Wrap (RFC 3394) with a key of 192 bits.
        A192Kw = "A192KW",
        /// AES Key Wrap (RFC 3394) with a key of 256 bits.
        A256Kw = "A256KW",
    }
}

/// How an [`EncryptionAlgorithm`] works, without the size of its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Rsa15,
    OaepSha1,
    OaepSha256,
    Gcm,
    Cbc,
    CbcPad,
    KeyWrap,
}

impl EncryptionAlgorithm {
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::Rsa15 => Mode::Rsa15,
            Self::RsaOaep => Mode::OaepSha1,
            Self::RsaOaep256 => Mode::OaepSha256,
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => Mode::Gcm,
            Self::A128Cbc | Self::A192Cbc | Self::A256Cbc => Mode::Cbc,
            Self::A128CbcPad | Self::A192CbcPad | Self::A256CbcPad => Mode::CbcPad,
            Self::A128Kw | Self::A192Kw | Self::A256Kw => Mode::KeyWrap,
        }
    }

    /// Whether a key of this kind can be used.
    pub const fn fits(self, spec: KeySpec) -> bool {
        match self {
            Self::Rsa15 | Self::RsaOaep | Self::RsaOaep256 => matches!(spec.family(), KeyFamily::Rsa),
            Self::A128Gcm | Self::A128Cbc | Self::A128CbcPad | Self::A128Kw => {
                matches!(spec, KeySpec::Oct128)
            }
            Self::A192Gcm | Self::A192Cbc | Self::A192CbcPad | Self::A192Kw => {
                matches!(spec, KeySpec::Oct192)
            }
            Self::A256Gcm | Self::A256Cbc | Self::A256CbcPad | Self::A256Kw => {
                matches!(spec, KeySpec::Oct256)
            }
        }
    }

    /// Whether it is offered for wrapping and unwrapping keys.
    pub const fn wraps(self) -> bool {
        matches!(self.mode(), Mode::Rsa15 | Mode::OaepSha1 | Mode::OaepSha256 | Mode::KeyWrap)
    }

    /// Whether it is offered for encrypting and decrypting any bytes.
    pub const fn encrypts(self) -> bool {
        !matches!(self.mode(), Mode::KeyWrap)
    }

    /// Whether the caller must bring the initialization vector to encrypt. For GCM it is made, never taken: one
    /// repetition would give the key of the authentication away.
    pub const fn needs_iv(self) -> bool {
        matches!(self.mode(), Mode::Cbc | Mode::CbcPad)
    }

    /// Whether additional data is authenticated, and the answer has a tag.
    pub const fn authenticates(self) -> bool {
        matches!(self.mode(), Mode::Gcm)
    }
}
