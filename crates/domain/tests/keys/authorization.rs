//! Every operation on keys by the holder of every built-in role: done or denied as the golden matrix says.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vouchsafe_crypto::keys::{
    CiphertextParts, EncryptionAlgorithm, KeySpec, PrivateKey, SignatureAlgorithm, TransportAlgorithm,
};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::token::audience::Service;
use vouchsafe_domain::vault::{
    Error, KeyAttributes, KeyOperation, KeyReleaseRequest, KeyToImport, KeyUpdate, Plaintext,
    RotationPolicyToSet,
};
use vouchsafe_testkit::world::KEY_VAULT;

use super::{App, object, to_create};

const MATRIX: &str = include_str!("../golden/role_matrix.txt");
const PREFIX: &str = "Microsoft.KeyVault/vaults/";

/// What each line of the matrix permits, by the name of the action: one letter a role.
fn matrix() -> BTreeMap<&'static str, Vec<char>> {
    let lines = MATRIX.lines().filter_map(|line| line.strip_prefix(PREFIX));
    lines
        .map(|line| {
            let (action, cells) = line.split_once(' ').expect("an action and its cells");
            (action, cells.chars().filter(|cell| *cell != ' ').collect())
        })
        .collect()
}

type Try = for<'a> fn(&'a App, &'a Caller) -> BoxFuture<'a, Result<(), Error>>;

/// Whose public half is enough for whoever may read it.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Suffices,
    IsNotEnough,
}

use Reading::{IsNotEnough, Suffices};

