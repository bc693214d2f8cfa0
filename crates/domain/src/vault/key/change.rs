//! Making versions of keys, and changing their attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey};

use super::holder::copy;
use super::{KeyAttributes, KeyHead, KeyOperation, KeyVersion, Keys, ReleasePolicy, decide};
use crate::access::action::{Action, CreateKey, ImportKey};
use crate::access::caller::Caller;
use crate::audit::{Entry, Intent, Outcome};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::hsm::{ByokBlob, Exportable, HeldKey, KeyRef, WrappedKind};
use crate::ports::store::{Commit, Expect, Revision};
use crate::record::Encode;
use crate::resource::Vault;
use crate::time::Timestamp;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, Found, expect, sealed, unreserved, until_done};
use crate::vault::object::{Collection, Head, ObjectKind, Place};

/// A key as a caller wants it made.
#[derive(Clone, Debug)]
pub struct KeyToCreate {
    /// What kind of key.
    pub spec: KeySpec,
    /// Whether a token is to hold it.
    pub in_token: bool,
    /// What it may be used for; what its kind usually is, if absent.
    pub operations: Option<Vec<KeyOperation>>,
    /// The rest.
    pub attributes: KeyAttributes,
    /// To whom it may be released.
    pub release_policy: Option<ReleasePolicy>,
}

/// A key that was made elsewhere.
pub struct KeyToImport {
    /// The key.
    pub key: PrivateKey,
    /// Whether a token is to hold it.
    pub in_token: bool,
    /// What it may be used for; what its kind usually is, if absent.
    pub operations: Option<Vec<KeyOperation>>,
    /// The rest.
    pub attributes: KeyAttributes,
    /// To whom it may be released.
    pub release_policy: Option<ReleasePolicy>,
}

/// A key that was made elsewhere and wrapped for a key of the token ("bring your own key"), as it is to be.
pub struct WrappedKey {
    /// The key that unwraps it.
    pub exchange: ObjectName,
    /// The version of that key, the current one if none is named.
    pub version: Option<ObjectVersion>,
    /// What kind of key it is.
    pub kind: WrappedKind,
    /// The wrapped key.
    pub blob: ByokBlob,
    /// What it may be used for; what its kind usually is, if absent.
    pub operations: Option<Vec<KeyOperation>>,
    /// The rest.
    pub attributes: KeyAttributes,
    /// To whom it may be released.
    pub release_policy: Option<ReleasePolicy>,
}

/// What an update mentions; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct KeyUpdate {
    /// Switches using it off or on.
    pub disabled: Option<bool>,
    /// A new `nbf`.
    pub not_before: Option<Timestamp>,
    /// A new `exp`.
    pub expires: Option<Timestamp>,
    /// What it may be used for from now on.
    pub operations: Option<Vec<KeyOperation>>,
    /// To whom it may be released from now on.
    pub release_policy: Option<ReleasePolicy>,
    /// All the labels, replacing those before.
    pub tags: Option<BTreeMap<String, String>>,
}

/// A version that is decided on and has no key yet.
pub(super) struct Wanted {
    pub version: ObjectVersion,
    pub spec: KeySpec,
    pub in_token: bool,
    pub operations: Vec<KeyOperation>,
    pub attributes: KeyAttributes,
    pub release_policy: Option<ReleasePolicy>,
}

/// Where the key of a new version comes from, and what a holder made of it already.
pub(super) struct Source {
    origin: Origin,
    /// Whether nobody outside ever had it.
    ours: bool,
    made: Option<HeldKey>,
}

/// Where a key comes from.
enum Origin {
    /// The holder makes it.
    Holder,
    /// It is in the clear.
    Plain(Box<PrivateKey>),
    /// Only a key of the token can unwrap it; `entry` says who used that key for it.
    Wrapped { exchange: KeySpec, material: SecretBytes, blob: ByokBlob, entry: Box<Entry> },
}

impl Source {
    /// The holder is to make it.
    pub(super) fn new() -> Self {
        Self { origin: Origin::Holder, ours: true, made: None }
    }

    /// It comes from somebody.
    fn brought(origin: Origin) -> Self {
        Self { origin, ours: false, made: None }
    }

    /// What was made and did not get into the store.
    pub(super) fn take_made(&mut self) -> Option<HeldKey> {
        self.made.take()
    }
}

