//! Stored forms of certificates, their policies, issuers and contacts.
