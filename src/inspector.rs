//! The rules as the push server calls them, and how one rule set takes over from another without a request noticing.
//!
//! A hit names its rule by the rule's place in the set that it was found with, so hits of one set mean nothing in another; and
//! lines are gone once they are scanned, so they cannot be looked at again. Yet requests are scanned by many workers at
//! once, and wait in a queue for the owner of the windows. So a set takes over in these steps:
//!
//! ```text
//! requests begin to be inspected:   old only ──▶ old and new ────────────────────▶ new only
//!                                        1 │         2 │              3 │              4 │
//! the owner applies:                old ───┴───────────┴──▶ old ────────┴──▶ new ────────┘
//! ```
//!
//! 1. The server gets an inspector that looks with both sets. Requests that have begun go on with the old one alone.
//! 2. Once the last of those has been handed on (within the answer deadline), all that was seen by the old set alone is in the
//!    owner's queue.
//! 3. The owner applies what waits there with the old set, and changes to the new one. What comes from now on has been seen by the
//!    new set, so the change is one instant in the owner's order of requests: each entry is judged once, by the set that is in
//!    use when its request is applied.
//! 4. The server gets an inspector that looks with the new set alone. The take-over ends when the last request that was seen by
//!    both has been handed on, so that the next one begins as this one did.
//!
//! Turned down: to translate hits from the old set to the new one by rule id (an entry on its way is then never looked at by a rule
//! that is new or was changed, and what a changed rule had already found is lost), and to let requests wait for those that
//! have begun (a push must not wait). The price is that entries are looked at twice for some milliseconds.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::hit::{Generation, Scanned};
use crate::push::{Inspect, Server};
use crate::recent::{self, Recent};
use crate::scan::{Scanner, Scratch};
use crate::selected::Selected;
use crate::telemetry;
use crate::time::{Timestamp, WallClock};

/// What the push server inspects with, held by the one task that changes it.
pub struct Inspection {
    current: Arc<Looker>,
    installed: Arc<Inspector>,
    /// Ends when no request under way uses what is installed, and the server does not either.
    used: mpsc::Receiver<Infallible>,
}

impl Inspection {
    /// Begins with `scanner`, and keeps in `selected` which streams there are, and in `recent` a few of their lines, by `clock`.
    #[must_use]
    pub fn new(
        scanner: Scanner,
        selected: Arc<Mutex<Selected>>,
        recent: Option<Arc<Recent>>,
        clock: WallClock,
    ) -> Self {
        let current = Arc::new(Looker {
            recent,
            scanner,
            generation: Generation::default(),
            scratches: Mutex::default(),
            selected,
            clock,
        });
        let (installed, used) = Inspector::new(&current, None);
        Self {
            current,
            installed,
            used,
        }
    }

    /// What a server is to begin with.
    #[must_use]
    pub fn inspector(&self) -> Arc<dyn Inspect> {
        Arc::clone(&self.installed) as Arc<dyn Inspect>
    }

    /// Steps 1 and 2: `server` looks with `scanner` too. Returns the number of its rule set once all that was seen without it has
    /// been handed on, which takes as long as a request may take to be inspected.
    pub async fn begin(&mut self, server: &Server, scanner: Scanner) -> Generation {
        let next = Arc::new(Looker {
            scanner,
            generation: self.current.generation.next(),
            scratches: Mutex::default(),
            selected: Arc::clone(&self.current.selected),
            recent: self.current.recent.clone(),
            clock: Arc::clone(&self.current.clock),
        });
        let generation = next.generation;
        self.install(server, Some(next)).await;
        generation
    }

    /// Step 4: `server` looks with the scanner of [`Inspection::begin`] alone. To be called when the owner has changed.
    pub async fn complete(&mut self, server: &Server) {
        if let Some(next) = &self.installed.successor {
            self.current = Arc::clone(next);
        }
        self.install(server, None).await;
    }