/// Every operation, with the action that it asks for.
const TRIES: [(&str, Reading, Try); 31] = [
    ("keys/read", IsNotEnough, |a, c| {
        async move {
            told(a.platform().get_key(&a.opened.context(), c, &a.vault.name, &object("curve"), None).await)
        }
        .boxed()
    }),
    ("keys/read", IsNotEnough, |a, c| {
        async move { told(a.platform().list_keys(&a.opened.context(), c, &a.vault.name, None, 5).await) }
            .boxed()
    }),
    ("keys/read", IsNotEnough, |a, c| {
        async move {
            let name = object("curve");
            told(a.platform().list_key_versions(&a.opened.context(), c, &a.vault.name, &name, None, 5).await)
        }
        .boxed()
    }),
    ("keys/read", IsNotEnough, |a, c| {
        async move { told(a.platform().list_deleted_keys(&a.opened.context(), c, &a.vault.name, None, 5).await) }.boxed()
    }),
    ("keys/read", IsNotEnough, |a, c| {
        async move {
            told(a.platform().get_deleted_key(&a.opened.context(), c, &a.vault.name, &object("none")).await)
        }
        .boxed()
    }),
    ("keys/read", IsNotEnough, |a, c| {
        async move { told(a.platform().random_bytes(&a.opened.context(), c, &a.vault.name, 8).await) }.boxed()
    }),
    ("keys/create/action", IsNotEnough, |a, c| {
        async move {
            let (name, wanted) = (object("new"), to_create(KeySpec::P256));
            told(a.platform().create_key(&a.opened.context(), c, &a.vault.name, &name, &wanted).await)
        }
        .boxed()
    }),
    ("keys/import/action", IsNotEnough, |a, c| {
        async move {
            let wanted = KeyToImport {
                key: PrivateKey::generate(KeySpec::P256),
                in_token: false,
                operations: None,
                attributes: KeyAttributes::default(),
                release_policy: None,
            };
            told(a.platform().import_key(&a.opened.context(), c, &a.vault.name, &object("new"), wanted).await)
        }
        .boxed()
    }),
    ("keys/update/action", IsNotEnough, |a, c| {
        async move {
            let (name, update) = (object("curve"), KeyUpdate::default());
            told(a.platform().update_key(&a.opened.context(), c, &a.vault.name, &name, None, &update).await)
        }
        .boxed()
    }),
    ("keys/delete", IsNotEnough, |a, c| {
        async move { told(a.platform().delete_key(&a.opened.context(), c, &a.vault.name, &object("none")).await) }.boxed()
    }),
    ("keys/recover/action", IsNotEnough, |a, c| {
        async move { told(a.platform().recover_key(&a.opened.context(), c, &a.vault.name, &object("none")).await) }.boxed()
    }),
    ("keys/purge/action", IsNotEnough, |a, c| {
        async move { told(a.platform().purge_key(&a.opened.context(), c, &a.vault.name, &object("none")).await) }.boxed()
    }),
    ("keys/backup/action", IsNotEnough, |a, c| {
        async move { told(a.platform().backup_key(&a.opened.context(), c, &a.vault.name, &object("curve")).await) }.boxed()
    }),
    ("keys/restore/action", IsNotEnough, |a, c| {
        async move { told(a.platform().restore_key(&a.opened.context(), c, &a.vault.name, b"no backup").await) }.boxed()
    }),
    ("keys/release/action", IsNotEnough, |a, c| {
        async move {
            let algorithm = TransportAlgorithm::CkmRsaAesKeyWrap;
            let asked = KeyReleaseRequest { target: "a.b.c", nonce: None, algorithm };
            let (context, name) = (a.opened.context(), object("curve"));
            let (platform, vault) = (a.platform(), &a.vault.name);
            told(platform.release_key(&context, c, vault, &name, None, &asked, &|_| Vec::new()).await)
        }
        .boxed()
    }),
    ("keys/rotate/action", IsNotEnough, |a, c| {
        async move { told(a.platform().rotate_key(&a.opened.context(), c, &a.vault.name, &object("curve")).await) }.boxed()
    }),
    ("keyrotationpolicies/read", IsNotEnough, |a, c| {
        async move {
            let name = object("curve");
            told(a.platform().get_rotation_policy(&a.opened.context(), c, &a.vault.name, &name).await)
        }
        .boxed()
    }),
    ("keyrotationpolicies/write", IsNotEnough, |a, c| {
        async move {
            let (name, wanted) = (object("curve"), RotationPolicyToSet::default());
            told(
                a.platform().set_rotation_policy(&a.opened.context(), c, &a.vault.name, &name, &wanted).await,
            )
        }
        .boxed()
    }),
    ("keys/sign/action", IsNotEnough, |a, c| sign(a, c, "curve", SignatureAlgorithm::Es256)),
    ("keys/sign/action", IsNotEnough, |a, c| sign(a, c, "symmetric", SignatureAlgorithm::Hs256)),
    ("keys/verify/action", Suffices, |a, c| verify(a, c, "curve", SignatureAlgorithm::Es256)),
    ("keys/verify/action", IsNotEnough, |a, c| verify(a, c, "symmetric", SignatureAlgorithm::Hs256)),
    ("keys/encrypt/action", Suffices, |a, c| encrypt(a, c, "rsa", EncryptionAlgorithm::RsaOaep)),
    ("keys/encrypt/action", IsNotEnough, |a, c| encrypt(a, c, "symmetric", EncryptionAlgorithm::A256Gcm)),
    ("keys/wrap/action", Suffices, |a, c| wrap(a, c, "rsa", EncryptionAlgorithm::RsaOaep)),
    ("keys/wrap/action", IsNotEnough, |a, c| wrap(a, c, "symmetric", EncryptionAlgorithm::A256Kw)),
    ("keys/decrypt/action", IsNotEnough, |a, c| decrypt(a, c, "rsa", EncryptionAlgorithm::RsaOaep)),
    ("keys/decrypt/action", IsNotEnough, |a, c| decrypt(a, c, "symmetric", EncryptionAlgorithm::A256Kw)),
    ("keys/unwrap/action", IsNotEnough, |a, c| unwrap(a, c, "rsa", EncryptionAlgorithm::RsaOaep)),
    ("keys/unwrap/action", IsNotEnough, |a, c| unwrap(a, c, "symmetric", EncryptionAlgorithm::A256Kw)),
    // A key that is not there tells who may read keys so, and nobody else.
    ("keys/verify/action", Suffices, |a, c| verify(a, c, "none", SignatureAlgorithm::Es256)),
];

fn told<T>(result: Result<T, Error>) -> Result<(), Error> {
    result.map(drop)
}

fn sign<'a>(
    a: &'a App,
    c: &'a Caller,
    key: &'a str,
    alg: SignatureAlgorithm,
) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let (context, name) = (a.opened.context(), object(key));
        told(a.platform().sign(&context, c, &a.vault.name, &name, None, alg, &[7; 32]).await)
    }
    .boxed()
}

