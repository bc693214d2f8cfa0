//! Stored records: whatever the bytes, a noun or an error; and a noun that was read is written the same way twice.
//!
//! The first byte chooses the kind of record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_domain::access::assignment::RoleAssignment;
use vouchsafe_domain::access::role::RoleDefinition;
use vouchsafe_domain::audit::Entry;
use vouchsafe_domain::directory::{Application, Group, ServicePrincipal, Tenant};
use vouchsafe_domain::identity::ManagedIdentity;
use vouchsafe_domain::record::{Decode, Encode};
use vouchsafe_domain::resource::{ResourceGroup, Subscription, Vault};
use vouchsafe_domain::token::TenantKey;
use vouchsafe_domain::vault::{DeletedSecret, SecretHead, SecretVersion};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    match kind % 15 {
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
        _ => {
            if let Some(entry) = Entry::decode(rest) {
                let written = entry.encode();
                let again = Entry::decode(&written).expect("an entry that we wrote can be read");
                assert_eq!(again.encode(), written);
            }
        }
    }
});

fn round_trip<T: Decode + Encode>(bytes: &[u8]) {
    let Ok(noun) = T::decode(bytes) else { return };
    let written = noun.encode();
    let again = T::decode(&written).unwrap_or_else(|error| panic!("what we wrote cannot be read: {error}"));
    assert_eq!(again.encode(), written, "written differently the second time");
}
