//! Applications and groups: creating and changing them.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_crypto::{Reason, SecretString, digest};

use super::application::{Application, CertificateCredential, SecretCredential, ServicePrincipal};
use super::group::Group;
use crate::access::action::{WriteApplication, WriteGroup};
use crate::access::caller::Caller;
use crate::ids::{ApplicationId, ClientId, CredentialId, PrincipalId, TenantId};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::resource::scope::Scope;
use crate::resource::{Error, Plan, Put, Write};
use crate::world::Entity;
use vouchsafe_crypto::x509::Certificate;

/// An application as an administrator wants it, found by its display name.
#[derive(Clone, Default)]
pub struct ApplicationToPut {
    /// What people see, and what finds it again.
    pub display_name: String,
    /// The client id, if it must be a certain one.
    pub client: Option<ClientId>,
    /// Audiences under which its tokens are asked for.
    pub identifier_uris: Vec<String>,
    /// The certificates it may sign assertions with; those it had and that are not here are removed.
    pub certificates: Vec<Certificate>,
}

/// A client secret that was just generated: the only time its value exists here.
pub struct GeneratedSecret {
    /// The credential.
    pub credential: SecretCredential,
    /// Its value.
    pub value: SecretString,
}

fn check_display_name(name: &str) -> Result<(), Error> {
    let well_formed = !name.trim().is_empty()
        && name.len() <= limits::DISPLAY_NAME_BYTES_MAX
        && !name.chars().any(char::is_control);
    if well_formed {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "a display name must have 1 to {} bytes without control characters",
            limits::DISPLAY_NAME_BYTES_MAX
        )))
    }
}

impl Platform {
    /// Creates or changes an application together with its service principal.
    pub async fn put_application(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        wanted: &ApplicationToPut,
    ) -> Result<(Put, Arc<Application>, Arc<ServicePrincipal>), Error> {
        let ids = (
            ApplicationId(self.entropy.uuid()),
            ClientId(self.entropy.uuid()),
            PrincipalId(self.entropy.uuid()),
        );
        let credential_ids: Vec<_> =
            wanted.certificates.iter().map(|_| CredentialId(self.entropy.uuid())).collect();
        self.change::<WriteApplication, _>(context, caller, tenant, &Scope::root(), |snapshot| {
            check_display_name(&wanted.display_name)?;
            if wanted.certificates.len() > limits::CREDENTIALS_MAX {
                return Err(Error::Invalid(format!(
                    "an application has at most {} credentials",
                    limits::CREDENTIALS_MAX
                )));
            }
            let before = snapshot.applications().find(|other| match wanted.client {
                Some(client) => other.client == client,
                None => other.display_name == wanted.display_name,
            });
            let known = before.map_or(&[][..], |application| &application.certificates);
            let certificates = wanted.certificates.iter().zip(&credential_ids).map(|(certificate, id)| {
                let same = known.iter().find(|credential| credential.certificate.der() == certificate.der());
                same.cloned().unwrap_or_else(|| CertificateCredential::new(*id, certificate.clone()))
            });
            let application = Arc::new(Application {
                id: before.map_or(ids.0, |application| application.id),
                client: before.map(|application| application.client).or(wanted.client).unwrap_or(ids.1),
                display_name: wanted.display_name.clone(),
                identifier_uris: wanted.identifier_uris.clone(),
                certificates: certificates.collect(),
                secrets: before.map_or_else(Vec::new, |application| application.secrets.clone()),
            });
            let principal = snapshot.service_principal(application.client).unwrap_or_else(|| {
                Arc::new(ServicePrincipal {
                    id: ids.2,
                    client: application.client,
                    display_name: wanted.display_name.clone(),
                    disabled: false,
                })
            });
            let same = before.is_some_and(|before| {
                before.display_name == application.display_name
                    && before.identifier_uris == application.identifier_uris
                    && before
                        .certificates
                        .iter()
                        .map(|credential| credential.id)
                        .eq(application.certificates.iter().map(|credential| credential.id))
            });
            if same {
                return Ok(Plan::unchanged((Put::Unchanged, application, principal)));
            }
            let put = if before.is_some() { Put::Updated } else { Put::Created };
            let writes = vec![
                Write::Put(Entity::Application(application.clone())),
                Write::Put(Entity::ServicePrincipal(principal.clone())),
            ];
            Ok(Plan { writes, result: (put, application, principal) })
        })
        .await
    }

    /// Generates a client secret for an application. It is shown once.
    pub async fn generate_client_secret(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        client: ClientId,
        lifetime: Option<Duration>,
    ) -> Result<GeneratedSecret, Error> {
        let mut random = [0; 32];
        self.entropy.fill(&mut random);
        let value = SecretString::new(data_encoding::BASE64URL_NOPAD.encode(&random));
        let credential = SecretCredential {
            id: CredentialId(self.entropy.uuid()),
            sha256: digest::sha256(value.expose(Reason::Cipher).as_bytes()),
            hint: value.expose(Reason::Answer).chars().take(3).collect(),
            created: context.now,
            expires: context.now.plus(lifetime.unwrap_or(limits::CLIENT_SECRET_LIFETIME)),
        };
        let added = self
            .change::<WriteApplication, _>(context, caller, tenant, &Scope::root(), |snapshot| {
                let before = snapshot.application(client);
                let before =
                    before.ok_or_else(|| Error::NotFound { kind: "application", name: client.to_string() })?;
                if before.secrets.len() >= limits::CREDENTIALS_MAX {
                    return Err(Error::Conflict(format!(
                        "the application has {} client secrets, which is the most it can have; remove one first",
                        limits::CREDENTIALS_MAX
                    )));
                }
                let mut after = Application::clone(&before);
                after.secrets.push(credential.clone());
                Ok(Plan { writes: vec![Write::Put(Entity::Application(Arc::new(after)))], result: credential.clone() })
            })
            .await?;
        Ok(GeneratedSecret { credential: added, value })
    }

    /// Creates a group or replaces its members; found by its display name.
    pub async fn put_group(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        display_name: &str,
        members: &[PrincipalId],
    ) -> Result<(Put, Arc<Group>), Error> {
        let id = PrincipalId(self.entropy.uuid());
        self.change::<WriteGroup, _>(context, caller, tenant, &Scope::root(), |snapshot| {
            check_display_name(display_name)?;
            if members.len() > limits::GROUP_MEMBERS_MAX {
                return Err(Error::Invalid(format!(
                    "a group has at most {} members",
                    limits::GROUP_MEMBERS_MAX
                )));
            }
            if let Some(stranger) = members.iter().find(|member| !snapshot.is_known(**member)) {
                return Err(Error::Invalid(format!(
                    "principal `{stranger}` does not exist in the directory"
                )));
            }
            let before = snapshot.user_groups().find(|group| group.display_name == display_name);
            if let Some(before) = before
                && before.members == members
            {
                return Ok(Plan::unchanged((Put::Unchanged, before.clone())));
            }
            let put = if before.is_some() { Put::Updated } else { Put::Created };
            let group = Arc::new(Group {
                id: before.map_or(id, |group| group.id),
                display_name: display_name.to_owned(),
                members: members.to_vec(),
            });
            Ok(Plan { writes: vec![Write::Put(Entity::Group(group.clone()))], result: (put, group) })
        })
        .await
    }
}
