//! Using keys: sign, verify, encrypt, decrypt, wrap, unwrap, and random bytes.
//!
//! What the public half can do is done with it and needs no holder, nor more than the right to read keys (wire facts
//! §7.6). Everything else is asked of the key's holder. The answer exists only together with a durable audit entry.

use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{CiphertextParts, Encrypted, EncryptionAlgorithm, SignatureAlgorithm};

use super::{KeyOperation, KeyVersion, Keys, decide};
use crate::access::action::{Action, Decrypt, Encrypt, ReadKey, Sign, UnwrapKey, Verify, WrapKey};
use crate::access::authorize::{Authorized, authorize};
use crate::access::caller::Caller;
use crate::audit::{Entry, Outcome, Recorded};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, RoleAssignmentId, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::hsm::{Hsm, KeyRef};
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::vault::error::Error;
use crate::vault::load::Admitted;
use crate::vault::object::{Collection, ObjectKind, Place};

/// What using a key gave. It exists only together with a durable audit entry.
pub struct UsedKey<T> {
    /// The name of the key as first written.
    pub name: ObjectName,
    /// The version that was used.
    pub version: ObjectVersion,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// The role assignment that allowed it.
    pub assignment: RoleAssignmentId,
    result: T,
    _recorded: Recorded,
}

impl<T> UsedKey<T> {
    /// The result, on its way out.
    pub fn into_result(self) -> T {
        self.result
    }
}

/// Random bytes, and the proof that giving them out is recorded.
pub struct RandomBytes {
    /// The bytes.
    pub bytes: SecretBytes,
    _recorded: Recorded,
}

/// A key that may be used now for what was asked.
struct Usable<A: Action> {
    vault: Arc<Vault>,
    assignment: RoleAssignmentId,
    /// Absent where the right to read keys was enough, because the public half is.
    proof: Option<Authorized<A>>,
    entry: Entry,
    place: Place,
    name: ObjectName,
    key: KeyVersion,
}

/// Which key a caller wants to use.
#[derive(Clone, Copy)]
struct Asked<'a> {
    context: &'a Context,
    caller: &'a Caller,
    vault: &'a VaultName,
    name: &'a ObjectName,
    version: Option<ObjectVersion>,
}

impl Platform {
    /// Signs a digest with a version of a key, the current one if none is named.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the input are all needed")]
    pub async fn sign(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<UsedKey<Vec<u8>>, Error> {
        let asked = Asked { context, caller, vault, name, version };
        let usable = self.usable::<Sign>(asked, KeyOperation::Sign).await?;
        let signed = async {
            decide::signature(usable.key.spec, algorithm, digest)?;
            let (holder, material) = self.signer(&usable, algorithm).await?;
            let key = KeyRef { spec: usable.key.spec, material: &material };
            Ok(holder.sign(&key, algorithm, digest).await?)
        };
        let signed = signed.await;
        self.used(usable, signed).await
    }

    /// Says whether a signature of a digest is one of a version of a key.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the input are all needed")]
    pub async fn verify(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<UsedKey<bool>, Error> {
        let asked = Asked { context, caller, vault, name, version };
        let usable = self.publicly_usable::<Verify>(asked, KeyOperation::Verify).await?;
        let verified = async {
            decide::signature(usable.key.spec, algorithm, digest)?;
            if let Some(public) = &usable.key.public {
                return public.verify(algorithm, digest, signature).map_err(misuse);
            }
            let (holder, material) = self.signer(&usable, algorithm).await?;
            let key = KeyRef { spec: usable.key.spec, material: &material };
            Ok(holder.verify(&key, algorithm, digest, signature).await?)
        };
        let verified = verified.await;
        self.used(usable, verified).await
    }

    /// Encrypts bytes.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the input are all needed")]
    pub async fn encrypt(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        algorithm: EncryptionAlgorithm,
        input: &Plaintext<'_>,
    ) -> Result<UsedKey<Encrypted>, Error> {
        let asked = Asked { context, caller, vault, name, version };
        let usable = self.publicly_usable::<Encrypt>(asked, KeyOperation::Encrypt).await?;
        let encrypted = self.enciphered(&usable, KeyOperation::Encrypt, algorithm, input).await;
        self.used(usable, encrypted).await
    }

    /// Decrypts bytes.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the input are all needed")]
    pub async fn decrypt(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        algorithm: EncryptionAlgorithm,
        input: &CiphertextParts<'_>,
    ) -> Result<UsedKey<SecretBytes>, Error> {
        let asked = Asked { context, caller, vault, name, version };
        let usable = self.usable::<Decrypt>(asked, KeyOperation::Decrypt).await?;
        let decrypted = self.deciphered(&usable, KeyOperation::Decrypt, algorithm, input).await;
        self.used(usable, decrypted).await
    }

    /// Wraps another key.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the input are all needed")]
    pub async fn wrap_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        algorithm: EncryptionAlgorithm,
        input: &Plaintext<'_>,
    ) -> Result<UsedKey<Encrypted>, Error> {
        let asked = Asked { context, caller, vault, name, version };
        let usable = self.publicly_usable::<WrapKey>(asked, KeyOperation::WrapKey).await?;
        let wrapped = self.enciphered(&usable, KeyOperation::WrapKey, algorithm, input).await;
        self.used(usable, wrapped).await
    }

    /// Unwraps another key.
    #[expect(clippy::too_many_arguments, reason = "the caller, the key and the input are all needed")]
    pub async fn unwrap_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        algorithm: EncryptionAlgorithm,
        input: &CiphertextParts<'_>,
    ) -> Result<UsedKey<SecretBytes>, Error> {
        let asked = Asked { context, caller, vault, name, version };
        let usable = self.usable::<UnwrapKey>(asked, KeyOperation::UnwrapKey).await?;
        let unwrapped = self.deciphered(&usable, KeyOperation::UnwrapKey, algorithm, input).await;
        self.used(usable, unwrapped).await
    }

