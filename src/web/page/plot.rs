//! Small plots of the last hours, drawn here as SVG.
//!
//! A plot is read without its picture too: the caption says how things are now and at most, and so does its accessible name. Lines have
//! a class each and take their colours from the style sheet.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::parts::{figure, seconds};
use crate::record::Sample;
use crate::time::{Timestamp, format_duration};

/// How far back plots go at most.
pub(super) const SPAN: Duration = Duration::from_secs(6 * 3600);
/// How far they go: as far as all that is known needs, so that one who has just begun sees more than the last pixel.
const SPANS: [Duration; 4] = [
    Duration::from_secs(1800),
    Duration::from_secs(3600),
    Duration::from_secs(2 * 3600),
    SPAN,
];
/// Width of the drawing: one unit a minute, if it shows all of [`SPAN`].
const WIDTH: f64 = 360.0;
/// Height of the drawing.
const HEIGHT: f64 = 56.0;
/// A pause between samples that is not worth a gap: ticks come a little late.
const SLACK: Duration = Duration::from_millis(1500);

/// What is plotted, and in which words.
struct Plot {
    title: &'static str,
    /// Read from a sample; `None` where nothing can be said of it.
    lines: &'static [Line],
    /// A number in words.
    say: fn(f64) -> String,
    /// Whether all samples together are what counts, rather than the last one.
    is_sum: bool,
}

struct Line {
    /// Of what, if there are several.
    name: &'static str,
    value: fn(&Sample) -> Option<f64>,
}

const PLOTS: [Plot; 6] = [
    Plot {
        title: "Entries a second",
        lines: &[Line {
            name: "",
            value: |it| Some(it.entries as f64 / it.span.as_secs_f64()),
        }],
        say: figure,
        is_sum: false,
    },
    Plot {
        title: "How far entries are behind",
        lines: &[
            Line {
                name: "half at most",
                value: |it| it.lag.map(|[half, _]| half.as_secs_f64()),
            },
            Line {
                name: "99 % at most",
                value: |it| it.lag.map(|[_, most]| most.as_secs_f64()),
            },
        ],
        say: seconds,
        is_sum: false,
    },
    Plot {
        title: "Findings that opened",
        lines: &[Line {
            name: "",
            value: |it| Some(it.findings_observed as f64),
        }],
        say: figure,
        is_sum: true,
    },
    Plot {
        title: "Not inspected",
        lines: &[
            Line {
                name: "entries",
                value: |it| Some(it.entries_shed as f64),
            },
            Line {
                name: "whole requests",
                value: |it| Some(it.requests_shed as f64),
            },
        ],
        say: figure,
        is_sum: true,
    },
    Plot {
        title: "Not counted",
        lines: &[
            Line {
                name: "repeats",
                value: |it| Some(it.duplicates as f64),
            },
            Line {
                name: "too late",
                value: |it| Some(it.entries_late as f64),
            },
        ],
        say: figure,
        is_sum: true,
    },
    Plot {
        title: "Time to answer a push",
        lines: &[
            Line {
                name: "half at most",
                value: |it| it.answer.map(|[half, _]| half.as_secs_f64()),
            },
            Line {
                name: "99 % at most",
                value: |it| it.answer.map(|[_, most]| most.as_secs_f64()),
            },
        ],
        say: seconds,
        is_sum: false,
    },
];

/// The last hours until `now`, of which `samples` are known, oldest first.
pub(super) fn plots(samples: &[Sample], now: Timestamp) -> Markup {
    let span = span_of(samples, now);
    html! {
        div .plots {
            @for plot in &PLOTS {
                (plot.draw(samples, span, now))
            }
        }
        p .aside {
            "The last " (format_duration(span)) ", a minute each; the right edge is now. "
            @if has_gaps(samples) { "Where there is no line trommel did not run, or there was nothing to measure. " }
            a href="/api/v1/history" { "A day of them as JSON" }
        }
    }
}

impl Plot {
    fn draw(&self, samples: &[Sample], span: Duration, now: Timestamp) -> Markup {
        let most = self
            .lines
            .iter()
            .flat_map(|line| samples.iter().filter_map(line.value))
            .fold(0.0, f64::max);
        let said: Vec<String> = self
            .lines
            .iter()
            .map(|line| self.words(line, samples))
            .collect();
        let said = said.join("; ");
        let name = format!("{}: {said}", self.title);
        html! {
            figure .plot {
                figcaption { strong { (self.title) } span { (said) } }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(name) {
                    line .base x1="0" x2=(WIDTH) y1=(HEIGHT - 1.0) y2=(HEIGHT - 1.0) {}
                    // The first line is the one to see: it is drawn last.
                    @for (number, line) in self.lines.iter().enumerate().rev() {
                        path class={ "line-" (number) } d=(steps(samples, line.value, most, span, now)) {}
                    }
                }
            }
        }
    }

