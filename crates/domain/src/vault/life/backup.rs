//! Backup and restore of one object with all its versions, and of what belongs to it.
//!
//! A backup is sealed with a key of the deployment and bound to the subscription, as Key Vault binds it: it can be
//! restored into any vault of the same subscription and opens nowhere else.

use std::sync::Arc;

use vouchsafe_crypto::envelope::{self, AssociatedData};
use vouchsafe_crypto::{Reason, SecretBytes};

use crate::access::action::Action;
use crate::access::authorize::Authorized;
use crate::access::caller::Caller;
use crate::audit::{Outcome, Recorded};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, Expect};
use crate::record::{self, Decode, Undecodable};
use crate::resource::Vault;
use crate::vault::certificate::Certificates;
use crate::vault::decide;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, sealed, unreserved, until_done};
use crate::vault::object::{Collection, Family, Head, ObjectKind, Place};
use crate::vault::secret::SecretVersion;
use crate::world::TenantSnapshot;

/// A sealed backup and the proof that taking it is recorded.
pub struct SealedBackup {
    /// The blob.
    pub blob: Vec<u8>,
    _recorded: Recorded,
}

/// One object as it goes into a blob and comes out of it: records, not nouns, so that companions need no types.
struct Carried {
    family: Family,
    name: ObjectName,
    current: ObjectVersion,
    versions: Vec<CarriedVersion>,
    extras: Vec<record::BackupExtra>,
}

struct CarriedVersion {
    id: ObjectVersion,
    record: Vec<u8>,
    material: Option<SecretBytes>,
}

fn binding(kind: ObjectKind, tenant: &TenantSnapshot, vault: &Vault) -> AssociatedData {
    AssociatedData::new(match kind {
        ObjectKind::Secret => "secret backup v1",
        ObjectKind::Key => "key backup v1",
        ObjectKind::Certificate => "certificate backup v1",
    })
    .field(tenant.tenant().id.0.as_bytes())
    .field(vault.subscription.0.as_bytes())
}

