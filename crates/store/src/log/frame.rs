//! How an entry lies in a segment: length (2, big-endian) | CRC-32 of length and entry (4, big-endian) | entry.
//!
//! The checksum tells a torn write from a whole one. It proves nothing against an attacker; the tree does that.

use std::io::{self, Read};

use super::ENTRY_BYTES_MAX;

/// Bytes before the entry.
pub const HEADER_BYTES: usize = 6;

/// Appends the frame of an entry of 1 to 65,535 bytes; `false` for any other.
#[must_use]
pub fn encode(entry: &[u8], into: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    if length == 0 {
        // A file that grew without its data reads as zeros, which must never look like entries.
        return false;
    }
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(&checksum(length.to_be_bytes(), entry).to_be_bytes());
    into.extend_from_slice(entry);
    true
}

fn checksum(length: [u8; 2], entry: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(entry);
    hasher.finalize()
}

/// What stands at the reader's place.
#[derive(Debug, Eq, PartialEq)]
pub enum Frame {
    /// A whole entry.
    Entry(Vec<u8>),
    /// Nothing more.
    End,
    /// The file ends inside a frame.
    Torn,
    /// The length is impossible or the checksum is wrong; the frame would end here if its length were right.
    Damaged {
        /// Offset after the frame.
        end: u64,
    },
}

/// Reads frames one by one and knows where each began.
pub struct Frames<R> {
    reader: R,
    offset: u64,
}

impl<R: Read> Frames<R> {
    /// Begins at the offset that `reader` stands at.
    pub fn new(reader: R, offset: u64) -> Self {
        Self { reader, offset }
    }

    /// Where the next frame begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next frame; after anything but an entry the reader stands nowhere in particular.
    pub fn next(&mut self) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        match read_full(&mut self.reader, &mut header)? {
            0 => return Ok(Frame::End),
            HEADER_BYTES => {}
            _ => return Ok(Frame::Torn),
        }
        let [high, low, crc @ ..] = header;
        let length = u16::from_be_bytes([high, low]);
        let end = self.offset + (HEADER_BYTES as u64) + u64::from(length);
        let mut entry = vec![0; usize::from(length)];
        if read_full(&mut self.reader, &mut entry)? != entry.len() {
            return Ok(Frame::Torn);
        }
        if entry.is_empty()
            || entry.len() > ENTRY_BYTES_MAX
            || checksum([high, low], &entry) != u32::from_be_bytes(crc)
        {
            return Ok(Frame::Damaged { end });
        }
        self.offset = end;
        Ok(Frame::Entry(entry))
    }
}

/// Reads until the buffer is full or the file ends; says how much it read.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
