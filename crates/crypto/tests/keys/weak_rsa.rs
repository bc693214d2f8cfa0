//! RSA keys that are made to be weak: each is one step from a key that is imported, and is refused for that step.

use std::sync::LazyLock;

use crypto_bigint::BoxedUint;
use num_bigint::BigUint;
use vouchsafe_crypto::keys::{ImportRefused, ImportedKey, KeyFamily, KeySpec, PrivateKey};
use vouchsafe_crypto::{Reason, SecretBytes};

const F4: u32 = 65_537;

/// Two honest primes of 1024 bits.
static PRIMES: LazyLock<[BigUint; 2]> =
    LazyLock::new(|| [1, 2].map(|seed| next_prime(&start(seed, 1024), 2_u32)));

/// A number with its two highest and its lowest bit set, the same for the same seed.
fn start(seed: u8, bits: u64) -> BigUint {
    let bytes: Vec<u8> = (0..bits / 256)
        .flat_map(|part| vouchsafe_crypto::digest::sha256(&[&[seed][..], &part.to_be_bytes()].concat()))
        .collect();
    let mut number = BigUint::from_bytes_be(&bytes);
    for bit in [0, bits - 2, bits - 1] {
        number.set_bit(bit, true);
    }
    number
}

fn is_prime(number: &BigUint) -> bool {
    let small = (3_u32..2000).step_by(2).all(|factor| number % factor != BigUint::ZERO);
    small
        && crypto_primes::is_prime(
            crypto_primes::Flavor::Any,
            &BoxedUint::from_be_slice_vartime(&number.to_bytes_be()),
        )
}

/// The first prime at or after `number` that is a whole number of steps away, and fits the exponent.
fn next_prime(number: &BigUint, step: impl Into<BigUint>) -> BigUint {
    let step = step.into();
    let mut number = number.clone();
    while !is_prime(&number) || (&number - 1_u32) % F4 == BigUint::ZERO {
        number += &step;
    }
    number
}

/// A number as a JWK writes it.
pub fn number(number: &BigUint) -> Vec<u8> {
    number.to_bytes_be()
}

fn secret(value: &BigUint) -> Option<SecretBytes> {
    Some(SecretBytes::new(number(value)))
}

/// All parts, computed from two factors as if they were primes.
fn parts_of(p: &BigUint, q: &BigUint, e: u32) -> ImportedKey {
    let e = BigUint::from(e);
    let (p1, q1) = (p - 1_u32, q - 1_u32);
    let d = e.modinv(&(&p1 * &q1));
    ImportedKey {
        n: Some(number(&(p * q))),
        e: Some(number(&e)),
        d: d.as_ref().and_then(secret),
        p: secret(p),
        q: secret(q),
        dp: d.as_ref().and_then(|d| secret(&(d % &p1))),
        dq: d.as_ref().and_then(|d| secret(&(d % &q1))),
        qi: q.modinv(p).as_ref().and_then(secret),
        ..ImportedKey::of(KeyFamily::Rsa)
    }
}

/// The parts of an honest key of 2048 bits.
pub fn honest() -> ImportedKey {
    let [p, q] = &*PRIMES;
    parts_of(p, q, F4)
}

fn refusal(key: ImportedKey) -> Option<ImportRefused> {
    PrivateKey::from_components(key).err()
}

#[test]
fn an_honest_key_is_imported_whole() {
    let key = PrivateKey::from_components(honest()).unwrap();
    assert_eq!(key.spec(), KeySpec::Rsa2048);
    let kept = PrivateKey::from_material(KeySpec::Rsa2048, &key.to_material()).unwrap();
    assert_eq!(kept.public(), key.public());
    let again = PrivateKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
    assert!(again.to_material().matches(key.to_material().expose(Reason::Test)));
}

#[test]
fn a_key_of_the_infineon_generator_is_refused() {
    let mut primorial = BigUint::from(2_u32);
    let mut primes = 1;
    for candidate in (3_u32..).step_by(2) {
        if (3..candidate).step_by(2).all(|factor| !candidate.is_multiple_of(factor)) {
            primorial *= candidate;
            primes += 1;
        }
        // As many as that generator multiplied for keys of 2048 bits.
        if primes == 126 {
            break;
        }
    }
    let marked = |seed: u8, exponent: u32| {
        let power = BigUint::from(F4).modpow(&exponent.into(), &primorial);
        let multiple = start(seed, 1024) / &primorial + 1_u32;
        next_prime(&(multiple * &primorial + power), primorial.clone())
    };
    let [p, q] = [marked(3, 1_234_567), marked(4, 7_654_321)];
    assert_eq!([p.bits(), q.bits()], [1024, 1024]);
    assert_eq!(refusal(parts_of(&p, &q, F4)), Some(ImportRefused::WeakGenerator));
    // One such prime beside an honest one bears no mark, and is not what the attack needs.
    assert_eq!(refusal(parts_of(&p, &PRIMES[1], F4)), None);
}

