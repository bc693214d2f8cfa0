//! Private certificate authorities: one behind each issuer with provider `Vouchsafe`, with a key that nothing gives out.
//!
//! An authority belongs to a vault, as its issuer does: whoever may administer the vault's issuers may found one, and
//! its certificates are trusted by whoever chose to trust it. What it may certify is said when the issuer is written,
//! in the issuer's account, because that is what unmodified clients can send; saying nothing is refused. Everything that
//! an authority issued is in its ledger before anybody has it.

use std::net::IpAddr;

use uuid::Uuid;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::{KeySpec, SignatureAlgorithm};
use vouchsafe_crypto::pki::constraints::{AuthorityPolicy, NotAllowed};
use vouchsafe_crypto::pki::{
    self, BasicConstraints, CertificateProfile, DistinguishedName, KeyUsage, ParsedCertificate,
    RevocationList, RevocationReason, Serial, Validity, parse_csr, revocation_list,
};

use super::issuer::{Issuer, IssuerName};
use super::pending::PendingCertificate;
use super::{PENDING_KEY, signing, subject};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::hsm::{Exportable, HeldKey, Hsm, KeyRef};
use crate::ports::store::{Commit, Expect, Key, Kind, Partition};
use crate::record::certificate as stored;
use crate::record::{self, Decode, Encode, Undecodable};
use crate::resource::{Sku, Vault};
use crate::time::Timestamp;
use crate::vault::error::Error;
use crate::vault::load::{Found, sealed};
use crate::vault::object::Place;

/// The id of a private authority; it is in the addresses of its revocation lists.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AuthorityId(pub Uuid);

impl std::fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What an authority may certify.
#[derive(Clone, Debug)]
pub struct AuthorityRules(AuthorityPolicy);

/// A private authority.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CertificateAuthority {
    pub id: AuthorityId,
    /// The issuer that it was founded for.
    pub issuer: IssuerName,
    pub spec: KeySpec,
    pub in_token: bool,
    /// Its own certificate in DER.
    pub certificate: Vec<u8>,
    pub created: Timestamp,
    /// The number of the newest revocation list.
    pub list_number: u64,
    /// The newest revocation list in DER.
    pub list: Vec<u8>,
    /// When there is a newer list at the latest.
    pub list_next_update: Timestamp,
    /// Whether something was revoked that the newest list does not say.
    pub list_stale: bool,
}

/// What an authority remembers of one certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct IssuedCertificate {
    pub serial: Vec<u8>,
    pub object: ObjectName,
    pub version: ObjectVersion,
    pub not_before: Timestamp,
    pub expires: Timestamp,
    pub revoked: Option<(Timestamp, RevocationReason)>,
}

/// What goes into the ledger with a certificate.
pub(super) struct Ledger {
    pub authority: AuthorityId,
    serial: Vec<u8>,
    validity: Validity,
}

/// A new authority with its key.
pub(super) struct Founded {
    pub authority: CertificateAuthority,
    pub material: SecretBytes,
}

/// `serverAuth`, `clientAuth`, `emailProtection`: what an authority certifies keys for unless it is told.
const PURPOSES_DEFAULT: [&str; 3] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4"];

