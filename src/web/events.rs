//! Word to open pages that a finding has changed, or how things stand, as server-sent events.
//!
//! Each browser with a page that is looked at holds a connection. They are bounded, so that scrapers and probes find one; pages of a
//! browser that is refused renew themselves now and then instead.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::stream::{Stream, unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;

use super::Admin;
use super::answer::Refusal;
use crate::owner::Standing;
use crate::reload::Status;
use crate::telemetry::{VIEWERS, VIEWERS_REFUSED_TOTAL};

/// Browsers that are told at once. With one more connection for each, over which pages are renewed, they leave a quarter of the admin
/// port's to scrapers and probes.
const VIEWERS_MAX: usize = 24;

/// Least time between two words to one page: whoever watches costs little, however much happens.
const PAUSE: Duration = Duration::from_secs(1);
/// After so long a silence a comment is sent, by which either side sees that the other has gone.
const STILL_HERE: Duration = Duration::from_secs(20);
/// How long a browser waits before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// `GET /events`.
pub(super) fn router() -> Router<Arc<Admin>> {
    let places = Arc::new(Semaphore::new(VIEWERS_MAX));
    let events = move |State(admin): State<Arc<Admin>>| {
        let place = Place::among(&places);
        async move {
            let news = News {
                findings: admin.changed.clone(),
                standing: admin.standing.clone(),
                files: admin.status.clone(),
                _place: place?,
            };
            let keep_alive = KeepAlive::new().interval(STILL_HERE).text("still here");
            Ok::<_, Refusal>(Sse::new(words(news)).keep_alive(keep_alive))
        }
    };
    Router::new().route("/events", get(events))
}

/// The place of one browser among those that are told; free again when dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn among(places: &Arc<Semaphore>) -> Result<Self, Refusal> {
        let Ok(permit) = Arc::clone(places).try_acquire_owned() else {
            metrics::counter!(VIEWERS_REFUSED_TOTAL).increment(1);
            return Err(Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                why: format!(
                    "{VIEWERS_MAX} browsers are told of changes already, and no more are; close some"
                ),
            });
        };
        metrics::gauge!(VIEWERS).increment(1.0);
        Ok(Self { _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(VIEWERS).decrement(1.0);
    }
}

/// What pages are told of.
struct News {
    /// Findings.
    findings: watch::Receiver<()>,
    /// How things stand, once a minute at least, for what was measured.
    standing: watch::Receiver<Standing>,
    /// Rules and settings.
    files: watch::Receiver<Status>,
    _place: Place,
}

impl News {
    /// What is new: `findings`, or only the `state`. `None` once there is nobody left to tell of findings.
    async fn next(&mut self) -> Option<&'static str> {
        let data = tokio::select! {
            changed = self.findings.changed() => changed.ok().map(|()| "findings")?,
            () = change(&mut self.standing) => "state",
            () = change(&mut self.files) => "state",
        };
        sleep(PAUSE).await;
        // Findings are on every page that has the state.
        let findings = self.findings.has_changed().unwrap_or(false);
        self.mark_known();
        Some(if findings { "findings" } else { data })
    }

    fn mark_known(&mut self) {
        self.findings.mark_unchanged();
        self.standing.mark_unchanged();
        self.files.mark_unchanged();
    }
}

/// Returns when there is something new; never, once there is nobody left to tell it.
async fn change<T>(of: &mut watch::Receiver<T>) {
    if of.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Says `changed` when there are news, until the sender of findings is gone.
fn words(news: News) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold((news, true), async |(mut news, first)| {
        if first {
            // What was before is on the page.
            news.mark_known();
            return Some((Ok(Event::default().retry(RETRY)), (news, false)));
        }
        let data = news.next().await?;
        // A browser tells of no event without data.
        Some((
            Ok(Event::default().event("changed").data(data)),
            (news, false),
        ))
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::time::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn many_changes_at_once_are_one_word_and_silence_is_broken() {
        let (sender, findings) = watch::channel(());
        let (stands, standing) = watch::channel(Standing::of_start(Timestamp::new(0)));
        let files = watch::channel(Status::loaded(Timestamp::new(0))).1;
        let news = News {
            findings,
            standing,
            files,
            _place: Place::among(&Arc::new(Semaphore::new(1))).expect("it is free"),
        };
        sender.send_replace(());
        let keep_alive = KeepAlive::new().interval(STILL_HERE).text("still here");
        let answer = Sse::new(words(news)).keep_alive(keep_alive).into_response();
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
        stands.send_modify(|_| {});
        assert_eq!(
            next().await.as_deref(),
            Some("event: changed\ndata: state\n\n")
        );
        stands.send_modify(|_| {});
        sender.send_replace(());
        assert_eq!(
            next().await.as_deref(),
            Some("event: changed\ndata: findings\n\n"),
            "one word for both"
        );
        drop(sender);
        assert_eq!(next().await, None);
    }
    #[tokio::test]
    async fn so_many_are_told_and_one_that_goes_leaves_its_place() {
        let routes = Admin::without_rules(Vec::new(), true).routes();
        let ask = async || {
            let request = Request::get("/events").body(Body::empty());
            let answer = routes.clone().oneshot(request.expect("valid"));
            answer.await.expect("infallible")
        };
        let mut told = Vec::new();
        for _ in 0..VIEWERS_MAX {
            let answer = ask().await;
            assert_eq!(answer.status(), StatusCode::OK);
            told.push(answer);
        }
        assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        told.pop();
        assert_eq!(ask().await.status(), StatusCode::OK);
    }
}
