//! Which algorithms there are, and which keys they go with (RFC 7518 §3).

/// A signature algorithm.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// ECDSA on P-256 with SHA-256; the signature is r and s side by side, 32 bytes each.
    Es256,
}

impl Algorithm {
    /// Reads a name of RFC 7518, which is case-sensitive.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    /// The name in RFC 7518.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    /// Whether keys of this kind can be used with the algorithm at all.
    pub const fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Rs256 | Self::Ps256 => kind.is_rsa(),
            Self::Es256 => !kind.is_rsa(),
        }
    }
}

/// A kind of key pair.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyKind {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// The NIST curve P-256.
    P256,
}

impl KeyKind {
    pub(super) const fn is_rsa(self) -> bool {
        !matches!(self, Self::P256)
    }
}
