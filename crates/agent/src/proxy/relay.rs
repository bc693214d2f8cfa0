//! Copies bytes between two streams until both have ended, or nothing moves for too long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// How much is copied at a time.
const BUFFER_BYTES: usize = 16 * 1024;

/// When something moved last, in either direction: a download keeps the silent upload alive.
struct Activity(Mutex<Instant>);

impl Activity {
    fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Joins two streams; returns when both directions have ended or one failed.
pub(super) async fn relay<A, B>(a: A, b: B, idle: Duration)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (a_read, a_write) = tokio::io::split(a);
    let (b_read, b_write) = tokio::io::split(b);
    let activity = Activity(Mutex::new(Instant::now()));
    // An error in one direction ends the other as well; a proper end does not.
    let _ = tokio::try_join!(copy(a_read, b_write, &activity, idle), copy(b_read, a_write, &activity, idle));
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
    idle: Duration,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = loop {
            match timeout_at(activity.last() + idle, from.read(&mut buffer)).await {
                Ok(count) => break count?,
                Err(_) if activity.last() + idle > Instant::now() => {}
                Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
            }
        };
        activity.touch();
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        // A reader that takes nothing for so long is as good as gone.
        tokio::time::timeout(idle, to.write_all(bytes)).await??;
        activity.touch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_tunnel_ends() {
        let (mut client, a) = tokio::io::duplex(64);
        let (mut server, b) = tokio::io::duplex(64);
        let relayed = tokio::spawn(relay(a, b, Duration::from_millis(50)));
        let mut byte = [0];
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
        relayed.await.unwrap();
        assert_eq!(client.read(&mut byte).await.unwrap(), 0);
        assert_eq!(server.read(&mut byte).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn one_direction_may_end_before_the_other() {
        let (mut client, a) = tokio::io::duplex(64);
        let (mut server, b) = tokio::io::duplex(64);
        let relayed = tokio::spawn(relay(a, b, Duration::from_secs(10)));
        client.write_all(b"ask").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        server.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "ask");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        assert_eq!(answered, "answer");
        relayed.await.unwrap();
    }
}
