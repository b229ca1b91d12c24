//! When a connection has taken too long: over a header, or in saying nothing.
//!
//! hyper's own `header_read_timeout` begins when the previous answer has been sent, so a connection that is merely idle would be
//! closed by it (hyper 1.12, `proto/h1/conn.rs`, `poll_read_head`). Alloy keeps idle connections for five minutes and takes a
//! reset for a failure. Here the time of a header begins with its first byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

/// What a connection is doing, as far as time is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A header is being read.
    Header,
    /// A request is being served, which watches its own time.
    Busy,
    /// The answer is given; perhaps it is still being sent.
    Idle,
}

impl Stage {
    /// The stage as a label.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Busy => "busy",
            Self::Idle => "idle",
        }
    }
}

/// The stage of one connection, told by those who serve it to the one who watches its time.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<watch::Sender<Stage>>);

impl Activity {
    /// A new connection is expected to begin with a header at once.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Header)))
    }

    /// A request has arrived.
    pub(super) fn busy(&self) {
        self.0.send_replace(Stage::Busy);
    }

    /// It has been answered.
    pub(super) fn idle(&self) {
        self.0.send_replace(Stage::Idle);
    }

    /// Something was read: what ends idleness is the beginning of a header.
    fn read(&self) {
        self.0.send_if_modified(|stage| {
            let begins = *stage == Stage::Idle;
            if begins {
                *stage = Stage::Header;
            }
            begins
        });
    }

    /// Waits until a header has taken longer than `header`, or idleness longer than `idle`, and tells which.
    pub(super) async fn out_of_time(&self, header: Duration, idle: Duration) -> Stage {
        let mut stages = self.0.subscribe();
        loop {
            let stage = *stages.borrow_and_update();
            let time = match stage {
                Stage::Header => header,
                Stage::Busy => Duration::MAX,
                Stage::Idle => idle,
            };
            if timeout(time, stages.changed()).await.is_err() {
                return stage;
            }
        }
    }
}

/// A connection that notices when something is read from it.
#[derive(Debug)]
pub(super) struct Watched<T> {
    io: T,
    activity: Activity,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, activity: Activity) -> Self {
        Self { io, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > filled {
            self.activity.read();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
