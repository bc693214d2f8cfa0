//! The files that hold the entries, and nothing else, in order.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::frame::Frames;

/// The path of a segment.
pub fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("segment/{number:012}"))
}

/// How many segments there are; an error if one is missing in between or something else lies there.
pub fn count(directory: &Path) -> io::Result<u64> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory.join("segment"))? {
        names.push(entry?.file_name());
    }
    names.sort();
    for (number, name) in (0u64..).zip(&names) {
        if name.to_str() != Some(&format!("{number:012}")) {
            let problem =
                format!("segment {number} is missing, or `{}` does not belong there", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
    }
    Ok(names.len() as u64)
}

/// Opens a segment for reading frames from an offset.
pub fn frames(directory: &Path, number: u64, offset: u64) -> io::Result<Frames<BufReader<File>>> {
    let mut file = File::open(path(directory, number))?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(Frames::new(BufReader::with_capacity(1 << 18, file), offset))
}

/// Opens a segment for appending, and makes it first if it is new.
pub fn open_for_appending(directory: &Path, number: u64) -> io::Result<File> {
    let file =
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path(directory, number))?;
    crate::root::sync_directory(&directory.join("segment"))?;
    Ok(file)
}

/// Whether a file holds nothing but zeros from an offset on.
pub fn only_zeros_from(directory: &Path, number: u64, offset: u64) -> io::Result<bool> {
    let mut file = File::open(path(directory, number))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            read if buffer.iter().take(read).all(|byte| *byte == 0) => {}
            _ => return Ok(false),
        }
    }
}