fn verify<'a>(
    a: &'a App,
    c: &'a Caller,
    key: &'a str,
    alg: SignatureAlgorithm,
) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let (context, name) = (a.opened.context(), object(key));
        told(a.platform().verify(&context, c, &a.vault.name, &name, None, alg, &[7; 32], &[1; 64]).await)
    }
    .boxed()
}

fn encrypt<'a>(
    a: &'a App,
    c: &'a Caller,
    key: &'a str,
    alg: EncryptionAlgorithm,
) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let (context, name, input) = (a.opened.context(), object(key), Plaintext::of(&[5; 32]));
        told(a.platform().encrypt(&context, c, &a.vault.name, &name, None, alg, &input).await)
    }
    .boxed()
}

fn wrap<'a>(
    a: &'a App,
    c: &'a Caller,
    key: &'a str,
    alg: EncryptionAlgorithm,
) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let (context, name, input) = (a.opened.context(), object(key), Plaintext::of(&[5; 32]));
        told(a.platform().wrap_key(&context, c, &a.vault.name, &name, None, alg, &input).await)
    }
    .boxed()
}

fn decrypt<'a>(
    a: &'a App,
    c: &'a Caller,
    key: &'a str,
    alg: EncryptionAlgorithm,
) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let (context, name, input) = (a.opened.context(), object(key), CiphertextParts::of(&[1; 40]));
        told(a.platform().decrypt(&context, c, &a.vault.name, &name, None, alg, &input).await)
    }
    .boxed()
}

fn unwrap<'a>(
    a: &'a App,
    c: &'a Caller,
    key: &'a str,
    alg: EncryptionAlgorithm,
) -> BoxFuture<'a, Result<(), Error>> {
    async move {
        let (context, name, input) = (a.opened.context(), object(key), CiphertextParts::of(&[1; 40]));
        told(a.platform().unwrap_key(&context, c, &a.vault.name, &name, None, alg, &input).await)
    }
    .boxed()
}

impl App {
    pub fn caller_of(&self, token: &str) -> Caller {
        let tenant = self.opened.tenant(self.memory.home);
        let verified = self.platform().verify_bearer(Some(&tenant), Service::KeyVault, token.as_bytes());
        verified.expect("a caller").1
    }
}

#[tokio::test]
async fn who_may_do_what_with_keys_is_what_the_golden_matrix_says() {
    let app = App::new(30).await;
    let every = &KeyOperation::ALL[..6];
    for (name, spec) in [("curve", KeySpec::P256), ("symmetric", KeySpec::Oct256), ("rsa", KeySpec::Rsa2048)]
    {
        app.create_with(name, spec, every).await;
    }
    let matrix = matrix();
    let scope = Scope::vault(app.vault.subscription, &app.vault.group, &app.vault.name);
    let (mut done, mut denied) = (0, 0);
    for (column, role) in built_in::all().iter().enumerate() {
        let identity = app.opened.put_identity(app.memory.home, &format!("worker{column}")).await;
        app.opened.assign(app.memory.home, role.id(), identity.principal, scope.clone()).await;
        let token = app.opened.token(&identity, KEY_VAULT).await;
        let caller = app.caller_of(&token);
        for (number, (action, reading, attempt)) in TRIES.iter().enumerate() {
            let held = |action: &str| matrix[action][column] == 'x';
            let may = held(action) || (*reading == Suffices && held("keys/read"));
            let came = attempt(&app, &caller).await;
            let was_denied = matches!(came, Err(Error::Denied(_)));
            assert_eq!(was_denied, !may, "{} {action} (try {number}): {came:?}", role.name());
            if let Err(Error::Denied(denial)) = came {
                assert_eq!(denial.action.as_str(), format!("{PREFIX}{action}"));
                denied += 1;
            } else {
                assert!(!matches!(came, Err(Error::Fault(_))), "{action}: {came:?}");
                done += 1;
            }
        }
    }
    // Every action on keys that the matrix knows is tried.
    for action in matrix.keys().filter(|action| action.starts_with("key")) {
        assert!(TRIES.iter().any(|(tried, ..)| tried == action), "{action} is not tried");
    }
    assert!(done > 60 && denied > 300, "{done} done, {denied} denied");
}
