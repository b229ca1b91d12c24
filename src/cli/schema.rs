//! `trommel schema`: JSON Schemas for editors and consumers.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::Exit;
use crate::config;

/// Print a JSON Schema
#[derive(Debug, Clone, Copy, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The settings file of `trommel run`
    Config,
}

/// Prints the schema that was asked for.
pub(super) fn run(arguments: &SchemaArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let schema = match arguments.of {
        SchemaOf::Config => config::schema(),
    };
    writeln!(out, "{schema:#}")?;
    Ok(Exit::Fine)
}
