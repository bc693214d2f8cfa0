//! A TPM 2.0: the provider's key is a sealed object under the storage primary, optionally bound to PCRs.
//!
//! The primary is derived from the owner hierarchy each time, so nothing is kept in the TPM. Commands that carry the key
//! run in TPM sessions that are salted with the primary and encrypt their parameters, so that a probe on the bus sees
//! nothing. SECURITY: PCRs alone say which boot chain ran, not that it is honest: this protects a disk that was stolen
//! without its machine.

/// Which TPM, and to which PCRs a new key is to be bound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TpmSource {
    /// How to reach it, in the words of the TSS: `device:/dev/tpmrm0`, `swtpm:path=…`.
    pub tcti: String,
    /// PCRs of the SHA-256 bank; none binds to the TPM alone.
    pub pcrs: Vec<u8>,
}

/// Where Linux offers the TPM with a resource manager.
pub const DEFAULT_TCTI: &str = "device:/dev/tpmrm0";

/// The two halves of a sealed object.
pub(super) struct Sealed {
    pub public: Vec<u8>,
    pub private: Vec<u8>,
}

#[cfg(not(feature = "tpm"))]
mod without {
    use vouchsafe_crypto::SecretBytes;

    use super::{Sealed, TpmSource};

    const ABSENT: &str = "this program was built without TPM support; build it with `--features tpm`, which needs \
                          libtss2 (Debian: libtss2-dev)";

    pub fn seal(_: &TpmSource, _: &SecretBytes) -> Result<Sealed, String> {
        Err(ABSENT.to_owned())
    }

    pub fn unseal(_: &TpmSource, _: &Sealed, _: &[u8]) -> Result<SecretBytes, String> {
        Err(ABSENT.to_owned())
    }
}

#[cfg(not(feature = "tpm"))]
pub(super) use without::{seal, unseal};

#[cfg(feature = "tpm")]
mod with {
    use std::str::FromStr;

    use tss_esapi::attributes::{ObjectAttributesBuilder, SessionAttributesBuilder};
    use tss_esapi::constants::SessionType;
    use tss_esapi::handles::{KeyHandle, SessionHandle};
    use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
    use tss_esapi::interface_types::ecc::EccCurve;
    use tss_esapi::interface_types::resource_handles::Hierarchy;
    use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
    use tss_esapi::structures::{
        Digest, EccPoint, EccScheme, KeyDerivationFunctionScheme, KeyedHashScheme, PcrSelectionList,
        PcrSelectionListBuilder, PcrSlot, Private, Public, PublicBuilder, PublicEccParametersBuilder,
        PublicKeyedHashParameters, SensitiveData, SymmetricDefinition, SymmetricDefinitionObject,
    };
    use tss_esapi::traits::{Marshall, UnMarshall};
    use tss_esapi::{Context, TctiNameConf};
    use vouchsafe_crypto::{Reason, SecretBytes};

    use super::{Sealed, TpmSource};

    pub fn seal(source: &TpmSource, key: &SecretBytes) -> Result<Sealed, String> {
        let mut context = open(source)?;
        seal_in(&mut context, &source.pcrs, key).map_err(|error| format!("the TPM does not seal: {error}"))
    }

    pub fn unseal(source: &TpmSource, sealed: &Sealed, pcrs: &[u8]) -> Result<SecretBytes, String> {
        let mut context = open(source)?;
        unseal_in(&mut context, sealed, pcrs).map_err(|error| {
            let bound = match pcrs {
                [] => String::new(),
                pcrs => format!("PCRs {pcrs:?} are not as they were, or "),
            };
            format!(
                "the TPM does not unseal: {bound}another TPM sealed it, or it was cleared since ({error})"
            )
        })
    }

    fn open(source: &TpmSource) -> Result<Context, String> {
        let unreachable = |error| format!("the TPM at `{}` cannot be reached: {error}", source.tcti);
        // The library knows no sockets in the file system, and would quietly take its default address instead.
        if source.tcti.contains("path=") {
            return Err(format!("the TPM at `{}` cannot be reached: name its host and port", source.tcti));
        }
        let name = TctiNameConf::from_str(&source.tcti).map_err(unreachable)?;
        Context::new(name).map_err(unreachable)
    }

