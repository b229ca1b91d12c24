//! Word to open pages that a finding has changed, as server-sent events.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Admin;

/// Least time between two words to one page: whoever watches costs little, however much happens.
const PAUSE: Duration = Duration::from_secs(1);
/// After so long a silence a comment is sent, by which either side sees that the other has gone.
const STILL_HERE: Duration = Duration::from_secs(20);
/// How long a browser waits before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// `GET /events`.
pub(super) async fn events(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    Sse::new(words(admin.changed.clone()))
        .keep_alive(KeepAlive::new().interval(STILL_HERE).text("still here"))
}

/// Says `changed` when `changed` says so, until its sender is gone.
fn words(changed: watch::Receiver<()>) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold((changed, true), async |(mut changed, first)| {
        if first {
            // What was before is on the page.
            changed.mark_unchanged();
            return Some((Ok(Event::default().retry(RETRY)), (changed, false)));
        }
        changed.changed().await.ok()?;
        sleep(PAUSE).await;
        changed.mark_unchanged();
        // A browser tells of no event without data.
        Some((
            Ok(Event::default().event("changed").data("findings")),
            (changed, false),
        ))
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_changes_at_once_are_one_word_and_silence_is_broken() {
        let (sender, changed) = watch::channel(());
        sender.send_replace(());
        let keep_alive = KeepAlive::new().interval(STILL_HERE).text("still here");
        let answer = Sse::new(words(changed))
            .keep_alive(keep_alive)
            .into_response();
        let mut body = answer.into_body();
        let mut next = async || {
            let frame = body.frame().await?.expect("infallible");
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
        assert_eq!(
            next().await.as_deref(),
            Some("event: changed\ndata: findings\n\n")
        );
        assert_eq!(next().await.as_deref(), Some(": still here\n\n"));
        drop(sender);
        assert_eq!(next().await, None);
    }
}
