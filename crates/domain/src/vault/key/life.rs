//! The life of keys, as callers ask for it.

use std::sync::Arc;

use super::{DeletedKey, KeyHead, KeyVersion, Keys};
use crate::access::caller::Caller;
use crate::ids::{ObjectName, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::Cursor;
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::life::{ObjectPage, SealedBackup};

impl Platform {
    /// Lists live keys.
    pub async fn list_keys(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<KeyHead>, Error> {
        self.list_objects::<Keys>(context, caller, vault, after, items).await
    }

    /// Lists soft-deleted keys.
    pub async fn list_deleted_keys(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<DeletedKey>, Error> {
        self.list_deleted_objects::<Keys>(context, caller, vault, after, items).await
    }

    /// Lists the versions of a live key.
    pub async fn list_key_versions(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<(ObjectName, ObjectPage<KeyVersion>), Error> {
        self.list_object_versions::<Keys>(context, caller, vault, name, after, items).await
    }

    /// Shows a soft-deleted key.
    pub async fn get_deleted_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedKey, Arc<Vault>), Error> {
        self.get_deleted_object::<Keys>(context, caller, vault, name).await
    }

    /// Soft-deletes a key with all its versions.
    pub async fn delete_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedKey, Arc<Vault>), Error> {
        self.delete_object::<Keys>(context, caller, vault, name).await
    }

    /// Makes a soft-deleted key live again.
    pub async fn recover_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        self.recover_object::<Keys>(context, caller, vault, name).await
    }

    /// Destroys a soft-deleted key before its time. The erasure is logical: old pages of the disk are not overwritten.
    pub async fn purge_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(), Error> {
        self.purge_object::<Keys>(context, caller, vault, name).await
    }

    /// Destroys soft-deleted keys whose time has come, a bounded number at a time. One `tick` of a job.
    pub async fn purge_due_keys(&self, context: &Context) -> Result<usize, Error> {
        self.purge_due_objects::<Keys>(context).await
    }

    /// Seals a key with all its versions.
    pub async fn backup_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<SealedBackup, Error> {
        self.backup_object::<Keys>(context, caller, vault, name).await
    }

    /// Puts a backed-up key into a vault where its name is free.
    pub async fn restore_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        blob: &[u8],
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        self.restore_object::<Keys>(context, caller, vault, blob).await
    }
}
