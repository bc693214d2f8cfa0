//! Who issues certificates of a vault, and who is told about them.

use std::sync::Arc;

use vouchsafe_crypto::SecretString;
use vouchsafe_domain::vault::certificate::{
    Administrator, Contact, Contacts, Issuer, IssuerName, IssuerPatch, Organization, Provider,
};
use vouchsafe_wire::keyvault::certificate as wire;

use super::CERTIFICATES;
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, Paging, bad, body, paged, query, seconds};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

fn issuer_name(request: &Request) -> Result<IssuerName, Problem> {
    IssuerName::parse(request.params.text("name")).map_err(|error| of_vault(error.into()))
}

fn heard(given: wire::IssuerRequest) -> Result<IssuerPatch, Problem> {
    let provider = given.provider.as_deref().map(Provider::parse).transpose();
    let (account, password) = match given.credentials {
        Some(credentials) => (credentials.account_id, credentials.pwd),
        None => (None, None),
    };
    let person = |person: wire::Administrator| Administrator {
        first_name: person.first_name,
        last_name: person.last_name,
        email: person.email,
        phone: person.phone,
    };
    Ok(IssuerPatch {
        provider: provider.map_err(|error| of_vault(error.into()))?,
        account,
        password: password.map(|text| SecretString::new(std::mem::take(&mut *text.into_exposed()))),
        organization: given.org_details.map(|organization| Organization {
            id: organization.id,
            administrators: organization.admin_details.unwrap_or_default().into_iter().map(person).collect(),
        }),
        disabled: given.attributes.and_then(|attributes| attributes.enabled).map(|enabled| !enabled),
    })
}

fn issuer_id(asked: &Asked, issuer: &Issuer) -> String {
    format!("{}/{}/issuers/{}", asked.origin, CERTIFICATES.live, issuer.name)
}

/// An issuer without its password, which nothing says.
fn said(asked: &Asked, issuer: &Issuer) -> Reply {
    let person = |person: &Administrator| wire::Administrator {
        first_name: person.first_name.clone(),
        last_name: person.last_name.clone(),
        email: person.email.clone(),
        phone: person.phone.clone(),
    };
    let shown = wire::CertificateIssuer {
        id: issuer_id(asked, issuer),
        provider: issuer.provider.as_str().to_owned(),
        credentials: issuer
            .account
            .clone()
            .map(|account| wire::IssuerCredentials { account_id: Some(account) }),
        org_details: issuer.organization.as_ref().map(|organization| wire::Organization {
            id: organization.id.clone(),
            admin_details: Some(organization.administrators.iter().map(person).collect()),
        }),
        attributes: wire::IssuerAttributes {
            enabled: !issuer.disabled,
            created: seconds(issuer.created),
            updated: seconds(issuer.updated),
        },
    };
    Reply::json(Success::Ok, &shown)
}

pub(super) async fn set(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, issuer_name(&request)?);
    query(&request)?;
    let wanted = heard(body(&mut request, &BODY, wire::IssuerRequest::parse).await?)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let set = app.platform.set_certificate_issuer(&context, caller, &asked.vault, &name, &wanted).await;
    Ok(said(&asked, &set.map_err(of_vault)?.0))
}

pub(super) async fn update(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, issuer_name(&request)?);
    query(&request)?;
    let wanted = heard(body(&mut request, &BODY, wire::IssuerRequest::parse).await?)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let set = app.platform.update_certificate_issuer(&context, caller, &asked.vault, &name, &wanted).await;
    Ok(said(&asked, &set.map_err(of_vault)?.0))
}

pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, issuer_name(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let found = app.platform.get_certificate_issuer(&context, caller, &asked.vault, &name).await;
    Ok(said(&asked, &found.map_err(of_vault)?.0))
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, issuer_name(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let deleted = app.platform.delete_certificate_issuer(&context, caller, &asked.vault, &name).await;
    Ok(said(&asked, &deleted.map_err(of_vault)?.0))
}

pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, query) = (Asked::of(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (caller, after, vault) = (&asked.admitted.caller, paging.after.as_ref(), &asked.vault);
    let page = app.platform.list_certificate_issuers(&context, caller, vault, after, paging.items).await;
    let path = format!("/{}/issuers", CERTIFICATES.live);
    Ok(paged(&asked, &path, &query, &page.map_err(of_vault)?, |issuer, _| wire::CertificateIssuerItem {
        id: issuer_id(&asked, issuer),
        provider: issuer.provider.as_str().to_owned(),
    }))
}

fn said_contacts(asked: &Asked, contacts: Contacts) -> Reply {
    let said = |contact: Contact| wire::Contact {
        email: Some(contact.email),
        name: contact.name,
        phone: contact.phone,
    };
    let shown = wire::CertificateContacts {
        id: format!("{}/{}/contacts", asked.origin, CERTIFICATES.live),
        contacts: contacts.0.into_iter().map(said).collect(),
    };
    Reply::json(Success::Ok, &shown)
}

pub(super) async fn set_contacts(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    query(&request)?;
    let given = body(&mut request, &BODY, wire::SetContactsRequest::parse).await?;
    let heard = given.contacts.unwrap_or_default().into_iter().enumerate().map(|(index, contact)| {
        let missing = || bad(format!("the member `contacts[{index}].email` is missing"));
        let email = contact.email.ok_or_else(missing)?;
        Ok(Contact { email, name: contact.name, phone: contact.phone })
    });
    let contacts = Contacts(heard.collect::<Result<_, Problem>>()?);
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let set = app.platform.set_certificate_contacts(&context, caller, &asked.vault, &contacts).await;
    Ok(said_contacts(&asked, set.map_err(of_vault)?.0))
}

pub(super) async fn get_contacts(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let found = app.platform.get_certificate_contacts(&context, caller, &asked.vault).await;
    Ok(said_contacts(&asked, found.map_err(of_vault)?.0))
}

pub(super) async fn delete_contacts(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let deleted = app.platform.delete_certificate_contacts(&context, caller, &asked.vault).await;
    Ok(said_contacts(&asked, deleted.map_err(of_vault)?.0))
}
