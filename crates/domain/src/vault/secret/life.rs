//! The life of secrets, as callers ask for it.

use std::sync::Arc;

use super::{DeletedSecret, SecretHead, SecretVersion, Secrets};
use crate::access::caller::Caller;
use crate::ids::{ObjectName, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::Cursor;
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::life::{ObjectPage, SealedBackup};

impl Platform {
    /// Lists live secrets.
    pub async fn list_secrets(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<SecretHead>, Error> {
        self.list_objects::<Secrets>(context, caller, vault, after, items).await
    }

    /// Lists soft-deleted secrets.
    pub async fn list_deleted_secrets(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<DeletedSecret>, Error> {
        self.list_deleted_objects::<Secrets>(context, caller, vault, after, items).await
    }

    /// Lists the versions of a live secret.
    pub async fn list_secret_versions(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<(ObjectName, ObjectPage<SecretVersion>), Error> {
        self.list_object_versions::<Secrets>(context, caller, vault, name, after, items).await
    }

    /// Shows a soft-deleted secret.
    pub async fn get_deleted_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedSecret, Arc<Vault>), Error> {
        self.get_deleted_object::<Secrets>(context, caller, vault, name).await
    }

    /// Soft-deletes a secret with all its versions.
    pub async fn delete_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedSecret, Arc<Vault>), Error> {
        self.delete_object::<Secrets>(context, caller, vault, name).await
    }

    /// Makes a soft-deleted secret live again.
    pub async fn recover_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(SecretHead, Arc<Vault>), Error> {
        self.recover_object::<Secrets>(context, caller, vault, name).await
    }

    /// Destroys a soft-deleted secret before its time. The erasure is logical: old pages of the disk are not overwritten.
    pub async fn purge_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(), Error> {
        self.purge_object::<Secrets>(context, caller, vault, name).await
    }

    /// Destroys soft-deleted secrets whose time has come, a bounded number at a time. One `tick` of a job.
    pub async fn purge_due_secrets(&self, context: &Context) -> Result<usize, Error> {
        self.purge_due_objects::<Secrets>(context).await
    }

    /// Seals a secret with all its versions.
    pub async fn backup_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<SealedBackup, Error> {
        self.backup_object::<Secrets>(context, caller, vault, name).await
    }

    /// Puts a backed-up secret into a vault where its name is free.
    pub async fn restore_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        blob: &[u8],
    ) -> Result<(SecretHead, Arc<Vault>), Error> {
        self.restore_object::<Secrets>(context, caller, vault, blob).await
    }
}
