//! What a secret text cannot do, held by the compiler: this file does not build when one of these is implemented.

use std::fmt::{Debug, Display};

use serde::Serialize;
use vouchsafe_wire::keyvault::certificate::{
    ImportCertificateRequest, IssuerCredentialsRequest, IssuerRequest,
};
use vouchsafe_wire::keyvault::key::{
    ImportKeyRequest, JsonWebKeyRequest, KeyOperationResult, OperationRequest, RandomBytes, ReleaseRequest,
};
use vouchsafe_wire::keyvault::{BackupResult, SecretBundle, SecretOctets, SetSecretRequest};
use vouchsafe_wire::oauth::{TokenRequest, TokenResponse};
use vouchsafe_wire::secret_text::SecretText;

/// Two blanket implementations compete for a type that has the trait, and inference then fails.
macro_rules! lacks {
    ($type:ty: $($forbidden:path),+) => {$({
        trait Lacks<Which> {
            fn proven() {}
        }
        struct Competing;
        impl<T: ?Sized> Lacks<()> for T {}
        impl<T: ?Sized + $forbidden> Lacks<Competing> for T {}
        <$type as Lacks<_>>::proven();
    })+};
}

#[test]
fn a_secret_text_cannot_be_printed_copied_compared_or_serialized_by_itself() {
    lacks!(SecretText: Debug, Display, Clone, PartialEq, Serialize);
    lacks!(SecretOctets: Debug, Display, Clone, PartialEq, Serialize);
}

#[test]
fn no_shape_that_holds_a_secret_can_be_printed_or_copied() {
    lacks!(SecretBundle: Debug, Display, Clone);
    lacks!(SetSecretRequest: Debug, Display, Clone, Serialize);
    lacks!(ImportKeyRequest: Debug, Display, Clone, Serialize);
    lacks!(JsonWebKeyRequest: Debug, Display, Clone, Serialize);
    lacks!(OperationRequest: Debug, Display, Clone, Serialize);
    lacks!(KeyOperationResult: Debug, Display, Clone);
    lacks!(RandomBytes: Debug, Display, Clone);
    lacks!(ReleaseRequest: Debug, Display, Clone, Serialize);
    lacks!(ImportCertificateRequest: Debug, Display, Clone, Serialize);
    lacks!(IssuerRequest: Debug, Display, Clone, Serialize);
    lacks!(IssuerCredentialsRequest: Debug, Display, Clone, Serialize);
    lacks!(BackupResult: Debug, Display, Clone);
    lacks!(TokenRequest: Debug, Display, Clone, Serialize);
    lacks!(TokenResponse: Debug, Display, Clone);
}
