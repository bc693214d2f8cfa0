//! Certificate issuers and contacts of a vault (wire.md §7.3, `IssuerBundle` and `Contacts` of the 7.4 API).

use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use crate::ids::Malformed;
use crate::limits;
use crate::record::certificate as stored;
use crate::record::{self, Decode, Encode, Undecodable};
use crate::time::Timestamp;

use super::authority::AuthorityId;

/// The name of an issuer of a vault.
#[derive(Clone, Debug)]
pub struct IssuerName(Box<str>);

impl IssuerName {
    /// Accepts 1 to 127 letters, digits and hyphens that are not a reserved name; case is kept and ignored.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let wrong = |problem| Malformed::new("issuer name", raw, problem);
        let well_formed = (1..=127).contains(&raw.len())
            && raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !well_formed {
            return Err(wrong("must be 1 to 127 letters, digits or hyphens"));
        }
        if raw.eq_ignore_ascii_case("Self") || raw.eq_ignore_ascii_case("Unknown") {
            return Err(wrong("is reserved"));
        }
        Ok(Self(raw.into()))
    }

    /// The name as it was first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one form that storage and comparison use.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for IssuerName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for IssuerName {}

impl std::fmt::Display for IssuerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who stands behind an issuer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Provider {
    /// The private certificate authority that the vault itself keeps.
    Vouchsafe = 1,
    /// An ACME server (RFC 8555).
    Acme = 2,
    /// A name that tests of Azure's clients use: kept, and it issues nothing.
    Test = 3,
    /// A public authority that Azure is connected with: kept, and it issues nothing here.
    DigiCert = 4,
    /// A public authority that Azure is connected with: kept, and it issues nothing here.
    GlobalSign = 5,
}

impl Provider {
    const ALL: [Self; 5] = [Self::Vouchsafe, Self::Acme, Self::Test, Self::DigiCert, Self::GlobalSign];

    /// Reads a provider's name, in any case.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let found = Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(raw));
        let problem = "must be Vouchsafe, Acme, Test, DigiCert or GlobalSign";
        found.ok_or_else(|| Malformed::new("issuer provider", raw, problem))
    }

    /// The provider's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vouchsafe => "Vouchsafe",
            Self::Acme => "Acme",
            Self::Test => "Test",
            Self::DigiCert => "DigiCert",
            Self::GlobalSign => "GlobalSign",
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u32 == code)
    }
}

/// What an issuer is told about an organization.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Organization {
    /// Its id at the issuer.
    pub id: Option<String>,
    /// Its administrators.
    pub administrators: Vec<Administrator>,
}

/// An administrator of an organization.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Administrator {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
}

/// An issuer of a vault. Its password is not in it: nothing shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issuer {
    /// Its name as first written.
    pub name: IssuerName,
    /// Who stands behind it.
    pub provider: Provider,
    /// The account at the provider. For the vault's own authority: the names that it may certify.
    pub account: Option<String>,
    /// What the provider is told about the organization.
    pub organization: Option<Organization>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// When it was first written.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// The private authority behind it.
    pub authority: Option<AuthorityId>,
}

/// An issuer with what only the adapter of its provider may read.
pub(super) struct StoredIssuer {
    pub issuer: Issuer,
    pub password: Option<SecretString>,
    /// What the adapter needs to be known again at the provider; the adapter made it and reads it, nobody else.
    pub registration: Option<SecretBytes>,
}

/// What a caller says of an issuer; what is not mentioned stays when it is changed, and gets its default when it is
/// written whole.
#[derive(Default)]
pub struct IssuerPatch {
    /// Who stands behind it.
    pub provider: Option<Provider>,
    /// The account at the provider.
    pub account: Option<String>,
    /// The password or key of the account.
    pub password: Option<SecretString>,
    /// What the provider is told about the organization.
    pub organization: Option<Organization>,
    /// Switches it off or on.
    pub disabled: Option<bool>,
}

