//! Every size, count, lifetime and retry has its maximum here, with the unit in the name.

use std::time::Duration;

/// A secret's value; Key Vault documents 25 KB.
pub const SECRET_VALUE_BYTES_MAX: usize = 25 * 1024;
/// The `contentType` of a secret; Key Vault documents 255 characters.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Tags on one object; Key Vault documents 15.
pub const TAGS_MAX: usize = 15;
/// A tag's name; Key Vault documents 256 characters.
pub const TAG_NAME_CHARS_MAX: usize = 256;
/// A tag's value; Key Vault documents 256 characters.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Items in a page of a Key Vault list, which is also the default.
pub const PAGE_ITEMS_MAX: usize = 25;
/// Versions that one backup can carry; Key Vault documents 500.
pub const BACKUP_VERSIONS_MAX: usize = 500;
/// A backup blob, when it is made and as it comes back to `restore`.
pub const BACKUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The release policy of an exportable key.
pub const RELEASE_POLICY_BYTES_MAX: usize = 10 * 1024;
/// How deep a release policy nests: its own lists and objects, two for each level of conditions.
pub const RELEASE_POLICY_DEPTH_MAX: usize = 16;
/// Authorities and conditions of one release policy.
pub const RELEASE_CONDITIONS_MAX: usize = 100;
/// The path of a claim, and a text that it must equal.
pub const RELEASE_TEXT_BYTES_MAX: usize = 1_024;
/// How long the certificate beside the signature of a statement about a key holds, from when its key began to sign.
pub const STATEMENT_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// The longest life of a token about an environment; Azure's attestation service gives 8 hours.
pub const ATTESTATION_LIFETIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// What an attestation service calls itself.
pub const ATTESTATION_ISSUER_BYTES_MAX: usize = 256;
/// Keys of one attestation service.
pub const ATTESTATION_KEYS_MAX: usize = 32;
/// Attestation services that one tenant trusts.
pub const ATTESTATION_ISSUERS_MAX: usize = 64;
/// The longest time that a rotation policy can name.
pub const ROTATION_SPAN_DAYS_MAX: u32 = 36_525;
/// The shortest `expiryTime` of a rotation policy; Key Vault documents 28 days.
pub const KEY_EXPIRY_DAYS_MIN: u32 = 28;
/// The shortest time of a lifetime action after creation and before expiry; Key Vault documents 7 days.
pub const ROTATION_TRIGGER_DAYS_MIN: u32 = 7;
/// Shortest retention of soft-deleted objects; Key Vault documents 7 days.
pub const RETENTION_DAYS_MIN: u32 = 7;
/// Longest retention of soft-deleted objects and the default; Key Vault documents 90 days.
pub const RETENTION_DAYS_MAX: u32 = 90;

/// How often a use case loads and decides again when another change came first.
pub const COMMIT_ATTEMPTS_MAX: usize = 16;
/// Control-plane records of one tenant that are held in memory.
pub const TENANT_RECORDS_MAX: usize = 200_000;
/// Records read at once while a snapshot is loaded.
pub const SNAPSHOT_PAGE: usize = 512;
/// Tenants in a deployment.
pub const TENANTS_MAX: usize = 1_000;

/// How long an access token is valid.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// Clock difference accepted for our own tokens.
pub const TOKEN_SKEW: Duration = Duration::from_secs(60);
/// How far the wall clock may be behind the latest time known while it is still believed.
pub const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);
/// How far the wall clock may get ahead of the monotonic clock, since a start or a confirmation, while it is still believed.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(3_600);
/// The same at a start, where a clock that was set ahead looks like time in which nothing ran.
pub const CLOCK_GAP_AT_START_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Clock difference accepted for client assertions of the Azure SDKs.
pub const ASSERTION_SKEW: Duration = Duration::from_secs(300);
/// Longest life of a client assertion: Python's asynchronous client asks for 30 minutes, plus the clock difference.
pub const ASSERTION_LIFETIME_MAX: Duration = Duration::from_secs(35 * 60);
/// Verified tokens remembered by digest.
pub const VERIFIED_TOKENS_MAX: u64 = 50_000;
/// An access token as it is presented.
pub const ACCESS_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Default life of a generated client secret.
pub const CLIENT_SECRET_LIFETIME: Duration = Duration::from_secs(180 * 86_400);
/// Credentials of one application.
pub const CREDENTIALS_MAX: usize = 32;
/// Bindings of one identity.
pub const BINDINGS_MAX: usize = 64;
/// Members of one group.
pub const GROUP_MEMBERS_MAX: usize = 10_000;

