//! A record as it lies in the engine: security.md §7.1, "Associated data" and "Names at rest".
//!
//! ```text
//! clear:   format (1) | version of the wrapping key in the partition's ring (4, big-endian) | envelope
//! sealed:  number of segments (1) | each: length (2, big-endian), bytes | value
//! ```
//!
//! The envelope is bound to format, purpose, tenant, vault, kind, each blinded segment, key version and revision. The
//! true name lies inside, so that a listing can show it; whoever opens a record proves that the name belongs to the
//! place. Another deployment needs no field: its keys come from another root.

use vouchsafe_crypto::envelope::{AssociatedData, Kek, open, seal};
use vouchsafe_crypto::{Reason, SecretBytes};
use zeroize::Zeroizing;

use super::place::{Place, partition_ids};

const FORMAT: u8 = 1;
const HEADER: usize = 5;
const PURPOSE: &str = "vouchsafe record";

/// The name and value of an opened record.
pub struct Opened {
    /// The true name's segments.
    pub name: Vec<String>,
    /// The content.
    pub value: SecretBytes,
}

/// Seals a record for one place, key version and revision.
pub fn seal_record(
    kek: &Kek,
    key_version: u32,
    place: &Place,
    revision: u64,
    name: &[String],
    value: &SecretBytes,
) -> Vec<u8> {
    let names_bytes: usize = name.iter().map(|segment| 2 + segment.len()).sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(1 + names_bytes + value.len()));
    // `Places` admits at most two segments of 2048 bytes, so neither number is ever cut.
    plain.push(name.len() as u8);
    for segment in name {
        plain.extend_from_slice(&(segment.len() as u16).to_be_bytes());
        plain.extend_from_slice(segment.as_bytes());
    }
    plain.extend_from_slice(value.expose(Reason::Record));
    let envelope = seal(kek, &associated_data(place, key_version, revision), &plain);
    let mut record = Vec::with_capacity(HEADER + envelope.len());
    record.push(FORMAT);
    record.extend_from_slice(&key_version.to_be_bytes());
    record.extend_from_slice(&envelope);
    record
}

/// Reads which key of the ring wraps a record; `None` when the record is not of a format we know.
pub fn key_version(record: &[u8]) -> Option<u32> {
    let ([FORMAT, version @ ..], _) = record.split_first_chunk::<HEADER>()? else { return None };
    Some(u32::from_be_bytes(*version))
}

/// Opens a record, or says nothing about why not. The caller proves that the name belongs to the place.
pub fn open_record(kek: &Kek, place: &Place, revision: u64, record: &[u8]) -> Option<Opened> {
    let version = key_version(record)?;
    let plain = open(kek, &associated_data(place, version, revision), record.get(HEADER..)?).ok()?;
    let bytes = plain.expose(Reason::Record);
    let (&[segments], mut rest) = bytes.split_first_chunk::<1>()?;
    let mut name = Vec::with_capacity(segments.into());
    for _ in 0..segments {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (segment, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
        name.push(std::str::from_utf8(segment).ok()?.to_owned());
        rest = tail;
    }
    let value = SecretBytes::new(rest.to_vec());
    Some(Opened { name, value })
}

fn associated_data(place: &Place, key_version: u32, revision: u64) -> AssociatedData {
    let ids = partition_ids(place.partition);
    let data = AssociatedData::new(PURPOSE)
        .field(&[FORMAT])
        .field(&[ids.tag])
        .field(&ids.tenant)
        .field(&ids.vault)
        .field(&[place.kind])
        .field(&key_version.to_be_bytes())
        .field(&revision.to_be_bytes());
    place.blinded_segments().fold(data, AssociatedData::field)
}