impl Platform {
    /// Makes a key, or a new version of one.
    pub async fn create_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &KeyToCreate,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        self.add_key::<CreateKey>(context, caller, vault, name, "create", wanted, Source::new()).await
    }

    /// Whether the caller may take a key over; a denial is recorded as that of the import.
    ///
    /// For doors that look at the key before they hand it over, which costs more than anybody may ask for.
    pub async fn may_import_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(), Error> {
        self.admit::<ImportKey>(context, caller, vault, ObjectKind::Key, Some(name)).await.map(drop)
    }

    /// Takes over a key, as a new key or a new version of one.
    pub async fn import_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: KeyToImport,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        let KeyToImport { key, in_token, operations, attributes, release_policy } = wanted;
        let wanted = KeyToCreate { spec: key.spec(), in_token, operations, attributes, release_policy };
        let source = Source::brought(Origin::Plain(Box::new(key)));
        self.add_key::<ImportKey>(context, caller, vault, name, "import", &wanted, source).await
    }

    /// Takes a key over into the token that was wrapped for one of its keys and is never in the clear outside.
    ///
    /// The key that unwraps it stands in the same vault and token, and may do nothing else. Its private half works for
    /// the caller here, so that the right to import is asked for on it, too: whoever may import under one name only does
    /// not get to use what others wrapped. Each use of it has an entry of its own in the audit log.
    pub async fn import_wrapped_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wrapped: WrappedKey,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        self.may_import_key(context, caller, vault, name).await?;
        let WrappedKey { exchange, version, kind, blob, operations, attributes, release_policy } = wrapped;
        let object = Some(&exchange);
        let admitted = self.admit::<ImportKey>(context, caller, vault, ObjectKind::Key, object).await?;
        let place = admitted.place(Keys::FAMILY, &exchange);
        let found = async {
            decide::protection(&admitted.vault, true)?;
            let (_, exchange) = self.load_version::<KeyVersion>(&place, &exchange, version).await?;
            decide::usable(&exchange, KeyOperation::Import, context.now)?;
            if !exchange.in_token {
                let problem = "the key that unwraps an imported one must be in the token";
                return Err(Error::BadParameter(problem.to_owned()));
            }
            let spec = blob.spec(exchange.spec, kind)?;
            let material = self.load_material(&admitted.proof, &place, exchange.version).await?;
            Ok((spec, exchange.spec, material))
        };
        let (spec, exchange, material) = match found.await {
            Ok(found) => found,
            Err(error) => return self.record_refusal(self.entry(context, &admitted.proof), error).await,
        };
        let entry = Box::new(self.entry(context, &admitted.proof));
        let source = Source::brought(Origin::Wrapped { exchange, material, blob, entry });
        let wanted = KeyToCreate { spec, in_token: true, operations, attributes, release_policy };
        self.add_key::<ImportKey>(context, caller, vault, name, "import", &wanted, source).await
    }

    /// Changes the attributes of a version, the current one if none is named.
    pub async fn update_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        update: &KeyUpdate,
    ) -> Result<(ObjectName, KeyVersion, Arc<Vault>), Error> {
        let change = |before: &KeyVersion, _: &Vault| decide::update(before, update, context.now);
        self.update_object::<Keys>(context, caller, vault, name, version, change).await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the caller, the place and the wanted state are all needed"
    )]
    async fn add_key<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        operation: &'static str,
        wanted: &KeyToCreate,
        mut source: Source,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        let done = self.add_key_from::<A>(context, caller, vault, name, operation, wanted, &mut source).await;
        self.discard(wanted.spec, wanted.in_token, source.made).await;
        done
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the caller, the place and the wanted state are all needed"
    )]
    async fn add_key_from<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        operation: &'static str,
        wanted: &KeyToCreate,
        source: &mut Source,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<A>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Keys::FAMILY, name);
            let live = self.load_head(&place).await?;
            let deleted = self.load_deleted(&place).await?;
            let decided = decide::new_version(
                operation,
                name,
                live.as_ref().map(|found| &found.noun),
                deleted.as_ref().map(|found| &found.noun),
            )
            .and_then(|name| Ok((name, self.wanted_version(&admitted.vault, wanted, source.ours)?)));
            let decided = match decided {
                Ok(_) if live.is_none() => {
                    self.name_is_not_reserved(&place, name, operation).await.and(decided)
                }
                decided => decided,
            };
            let (name, wanted) = match decided {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).guard(place.deleted(), Expect::Absent);
            let commit = if live.is_none() { unreserved(commit, &place) } else { commit };
            let added = Addition { place: &place, name, live: live.as_ref(), wanted };
            (
                match self.add_version(context, intent, commit, added, source).await? {
                    Attempt::Done(head) => Attempt::Done((head, admitted.vault)),
                    Attempt::Again => Attempt::Again,
                },
                admitted.tenant,
            )
        })
    }

    fn wanted_version(&self, vault: &Vault, wanted: &KeyToCreate, ours: bool) -> Result<Wanted, Error> {
        decide::protection(vault, wanted.in_token)?;
        decide::attributes(&wanted.attributes, wanted.release_policy.as_ref())?;
        decide::release_policy(wanted.release_policy.as_ref())?;
        let holder = self.holder_for(wanted.in_token, wanted.spec)?;
        decide::leaves(holder.releases(wanted.spec), &wanted.attributes)?;
        let operations = decide::operations(wanted.spec, wanted.operations.as_deref());
        let stays = wanted.in_token && ours && !wanted.attributes.exportable;
        decide::exchange(wanted.spec, stays, &operations)?;
        Ok(Wanted {
            version: ObjectVersion(self.entropy.uuid()),
            spec: wanted.spec,
            in_token: wanted.in_token,
            operations,
            attributes: wanted.attributes.clone(),
            release_policy: wanted.release_policy.clone(),
        })
    }

    /// Has the key of a version made, and commits the version as the current one.
    ///
    /// The key comes between intent and commit: nothing is made that is not in the log, and a version without a key is
    /// never in the store. A key that was made for an attempt that lost is kept in `source` for the next one. When the
    /// store does not say whether it committed, the key is let go without being destroyed, because it may be needed.
    pub(super) async fn add_version(
        &self,
        context: &Context,
        intent: Intent,
        commit: Commit,
        added: Addition<'_>,
        source: &mut Source,
    ) -> Result<Attempt<KeyHead>, Error> {
        let Addition { place, name, live, wanted } = added;
        let held = match self.made(&wanted, source).await {
            Ok(held) => held,
            Err(error) => {
                self.trail.conclude(intent, Outcome::Failed, context.now)?;
                return Err(error);
            }
        };
        let current = KeyVersion {
            version: wanted.version,
            spec: wanted.spec,
            in_token: wanted.in_token,
            operations: wanted.operations,
            public: held.public.clone(),
            attributes: wanted.attributes,
            release_policy: wanted.release_policy,
            managed: false,
            created: context.now,
            updated: context.now,
        };
        let record = current.encode();
        let head = Head { name, current };
        let commit = commit.put(place.head(), expect(live), sealed(&head));
        let commit = place.put_version(commit, wanted.version, record, Some(copy(&held.material)));
        let attempt = self.attempt(intent, commit, head, context).await?;
        if let Attempt::Again = attempt {
            source.made = Some(held);
        }
        Ok(attempt)
    }

    async fn made(&self, wanted: &Wanted, source: &mut Source) -> Result<HeldKey, Error> {
        if let Some(made) = source.made.take() {
            return Ok(made);
        }
        let holder = self.holder_for(wanted.in_token, wanted.spec)?;
        let exportable = if wanted.attributes.exportable { Exportable::OnRelease } else { Exportable::Never };
        Ok(match std::mem::replace(&mut source.origin, Origin::Holder) {
            Origin::Holder => holder.generate(wanted.spec, exportable).await?,
            Origin::Plain(key) => holder.import(*key, exportable).await?,
            Origin::Wrapped { exchange, material, blob, entry } => {
                let exchange = KeyRef { spec: exchange, material: &material };
                match holder.import_wrapped(&exchange, &blob, wanted.spec, exportable).await {
                    Ok(held) => {
                        // INVARIANT: that the exchange key was used is in the log before anything comes of it.
                        source.made = Some(held);
                        self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                        let made = source.made.take();
                        made.ok_or_else(|| Fault::Broken("a key that was just unwrapped is gone".to_owned()))?
                    }
                    Err(error) => return self.record_refusal(*entry, error.into()).await,
                }
            }
        })
    }
}

/// A version that is to become the current one of a key.
pub(super) struct Addition<'a> {
    pub place: &'a Place,
    pub name: ObjectName,
    pub live: Option<&'a Found<KeyHead>>,
    pub wanted: Wanted,
}

/// What a commit expects of a record that it does not change.
pub(super) fn unchanged(revision: Option<Revision>) -> Expect {
    revision.map_or(Expect::Absent, Expect::At)
}
