//! Word to open pages that a finding has changed, as server-sent events.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::watch;
use tokio::time::sleep;

/// Least time between two words to one page: whoever watches costs little, however much happens.
const PAUSE: Duration = Duration::from_secs(1);
/// After so long a silence a comment is sent, by which either side sees that the other has gone.
const STILL_HERE: Duration = Duration::from_secs(20);

/// The body of an answer that goes on.
pub(super) type Events =
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// Says `changed` when `changed` says so, until its sender is gone.
pub(super) fn events(changed: watch::Receiver<()>) -> Events {
    let said = unfold((changed, true), async |(mut changed, first)| {
        if first {
            changed.mark_unchanged();
            return Some((frame("retry: 2000\n\n"), (changed, false)));
        }
        let word = tokio::select! {
            told = changed.changed() => {
                told.ok()?;
                sleep(PAUSE).await;
                changed.mark_unchanged();
                "event: changed\ndata:\n\n"
            }
            () = sleep(STILL_HERE) => ": still here\n\n",
        };
        Some((frame(word), (changed, false)))
    });
    StreamBody::new(Box::pin(said))
}

fn frame(text: &'static str) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_changes_at_once_are_one_word_and_silence_is_broken() {
        let (sender, changed) = watch::channel(());
        sender.send_replace(());
        let mut events = events(changed);
        let mut next = async || {
            let frame = events.frame().await?.expect("infallible");
            let data = frame.into_data().expect("data");
            Some(String::from_utf8(data.to_vec()).expect("text"))
        };
        assert_eq!(next().await.as_deref(), Some("retry: 2000\n\n"));
        assert_eq!(
            next().await.as_deref(),
            Some(": still here\n\n"),
            "what was before is on the page"
        );
        sender.send_replace(());
        sender.send_replace(());
        assert_eq!(next().await.as_deref(), Some("event: changed\ndata:\n\n"));
        assert_eq!(next().await.as_deref(), Some(": still here\n\n"));
        drop(sender);
        assert_eq!(next().await, None);
    }
}
