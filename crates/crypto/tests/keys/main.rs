//! How we know that keys do what they should: Project Wycheproof's vectors for every algorithm, published examples for
//! what it lacks, every refusal of an import, and every misuse with its own answer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod examples;
mod import;
mod misuse;
mod round_trips;
mod weak_rsa;
mod wycheproof_encryption;
mod wycheproof_signatures;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{
    ImportRefused, ImportedKey, KeyFamily, KeySpec, PrivateKey, SignatureAlgorithm,
};
use wycheproof::TestResult;

/// One key of each kind; RSA takes a while to make.
static KEYS: LazyLock<BTreeMap<KeySpec, PrivateKey>> =
    LazyLock::new(|| KeySpec::ALL.into_iter().map(|spec| (spec, PrivateKey::generate(spec))).collect());

fn key(spec: KeySpec) -> &'static PrivateKey {
    &KEYS[&spec]
}

fn octets(key: &[u8]) -> Result<PrivateKey, ImportRefused> {
    let k = Some(SecretBytes::new(key.to_vec()));
    PrivateKey::from_components(ImportedKey { k, ..ImportedKey::of(KeyFamily::Oct) })
}

/// What the caller of a key vault does before it asks for a signature.
fn digest_of(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    let hash = match algorithm.digest_bytes() {
        32 => &digest::SHA256,
        48 => &digest::SHA384,
        _ => &digest::SHA512,
    };
    digest::digest(hash, message).as_ref().to_vec()
}

/// Counts what became of the vectors of a file, and keeps what was unexpected.
struct Tally {
    file: String,
    ran: BTreeMap<&'static str, usize>,
    unexpected: Vec<String>,
}

impl Tally {
    fn of(file: impl std::fmt::Debug) -> Self {
        Self { file: format!("{file:?}"), ran: BTreeMap::new(), unexpected: Vec::new() }
    }

    /// A vector whose outcome must be what its file says. What is only acceptable is refused here.
    fn judge(&mut self, id: usize, result: TestResult, accepted: bool) {
        self.expect(
            id,
            if accepted { "accepted" } else { "refused" },
            accepted == (result == TestResult::Valid),
        );
    }

    /// A vector that ends as `outcome`, which is right or not.
    fn expect(&mut self, id: usize, outcome: &'static str, right: bool) {
        *self.ran.entry(outcome).or_default() += 1;
        if !right {
            self.unexpected.push(format!("vector {id} {outcome}"));
        }
    }

    fn finish(self, at_least: usize) {
        let ran: usize = self.ran.values().sum();
        println!(
            "wycheproof {}: {ran} vectors {:?}, {} unexpected",
            self.file,
            self.ran,
            self.unexpected.len()
        );
        assert!(self.unexpected.is_empty(), "{}: {:#?}", self.file, self.unexpected);
        assert!(ran >= at_least, "{}: only {ran} vectors ran", self.file);
    }
}