    fn seal_in(context: &mut Context, pcrs: &[u8], key: &SecretBytes) -> tss_esapi::Result<Sealed> {
        let primary = primary(context)?;
        let policy = if pcrs.is_empty() { None } else { Some(policy_digest(context, primary, pcrs)?) };
        let attributes = ObjectAttributesBuilder::new()
            .with_fixed_tpm(true)
            .with_fixed_parent(true)
            .with_no_da(true)
            .with_user_with_auth(policy.is_none())
            .build()?;
        let public = PublicBuilder::new()
            .with_public_algorithm(PublicAlgorithm::KeyedHash)
            .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
            .with_object_attributes(attributes)
            .with_auth_policy(policy.unwrap_or_default())
            .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
            .with_keyed_hash_unique_identifier(Digest::default())
            .build()?;
        let session = session(context, primary, SessionType::Hmac)?;
        let data = SensitiveData::try_from(key.expose(Reason::Cipher).to_vec())?;
        let made = context.execute_with_session(Some(session), |context| {
            context.create(primary, public, None, Some(data), None, None)
        })?;
        Ok(Sealed { public: made.out_public.marshall()?, private: made.out_private.value().to_vec() })
    }

    fn unseal_in(context: &mut Context, sealed: &Sealed, pcrs: &[u8]) -> tss_esapi::Result<SecretBytes> {
        let primary = primary(context)?;
        let (public, private) =
            (Public::unmarshall(&sealed.public)?, Private::try_from(sealed.private.clone())?);
        let loading = session(context, primary, SessionType::Hmac)?;
        let object =
            context.execute_with_session(Some(loading), |context| context.load(primary, private, public))?;
        let session = if pcrs.is_empty() {
            session(context, primary, SessionType::Hmac)?
        } else {
            let session = session(context, primary, SessionType::Policy)?;
            context.policy_pcr(PolicySession::try_from(session)?, Digest::default(), selection(pcrs)?)?;
            session
        };
        let data = context.execute_with_session(Some(session), |context| context.unseal(object.into()))?;
        Ok(SecretBytes::new(data.value().to_vec()))
    }

    /// The storage primary: ECC P-256, the same each time because the TPM derives it from its own seed.
    fn primary(context: &mut Context) -> tss_esapi::Result<KeyHandle> {
        let attributes = ObjectAttributesBuilder::new()
            .with_fixed_tpm(true)
            .with_fixed_parent(true)
            .with_sensitive_data_origin(true)
            .with_user_with_auth(true)
            .with_no_da(true)
            .with_restricted(true)
            .with_decrypt(true)
            .build()?;
        let parameters = PublicEccParametersBuilder::new()
            .with_symmetric(SymmetricDefinitionObject::AES_128_CFB)
            .with_ecc_scheme(EccScheme::Null)
            .with_curve(EccCurve::NistP256)
            .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
            .with_is_signing_key(false)
            .with_is_decryption_key(true)
            .with_restricted(true)
            .build()?;
        let public = PublicBuilder::new()
            .with_public_algorithm(PublicAlgorithm::Ecc)
            .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
            .with_object_attributes(attributes)
            .with_ecc_parameters(parameters)
            .with_ecc_unique_identifier(EccPoint::default())
            .build()?;
        context.execute_with_nullauth_session(|context| {
            Ok(context.create_primary(Hierarchy::Owner, public, None, None, None, None)?.key_handle)
        })
    }

    /// A TPM session that is salted with the primary and encrypts what it carries.
    fn session(
        context: &mut Context,
        primary: KeyHandle,
        kind: SessionType,
    ) -> tss_esapi::Result<AuthSession> {
        let session = context.start_auth_session(
            Some(primary),
            None,
            None,
            kind,
            SymmetricDefinition::AES_128_CFB,
            HashingAlgorithm::Sha256,
        )?;
        let session =
            session.ok_or(tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::WrongValueFromTpm))?;
        let (attributes, mask) =
            SessionAttributesBuilder::new().with_decrypt(true).with_encrypt(true).build();
        context.tr_sess_set_attributes(session, attributes, mask)?;
        Ok(session)
    }

    /// The policy "these PCRs are as they are now".
    fn policy_digest(context: &mut Context, primary: KeyHandle, pcrs: &[u8]) -> tss_esapi::Result<Digest> {
        let trial = session(context, primary, SessionType::Trial)?;
        let policy = PolicySession::try_from(trial)?;
        context.policy_pcr(policy, Digest::default(), selection(pcrs)?)?;
        let digest = context.policy_get_digest(policy)?;
        context.flush_context(SessionHandle::from(trial).into())?;
        Ok(digest)
    }

    fn selection(pcrs: &[u8]) -> tss_esapi::Result<PcrSelectionList> {
        let slots = pcrs.iter().map(|pcr| {
            let bit = 1_u32.checked_shl(u32::from(*pcr)).unwrap_or(0);
            PcrSlot::try_from(bit)
        });
        let slots = slots.collect::<Result<Vec<_>, _>>()?;
        PcrSelectionListBuilder::new().with_selection(HashingAlgorithm::Sha256, &slots).build()
    }
}

#[cfg(feature = "tpm")]
pub(super) use with::{seal, unseal};
