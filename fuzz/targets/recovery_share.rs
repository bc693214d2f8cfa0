//! Shares as custodians bring them: the file that a custodian was given, and the line that it was decrypted to. A share or
//! a refusal; and no line but those that were given opens the deployment, nor makes it open to another root key.
//!
//! The first byte chooses the form.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_store::root::{OpenedShare, RootKeySource, RootRecord, ShareFile};

const RECORD: &[u8] = include_bytes!("../../crates/store/tests/golden/root/root.json");
const OPENED: [&str; 3] = [
    include_str!("../../crates/store/tests/golden/root/opened-1.txt"),
    include_str!("../../crates/store/tests/golden/root/opened-2.txt"),
    include_str!("../../crates/store/tests/golden/root/opened-3.txt"),
];
const CUSTODIAN: &str = include_str!("../../crates/store/tests/golden/root/custodian-1.pem");

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    match kind % 2 {
        0 => file(rest),
        _ => line(rest),
    }
});

fn file(bytes: &[u8]) {
    let Ok(file) = ShareFile::parse(bytes) else { return };
    let again = ShareFile::parse(file.text().as_bytes()).expect("a file that we wrote can be read");
    assert!(again == file, "a file was read differently the second time");
    // Whose share it is does not follow from the file: only what its custodian's key decrypts counts.
    if let Ok(opened) = file.open(&SecretString::new(CUSTODIAN.to_owned())) {
        assert_eq!(opened.line().expose(Reason::Test), OPENED[0], "a file opened to another share");
    }
}

fn line(bytes: &[u8]) {
    let Ok(share) = OpenedShare::parse("a share", bytes) else { return };
    let written = share.line();
    let written = written.expose(Reason::Test);
    let again = OpenedShare::parse("a share", written.as_bytes()).expect("a line that we wrote can be read");
    assert_eq!(again.line().expose(Reason::Test), written, "a line was read differently the second time");
    let second = OpenedShare::parse("the second", OPENED[1].as_bytes()).expect("a share");
    if record().open(Path::new("/"), &RootKeySource::Quorum([share, second].into())).is_ok() {
        assert!([OPENED[0], OPENED[2]].contains(&written), "a share opens that nobody was given");
    }
}

fn record() -> &'static RootRecord {
    static RECORD_READ: OnceLock<RootRecord> = OnceLock::new();
    RECORD_READ.get_or_init(|| RootRecord::parse(RECORD).expect("the sample"))
}
