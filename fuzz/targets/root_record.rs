//! `root.json`, which anyone may change who can write to the disk: a record or a refusal, and what is read is written the
//! same way again. Whatever was bent, a quorum that opens a record opens exactly the one that was sealed for it.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_store::root::{OpenedShare, RootKeySource, RootRecord};

const RECORD: &[u8] = include_bytes!("../../crates/store/tests/golden/root/root.json");
const SHARES: [&[u8]; 2] = [
    include_bytes!("../../crates/store/tests/golden/root/opened-1.txt"),
    include_bytes!("../../crates/store/tests/golden/root/opened-3.txt"),
];

fuzz_target!(|data: &[u8]| {
    let Ok(record) = RootRecord::parse(data) else { return };
    let written = serde_json::to_vec(&record).expect("a record that was read can be written");
    let again = RootRecord::parse(&written).expect("a record that we wrote can be read");
    assert!(again == record, "a record was read differently the second time");
    assert!(record.providers().iter().all(|provider| provider.name.len() <= data.len()));
    // The sealed record has no previous root and nothing carried: a record that opens has neither.
    if record.open(Path::new("/"), quorum()).is_ok() {
        assert!(record == *golden(), "a bent record opens");
    }
});

fn quorum() -> &'static RootKeySource {
    static QUORUM: OnceLock<RootKeySource> = OnceLock::new();
    QUORUM.get_or_init(|| {
        let opened = SHARES.map(|line| OpenedShare::parse("a share", line).expect("a share"));
        let source = RootKeySource::Quorum(opened.into());
        assert!(golden().open(Path::new("/"), &source).is_ok(), "the sample does not open");
        source
    })
}

fn golden() -> &'static RootRecord {
    static GOLDEN: OnceLock<RootRecord> = OnceLock::new();
    GOLDEN.get_or_init(|| RootRecord::parse(RECORD).expect("the sample"))
}
