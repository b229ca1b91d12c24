//! The JSON Schema of the messages, generated from the types that they are encoded from.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::message::{CloudEvent, DATA_SCHEMA};

/// The JSON Schema (draft 2020-12) of a whole message: the CloudEvent's attributes, and the finding in its `data`.
///
/// The committed copy is `schema/finding/1.json`. A later version may add properties; consumers ignore those they do not know.
#[must_use]
pub fn finding_schema() -> Value {
    schema_of::<CloudEvent<'_>>(DATA_SCHEMA)
}

/// The JSON Schema of messages that are encoded from `T`; `id` is where it is.
pub(crate) fn schema_of<T: JsonSchema>(id: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), id.into());
    schema.to_value()
}

/// Fails the test unless `body` is a message that the schema allows.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_valid(body: &[u8]) {
    static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> =
        std::sync::LazyLock::new(|| validator(&finding_schema()));
    assert_allowed(&VALIDATOR, body);
}

/// What tells whether something is as `schema` has it.
#[cfg(test)]
pub(crate) fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("the schema is one")
}

/// Fails the test unless `body` is a message that `validator` allows.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_allowed(validator: &jsonschema::Validator, body: &[u8]) {
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
    use crate::finding::message::tests::{message, sample};

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        // `UPDATE_EXPECT=1 cargo test` rewrites it.
        expect_test::expect_file!["../../schema/finding/1.json"]
            .assert_eq(&format!("{:#}\n", finding_schema()));
    }

    #[test]
    fn the_schema_refuses_what_is_no_message() {
        let valid: Value = serde_json::from_slice(&message(&sample()).body).expect("JSON");
        for (pointer, value) in [
            ("/specversion", "0.3".into()),
            ("/id", "5f1d6c0e2b7a4f90".into()),
            ("/time", "yesterday".into()),
            ("/severity", "fatal".into()),
            ("/data/state", "closed".into()),
            ("/data/counts/total", (-1).into()),
            ("/data/first_seen", Value::Null),
            ("/data/evidence/lines/0/labels", Value::Array(Vec::new())),
        ] {
            let mut event = valid.clone();
            *event.pointer_mut(pointer).expect("the sample has it") = value;
            let refused = std::panic::catch_unwind(|| assert_valid(event.to_string().as_bytes()));
            assert!(refused.is_err(), "{pointer}");
        }
    }
}
