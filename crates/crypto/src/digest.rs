//! Digests by name, so that no other file chooses an algorithm from the whole catalogue.

use aws_lc_rs::digest;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-384 of `bytes`.
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    fixed(digest::digest(&digest::SHA384, bytes).as_ref())
}

/// SHA-512 of `bytes`.
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    fixed(digest::digest(&digest::SHA512, bytes).as_ref())
}

/// SHA-1 of `bytes`, which identifies a certificate in the `x5t` header member (RFC 7515 §4.1.7).
///
/// SECURITY: a name, never a proof. What a thumbprint selects is still checked by a signature.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    fixed(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref())
}

fn fixed<const N: usize>(digest: &[u8]) -> [u8; N] {
    digest.try_into().expect("the algorithm fixes the length of its digest")
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_fips_180_examples_hold() {
        assert_eq!(
            HEXLOWER.encode(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(HEXLOWER.encode(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