impl AuthorityRules {
    /// Reads rules, separated by commas or spaces: `example.test` (that domain and what is below it), `*.example.test`
    /// (wildcards, too), `10.0.0.0/8`, `@example.test` (mail addresses), `spiffe://example.test/` (URIs that begin so),
    /// `eku:1.3.6.1.5.5.7.3.3` (one more purpose), `days:90` (the longest validity).
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = AuthorityPolicy {
            purposes: PURPOSES_DEFAULT.map(str::to_owned).into(),
            lifetime_seconds_max: limits::ISSUED_LIFETIME_DAYS_DEFAULT * 86_400,
            ..AuthorityPolicy::default()
        };
        let mut names = 0;
        for rule in text.split([',', ' ', '\n']).filter(|rule| !rule.is_empty()) {
            names += 1;
            if let Some(eku) = rule.strip_prefix("eku:") {
                names -= 1;
                if !subject::is_oid(eku) {
                    return Err(wrong(rule));
                }
                rules.purposes.insert(eku.to_owned());
            } else if let Some(days) = rule.strip_prefix("days:") {
                names -= 1;
                let days = days.parse::<u64>().ok();
                let days = days.filter(|days| (1..=limits::ISSUED_LIFETIME_DAYS_MAX).contains(days));
                rules.lifetime_seconds_max = days.ok_or_else(|| wrong(rule))? * 86_400;
            } else if let Some(domain) = rule.strip_prefix('@') {
                rules.mail_domains.insert(domain_of(domain, rule)?);
            } else if let Some(domain) = rule.strip_prefix("*.") {
                let domain = domain_of(domain, rule)?;
                rules.wildcard_suffixes.insert(domain.clone());
                rules.dns_suffixes.insert(domain);
            } else if rule.contains("://") {
                if !subject::is_uri(rule) {
                    return Err(wrong(rule));
                }
                rules.uri_prefixes.insert(rule.to_owned());
            } else if let Some(network) = network_of(rule) {
                rules.networks.push(network);
            } else {
                rules.dns_suffixes.insert(domain_of(rule, rule)?);
            }
        }
        if names == 0 {
            return Err(
                "an issuer with provider Vouchsafe must say in its account which names it may certify, \
                        for example `example.test, 10.0.0.0/8, @example.test`"
                    .to_owned(),
            );
        }
        Ok(Self(rules))
    }
}

fn wrong(rule: &str) -> String {
    let shown: String = rule.chars().filter(|c| !c.is_control()).take(64).collect();
    format!("`{shown}` in the account is no rule for names that may be certified")
}

fn domain_of(domain: &str, rule: &str) -> Result<String, String> {
    let well_formed = subject::is_dns_name(domain) && !domain.starts_with('*');
    if well_formed { Ok(domain.to_ascii_lowercase()) } else { Err(wrong(rule)) }
}