impl Platform {
    /// Seals an object with all its versions.
    pub(in crate::vault) async fn backup_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<SealedBackup, Error> {
        let kind = C::FAMILY.object;
        let admitted = self.admit::<C::Backup>(context, caller, vault, kind, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(C::FAMILY, name);
        let collected = async {
            let (_, current) = self.load_version::<C::Version>(&place, name, None).await?;
            decide::unmanaged(kind, "backup", &current)?;
            let mut collected = Vec::with_capacity(1 + C::COMPANIONS.len());
            collected.push(self.collect(&admitted.proof, &place, name).await?);
            for family in C::COMPANIONS {
                collected.push(self.collect(&admitted.proof, &place.companion(*family), name).await?);
            }
            Ok(collected)
        };
        match collected.await {
            Ok(collected) => {
                let plaintext = encode(collected);
                let binding = binding(kind, &admitted.tenant, &admitted.vault);
                let blob = envelope::seal(&self.backup_key, &binding, plaintext.expose(Reason::Cipher));
                // What nobody could restore is no backup.
                if blob.len() > limits::BACKUP_BYTES_MAX {
                    let problem = format!(
                        "{kind} {name} with all its versions is too long to be backed up: the backup would have {} bytes, and \
                         one that can be restored has {} at most",
                        blob.len(),
                        limits::BACKUP_BYTES_MAX
                    );
                    return self.record_refusal(entry, Error::BadParameter(problem)).await;
                }
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok(SealedBackup { blob, _recorded: recorded })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    async fn collect<A: Action>(
        &self,
        proof: &Authorized<A>,
        place: &Place,
        name: &ObjectName,
    ) -> Result<Carried, Error> {
        let kind = place.family.object;
        let head = self.load::<record::Object>(&place.head()).await?;
        let head = head.ok_or_else(|| Error::NotFound(kind, name.to_string()))?.noun;
        let current = head.current.as_deref().map(version_id).transpose()?;
        let current = current.ok_or_else(|| Fault::Broken(format!("a {kind} has no current version")))?;
        let limit = limits::BACKUP_VERSIONS_MAX;
        let page = self.store.scan(&place.versions(), None, limit).await.map_err(Fault::from)?;
        if page.next.is_some() {
            return Err(Error::BadParameter(format!(
                "{kind} {name} has more than {limit} versions and cannot be backed up"
            )));
        }
        let mut versions = Vec::with_capacity(page.records.len());
        for found in &page.records {
            let record = found.value.expose(Reason::Record).to_vec();
            let id = version_id(&record)?;
            let material = if keeps_material(&place.family, &record)? {
                Some(self.load_material(proof, place, id).await?)
            } else {
                None
            };
            let material = match (kind, material) {
                (ObjectKind::Key, Some(material)) => Some(self.export_material(&record, material).await?),
                (_, material) => material,
            };
            versions.push(CarriedVersion { id, record, material });
        }
        let mut extras = Vec::new();
        for extra in place.family.extras {
            if let Some(found) = self.store.get(&place.extra(*extra)).await.map_err(Fault::from)? {
                let record = found.value.expose(Reason::Record).to_vec();
                extras.push(record::BackupExtra { kind: u32::from(*extra as u8), record });
            }
        }
        Ok(Carried { family: place.family, name: ObjectName::parse(&head.name)?, current, versions, extras })
    }

    /// Puts a backed-up object into a vault where its name is free.
    pub(in crate::vault) async fn restore_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        blob: &[u8],
    ) -> Result<(Head<C::Version>, Arc<Vault>), Error> {
        let kind = C::FAMILY.object;
        until_done!(self, tenant, {
            let admitted = self.admit::<C::Restore>(context, caller, vault, kind, None).await?;
            let entry = self.entry(context, &admitted.proof);
            let binding = binding(kind, &admitted.tenant, &admitted.vault);
            let opened = envelope::open(&self.backup_key, &binding, blob);
            let carried = opened.ok().and_then(|plaintext| decode::<C>(&plaintext).ok());
            let Some((head, mut carried)) = carried else {
                let problem = "the backup is damaged, or was not taken from a vault of this subscription";
                return self.record_refusal(entry, Error::BadParameter(problem.to_owned())).await;
            };
            // A key that comes back is there still when its records are.
            let _in_a_row = if self.comes_from_a_token(&carried)? {
                Some(self.token_references.lock().await)
            } else {
                None
            };
            let place = admitted.place(C::FAMILY, &head.name);
            if kind != ObjectKind::Certificate
                && let Err(error) = self.room_for(&place.companion(Certificates::FAMILY), &head.name).await
            {
                return self.record_refusal(entry, error).await;
            }
            for object in &mut carried {
                let place = place.companion(object.family);
                let ready = match self.room_for(&place, &head.name).await {
                    Ok(()) => self.revive(&admitted.vault, object).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = ready {
                    return self.record_refusal(entry, error).await;
                }
            }
            let intent = self.trail.announce(entry).await?;
            let mut commit = admitted.guard(intent.commit());
            if kind != ObjectKind::Certificate {
                commit = unreserved(commit, &place);
            }
            for object in carried {
                commit = restored(commit, &place.companion(object.family), object);
            }
            (self.attempt(intent, commit, (head, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Whether what is restored has keys in the token.
    fn comes_from_a_token(&self, carried: &[Carried]) -> Result<bool, Error> {
        let keys = carried.iter().filter(|object| object.family.object == ObjectKind::Key);
        for version in keys.flat_map(|object| &object.versions) {
            if self.token_key(&version.record)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has the holders of keys take back what they gave for the backup.
    async fn revive(&self, vault: &Vault, object: &mut Carried) -> Result<(), Error> {
        if object.family.object != ObjectKind::Key {
            return Ok(());
        }
        for version in &mut object.versions {
            if let Some(blob) = version.material.take() {
                version.material = Some(self.import_material(&version.record, vault, &blob).await?);
            }
        }
        Ok(())
    }

    /// Whether something may be restored to a name.
    async fn room_for(&self, place: &Place, name: &ObjectName) -> Result<(), Error> {
        let kind = place.family.object;
        if self.load::<record::Object>(&place.head()).await?.is_some() {
            return Err(Error::AlreadyExists(kind, name.to_string()));
        }
        match self.load::<record::Object>(&place.deleted()).await? {
            Some(found) if found.noun.purging => Err(Error::BeingDeleted(kind, name.to_string())),
            Some(_) => Err(Error::DeletedButRecoverable(kind, name.to_string())),
            None => Ok(()),
        }
    }
}

/// Adds the records of one object to the commit that restores it.
fn restored(commit: Commit, place: &Place, object: Carried) -> Commit {
    let current = object.versions.iter().find(|version| version.id == object.current);
    let head = record::Object {
        name: object.name.to_string(),
        current: current.map(|version| version.record.clone()),
        ..record::Object::default()
    };
    let mut commit =
        commit.guard(place.deleted(), Expect::Absent).put(place.head(), Expect::Absent, sealed(&head));
    for version in object.versions {
        commit = place.put_version(commit, version.id, version.record, version.material);
    }
    for extra in object.extras {
        let kind = place.family.extras.iter().find(|kind| u32::from(**kind as u8) == extra.kind);
        // A policy of a kind that this collection does not have any more is left behind.
        if let Some(kind) = kind {
            commit = commit.put(place.extra(*kind), Expect::Absent, SecretBytes::new(extra.record));
        }
    }
    commit
}

/// Whether something is kept secret of a version: the value of a certificate's secret is put together when it is read.
fn keeps_material(family: &Family, record: &[u8]) -> Result<bool, Undecodable> {
    let stored = family.material.is_some();
    Ok(stored && (family.object != ObjectKind::Secret || !SecretVersion::decode(record)?.managed))
}

/// Every version record begins with its id.
fn version_id(record: &[u8]) -> Result<ObjectVersion, Undecodable> {
    let stored: record::VersionId = record::decode(record)?;
    Ok(ObjectVersion(record::uuid(&stored.version)?))
}

fn encode(objects: Vec<Carried>) -> SecretBytes {
    let mut stored = objects.into_iter().map(|object| record::ObjectBackup {
        name: object.name.to_string(),
        current: object.current.0.as_bytes().to_vec(),
        versions: object
            .versions
            .into_iter()
            .map(|version| record::BackupVersion {
                attributes: Some(version.record),
                value: version
                    .material
                    .map(|bytes| bytes.expose(Reason::Record).to_vec())
                    .unwrap_or_default(),
            })
            .collect(),
        companions: Vec::new(),
        extras: object.extras,
    });
    let mut whole = stored.next().unwrap_or_default();
    whole.companions = stored.collect();
    let encoded = SecretBytes::new(record::encode(&whole));
    for object in
        std::iter::once(&mut whole.versions).chain(whole.companions.iter_mut().map(|c| &mut c.versions))
    {
        for version in object {
            // The encoder needed plain bytes: wipe them through the type that does so.
            drop(SecretBytes::new(std::mem::take(&mut version.value)));
        }
    }
    encoded
}

fn decode<C: Collection>(plaintext: &SecretBytes) -> Result<(Head<C::Version>, Vec<Carried>), Undecodable> {
    let mut stored: record::ObjectBackup = record::decode(plaintext.expose(Reason::Record))?;
    let companions = std::mem::take(&mut stored.companions);
    let main = carried(C::FAMILY, stored)?;
    let current = main.versions.iter().find(|version| version.id == main.current);
    let current = current.ok_or_else(|| Undecodable("the current version is missing".to_owned()))?;
    let head = Head { name: main.name.clone(), current: C::Version::decode(&current.record)? };
    let mut objects = vec![main];
    for (family, companion) in C::COMPANIONS.iter().zip(companions) {
        objects.push(carried(*family, companion)?);
    }
    Ok((head, objects))
}

fn carried(family: Family, stored: record::ObjectBackup) -> Result<Carried, Undecodable> {
    let mut versions = Vec::with_capacity(stored.versions.len());
    for version in stored.versions {
        let material = SecretBytes::new(version.value);
        let record = version.attributes.ok_or_else(|| Undecodable("a version is incomplete".to_owned()))?;
        let keeps = keeps_material(&family, &record)?;
        versions.push(CarriedVersion {
            id: version_id(&record)?,
            record,
            material: keeps.then_some(material),
        });
    }
    Ok(Carried {
        family,
        name: ObjectName::parse(&stored.name)?,
        current: ObjectVersion(record::uuid(&stored.current)?),
        versions,
        extras: stored.extras,
    })
}
