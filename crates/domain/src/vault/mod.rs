//! The vault room: secrets, keys and their life.
//!
//! An object has a *head* (its name, its current version, what listing shows), a record of attributes for each version,
//! and where there is something to keep secret, a record of material for each version. A soft-deleted object's head
//! stands under another kind, so that live and deleted lists are plain scans and a name is free exactly when both
//! places are empty. The life of all of them is written once (`life/`); what is different is in the collection's folder.

pub mod certificate;
mod decide;
mod error;
mod key;
mod life;
mod load;
mod object;
mod secret;

pub use error::{Error, KeyUnusable, NotReleased};
pub use key::{
    AttestedKey, DeletedKey, KeyAttributes, KeyHalf, KeyHead, KeyOnAttestation, KeyOnRelease, KeyOperation,
    KeyReleaseRequest, KeyRotationPolicy, KeyToCreate, KeyToImport, KeyUpdate, KeyVersion, LifetimeAction,
    LifetimeTrigger, Plaintext, RandomBytes, ReadKey, ReleasePolicy, ReleasedKey, RotationAction,
    RotationPolicy, RotationPolicyToSet, Span, UsedKey, WrappedKey,
};
pub use life::{ObjectPage, SealedBackup};
pub use object::{Deleted, Head, ObjectKind, Version};
pub use secret::{
    Attributes, DeletedSecret, ReadSecret, SecretHead, SecretToSet, SecretUpdate, SecretVersion,
};
