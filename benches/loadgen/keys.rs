//! Many keys of one rule.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use trommel::batch::Labels;

use crate::batches::Bodies;
use crate::client::{self, Pace};
use crate::rule_files::{self, RuleFile};
use crate::server::{Server, Setup};
use crate::wire::SentStream;

/// Lines in a request.
const LINES: usize = 5000;

/// More than a key takes.
const KEY_BYTES_MAX: usize = 8 << 10;

/// A trommel with so many rules and room for so many keys, on both cores, with its state on disk.
///
/// # Errors
/// As [`Setup::start`].
pub(crate) fn server(rules: usize, keys_max: usize) -> Result<Server> {
    let mut file: serde_json::Value = serde_json::from_str(&rule_files::mixed(rules - 1).yaml)?;
    if let Some(all) = file["rules"].as_array_mut() {
        all.push(rule_files::quiet_keys());
    }
    let rules = RuleFile {
        yaml: file.to_string(),
        examples: Vec::new(),
    };
    // A fifth of what there is to share out is for keys: enough for all, as what they take is asked.
    let memory = (96 << 20) + keys_max * KEY_BYTES_MAX * 5;
    let settings = json!({
        "memory": memory.to_string(),
        "detect": {"keys_max": keys_max, "identities_max": keys_max.max(10_000)},
    });
    Setup::new(&rules)?
        .on_cpus("0,1")
        .with_data()
        .with_settings(&settings.to_string())?
        .start()
}

/// Pushes one line for each of `keys`, none of which has one yet, and waits until all of them are kept.
///
/// # Errors
/// As [`client::send`].
pub(crate) fn push(server: &Server, keys: Range<usize>) -> Result<()> {
    let all = keys.end as f64;
    let labels = [("namespace", "team-1"), ("app", "login")];
    let labels = Labels::new(labels.map(|(name, value)| (name.into(), value.into())));
    let keys: Vec<_> = keys.collect();
    for group in keys.chunks(LINES * 100) {
        let sets = group.chunks(LINES).map(|keys| {
            let lines = keys.iter().map(|key| line(*key).into_bytes());
            let stream = SentStream {
                labels: labels.clone(),
                lines: lines.collect(),
            };
            vec![stream]
        });
        let sets: Vec<_> = sets.collect();
        let bodies = Bodies::new(&sets, sets.len(), Duration::from_millis(50))?;
        client::send(server.push, &Arc::new(bodies), 2, Pace::AsAnswered)?;
    }
    server.wait_until(|metrics| metrics.sum("trommel_keys") >= all)
}

/// A line of 150 bytes.
fn line(key: usize) -> String {
    let mut line = format!(
        "2026-01-07T10:15:00.000Z WARN [auth] login failed for user-{key:07} from 10.0.0.9"
    );
    let fill = 150_usize.saturating_sub(line.len());
    let _ = write!(line, "{:fill$}", " trace=");
    line
}
