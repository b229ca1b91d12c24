//! What was written, key by key: so that a new file can be told from the one in use.

use std::collections::BTreeMap;
use std::fmt;

use super::RawConfig;
use super::settings::{settings, written};
use crate::finding::Redactor;

/// The value of every setting as it would be written: what was given, else the default, else nothing. Values may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Written(BTreeMap<String, Option<String>>);

/// A setting that has another value than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its key.
    pub key: String,
    /// What it was and is now, in words, without secrets.
    pub text: String,
}

impl Written {
    pub(super) fn of(raw: &RawConfig) -> Self {
        // A path that is no UTF-8 cannot be written; `Config::load` has refused it before.
        let raw = serde_json::to_value(raw).unwrap_or_default();
        let values = settings().into_iter().map(|setting| {
            let mut value = &raw;
            for name in setting.key.split('.') {
                value = &value[name];
            }
            let value = match value {
                serde_json::Value::Null => setting.default,
                value => Some(written(value)),
            };
            (setting.key, value)
        });
        Self(values.collect())
    }

    /// The settings that have another value in `new`, in the order of their keys.
    #[must_use]
    pub fn changed_in(&self, new: &Self) -> Vec<Changed> {
        let redactor = Redactor::new(Vec::new());
        let values = self.0.iter().zip(new.0.values());
        let changed = values.filter(|((_, old), new)| old != new);
        changed
            .map(|((key, old), new)| {
                let show = |value: &Option<String>| match value {
                    Some(value) => format!("`{}`", without_secrets(key, value, &redactor)),
                    None => "nothing".to_owned(),
                };
                Changed {
                    key: key.clone(),
                    text: format!("`{key}` changed from {} to {}", show(old), show(new)),
                }
            })
            .collect()
    }
}

/// `value` as it may be shown: a name such as `token` tells that what it has is a secret.
fn without_secrets(key: &str, value: &str, redactor: &Redactor) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let assigned = redactor.redact(format!("{name}={value}").as_bytes(), &[]);
    match assigned
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('='))
    {
        Some(value) => value.to_owned(),
        None => assigned,
    }
}

/// Without the values.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
