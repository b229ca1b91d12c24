//! Lists in pages: how much of one is told at once, and where the next page begins.

use std::num::NonZeroU16;

use serde::{Deserialize, Deserializer, de};

use super::Admin;
use super::answer::Refusal;
use crate::record::{Reader, StoreError};

/// Entries of a page when the request does not say.
const LIMIT_DEFAULT: NonZeroU16 = NonZeroU16::new(100).expect("not zero");
/// Entries of a page at most. Findings have some 3 KiB each and never above 32, entries of the audit some 20 at most: a slow reader holds its
/// answer in memory.
const LIMIT_MAX: NonZeroU16 = NonZeroU16::new(500).expect("not zero");

/// Reads how many entries are asked for, for a field that has `#[serde(default)]`.
pub(super) fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NonZeroU16>, D::Error> {
    let text = String::deserialize(from)?;
    let limit = text.parse().ok().filter(|limit| *limit <= LIMIT_MAX);
    limit.map(Some).ok_or_else(|| {
        de::Error::custom(format!(
            "`{text}` is no limit, expected a number from 1 to {LIMIT_MAX}"
        ))
    })
}

/// How many entries a page has for which so many are asked for.
pub(super) fn entries(limit: Option<NonZeroU16>) -> usize {
    limit.unwrap_or(LIMIT_DEFAULT).get().into()
}

/// A page of `limit` entries of those that `read` gives at most so many of, and the place behind which the next one begins, if there is
/// one.
///
/// # Errors
/// While the database is busy, or cannot be read.
pub(super) async fn page<T: Send + 'static, P>(
    admin: &Admin,
    limit: usize,
    read: impl FnOnce(&Reader, usize) -> Result<Vec<T>, StoreError> + Send + 'static,
    place: impl Fn(&T) -> P,
) -> Result<(Vec<T>, Option<P>), Refusal> {
    // One more tells whether there is another page.
    let all = admin.archive.ask(move |reader| read(reader, limit + 1));
    let mut rows = all.await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(place);
    Ok((rows, next))
}
