//! Messages as lines: one CloudEvent each, for pipes, collectors and people with `jq`.

use std::io::{self, Write};
use std::sync::Arc;

use super::{Gone, Outbox, Outcome, Pending, Status};

/// Writes every message as one line to `out` and flushes it, until the owner of the database goes.
///
/// A message counts as sent once it is flushed. After a crash in between it is written again: unlike JetStream, a pipe
/// cannot be asked. Writing happens on a thread where it may block: a reader that stops reading holds up only this task.
///
/// # Errors
/// What `out` says when it can take no more, such as a closed pipe. The message that did not get through stays unsent.
pub async fn publish_to_writer<W: Write + Send + 'static>(
    mut outbox: Outbox,
    mut out: W,
    status: Arc<Status>,
) -> io::Result<()> {
    status.set_connected(true);
    let mut after = 0;
    let result = loop {
        let Ok(Pending { seq, body, .. }) = outbox.wait_for_next(after).await else {
            break Ok(());
        };
        status.set_in_flight(true);
        let written = tokio::task::spawn_blocking(move || {
            let result = write_line(&mut out, body);
            (out, result)
        });
        match written.await {
            Ok((kept, Ok(()))) => out = kept,
            Ok((_, Err(error))) => break Err(error),
            Err(error) => break Err(io::Error::other(error)),
        }
        Outcome::Acked.count();
        status.acked();
        status.set_in_flight(false);
        if outbox.sent(seq).await == Err(Gone) {
            break Ok(());
        }
        after = seq;
    };
    status.set_in_flight(false);
    status.set_connected(false);
    result
}

fn write_line(out: &mut impl Write, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::publish::tests::{outbox_of, pending};

    /// Takes `room` bytes and is then closed, as a pipe to `head`.
    #[derive(Clone)]
    struct Pipe {
        room: usize,
        taken: Arc<Mutex<Vec<u8>>>,
        flushed: Arc<Mutex<usize>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut taken = self.taken.lock().expect("not poisoned");
            if taken.len() + bytes.len() > self.room {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            taken.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            *self.flushed.lock().expect("not poisoned") =
                self.taken.lock().expect("not poisoned").len();
            Ok(())
        }
    }

    fn pipe(room: usize) -> Pipe {
        Pipe {
            room,
            taken: Arc::default(),
            flushed: Arc::default(),
        }
    }

    #[tokio::test]
    async fn every_message_is_one_flushed_line_in_order() {
        let out = pipe(usize::MAX);
        let status = Arc::new(Status::default());
        let (outbox, owner) = outbox_of(vec![
            pending(1, "a:1"),
            pending(2, "b:1"),
            pending(5, "a:2"),
        ]);
        publish_to_writer(outbox, out.clone(), Arc::clone(&status))
            .await
            .expect("the pipe is open");
        assert_eq!(owner.await.expect("no panic"), [1, 2, 5]);
        let taken = out.taken.lock().expect("not poisoned").clone();
        assert_eq!(
            String::from_utf8(taken).expect("text"),
            "{\"id\":\"a:1\"}\n{\"id\":\"b:1\"}\n{\"id\":\"a:2\"}\n"
        );
        assert_eq!(*out.flushed.lock().expect("not poisoned"), 39);
        assert!(status.last_ack().is_some() && !status.in_flight());
    }

    #[tokio::test]
    async fn a_closed_pipe_is_an_error_and_the_message_stays_unsent() {
        let status = Arc::new(Status::default());
        let (outbox, owner) = outbox_of(vec![pending(1, "a:1"), pending(2, "b:1")]);
        let error = publish_to_writer(outbox, pipe(20), Arc::clone(&status))
            .await
            .expect_err("the pipe is closed");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(owner.await.expect("no panic"), [1]);
        assert!(!status.connected());
    }
}
