//! The JSON Schema of the messages, generated from the types that they are encoded from.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::message::{CloudEvent, DATA_SCHEMA};

/// The JSON Schema (draft 2020-12) of a whole message: the CloudEvent's attributes, and the entry in its `data`.
///
/// The committed copy is `schema/audit/1.json`. A later version may add properties and further values of `what`.
#[must_use]
pub fn audit_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<CloudEvent<'_>>();
    schema.insert("$id".to_owned(), DATA_SCHEMA.into());
    schema.to_value()
}

/// Fails the test unless `body` is a message that the schema allows.
#[cfg(test)]
#[track_caller]
pub(super) fn assert_valid(body: &[u8]) {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&audit_schema())
        .expect("the schema is one");
    let event: Value = serde_json::from_slice(body).expect("a message is JSON");
    let errors: Vec<String> = validator
        .iter_errors(&event)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
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
