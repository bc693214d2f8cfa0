//! Keys in software.

use std::num::NonZeroUsize;
use std::sync::Arc;

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::Exportable;
use vouchsafe_hsm::{KeyPool, SoftwareKeys};
use vouchsafe_testkit::suites::hsm::{self as suite, Reopen};

use super::run;

pub fn software() -> SoftwareKeys {
    SoftwareKeys::new(KeyPool::new([]), NonZeroUsize::MIN.saturating_add(1))
}

struct Software;

impl Reopen for Software {
    fn open(&self) -> Arc<dyn Hsm> {
        Arc::new(software())
    }

    fn keeps_keys(&self) -> bool {
        false
    }
}

#[test]
fn keys_in_software_pass_the_suite() {
    run(suite::all(&Software));
}

#[test]
fn a_pooled_key_is_given_out_once_and_replaced() {
    run(async {
        let pool = KeyPool::new([(KeySpec::Rsa2048, 2), (KeySpec::P256, 5)]);
        while pool.refill_one().await {}
        assert_eq!((pool.stock(KeySpec::Rsa2048), pool.stock(KeySpec::P256)), (2, 0), "only RSA is worth it");
        let software = SoftwareKeys::new(Arc::clone(&pool), NonZeroUsize::MIN);
        let one = software.generate(KeySpec::Rsa2048, Exportable::Never).await.unwrap();
        let two = software.generate(KeySpec::Rsa2048, Exportable::Never).await.unwrap();
        assert_ne!(one.public, two.public);
        assert_eq!(pool.stock(KeySpec::Rsa2048), 0);
        let three = software.generate(KeySpec::Rsa2048, Exportable::Never).await.unwrap();
        assert!(three.public.is_some(), "an empty pool only means waiting");
        let filling = tokio::spawn(Arc::clone(&pool).keep_filled());
        while pool.stock(KeySpec::Rsa2048) < 2 {
            tokio::task::yield_now().await;
        }
        filling.abort();
    });
}
