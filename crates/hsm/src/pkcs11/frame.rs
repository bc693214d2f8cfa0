//! Frames between the server and the process of a module: four bytes of length, then so many bytes, over a socket pair.
//!
//! SECURITY: both sides treat the other as a stranger. A length is looked at before anything is reserved for it, and what
//! was read or is to be written is wiped when it is dropped, because plaintexts and keys go through here.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::limits;

/// Why a frame did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone.
    #[error("the process of the module ended")]
    Closed,
    /// It did not happen in time.
    #[error("the module did not answer in time")]
    Late,
    /// A length that no frame has.
    #[error("a frame of {0} bytes")]
    Length(usize),
    /// The socket failed.
    #[error("{0}")]
    Socket(#[source] io::Error),
}

/// Reads one frame; without a moment, for as long as it takes.
pub fn read(mut stream: &UnixStream, until: Option<Instant>) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let mut length = [0; 4];
    fill(&mut stream, &mut length, until)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limits::FRAME_BYTES_MAX {
        return Err(FrameError::Length(length));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    fill(&mut stream, &mut frame, until)?;
    Ok(frame)
}

/// Writes one frame: `payload` without its length, which is put before it.
pub fn write(mut stream: &UnixStream, payload: &[u8], until: Option<Instant>) -> Result<(), FrameError> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= limits::FRAME_BYTES_MAX);
    let length = length.ok_or(FrameError::Length(payload.len()))?.to_be_bytes();
    for mut part in [length.as_slice(), payload] {
        while !part.is_empty() {
            stream.set_write_timeout(left(until)?).map_err(FrameError::Socket)?;
            match stream.write(part) {
                Ok(0) => return Err(FrameError::Closed),
                Ok(written) => part = part.get(written..).unwrap_or_default(),
                Err(error) => look_at(error)?,
            }
        }
    }
    Ok(())
}

fn fill(stream: &mut &UnixStream, mut place: &mut [u8], until: Option<Instant>) -> Result<(), FrameError> {
    while !place.is_empty() {
        stream.set_read_timeout(left(until)?).map_err(FrameError::Socket)?;
        match stream.read(place) {
            Ok(0) => return Err(FrameError::Closed),
            Ok(read) => place = place.get_mut(read..).unwrap_or_default(),
            Err(error) => look_at(error)?,
        }
    }
    Ok(())
}

/// How long one call of the kernel may wait; nothing where nobody counts.
fn left(until: Option<Instant>) -> Result<Option<std::time::Duration>, FrameError> {
    let Some(until) = until else { return Ok(None) };
    // A timeout of zero would mean none at all.
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(FrameError::Late) } else { Ok(Some(left)) }
}

/// What is worth another try; the time that is left decides how often.
fn look_at(error: io::Error) -> Result<(), FrameError> {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(()),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Err(FrameError::Closed),
        _ => Err(FrameError::Socket(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("a socket pair")
    }

    #[test]
    fn frames_of_every_length_that_is_allowed_arrive_as_they_were_sent() {
        for length in [0, 1, 3, 4, 5, 4_096, limits::FRAME_BYTES_MAX] {
            let (here, there) = pair();
            let sent: Vec<u8> = (0..length).map(|place| u8::try_from(place % 251).unwrap_or(0)).collect();
            let copy = sent.clone();
            let writer = std::thread::spawn(move || write(&here, &copy, None).is_ok());
            let read = read(&there, None).expect("a frame");
            assert!(*read == sent, "{length} bytes");
            assert!(writer.join().expect("joined"));
        }
    }

    #[test]
    fn what_is_too_long_is_neither_written_nor_reserved_nor_read() {
        let (here, there) = pair();
        let long = vec![0; limits::FRAME_BYTES_MAX + 1];
        assert!(matches!(write(&here, &long, None), Err(FrameError::Length(_))));
        (&here).write_all(&u32::MAX.to_be_bytes()).expect("written");
        assert!(matches!(read(&there, None), Err(FrameError::Length(_))));
    }

    #[test]
    fn an_end_within_a_frame_is_an_end() {
        for part in [[].as_slice(), &[0, 0], &[0, 0, 0, 9], &[0, 0, 0, 9, 1, 2, 3]] {
            let (here, there) = pair();
            (&here).write_all(part).expect("written");
            drop(here);
            assert!(matches!(read(&there, None), Err(FrameError::Closed)), "{part:?}");
        }
        let (here, there) = pair();
        drop(there);
        assert!(matches!(write(&here, &[1], None), Err(FrameError::Closed)));
    }

    #[test]
    fn nobody_waits_longer_than_until_the_moment() {
        let soon = || Some(Instant::now() + Duration::from_millis(5));
        let (here, there) = pair();
        (&here).write_all(&[0, 0, 0, 9, 1]).expect("written");
        assert!(matches!(read(&there, soon()), Err(FrameError::Late)));
        let past = Some(Instant::now());
        assert!(matches!(read(&there, past), Err(FrameError::Late)));
        // Nobody reads, so that at some moment the kernel takes no more.
        let full = std::iter::repeat_with(|| write(&here, &vec![0; limits::FRAME_BYTES_MAX], soon()));
        let refused = full.take(1_000).find_map(Result::err);
        assert!(matches!(refused, Some(FrameError::Late)), "{refused:?}");
    }
}