fn network_of(rule: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = rule.split_once('/').map_or((rule, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some((address, bits))
}

/// At most so many days are in so many months, whenever they begin: 28, 58, 89 and so on.
fn fewest_days(months: u32) -> u64 {
    (u64::from(months) * 365 / 12).saturating_sub(2)
}

/// Where an authority stands.
pub(super) fn place(partition: Partition, id: AuthorityId) -> Key {
    Key::new(partition, Kind::CertificateAuthority, id.to_string())
}

/// Where its key stands. No object can have this name, so that nothing which works with keys finds it.
pub(super) fn key_place(partition: Partition, id: AuthorityId) -> Key {
    Key::new(partition, PENDING_KEY, format!("authority/{id}"))
}

/// Where the ledger's entry for a certificate stands.
pub(super) fn ledger_place(partition: Partition, id: AuthorityId, serial: &[u8]) -> Key {
    let serial = data_encoding::HEXLOWER.encode(serial);
    Key::nested(partition, Kind::IssuedCertificate, id.to_string(), serial)
}

impl Founded {
    /// Adds the authority and its key to the commit that writes its issuer.
    pub(super) fn put(&self, commit: Commit, partition: Partition) -> Commit {
        let id = self.authority.id;
        commit.put(place(partition, id), Expect::Absent, sealed(&self.authority)).put(
            key_place(partition, id),
            Expect::Absent,
            super::copied(&self.material),
        )
    }
}

impl Ledger {
    /// Adds the ledger's entry to the commit that makes the version.
    pub(super) fn put(
        self,
        commit: Commit,
        partition: Partition,
        object: &ObjectName,
        version: ObjectVersion,
    ) -> Commit {
        let place = ledger_place(partition, self.authority, &self.serial);
        let entry = IssuedCertificate {
            serial: self.serial,
            object: object.clone(),
            version,
            not_before: Timestamp::from_seconds(self.validity.not_before),
            expires: Timestamp::from_seconds(self.validity.not_after),
            revoked: None,
        };
        commit.put(place, Expect::Absent, sealed(&entry))
    }
}

impl Platform {
    /// Makes a key and a certificate for a new authority, and its first, empty revocation list.
    pub(super) async fn found_authority(
        &self,
        context: &Context,
        vault: &Vault,
        issuer: &IssuerName,
    ) -> Result<Founded, Error> {
        let spec = KeySpec::P384;
        let in_token =
            vault.sku == Sku::Premium && self.holders.token.as_ref().is_some_and(|token| token.holds(spec));
        let held = self.holder_for(in_token, spec)?.generate(spec, Exportable::Never).await?;
        match self.certified_authority(context, vault, issuer, (spec, in_token), &held).await {
            Ok(authority) => Ok(Founded { authority, material: held.material }),
            Err(error) => {
                self.discard(spec, in_token, Some(held)).await;
                Err(error)
            }
        }
    }

    /// Forgets an authority that was made and did not get into the store.
    pub(super) async fn forget_founded(&self, founded: Option<Founded>) {
        let Some(Founded { authority, material }) = founded else { return };
        self.discard(authority.spec, authority.in_token, Some(HeldKey { public: None, material })).await;
    }

    async fn certified_authority(
        &self,
        context: &Context,
        vault: &Vault,
        issuer: &IssuerName,
        (spec, in_token): (KeySpec, bool),
        held: &HeldKey,
    ) -> Result<CertificateAuthority, Error> {
        let holder = self.holder(in_token)?;
        let public = held.public.as_ref().map(|public| public.spki_der());
        let public_key = public.ok_or_else(|| Fault::Broken("a key pair has no public half".to_owned()))?;
        let name = format!("CN={issuer} of {}, O=Vouchsafe", vault.name);
        let refused = |e: pki::name::NameRefused| Error::BadParameter(e.to_string());
        let profile = CertificateProfile {
            subject: DistinguishedName::parse(&name).map_err(refused)?,
            alternative_names: pki::AlternativeNames::default(),
            purposes: Vec::new(),
            key_usage: [KeyUsage::KeyCertSign, KeyUsage::CrlSign, KeyUsage::DigitalSignature].into(),
            validity: signing::validity(limits::AUTHORITY_LIFETIME_MONTHS, context.for_issuing()?),
            basic_constraints: Some(BasicConstraints { is_authority: true, path_length: Some(0) }),
            serial: self.serial(),
            revocation_list_url: None,
            ocsp_url: None,
            issuer_url: None,
            public_key,
        };
        let unsigned = pki::self_signed(&profile, ALGORITHM)?;
        let certificate = signing::sign(holder, &held.reference(spec), &unsigned).await?;
        let authority = CertificateAuthority {
            id: AuthorityId(self.entropy.uuid()),
            issuer: issuer.clone(),
            spec,
            in_token,
            certificate,
            created: context.now,
            list_number: 0,
            list: Vec::new(),
            list_next_update: context.now,
            list_stale: true,
        };
        signed_list(holder, &held.reference(spec), &authority, Vec::new(), context.now).await
    }

    /// Issues what an operation asks for, if the authority behind the issuer may.
    ///
    /// What is certified is read from the signed request and not from the policy beside it (V17): one path for names
    /// that we wrote into a request and for any other.
    pub(super) async fn issue_from_authority(
        &self,
        context: &Context,
        vault: &Vault,
        at: &Place,
        issuer: &Issuer,
        pending: &PendingCertificate,
    ) -> Result<Result<(Vec<Vec<u8>>, Ledger), NotAllowed>, Error> {
        let id = issuer.authority.ok_or_else(|| Fault::Broken("an issuer has no authority".to_owned()))?;
        let authority = self.authority(at.partition, id).await?;
        let authority = authority.ok_or_else(|| Fault::Broken("an authority is not there".to_owned()))?.noun;
        let rules = AuthorityRules::parse(issuer.account.as_deref().unwrap_or_default());
        let AuthorityRules(rules) = rules.map_err(Error::BadParameter)?;
        let csr = parse_csr(&pending.csr).map_err(|e| Fault::Broken(e.to_string()))?;
        if let Err(refused) = rules.check_csr(&csr) {
            return Ok(Err(refused));
        }
        let own =
            ParsedCertificate::from_der(&authority.certificate).map_err(|e| Fault::Broken(e.to_string()))?;
        let months = pending.policy.x509.validity_months;
        if months > 1 && fewest_days(months) * 86_400 > rules.lifetime_seconds_max {
            return Ok(Err(NotAllowed::Lifetime(rules.lifetime_seconds_max)));
        }
        let now = context.for_issuing()?;
        let mut validity = signing::validity(months, now);
        if own.validity().not_after <= now.moment().seconds() {
            let problem =
                "the life of the private authority has ended: delete the issuer, and write it again";
            return Err(Error::BadParameter(problem.to_owned()));
        }
        // Nothing outlives its issuer, nor is older.
        validity.not_after = validity.not_after.min(own.validity().not_after);
        validity.not_before = validity.not_before.max(own.validity().not_before);
        // Months have days as the season is, and a certificate begins before it is made: what is beyond the rule by no
        // more than that is cut.
        let longest = validity.not_before.saturating_add(rules.lifetime_seconds_max);
        validity.not_after = validity.not_after.min(longest);
        let base = self.authority_url(vault, id);
        let profile = CertificateProfile {
            subject: csr.subject().clone(),
            alternative_names: csr.alternative_names().clone(),
            purposes: csr.purposes().to_vec(),
            key_usage: csr.key_usage().cloned().unwrap_or_default(),
            validity,
            basic_constraints: Some(BasicConstraints { is_authority: false, path_length: None }),
            serial: self.serial(),
            revocation_list_url: Some(format!("{base}/crl")),
            ocsp_url: Some(format!("{base}/ocsp")),
            issuer_url: Some(format!("{base}/certificate")),
            public_key: csr.spki_der().to_vec(),
        };
        if let Err(refused) = rules.check_profile(&profile) {
            return Ok(Err(refused));
        }
        let ledger = Ledger { authority: id, serial: profile.serial.as_bytes().to_vec(), validity };
        let unsigned = pki::issue(&profile, &own, ALGORITHM)?;
        let material = self.authority_key(at.partition, id).await?;
        let key = KeyRef { spec: authority.spec, material: &material };
        let certificate = signing::sign(self.holder(authority.in_token)?, &key, &unsigned).await?;
        Ok(Ok((vec![certificate, authority.certificate], ledger)))
    }

    pub(super) async fn authority(
        &self,
        partition: Partition,
        id: AuthorityId,
    ) -> Result<Option<Found<CertificateAuthority>>, Error> {
        self.load(&place(partition, id)).await
    }

    pub(super) async fn authority_key(
        &self,
        partition: Partition,
        id: AuthorityId,
    ) -> Result<SecretBytes, Error> {
        let found = self.store.get(&key_place(partition, id)).await.map_err(Fault::from)?;
        Ok(found.ok_or_else(|| Fault::Broken("an authority has no key".to_owned()))?.value)
    }

    /// Where an authority's lists and answers are: on its vault's host, at `/pki/{id}`.
    ///
    /// Over plain HTTP, if there is any: who is about to judge a certificate shall not have to judge another first
    /// (RFC 5280 §8), and many verifiers follow no other addresses. What is found there is signed.
    pub fn authority_url(&self, vault: &Vault, id: AuthorityId) -> String {
        let (names, vault) = (&self.settings().services.key_vault, vault.name.canonical());
        let parent = names.first().map_or("", |name| name.trim_start_matches("https://"));
        let host = parent.split_once(':').map_or(parent, |(host, _)| host);
        match self.settings().publication_port {
            None => format!("https://{vault}.{parent}/pki/{id}"),
            Some(80) => format!("http://{vault}.{host}/pki/{id}"),
            Some(port) => format!("http://{vault}.{host}:{port}/pki/{id}"),
        }
    }

    fn serial(&self) -> Serial {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        Serial::from_random(bytes)
    }
}

/// How authorities sign: their keys are P-384.
pub(super) const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Es384;

/// The authority with a new revocation list.
pub(super) async fn signed_list(
    holder: &dyn Hsm,
    key: &KeyRef<'_>,
    authority: &CertificateAuthority,
    revoked: Vec<pki::Revoked>,
    now: Timestamp,
) -> Result<CertificateAuthority, Error> {
    let own =
        ParsedCertificate::from_der(&authority.certificate).map_err(|e| Fault::Broken(e.to_string()))?;
    let next_update = now.plus(limits::REVOCATION_LIST_LIFETIME);
    let list = RevocationList {
        number: authority.list_number + 1,
        this_update: now.seconds(),
        next_update: next_update.seconds(),
        revoked,
    };
    let signed = signing::sign(holder, key, &revocation_list(&list, &own, ALGORITHM)?).await?;
    Ok(CertificateAuthority {
        list_number: list.number,
        list: signed,
        list_next_update: next_update,
        list_stale: false,
        ..authority.clone()
    })
}

impl Encode for CertificateAuthority {
    fn encode(&self) -> Vec<u8> {
        record::encode(&stored::CertificateAuthority {
            id: self.id.0.as_bytes().to_vec(),
            issuer: self.issuer.as_str().to_owned(),
            spec: self.spec.code(),
            in_token: self.in_token,
            certificate: self.certificate.clone(),
            created: self.created.millis(),
            list_number: self.list_number,
            list: self.list.clone(),
            list_next_update: self.list_next_update.millis(),
            list_stale: self.list_stale,
        })
    }
}

impl Decode for CertificateAuthority {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::CertificateAuthority = record::decode(bytes)?;
        let spec = KeySpec::from_code(stored.spec);
        Ok(Self {
            id: AuthorityId(record::uuid(&stored.id)?),
            issuer: IssuerName::parse(&stored.issuer)?,
            spec: spec.ok_or_else(|| Undecodable("an authority has no kind of key".to_owned()))?,
            in_token: stored.in_token,
            certificate: stored.certificate,
            created: Timestamp::from_millis(stored.created),
            list_number: stored.list_number,
            list: stored.list,
            list_next_update: Timestamp::from_millis(stored.list_next_update),
            list_stale: stored.list_stale,
        })
    }
}

impl Encode for IssuedCertificate {
    fn encode(&self) -> Vec<u8> {
        record::encode(&stored::IssuedCertificate {
            serial: self.serial.clone(),
            object: self.object.to_string(),
            version: self.version.0.as_bytes().to_vec(),
            not_before: self.not_before.millis(),
            expires: self.expires.millis(),
            revoked: self.revoked.map(|(since, _)| since.millis()),
            reason: self.revoked.map_or(0, |(_, reason)| u32::from(reason as u8)),
        })
    }
}

impl Decode for IssuedCertificate {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::IssuedCertificate = record::decode(bytes)?;
        let reason = || {
            super::revocation::reason_from_code(stored.reason)
                .ok_or_else(|| Undecodable("a reason for revocation is not one that is known".to_owned()))
        };
        let revoked = match stored.revoked {
            Some(since) => Some((Timestamp::from_millis(since), reason()?)),
            None => None,
        };
        Ok(Self {
            serial: stored.serial,
            object: ObjectName::parse(&stored.object)?,
            version: ObjectVersion(record::uuid(&stored.version)?),
            not_before: Timestamp::from_millis(stored.not_before),
            expires: Timestamp::from_millis(stored.expires),
            revoked,
        })
    }
}