/// Free text given by an administrator: display names, descriptions.
pub const DISPLAY_NAME_BYTES_MAX: usize = 256;
/// Tags on a control-plane resource; ARM documents 50.
pub const RESOURCE_TAGS_MAX: usize = 50;

/// Objects that one run of a background job touches.
pub const JOB_BATCH_MAX: usize = 256;

/// How often every certificate is looked at, whatever the calendar of what is due says.
pub const CERTIFICATE_REVIEW: Duration = Duration::from_secs(3_600);

/// Random bytes of one answer; Key Vault documents 128.
pub const RANDOM_BYTES_MAX: usize = 128;
/// A wrapped key that a caller brings: a 512-byte wrapped AES key, and RSA 4096 in PKCS#8 (about 2.4 KB) wrapped.
pub const BYOK_BYTES_MAX: usize = 8 * 1024;

/// Lifetime actions of one certificate policy; Key Vault has two kinds, each once.
pub const LIFETIME_ACTIONS_MAX: usize = 2;
/// How long a certificate can be asked to be valid.
pub const VALIDITY_MONTHS_MAX: u32 = 1_200;
/// Subject alternative names of one certificate.
pub const SANS_MAX: usize = 100;
/// A URI among the subject alternative names.
pub const SAN_URI_BYTES_MAX: usize = 2_048;
/// Extended key usages of one certificate.
pub const EKUS_MAX: usize = 32;
/// An object identifier as text.
pub const OID_BYTES_MAX: usize = 128;
/// The kind of certificate, in an issuer's words.
pub const CERTIFICATE_TYPE_BYTES_MAX: usize = 256;
/// Members of a certificate policy that are kept without being known.
pub const POLICY_OTHER_BYTES_MAX: usize = 4 * 1024;
/// Certificates in one chain.
pub const CHAIN_CERTIFICATES_MAX: usize = 10;
/// How far before its making a certificate begins to be valid, for clocks that are behind; Key Vault has 10 minutes.
pub const CERTIFICATE_BACKDATING: Duration = Duration::from_secs(600);
/// A text of an issuer or a contact: account, password, name. The rules of a private authority are one, too.
pub const ISSUER_TEXT_BYTES_MAX: usize = 4 * 1024;
/// Administrators that an issuer is told.
pub const ISSUER_ADMINISTRATORS_MAX: usize = 16;
/// Contacts of one vault.
pub const CONTACTS_MAX: usize = 32;
/// What an outside issuer may call an order.
pub const ORDER_BYTES_MAX: usize = 4 * 1024;
/// The longest that an outside issuer can make us wait before it is asked again.
pub const ISSUER_POLL_MAX: Duration = Duration::from_secs(86_400);
/// How long an operation may wait for an outside issuer before it fails.
pub const ORDER_AGE_MAX: Duration = Duration::from_secs(7 * 86_400);
/// How much longer an operation waits each time, as a part of its age, for an issuer that does not answer.
pub const ISSUER_PATIENCE_PART: u32 = 8;
/// What an outside issuer's adapter may have kept of an account.
pub const REGISTRATION_BYTES_MAX: usize = 4 * 1024;
/// How long after a failure a renewal is tried again.
pub const RENEWAL_RETRY: Duration = Duration::from_secs(6 * 3_600);
/// The text of a failure that is kept with a pending certificate.
pub const FAILURE_CHARS_MAX: usize = 512;
/// How long a private authority's own certificate is valid.
pub const AUTHORITY_LIFETIME_MONTHS: u32 = 120;
/// The longest validity of what a private authority issues, unless its rules say another one.
pub const ISSUED_LIFETIME_DAYS_DEFAULT: u64 = 398;
/// The longest validity that the rules of a private authority can say.
pub const ISSUED_LIFETIME_DAYS_MAX: u64 = 3_650;
/// How long a revocation list is the newest; a new one is signed when half of that is over.
pub const REVOCATION_LIST_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// How long an OCSP answer is good.
pub const OCSP_LIFETIME: Duration = Duration::from_secs(3_600);
/// OCSP answers that are remembered.
pub const OCSP_ANSWERS_MAX: u64 = 10_000;
