//! The JSON Schema of the messages, generated from the types that they are encoded from.

use serde_json::Value;

use super::message::{CloudEvent, DATA_SCHEMA};
use crate::finding::schema_of;
#[cfg(test)]
use crate::finding::{assert_allowed, validator};

/// The JSON Schema (draft 2020-12) of a whole message: the CloudEvent's attributes, and the entry in its `data`.
///
/// The committed copy is `schema/audit/1.json`. A later version may add properties and further values of `what`.
#[must_use]
pub fn audit_schema() -> Value {
    schema_of::<CloudEvent<'_>>(DATA_SCHEMA)
}

/// Fails the test unless `body` is a message that the schema allows.
#[cfg(test)]
#[track_caller]
pub(super) fn assert_valid(body: &[u8]) {
    assert_allowed(&validator(&audit_schema()), body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        // `UPDATE_EXPECT=1 cargo test` rewrites it.
        expect_test::expect_file!["../../schema/audit/1.json"]
            .assert_eq(&format!("{:#}\n", audit_schema()));
    }
}
