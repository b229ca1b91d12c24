//! `trommel schema`: JSON Schemas for editors and consumers, and the description of the API.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::Exit;
use crate::{audit, config, finding, rules, web};

/// Print a JSON Schema, or the OpenAPI description of the API
///
/// For an editor with yaml-language-server (VS Code with the YAML extension, Neovim, Helix, Emacs): write the schema to a file,
/// and begin rule files with `# yaml-language-server: $schema=` and the path to it, as seen from the rule file.
#[derive(Debug, Clone, Copy, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The messages that are published: CloudEvents with a finding in their data
    Finding,
    /// The messages about what people did: CloudEvents with an entry in their data
    Audit,
    /// Rule files
    Rules,
    /// Files of tests of rules
    Tests,
    /// The settings file of `trommel run`
    Config,
    /// The API of the admin port: an OpenAPI document, as `/api/v1/openapi.json` is
    Api,
}

/// Prints the schema that was asked for.
pub(super) fn run(arguments: &SchemaArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let schema = match arguments.of {
        SchemaOf::Finding => finding::finding_schema(),
        SchemaOf::Audit => audit::audit_schema(),
        SchemaOf::Rules => rules::schema(),
        SchemaOf::Tests => rules::test_schema(),
        SchemaOf::Config => config::schema(),
        SchemaOf::Api => web::openapi(),
    };
    writeln!(out, "{schema:#}")?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::super::tests::trommel;
    use super::*;

    #[test]
    fn everything_that_has_a_schema_prints_one() {
        for (of, property) in [
            ("finding", "data"),
            ("audit", "data"),
            ("rules", "rules"),
            ("tests", "tests"),
            ("config", "cluster"),
        ] {
            let (exit, out, diagnostics) = trommel(&["schema", of]);
            assert_eq!((exit, &*diagnostics), (Exit::Fine, ""), "{of}");
            let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            assert!(schema["$schema"].is_string(), "{of}");
            assert!(schema["properties"][property].is_object(), "{of}");
        }
    }

    #[test]
    fn the_printed_schemas_are_the_committed_ones() {
        for of in ["finding", "audit", "rules", "tests", "config", "api"] {
            let (_, out, _) = trommel(&["schema", of]);
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            expect_test::expect_file![root.join(format!("schema/{of}/1.json"))].assert_eq(&out);
        }
    }
}