    /// Installs what looks with the current rules and those of `successor`, and waits until what was installed is gone.
    async fn install(&mut self, server: &Server, successor: Option<Arc<Looker>>) {
        let (installed, used) = Inspector::new(&self.current, successor);
        server.set_inspect(Arc::clone(&installed) as Arc<dyn Inspect>);
        self.installed = installed;
        let mut before = std::mem::replace(&mut self.used, used);
        // Nothing is ever sent: it ends when the last one who could is gone.
        let _ = before.recv().await;
    }
}

/// What requests hold while they are inspected and handed on.
struct Inspector {
    looker: Arc<Looker>,
    successor: Option<Arc<Looker>>,
    /// Tells by its end that nobody holds this any more.
    _held: mpsc::Sender<Infallible>,
}

impl Inspector {
    fn new(
        looker: &Arc<Looker>,
        successor: Option<Arc<Looker>>,
    ) -> (Arc<Self>, mpsc::Receiver<Infallible>) {
        let (held, ended) = mpsc::channel(1);
        let inspector = Self {
            looker: Arc::clone(looker),
            successor,
            _held: held,
        };
        (Arc::new(inspector), ended)
    }
}

impl Inspect for Inspector {
    fn generation(&self) -> Generation {
        self.looker.generation
    }

    fn successor(&self) -> Option<&dyn Inspect> {
        self.successor
            .as_deref()
            .map(|looker| looker as &dyn Inspect)
    }

    fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned) {
        self.looker.inspect(batch, entries, out);
    }
}

/// One rule set's scanner, with a scratch for each worker that is at it.
struct Looker {
    scanner: Scanner,
    generation: Generation,
    scratches: Mutex<Vec<Worker>>,
    recent: Option<Arc<Recent>>,
    selected: Arc<Mutex<Selected>>,
    clock: WallClock,
}

/// What a worker brings to each batch.
struct Worker {
    scratch: Scratch,
    /// When it last took a sample of recent lines.
    sampled: Timestamp,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            scratch: Scratch::timed_by(Instant::now),
            sampled: Timestamp::MIN,
        }
    }
}

impl Looker {
    /// Keeps in mind which streams there are.
    fn see(&self, batch: &Batch, entries: &Range<usize>, now: Timestamp) {
        let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        for part in &batch.streams {
            if !part.entries_within(entries).is_empty()
                && !self.scanner.leaves_out_stream(&part.stream.labels)
            {
                selected.see(&part.stream, now);
            }
        }
    }

    /// Keeps a few lines, if it is time to.
    fn keep_some(
        &self,
        batch: &Batch,
        entries: &Range<usize>,
        now: Timestamp,
        worker: &mut Worker,
    ) {
        let Some(recent) = &self.recent else {
            return;
        };
        if now.since(worker.sampled) >= recent::EVERY {
            worker.sampled = now;
            recent.sample(batch, entries, |labels| {
                self.scanner.leaves_out_stream(labels)
            });
        }
    }

    fn scratches(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.scratches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inspect for Looker {
    fn generation(&self) -> Generation {
        self.generation
    }

    fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned) {
        let now = (self.clock)();
        self.see(batch, &entries, now);
        // As many as there are workers: each takes one and brings it back.
        let mut worker = self.scratches().pop().unwrap_or_default();
        self.keep_some(batch, &entries, now, &mut worker);
        let scratch = &mut worker.scratch;
        self.scanner
            .note_oldest(batch, entries.clone(), &mut out.progress.oldest);
        self.scanner.scan(batch, entries, scratch, &mut out.hits);
        scratch.take_spent(|rule, spent| {
            let id = &self.scanner.rules().rule(rule).id;
            metrics::counter!(telemetry::RULE_CANDIDATES_TOTAL, "rule" => id.clone())
                .increment(spent.candidates);
            if !spent.time.is_zero() {
                telemetry::count_rule_time(id.clone(), spent.time);
            }
        });
        self.scratches().push(worker);
    }
}