impl IssuerPatch {
    /// The issuer that a `PUT` makes, which has nothing of what was there before but its name, its date and its private
    /// authority; or a `PATCH`, which leaves what it does not mention.
    pub(super) fn apply(
        &self,
        name: &IssuerName,
        before: Option<&StoredIssuer>,
        replaces: bool,
        now: Timestamp,
    ) -> Result<StoredIssuer, String> {
        let old = before.map(|stored| &stored.issuer);
        let left = before.filter(|_| !replaces);
        let stays = left.map(|stored| &stored.issuer);
        let provider = self.provider.or(stays.map(|issuer| issuer.provider));
        let provider = provider.ok_or_else(|| "an issuer must have a provider".to_owned())?;
        if old.is_some_and(|issuer| issuer.authority.is_some() && issuer.provider != provider) {
            return Err("an issuer with an authority of this vault keeps its provider".to_owned());
        }
        let issuer = Issuer {
            name: old.map_or_else(|| name.clone(), |issuer| issuer.name.clone()),
            provider,
            account: self.account.clone().or_else(|| stays.and_then(|issuer| issuer.account.clone())),
            organization: self
                .organization
                .clone()
                .or_else(|| stays.and_then(|issuer| issuer.organization.clone())),
            disabled: self.disabled.or(stays.map(|issuer| issuer.disabled)).unwrap_or(false),
            created: old.map_or(now, |issuer| issuer.created),
            updated: now,
            authority: old.and_then(|issuer| issuer.authority),
        };
        issuer.check()?;
        let copied = |text: &SecretString| SecretString::new(text.expose(Reason::Record).to_owned());
        let password = self.password.as_ref().or(left.and_then(|stored| stored.password.as_ref()));
        if password.is_some_and(|text| text.expose(Reason::Record).len() > limits::ISSUER_TEXT_BYTES_MAX) {
            return Err(format!("the password is longer than {} bytes", limits::ISSUER_TEXT_BYTES_MAX));
        }
        // An account belongs to where and with what it was made. Whoever gives the password again, even the same, wants a
        // new one.
        let same = old.is_some_and(|old| (old.provider, &old.account) == (issuer.provider, &issuer.account));
        let kept = before.filter(|stored| {
            same && self.password.is_none() && stored.password.is_some() == password.is_some()
        });
        let registration = kept.and_then(|stored| stored.registration.as_ref()).map(super::copied);
        Ok(StoredIssuer { issuer, password: password.map(copied), registration })
    }
}

impl Issuer {
    fn check(&self) -> Result<(), String> {
        let too_long = |text: &&String| text.len() > limits::ISSUER_TEXT_BYTES_MAX;
        let organization = self.organization.iter();
        let administrators = organization.clone().flat_map(|organization| &organization.administrators);
        if administrators.clone().count() > limits::ISSUER_ADMINISTRATORS_MAX {
            return Err(format!("there are more than {} administrators", limits::ISSUER_ADMINISTRATORS_MAX));
        }
        let texts = organization
            .filter_map(|organization| organization.id.as_ref())
            .chain(self.account.as_ref())
            .chain(administrators.flat_map(|person| {
                [&person.first_name, &person.last_name, &person.email, &person.phone].into_iter().flatten()
            }));
        let mut texts = texts;
        match texts.find(too_long) {
            Some(_) => {
                Err(format!("a text of the issuer is longer than {} bytes", limits::ISSUER_TEXT_BYTES_MAX))
            }
            None => Ok(()),
        }
    }
}

/// Somebody who is told about certificates of a vault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contact {
    /// Mail address.
    pub email: String,
    /// Name.
    pub name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
}

/// Everybody who is told about certificates of a vault.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contacts(pub Vec<Contact>);

