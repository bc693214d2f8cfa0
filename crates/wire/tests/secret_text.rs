//! What a secret text cannot do, held by the compiler: this file does not build when one of these is implemented.

use std::fmt::{Debug, Display};

use serde::Serialize;
use vouchsafe_wire::keyvault::{BackupSecretResult, SecretBundle, SetSecretRequest};
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
}

#[test]
fn no_shape_that_holds_a_secret_can_be_printed_or_copied() {
    lacks!(SecretBundle: Debug, Display, Clone);
    lacks!(SetSecretRequest: Debug, Display, Clone, Serialize);
    lacks!(BackupSecretResult: Debug, Display, Clone);
    lacks!(TokenRequest: Debug, Display, Clone, Serialize);
    lacks!(TokenResponse: Debug, Display, Clone);
}
