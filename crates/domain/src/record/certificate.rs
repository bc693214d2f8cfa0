//! Stored forms of certificates, their policies, issuers and contacts, and of the private authority's ledger.

use super::{Tag, redacted};

records! {
    /// Something to do at a point of a certificate's life.
    LifetimeAction {
        #[prost(uint32, tag = "1")] action: u32,
        #[prost(uint32, optional, tag = "2")] percentage: Option<u32>,
        #[prost(uint32, optional, tag = "3")] days_before_expiry: Option<u32>,
    }
    /// What the next version of a certificate is made from.
    CertificatePolicy {
        #[prost(uint32, tag = "1")] spec: u32,
        #[prost(bool, tag = "2")] in_token: bool,
        #[prost(bool, tag = "3")] exportable: bool,
        #[prost(bool, tag = "4")] reuse_key: bool,
        #[prost(uint32, tag = "5")] content_type: u32,
        #[prost(string, tag = "6")] subject: String,
        #[prost(string, repeated, tag = "7")] dns_names: Vec<String>,
        #[prost(string, repeated, tag = "8")] emails: Vec<String>,
        #[prost(string, repeated, tag = "9")] upns: Vec<String>,
        #[prost(string, repeated, tag = "10")] uris: Vec<String>,
        #[prost(string, repeated, tag = "11")] ip_addresses: Vec<String>,
        #[prost(string, repeated, tag = "12")] ekus: Vec<String>,
        #[prost(string, repeated, tag = "13")] key_usage: Vec<String>,
        #[prost(uint32, tag = "14")] validity_months: u32,
        #[prost(message, repeated, tag = "15")] lifetime_actions: Vec<LifetimeAction>,
        #[prost(string, tag = "16")] issuer: String,
        #[prost(string, optional, tag = "17")] certificate_type: Option<String>,
        #[prost(bool, optional, tag = "18")] transparency: Option<bool>,
        #[prost(bool, tag = "19")] disabled: bool,
        #[prost(uint64, tag = "20")] created: u64,
        #[prost(uint64, tag = "21")] updated: u64,
        #[prost(message, repeated, tag = "22")] other: Vec<Tag>,
    }
    /// One version of a certificate.
    CertificateVersion {
        #[prost(bytes = "vec", tag = "1")] version: Vec<u8>,
        #[prost(bool, tag = "2")] disabled: bool,
        #[prost(uint64, optional, tag = "3")] not_before: Option<u64>,
        #[prost(uint64, optional, tag = "4")] expires: Option<u64>,
        #[prost(uint64, tag = "5")] created: u64,
        #[prost(uint64, tag = "6")] updated: u64,
        #[prost(message, repeated, tag = "7")] tags: Vec<Tag>,
        #[prost(bytes = "vec", repeated, tag = "8")] chain: Vec<Vec<u8>>,
        #[prost(uint32, tag = "9")] content_type: u32,
        #[prost(bool, tag = "10")] exportable: bool,
        #[prost(bool, tag = "11")] preserve_order: bool,
        #[prost(bytes = "vec", optional, tag = "12")] previous: Option<Vec<u8>>,
        #[prost(bool, tag = "13")] notified: bool,
        #[prost(bytes = "vec", optional, tag = "14")] authority: Option<Vec<u8>>,
        #[prost(uint64, optional, tag = "15")] revoked: Option<u64>,
        #[prost(uint32, tag = "16")] leaf_at: u32,
    }
    /// A certificate that is being made.
    PendingCertificate {
        #[prost(bytes = "vec", tag = "1")] request: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] version: Vec<u8>,
        #[prost(uint32, tag = "3")] status: u32,
        #[prost(bool, tag = "4")] cancellation_requested: bool,
        #[prost(message, optional, tag = "5")] policy: Option<CertificatePolicy>,
        #[prost(bytes = "vec", tag = "6")] csr: Vec<u8>,
        #[prost(bool, tag = "7")] disabled: bool,
        #[prost(message, repeated, tag = "8")] tags: Vec<Tag>,
        #[prost(bool, tag = "9")] preserve_order: bool,
        #[prost(uint64, tag = "10")] created: u64,
        #[prost(uint64, tag = "11")] updated: u64,
        #[prost(string, optional, tag = "12")] order: Option<String>,
        #[prost(uint64, optional, tag = "13")] next_poll: Option<u64>,
        #[prost(string, optional, tag = "14")] error_code: Option<String>,
        #[prost(string, optional, tag = "15")] error_message: Option<String>,
        #[prost(bool, tag = "16")] renewal: bool,
    }
    /// An administrator of an organization.
    Administrator {
        #[prost(string, optional, tag = "1")] first_name: Option<String>,
        #[prost(string, optional, tag = "2")] last_name: Option<String>,
        #[prost(string, optional, tag = "3")] email: Option<String>,
        #[prost(string, optional, tag = "4")] phone: Option<String>,
    }
    /// An issuer of a vault.
    #[prost(skip_debug)]
    CertificateIssuer {
        #[prost(string, tag = "1")] name: String,
        #[prost(uint32, tag = "2")] provider: u32,
        #[prost(string, optional, tag = "3")] account: Option<String>,
        #[prost(string, optional, tag = "4")] password: Option<String>,
        #[prost(bool, tag = "5")] has_organization: bool,
        #[prost(string, optional, tag = "6")] organization: Option<String>,
        #[prost(message, repeated, tag = "7")] administrators: Vec<Administrator>,
        #[prost(bool, tag = "8")] disabled: bool,
        #[prost(uint64, tag = "9")] created: u64,
        #[prost(uint64, tag = "10")] updated: u64,
        #[prost(bytes = "vec", optional, tag = "11")] authority: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "12")] registration: Option<Vec<u8>>,
    }
    /// Somebody who is told about certificates.
    Contact {
        #[prost(string, tag = "1")] email: String,
        #[prost(string, optional, tag = "2")] name: Option<String>,
        #[prost(string, optional, tag = "3")] phone: Option<String>,
    }
    /// Everybody who is told about certificates of a vault.
    CertificateContacts {
        #[prost(message, repeated, tag = "1")] contacts: Vec<Contact>,
    }
    /// A vault's private certificate authority.
    CertificateAuthority {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(string, tag = "2")] issuer: String,
        #[prost(uint32, tag = "3")] spec: u32,
        #[prost(bool, tag = "4")] in_token: bool,
        #[prost(bytes = "vec", tag = "5")] certificate: Vec<u8>,
        #[prost(uint64, tag = "6")] created: u64,
        #[prost(uint64, tag = "7")] list_number: u64,
        #[prost(bytes = "vec", tag = "8")] list: Vec<u8>,
        #[prost(uint64, tag = "9")] list_next_update: u64,
        #[prost(bool, tag = "10")] list_stale: bool,
    }
    /// One certificate that a private authority issued.
    IssuedCertificate {
        #[prost(bytes = "vec", tag = "1")] serial: Vec<u8>,
        #[prost(string, tag = "2")] object: String,
        #[prost(bytes = "vec", tag = "3")] version: Vec<u8>,
        #[prost(uint64, tag = "4")] not_before: u64,
        #[prost(uint64, tag = "5")] expires: u64,
        #[prost(uint64, optional, tag = "6")] revoked: Option<u64>,
        #[prost(uint32, tag = "7")] reason: u32,
    }
}

redacted! { CertificateIssuer }
