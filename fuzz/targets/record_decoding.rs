//! Stored records: whatever the bytes, a noun or an error; and a noun that was read is written the same way twice.
//!
//! The first byte chooses the kind of record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use vouchsafe_domain::access::assignment::RoleAssignment;
use vouchsafe_domain::access::role::RoleDefinition;
use vouchsafe_domain::audit::Entry;
use vouchsafe_domain::directory::{Application, Group, ServicePrincipal, Tenant};
use vouchsafe_domain::identity::ManagedIdentity;
use vouchsafe_domain::listener::ListenerAuthority;
use vouchsafe_domain::ports::store::Kind;
use vouchsafe_domain::record::{Decode, Encode, Object, ObjectBackup};
use vouchsafe_domain::resource::{ResourceGroup, Subscription, Vault};
use vouchsafe_domain::timekeeping::ClockMark;
use vouchsafe_domain::token::TenantKey;
use vouchsafe_domain::vault::certificate::{
    CertificateHead, CertificatePolicy, CertificateVersion, Contacts, DeletedCertificate, PendingCertificate,
    written_again,
};
use vouchsafe_domain::vault::{
    DeletedKey, DeletedSecret, KeyHead, KeyVersion, RotationPolicy, SecretHead, SecretVersion,
};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    match kind % 31 {
        0 => round_trip::<Tenant>(rest),
        1 => round_trip::<Subscription>(rest),
        2 => round_trip::<ResourceGroup>(rest),
        3 => round_trip::<Vault>(rest),
        4 => round_trip::<ManagedIdentity>(rest),
        5 => round_trip::<Application>(rest),
        6 => round_trip::<ServicePrincipal>(rest),
        7 => round_trip::<Group>(rest),
        8 => round_trip::<RoleDefinition>(rest),
        9 => round_trip::<RoleAssignment>(rest),
        10 => round_trip::<TenantKey>(rest),
        11 => round_trip::<SecretVersion>(rest),
        12 => round_trip::<SecretHead>(rest),
        13 => round_trip::<DeletedSecret>(rest),
        14 => {
            if let Some(entry) = Entry::decode(rest) {
                let written = entry.encode();
                let again = Entry::decode(&written).expect("an entry that we wrote can be read");
                assert_eq!(again.encode(), written);
            }
        }
        15 => round_trip::<ListenerAuthority>(rest),
        16 => round_trip::<KeyVersion>(rest),
        17 => round_trip::<KeyHead>(rest),
        18 => round_trip::<DeletedKey>(rest),
        19 => round_trip::<RotationPolicy>(rest),
        20 => round_trip::<CertificateVersion>(rest),
        21 => round_trip::<CertificateHead>(rest),
        22 => round_trip::<DeletedCertificate>(rest),
        23 => round_trip::<CertificatePolicy>(rest),
        24 => round_trip::<PendingCertificate>(rest),
        25 => round_trip::<Contacts>(rest),
        26 => stays_in_its_room(Kind::CertificateIssuer, rest),
        27 => stays_in_its_room(Kind::CertificateAuthority, rest),
        28 => stays_in_its_room(Kind::IssuedCertificate, rest),
        30 => round_trip::<ClockMark>(rest),
        _ => {
            round_trip::<Object>(rest);
            let Ok(backup) = ObjectBackup::decode(rest) else { return };
            let written = backup.encode_to_vec();
            let again = ObjectBackup::decode(written.as_slice()).expect("a backup that we wrote can be read");
            assert!(again == backup, "a backup was read differently the second time");
        }
    }
});

fn stays_in_its_room(kind: Kind, bytes: &[u8]) {
    let Ok(written) = written_again(kind, bytes).expect("a kind of that room") else { return };
    let again = written_again(kind, &written).expect("the same kind");
    assert_eq!(again.expect("what we wrote can be read"), written, "written differently the second time");
}

fn round_trip<T: Decode + Encode>(bytes: &[u8]) {
    let Ok(noun) = T::decode(bytes) else { return };
    let written = noun.encode();
    let again = T::decode(&written).unwrap_or_else(|error| panic!("what we wrote cannot be read: {error}"));
    assert_eq!(again.encode(), written, "written differently the second time");
}
