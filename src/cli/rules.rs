//! `trommel rules`: which rules ship with trommel.

use std::io::Write;

use clap::Args;

use super::output::{Output, write_table};
use super::{Exit, compile};
use crate::web::rule_list;

/// List the rules that ship with trommel
#[derive(Debug, Clone, Copy, Args)]
pub struct RulesArgs {
    /// One JSON object with everything about each, as /api/v1/rules answers
    #[arg(long)]
    pub json: bool,
}

/// Prints the list.
pub(super) fn run(
    arguments: &RulesArgs,
    out: &mut impl Write,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let rules = compile::compile(&[], diagnostics)?;
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &rule_list(&rules, &[]))
            .map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(Exit::Fine);
    }
    let rows: Vec<_> = rules
        .rules
        .iter()
        .map(|rule| {
            [
                rule.id.clone(),
                rule.severity.to_string(),
                rule.condition.to_string(),
                rule.incident_type.clone(),
                rule.name.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let heading = ["ID", "SEVERITY", "CONDITION", "INCIDENT TYPE", "NAME"];
    write_table(out, heading, &rows)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::super::tests::trommel;
    use super::*;

    #[test]
    fn every_shipped_rule_is_a_row_of_the_table() {
        let (exit, out, diagnostics) = trommel(&["rules"]);
        assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
        let heading = out.lines().next().expect("a heading");
        assert!(heading.starts_with("ID "), "{out}");
        let row = out.lines().find(|line| line.starts_with("tls_x509 "));
        let row = row.expect("it ships");
        let column = heading.find("SEVERITY").expect("a column");
        assert!(row[column..].starts_with("warning "), "{out}");
    }

    #[test]
    fn json_lists_the_same_rules_with_their_hash() {
        let (exit, out, _) = trommel(&["rules", "--json"]);
        assert_eq!(exit, Exit::Fine);
        let list: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let ids: Vec<_> = list["rules"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|rule| rule["id"].as_str().expect("an id").to_owned())
            .collect();
        let (_, table, _) = trommel(&["rules"]);
        let rows = table.lines().skip(1);
        let listed: Vec<_> = rows.filter_map(|row| row.split(' ').next()).collect();
        assert_eq!(ids, listed);
        assert!(list["hash"].is_string());
    }
}
