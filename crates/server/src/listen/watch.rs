//! Tells a connection that waits from one that dawdles.
//!
//! Between requests a connection may be silent for minutes, because SDKs keep connections open. But once the first
//! byte of a request's head has arrived, the rest must follow within seconds; otherwise a few thousand slow clients
//! would hold every slot. hyper has one timer for both, so the bytes are watched here.
//!
//! A connection also ends with a short wait here: closing a socket while the client still sends makes the kernel
//! reset it, and the refusal that explains why (431, 413) is lost on the way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::Limits;

/// How long and how much a client may go on sending after our last word.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// What a connection has done so far, in milliseconds since it began.
pub(super) struct Watch {
    began: Instant,
    /// On HTTP/2 bytes also arrive for other reasons than a request, and the library bounds heads itself.
    heads: bool,
    idle: Duration,
    header: Duration,
    in_flight: AtomicUsize,
    /// When the last request ended; a connection begins silent.
    quiet_since: AtomicU64,
    /// When the first byte of the next head arrived, plus one; zero for none yet.
    head_since: AtomicU64,
}

/// What to do about a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// It has been silent for too long.
    Silent,
    /// The head of a request has taken too long.
    SlowHead,
}

impl Watch {
    pub(super) fn new(h2: bool, limits: &Limits) -> Self {
        Self {
            began: Instant::now(),
            heads: !h2,
            idle: limits.idle_timeout,
            header: limits.header_timeout,
            in_flight: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn moment(&self, millis: u64) -> Instant {
        self.began + Duration::from_millis(millis)
    }

    /// Notes that a request is being answered until the guard is dropped.
    pub(super) fn request(self: Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(0, Ordering::Release);
        InFlight(self)
    }

    fn bytes_arrived(&self) {
        if self.heads && self.in_flight.load(Ordering::Acquire) == 0 {
            let now = self.millis().saturating_add(1);
            // Only the first byte counts: dripping must not help.
            let _ = self.head_since.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// When something could be wrong at the earliest; between heads nobody announces their first byte to a timer, so
    /// it looks at least as often as a head may take.
    pub(super) fn next_look(&self) -> Instant {
        let look = Instant::now() + self.header.min(self.idle);
        match self.head_since.load(Ordering::Acquire) {
            0 => look,
            since => look.min(self.moment(since) + self.header),
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.in_flight.load(Ordering::Acquire) > 0 {
            return Verdict::Fine;
        }
        let now = Instant::now();
        let head = self.head_since.load(Ordering::Acquire);
        if head > 0 {
            return if now >= self.moment(head) + self.header { Verdict::SlowHead } else { Verdict::Fine };
        }
        let quiet = self.moment(self.quiet_since.load(Ordering::Acquire));
        if now >= quiet + self.idle { Verdict::Silent } else { Verdict::Fine }
    }
}

/// A request being answered.
pub(super) struct InFlight(Arc<Watch>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.millis(), Ordering::Release);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream that reports arriving bytes to its watch, and lets the client finish its sentence when it closes.
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch, lingering: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.watch.bytes_arrived();
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let (until, left) = this.lingering.get_or_insert_with(|| (Box::pin(sleep(LINGER)), LINGER_BYTES));
        let mut unwanted = [0; 4096];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut unwanted);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(h2: bool) -> Arc<Watch> {
        Arc::new(Watch::new(h2, &Limits::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_may_last_minutes_but_a_head_only_seconds() {
        let limits = Limits::default();
        let silent = watch(false);
        tokio::time::advance(limits.idle_timeout - Duration::from_millis(1)).await;
        assert_eq!(silent.verdict(), Verdict::Fine);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(silent.verdict(), Verdict::Silent);

        let dripping = watch(false);
        for _ in 0..3 {
            dripping.bytes_arrived();
            assert_eq!(dripping.verdict(), Verdict::Fine);
            tokio::time::advance(limits.header_timeout / 3 + Duration::from_millis(1)).await;
        }
        assert_eq!(dripping.verdict(), Verdict::SlowHead);
        assert!(dripping.next_look() <= Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_stops_both_clocks_and_its_body_is_no_head() {
        let limits = Limits::default();
        let watch = watch(false);
        watch.bytes_arrived();
        let request = watch.clone().request();
        watch.bytes_arrived();
        tokio::time::advance(limits.idle_timeout * 2).await;
        assert_eq!(watch.verdict(), Verdict::Fine);
        drop(request);
        assert_eq!(watch.verdict(), Verdict::Fine);
        tokio::time::advance(limits.idle_timeout).await;
        assert_eq!(watch.verdict(), Verdict::Silent);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_are_no_heads_on_http_2_and_no_activity_either() {
        let limits = Limits::default();
        let watch = watch(true);
        watch.bytes_arrived();
        tokio::time::advance(limits.header_timeout * 2).await;
        assert_eq!(watch.verdict(), Verdict::Fine);
        tokio::time::advance(limits.idle_timeout).await;
        assert_eq!(watch.verdict(), Verdict::Silent);
    }
}
