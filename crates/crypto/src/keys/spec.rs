//! Which keys there are.

/// A kind and size of key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeySpec {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// The curve P-256 of NIST.
    P256,
    /// The curve P-384 of NIST.
    P384,
    /// The curve P-521 of NIST.
    P521,
    /// The curve secp256k1 of SECG, which Azure calls P-256K.
    P256K,
    /// 128 symmetric bits.
    Oct128,
    /// 192 symmetric bits.
    Oct192,
    /// 256 symmetric bits.
    Oct256,
}

/// What a key is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyFamily {
    /// Two primes.
    Rsa,
    /// A point and its logarithm.
    Ec,
    /// Random bytes.
    Oct,
}

impl KeySpec {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::P256K,
        Self::Oct128,
        Self::Oct192,
        Self::Oct256,
    ];

    /// What such a key is made of.
    pub const fn family(self) -> KeyFamily {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => KeyFamily::Rsa,
            Self::P256 | Self::P384 | Self::P521 | Self::P256K => KeyFamily::Ec,
            Self::Oct128 | Self::Oct192 | Self::Oct256 => KeyFamily::Oct,
        }
    }

    /// The bits of the modulus, of the field of the curve, or of the key itself.
    pub const fn bits(self) -> usize {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P384 => 384,
            Self::P521 => 521,
            Self::Oct128 => 128,
            Self::Oct192 => 192,
            Self::P256 | Self::P256K | Self::Oct256 => 256,
        }
    }

    /// The bytes of the modulus, of one coordinate, or of the key itself.
    pub const fn bytes(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// The number under which the kind is stored. Numbers are never changed and never used again.
    pub const fn code(self) -> u32 {
        match self {
            Self::Rsa2048 => 1,
            Self::Rsa3072 => 2,
            Self::Rsa4096 => 3,
            Self::P256 => 11,
            Self::P384 => 12,
            Self::P521 => 13,
            Self::P256K => 14,
            Self::Oct128 => 21,
            Self::Oct192 => 22,
            Self::Oct256 => 23,
        }
    }

    /// The kind with this number.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.code() == code)
    }
}
