//! What opens a deployment and is read before anything is proved: its root record, and the shares, custodians' keys and
//! opened lines of a recovery. The first byte chooses which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_store::root::{Custodian, OpenedShare, RootRecord, ShareFile};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    let refusal = match kind % 4 {
        0 => {
            let Ok(record) = serde_json::from_slice::<RootRecord>(rest) else { return };
            let written = serde_json::to_vec(&record).expect("a record is JSON");
            let again: RootRecord = serde_json::from_slice(&written).expect("what we wrote can be read");
            assert!(again == record, "a root record was read differently the second time");
            record.providers();
            return;
        }
        1 => match ShareFile::parse(rest) {
            Ok(share) => {
                let again = ShareFile::parse(share.text().as_bytes()).expect("what we wrote can be read");
                assert!(again == share, "a share was read differently the second time");
                return;
            }
            Err(refusal) => refusal,
        },
        2 => match OpenedShare::parse("a line", rest) {
            Ok(share) => {
                let line = share.line().into_bytes();
                let line = line.expose(vouchsafe_crypto::Reason::Test);
                let again = OpenedShare::parse("a line", line).map(|again| again.line());
                let again = again.unwrap_or_else(|refusal| panic!("what we wrote cannot be read: {refusal}"));
                assert!(again.into_bytes().matches(line), "another share came back");
                return;
            }
            Err(refusal) => refusal,
        },
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            match Custodian::from_pem("custodian", text) {
                Ok(_) => return,
                Err(refusal) => refusal,
            }
        }
    };
    assert!(!refusal.is_empty() && refusal.len() < 4_096, "a refusal of {} bytes", refusal.len());
});