impl Contacts {
    /// Refuses what could not be told anything.
    pub fn check(&self) -> Result<(), String> {
        if self.0.is_empty() {
            return Err("there must be a contact; delete the contacts to have none".to_owned());
        }
        if self.0.len() > limits::CONTACTS_MAX {
            return Err(format!("there are more than {} contacts", limits::CONTACTS_MAX));
        }
        for contact in &self.0 {
            if !super::subject::is_mail_address(&contact.email) {
                return Err("a contact must have a mail address".to_owned());
            }
            let long = [&contact.name, &contact.phone].into_iter().flatten();
            if long.into_iter().any(|text| text.len() > limits::ISSUER_TEXT_BYTES_MAX) {
                return Err(format!(
                    "a text of a contact is longer than {} bytes",
                    limits::ISSUER_TEXT_BYTES_MAX
                ));
            }
        }
        Ok(())
    }
}

impl Encode for StoredIssuer {
    fn encode(&self) -> Vec<u8> {
        let issuer = &self.issuer;
        let administrator = |person: &Administrator| stored::Administrator {
            first_name: person.first_name.clone(),
            last_name: person.last_name.clone(),
            email: person.email.clone(),
            phone: person.phone.clone(),
        };
        let mut stored = stored::CertificateIssuer {
            name: issuer.name.as_str().to_owned(),
            provider: issuer.provider as u32,
            account: issuer.account.clone(),
            password: self.password.as_ref().map(|text| text.expose(Reason::Record).to_owned()),
            has_organization: issuer.organization.is_some(),
            organization: issuer.organization.as_ref().and_then(|organization| organization.id.clone()),
            administrators: issuer
                .organization
                .iter()
                .flat_map(|organization| organization.administrators.iter().map(administrator))
                .collect(),
            disabled: issuer.disabled,
            created: issuer.created.millis(),
            updated: issuer.updated.millis(),
            authority: issuer.authority.map(|id| id.0.as_bytes().to_vec()),
            registration: self.registration.as_ref().map(|kept| kept.expose(Reason::Record).to_vec()),
        };
        let encoded = record::encode(&stored);
        // The encoder needed plain text: wipe it through the types that do so.
        drop(stored.password.take().map(SecretString::new));
        drop(stored.registration.take().map(SecretBytes::new));
        encoded
    }
}

impl Decode for StoredIssuer {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::CertificateIssuer = record::decode(bytes)?;
        let provider = Provider::from_code(stored.provider);
        let administrators = stored.administrators.into_iter().map(|person| Administrator {
            first_name: person.first_name,
            last_name: person.last_name,
            email: person.email,
            phone: person.phone,
        });
        let organization = Organization { id: stored.organization, administrators: administrators.collect() };
        let issuer = Issuer {
            name: IssuerName::parse(&stored.name)?,
            provider: provider.ok_or_else(|| Undecodable("an issuer has no provider".to_owned()))?,
            account: stored.account,
            organization: stored.has_organization.then_some(organization),
            disabled: stored.disabled,
            created: Timestamp::from_millis(stored.created),
            updated: Timestamp::from_millis(stored.updated),
            authority: stored.authority.map(|id| record::uuid(&id).map(AuthorityId)).transpose()?,
        };
        Ok(Self {
            issuer,
            password: stored.password.map(SecretString::new),
            registration: stored.registration.map(SecretBytes::new),
        })
    }
}

impl Encode for Contacts {
    fn encode(&self) -> Vec<u8> {
        let contact = |contact: &Contact| stored::Contact {
            email: contact.email.clone(),
            name: contact.name.clone(),
            phone: contact.phone.clone(),
        };
        record::encode(&stored::CertificateContacts { contacts: self.0.iter().map(contact).collect() })
    }
}

impl Decode for Contacts {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::CertificateContacts = record::decode(bytes)?;
        let contact = |contact: stored::Contact| Contact {
            email: contact.email,
            name: contact.name,
            phone: contact.phone,
        };
        Ok(Self(stored.contacts.into_iter().map(contact).collect()))
    }
}
