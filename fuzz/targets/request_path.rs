//! Request paths: read once and strictly, and never as more than one segment each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_wire::path::Segments;

fuzz_target!(|data: &[u8]| {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(segments) = Segments::parse(raw) else { return };
    for segment in segments.as_slice() {
        assert!(!segment.contains(['/', '\\', '\0']), "a segment that is more than one: {segment:?}");
        assert!(segment != "." && segment != "..", "a dot segment");
        assert!(!segment.chars().any(char::is_control), "a control character");
    }
    // What was decoded once is not decoded again by writing it out.
    let written: String =
        segments.as_slice().iter().map(|segment| format!("/{}", escaped(segment))).collect();
    if let Ok(again) = Segments::parse(&written) {
        let same = again.as_slice().iter().zip(segments.as_slice()).all(|(left, right)| left == right);
        assert!(same, "{raw:?} was read differently the second time");
    }
});

fn escaped(segment: &str) -> String {
    segment.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