#[test]
fn primes_that_are_equal_or_close_are_refused() {
    let [p, _] = &*PRIMES;
    let after = |distance: u32| next_prime(&(p + (BigUint::from(1_u32) << distance)), 2_u32);
    assert_eq!(
        refusal(parts_of(p, &next_prime(&(p + 2_u32), 2_u32), F4)),
        Some(ImportRefused::PrimesTooClose)
    );
    assert_eq!(refusal(parts_of(p, &after(900), F4)), Some(ImportRefused::PrimesTooClose));
    assert_eq!(refusal(parts_of(&after(900), p, F4)), Some(ImportRefused::PrimesTooClose));
    assert_eq!(refusal(parts_of(p, &after(960), F4)), None);
    // The same prime twice: the inverse does not exist, so another number stands in for it.
    let square = ImportedKey { qi: secret(&BigUint::from(1_u32)), ..parts_of(p, p, F4) };
    assert_eq!(refusal(square), Some(ImportRefused::PrimesTooClose));
}

/// The library checks that the numbers belong together, and they do: only looking at the factor itself finds this.
#[test]
fn a_factor_that_is_not_prime_is_refused() {
    let [_, q] = &*PRIMES;
    let half = |seed| next_prime(&start(seed, 512), 2_u32);
    let composite = half(5) * half(6);
    assert_eq!(composite.bits(), 1024);
    assert_eq!(refusal(parts_of(&composite, q, F4)), Some(ImportRefused::NotPrime));
    assert_eq!(refusal(parts_of(q, &composite, F4)), Some(ImportRefused::NotPrime));
}

#[test]
fn factors_of_unequal_length_are_refused() {
    let (short, long) = (next_prime(&start(7, 768), 2_u32), next_prime(&start(8, 1280), 2_u32));
    assert_eq!((&short * &long).bits(), 2048);
    assert_eq!(refusal(parts_of(&short, &long, F4)), Some(ImportRefused::Length("q")));
    assert_eq!(refusal(parts_of(&long, &short, F4)), Some(ImportRefused::Length("p")));
}

#[test]
fn exponents_that_are_even_small_or_large_are_refused() {
    let [p, q] = &*PRIMES;
    for e in [0_u32, 1, 2, 3, 17, 257, 65_535, 65_536, 65_538, 0xffff_fffe] {
        let key = ImportedKey { e: Some(number(&BigUint::from(e))), ..honest() };
        assert_eq!(refusal(key), Some(ImportRefused::Exponent), "{e}");
    }
    for e in [vec![], vec![0], vec![1, 0, 0, 0, 1], vec![0xff; 8], vec![0xff; 256]] {
        assert_eq!(refusal(ImportedKey { e: Some(e), ..honest() }), Some(ImportRefused::Exponent));
    }
    // The smallest and the largest, if the primes allow them.
    for e in [F4, 0xffff_fffb] {
        let key = parts_of(p, q, e);
        assert!(key.d.is_some(), "{e} has an inverse");
        assert_eq!(refusal(key), None, "{e}");
    }
}

#[test]
fn sizes_that_are_not_offered_are_refused() {
    for bits in [512, 768] {
        let [p, q] = [9, 10].map(|seed| next_prime(&start(seed, bits), 2_u32));
        assert_eq!(refusal(parts_of(&p, &q, F4)), Some(ImportRefused::Unsupported), "{bits}");
    }
    // 2047 bits in 256 bytes.
    let n = (BigUint::from(1_u32) << 2046_u32) + 1_u32;
    assert_eq!(refusal(ImportedKey { n: Some(number(&n)), ..honest() }), Some(ImportRefused::Unsupported));
    for n in [vec![], vec![0; 256], vec![0xff; 257], vec![0xff; 1024], vec![0xff; 1 << 16]] {
        assert_eq!(refusal(ImportedKey { n: Some(n), ..honest() }), Some(ImportRefused::Unsupported));
    }
}