    /// Random bytes: in a vault that can have keys in the token from there, if there is one, else from software, so that a
    /// vault without such keys needs no token. It asks for the right to read keys: Azure has no action for it in vaults.
    pub async fn random_bytes(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        count: usize,
    ) -> Result<RandomBytes, Error> {
        let admitted = self.admit::<ReadKey>(context, caller, vault, ObjectKind::Key, None).await?;
        let entry = self.entry(context, &admitted.proof);
        let made = async {
            if !(1..=limits::RANDOM_BYTES_MAX).contains(&count) {
                let problem = format!("count must be between 1 and {}", limits::RANDOM_BYTES_MAX);
                return Err(Error::BadParameter(problem));
            }
            let in_token = self.holders.token.is_some() && decide::protection(&admitted.vault, true).is_ok();
            let holder = self.holder(in_token)?;
            Ok(holder.random(count).await?)
        };
        match made.await {
            Ok(bytes) => {
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok(RandomBytes { bytes, _recorded: recorded })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    /// Authorizes, loads and decides whether the key may be used for `operation` now.
    async fn usable<A: Action>(&self, asked: Asked<'_>, operation: KeyOperation) -> Result<Usable<A>, Error> {
        let Asked { context, caller, vault, name, .. } = asked;
        let admitted = self.admit::<A>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Keys::FAMILY, name);
        let (name, key) = match self.load_usable(asked, &place, operation).await {
            Ok(found) => found,
            Err(error) => return self.record_refusal(entry, error).await,
        };
        let Admitted { vault, proof, .. } = admitted;
        Ok(Usable { vault, assignment: proof.assignment(), proof: Some(proof), entry, place, name, key })
    }

    /// As [`Platform::usable`]; but whoever may read a key may do what its public half can do.
    async fn publicly_usable<A: Action>(
        &self,
        asked: Asked<'_>,
        operation: KeyOperation,
    ) -> Result<Usable<A>, Error> {
        let Asked { context, caller, vault, name, .. } = asked;
        let found = self.world().vault(vault);
        let (tenant, vault) = found.ok_or_else(|| Error::VaultNotFound(vault.to_string()))?;
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name)
            .object(ObjectKind::Key.collection(), name);
        let reading = match authorize::<A>(caller, &scope, tenant.facts()) {
            Ok(_) => None,
            Err(_) => authorize::<ReadKey>(caller, &scope, tenant.facts()).ok(),
        };
        // With the action itself, or with neither right, it is an operation like any other.
        let Some(reading) = reading else { return self.usable(asked, operation).await };
        let mut entry = self.entry(context, &reading);
        A::ACTION.as_str().clone_into(&mut entry.action);
        let place = Place::new(tenant.tenant().id, vault.id, Keys::FAMILY, name);
        let (name, key) = match self.load_usable(asked, &place, operation).await {
            Ok(found) => found,
            Err(error) => return self.record_refusal(entry, error).await,
        };
        if key.public.is_none() {
            return self.usable(asked, operation).await;
        }
        Ok(Usable { vault, assignment: reading.assignment(), proof: None, entry, place, name, key })
    }

    async fn load_usable(
        &self,
        asked: Asked<'_>,
        place: &Place,
        operation: KeyOperation,
    ) -> Result<(ObjectName, KeyVersion), Error> {
        let (name, key) = self.load_version::<KeyVersion>(place, asked.name, asked.version).await?;
        decide::usable(&key, operation, asked.context.now)?;
        Ok((name, key))
    }

    /// The holder of a key, and what it wants back of it.
    async fn private<A: Action>(&self, usable: &Usable<A>) -> Result<(&dyn Hsm, SecretBytes), Error> {
        let unproven = || Fault::Broken("a private key was asked for with the right to read".to_owned());
        let proof = usable.proof.as_ref().ok_or_else(unproven)?;
        let holder = self.holder(usable.key.in_token)?;
        Ok((holder, self.load_material(proof, &usable.place, usable.key.version).await?))
    }

    /// As [`Platform::private`], of a holder that signs with `algorithm`.
    async fn signer<A: Action>(
        &self,
        usable: &Usable<A>,
        algorithm: SignatureAlgorithm,
    ) -> Result<(&dyn Hsm, SecretBytes), Error> {
        let (holder, material) = self.private(usable).await?;
        let able = holder.signs(usable.key.spec, algorithm);
        if able { Ok((holder, material)) } else { Err(not_here(algorithm.as_str())) }
    }

    /// As [`Platform::private`], of a holder that decrypts with `algorithm`.
    async fn decrypter<A: Action>(
        &self,
        usable: &Usable<A>,
        algorithm: EncryptionAlgorithm,
    ) -> Result<(&dyn Hsm, SecretBytes), Error> {
        let (holder, material) = self.private(usable).await?;
        let able = holder.decrypts(usable.key.spec, algorithm);
        if able { Ok((holder, material)) } else { Err(not_here(algorithm.as_str())) }
    }

    async fn enciphered<A: Action>(
        &self,
        usable: &Usable<A>,
        operation: KeyOperation,
        algorithm: EncryptionAlgorithm,
        input: &Plaintext<'_>,
    ) -> Result<Encrypted, Error> {
        let spec = usable.key.spec;
        decide::encryption(spec, operation, algorithm)?;
        if let Some(public) = &usable.key.public {
            if input.iv.is_some() || input.aad.is_some() {
                let problem = format!("the algorithm `{}` takes neither iv nor aad", algorithm.as_str());
                return Err(Error::BadParameter(problem));
            }
            return public.encrypt(algorithm, input.value).map_err(misuse);
        }
        let (holder, material) = self.decrypter(usable, algorithm).await?;
        let key = KeyRef { spec, material: &material };
        Ok(holder.encrypt(&key, algorithm, input.value, input.iv, input.aad).await?)
    }

    async fn deciphered<A: Action>(
        &self,
        usable: &Usable<A>,
        operation: KeyOperation,
        algorithm: EncryptionAlgorithm,
        input: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, Error> {
        let spec = usable.key.spec;
        decide::encryption(spec, operation, algorithm)?;
        let (holder, material) = self.decrypter(usable, algorithm).await?;
        Ok(holder.decrypt(&KeyRef { spec, material: &material }, algorithm, input).await?)
    }

    /// Records what came of it; only then is there an answer.
    async fn used<A: Action, T>(
        &self,
        usable: Usable<A>,
        result: Result<T, Error>,
    ) -> Result<UsedKey<T>, Error> {
        let Usable { vault, assignment, entry, name, key, .. } = usable;
        match result {
            Ok(result) => {
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok(UsedKey { name, version: key.version, vault, assignment, result, _recorded: recorded })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }
}

/// What is to be encrypted or wrapped.
#[derive(Clone, Copy)]
pub struct Plaintext<'a> {
    /// The bytes.
    pub value: &'a [u8],
    /// The initialization vector, where the algorithm wants one from the caller.
    pub iv: Option<&'a [u8]>,
    /// Additional data to authenticate.
    pub aad: Option<&'a [u8]>,
}

impl<'a> Plaintext<'a> {
    /// Bytes for an algorithm that needs nothing else.
    pub fn of(value: &'a [u8]) -> Self {
        Self { value, iv: None, aad: None }
    }
}

fn misuse(error: vouchsafe_crypto::keys::Misuse) -> Error {
    Error::BadParameter(error.to_string())
}

fn not_here(algorithm: &str) -> Error {
    Error::BadParameter(format!("what holds the key does not support the algorithm `{algorithm}`"))
}