    /// What a line says, in words.
    fn words(&self, line: &Line, samples: &[Sample]) -> String {
        let values: Vec<f64> = samples.iter().filter_map(line.value).collect();
        let name = match line.name {
            "" => String::new(),
            name => format!("{name} "),
        };
        let Some(last) = values.last() else {
            return format!("{name}unknown");
        };
        let say = self.say;
        if self.is_sum {
            return format!("{name}{}", say(values.iter().sum()));
        }
        let most = values.iter().copied().fold(0.0, f64::max);
        format!("{name}{}, highest {}", say(*last), say(most))
    }
}

/// Which of [`SPANS`] holds all of `samples`.
fn span_of(samples: &[Sample], now: Timestamp) -> Duration {
    let known = samples.first().map_or(Duration::ZERO, |first| {
        now.since(first.at.minus(first.span))
    });
    let mut spans = SPANS.into_iter();
    spans.find(|span| known <= *span).unwrap_or(SPAN)
}

/// Whether there is a time between samples that none covers.
fn has_gaps(samples: &[Sample]) -> bool {
    let mut pairs = samples.windows(2);
    pairs.any(|pair| !is_next(&pair[0], &pair[1]))
}

/// Whether nothing is unknown between two samples.
fn is_next(earlier: &Sample, later: &Sample) -> bool {
    later.at.minus(later.span) <= earlier.at.plus(SLACK)
}

/// The line: level for as long as a sample lasts, interrupted where nothing is known.
fn steps(
    samples: &[Sample],
    value: fn(&Sample) -> Option<f64>,
    most: f64,
    span: Duration,
    now: Timestamp,
) -> String {
    let begin = now.minus(span);
    let x = |at: Timestamp| at.since(begin).as_secs_f64() / span.as_secs_f64() * WIDTH;
    let y = |value: f64| match most > 0.0 {
        // Two units above, so that the stroke is not cut.
        true => HEIGHT - 1.0 - value / most * (HEIGHT - 3.0),
        false => HEIGHT - 1.0,
    };
    let mut path = String::new();
    let mut before: Option<(&Sample, f64)> = None;
    for sample in samples {
        let Some(value) = value(sample) else {
            before = None;
            continue;
        };
        let (from, to, level) = (x(sample.at.minus(sample.span)), x(sample.at), y(value));
        let _ = match before {
            Some((before, at)) if is_next(before, sample) && at == level => {
                write!(path, "H{to:.1}")
            }
            Some((before, _)) if is_next(before, sample) => write!(path, "V{level:.1}H{to:.1}"),
            _ => write!(path, "M{from:.1} {level:.1}H{to:.1}"),
        };
        before = Some((sample, level));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::sample;

    fn minute(number: u32) -> Timestamp {
        sample(number).at
    }

    #[test]
    fn a_line_is_level_for_a_minute_and_ends_where_nothing_is_known() {
        let mut samples = [sample(1), sample(2), sample(3), sample(10)];
        samples[1].entries = 3000;
        samples[3].lag = None;
        let rate = PLOTS[0].lines[0].value;
        // 6000 a minute are 100 a second, the most; half of that lies half way. Now is the end of the drawing.
        assert_eq!(
            steps(&samples, rate, 100.0, SPAN, minute(10)),
            "M350.0 2.0H351.0V28.5H352.0V2.0H353.0M359.0 2.0H360.0"
        );
        let lag = PLOTS[1].lines[0].value;
        assert_eq!(
            steps(&samples, lag, 0.7, SPAN, minute(10)),
            "M350.0 2.0H351.0H352.0H353.0"
        );
        assert!(has_gaps(&samples));
        assert!(!has_gaps(&samples[..3]));
        assert_eq!(steps(&[], rate, 0.0, SPAN, minute(10)), "");
    }

    #[test]
    fn plots_go_as_far_back_as_something_is_known() {
        let samples = [sample(1), sample(30)];
        let said = |now| plots(&samples, now).into_string();
        assert!(said(minute(30)).contains("The last 30m"));
        assert!(said(minute(31)).contains("The last 1h"));
        assert!(said(minute(361)).contains("The last 6h"));
        let one = PLOTS[0].lines[0].value;
        let drawn = steps(&samples[1..], one, 100.0, SPANS[0], minute(30));
        assert_eq!(drawn, "M348.0 2.0H360.0");
        assert!(plots(&[], minute(1)).into_string().contains("The last 30m"));
    }

    #[test]
    fn a_plot_says_in_words_what_it_shows() {
        let mut samples = [sample(1), sample(2)];
        samples[1].entries = 60;
        let plots = plots(&samples, minute(2)).into_string();
        for said in [
            r#"aria-label="Entries a second: 1, highest 100""#,
            r#"aria-label="Findings that opened: 12""#,
            r#"aria-label="Not inspected: entries 2; whole requests 4""#,
            r#"aria-label="Time to answer a push: half at most 900 µs, highest 900 µs; 99 % at most 1.0 ms, highest 1.0 ms""#,
        ] {
            assert!(plots.contains(said), "{said}: {plots}");
        }
        assert!(!plots.contains("did not run"), "{plots}");
        let nothing = super::plots(&[], minute(2)).into_string();
        assert!(nothing.contains("Entries a second: unknown"), "{nothing}");
    }
}
