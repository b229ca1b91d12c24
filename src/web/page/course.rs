//! How a finding went, drawn over its revisions: how bad it was, and how much of it there was.
//!
//! All of it is in the timeline too; the drawing has a name that says the same in short.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::parts::figure;
use crate::finding::{Outline, State};
use crate::rules::Severity;
use crate::time::Timestamp;

/// Width of the drawing.
const WIDTH: f64 = 360.0;
/// Where the bars of severity stand, below which is the line of counts.
const BAND: f64 = 24.0;
/// Height of the drawing.
const HEIGHT: f64 = 80.0;
/// What a revision that is the last, or has no length, is wide at least.
const LEAST: f64 = 3.0;

/// Severity as bars, the higher the worse, and counts in the window as a line, from the first revision to the last. Nothing for fewer
/// than two: there is no course then.
pub(super) fn course(timeline: &[Outline]) -> Markup {
    let (Some(first), Some(last)) = (timeline.first(), timeline.last()) else {
        return html! {};
    };
    if timeline.len() < 2 {
        return html! {};
    }
    let whole = last.time.since(first.time).as_secs_f64();
    let x = |at: Timestamp| match whole > 0.0 {
        true => at.since(first.time).as_secs_f64() / whole * (WIDTH - LEAST),
        false => 0.0,
    };
    let most = timeline.iter().map(|it| it.counts.window).max();
    let most = most.unwrap_or(0) as f64;
    let y = |count: u64| match most > 0.0 {
        true => HEIGHT - 1.0 - count as f64 / most * (HEIGHT - BAND - 6.0),
        false => HEIGHT - 1.0,
    };
    let mut counts = String::new();
    for (number, outline) in timeline.iter().enumerate() {
        let (at, level) = (x(outline.time), y(outline.counts.window));
        let _ = match number {
            0 => write!(counts, "M{at:.1} {level:.1}"),
            _ => write!(counts, "H{at:.1}V{level:.1}"),
        };
    }
    let _ = write!(counts, "H{WIDTH:.1}");
    let ends = timeline.iter().skip(1).map(|next| x(next.time));
    let ends = ends.chain([WIDTH]);
    // When it is over it has no severity any more.
    let bars = timeline.iter().zip(ends);
    let bars = bars.filter(|(outline, _)| outline.state == State::Open);
    let name = said(timeline, most);
    html! {
        figure .plot .course {
            figcaption { span { "Severity, and matches in the window below" } span { "highest " (figure(most)) } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(name) {
                @for (outline, end) in bars {
                    @let height = height(outline.severity);
                    rect class={ "bar " (outline.severity) } x={ (format!("{:.1}", x(outline.time))) } y=(BAND - height)
                        width={ (format!("{:.1}", (end - x(outline.time)).max(LEAST))) } height=(height) {}
                }
                line .base x1="0" x2=(WIDTH) y1=(BAND) y2=(BAND) {}
                line .base x1="0" x2=(WIDTH) y1=(HEIGHT - 1.0) y2=(HEIGHT - 1.0) {}
                path .line-0 d=(counts) {}
            }
        }
    }
}

/// So that the worst is not told by colour alone.
fn height(severity: Severity) -> f64 {
    match severity {
        Severity::Info => BAND / 3.0,
        Severity::Warning => BAND / 1.5,
        Severity::Critical => BAND,
    }
}

/// The course in words: each severity that there was in a row once, and how many there were in the window.
fn said(timeline: &[Outline], most: f64) -> String {
    let stage = |outline: &Outline| match outline.state {
        State::Open => outline.severity.as_str(),
        State::Recovered => "over",
    };
    let mut stages: Vec<_> = timeline.iter().map(stage).collect();
    stages.dedup();
    let revisions = timeline.len();
    let window = |outline: Option<&Outline>| outline.map_or(0, |it| it.counts.window);
    format!(
        "{revisions} revisions: {}. In the window {} at first, {} at last, {} at most",
        stages.join(", then "),
        window(timeline.first()),
        window(timeline.last()),
        figure(most)
    )
}
