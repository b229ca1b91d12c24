//! Problems as SARIF, which code hosts and editors show beside the lines that they are about.
//!
//! Source: OASIS "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; the sections are named where they decide.

use serde_json::{Value, json};

use crate::rules::code::Code;
use crate::rules::explain::{Explanation, allowance};
use crate::rules::problem::Problem;

/// Problems as one SARIF log with one run, in one line.
///
/// It describes every code, whether it occurs or not, so that a viewer can explain them without trommel. Places are lines and
/// columns counted in Unicode code points.
#[must_use]
pub fn sarif(problems: &[Problem]) -> String {
    let rules: Vec<Value> = Code::ALL.iter().map(|&code| describe(code)).collect();
    let results: Vec<Value> = problems.iter().map(result).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "trommel check",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                },
            },
            // §3.14.17: without it columns would count UTF-16 code units.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
    .to_string()
}

/// A `reportingDescriptor`, §3.49.
fn describe(code: Code) -> Value {
    let Explanation {
        title,
        what,
        why,
        wrong,
        fix,
        right,
    } = Explanation::of(code);
    let allowance = allowance(code);
    // An example of the command line is no YAML.
    let language = if wrong.starts_with('$') { "sh" } else { "yaml" };
    let block = |example: &str| format!("```{language}\n{example}\n```");
    let (wrong_block, right_block) = (block(wrong), block(right));
    json!({
        "id": code,
        "name": format!("{code:?}"),
        "shortDescription": {"text": title},
        "fullDescription": {"text": format!("{what} {why}")},
        "help": {
            "text": format!("{what}\n\n{why}\n\n{wrong}\n\n{fix}\n\n{right}\n\n{allowance}"),
            "markdown": format!("{what}\n\n{why}\n\n{wrong_block}\n\n{fix}\n\n{right_block}\n\n{allowance}"),
        },
        "defaultConfiguration": {"level": code.level().as_str()},
    })
}

/// A `result`, §3.27.
fn result(problem: &Problem) -> Value {
    let index = Code::ALL.iter().position(|code| *code == problem.code);
    let text = match &problem.help {
        Some(help) => format!("{}: {help}", problem.message),
        None => problem.message.clone(),
    };
    json!({
        "ruleId": problem.code,
        "ruleIndex": index.expect("every code is in the list"),
        "level": problem.level.as_str(),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&problem.file)},
                "region": {
                    "startLine": problem.line,
                    "startColumn": problem.column,
                    "endLine": problem.end_line,
                    // §3.30.8: the column behind the last character.
                    "endColumn": problem.end_column,
                },
            },
        }],
    })
}

/// A path as a URI, §3.4.3: relative where the path is, so that a code host finds it in its checkout.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        // RFC 3986 §2.3 and §3.3: unreserved characters and those that separate nothing within a path.
        if byte.is_ascii_alphanumeric() || b"-._~/@!$&'()*+,;=".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::problem::SourceText;
    use crate::rules::{LoadOptions, load};

    /// What the standard's schema demands of the parts that are written here, in our own words. Nothing else may be written.
    const SCHEMA: &str = r##"
definitions:
  message: {type: object, required: [text], properties: {text: {type: string, minLength: 1}}}
  level: {enum: [none, note, warning, error]}
  place: {type: integer, minimum: 1}
  rule:
    type: object
    required: [id]
    additionalProperties: false
    properties:
      id: {type: string, minLength: 1}
      name: {type: string, pattern: '^[A-Z][A-Za-z]+$'}
      shortDescription: {$ref: '#/definitions/message'}
      fullDescription: {$ref: '#/definitions/message'}
      help:
        type: object
        required: [text]
        additionalProperties: false
        properties: {text: {type: string}, markdown: {type: string}}
      defaultConfiguration: {type: object, additionalProperties: false, properties: {level: {$ref: '#/definitions/level'}}}
  result:
    type: object
    required: [message]
    additionalProperties: false
    properties:
      ruleId: {type: string}
      ruleIndex: {type: integer, minimum: 0}
      level: {$ref: '#/definitions/level'}
      message: {$ref: '#/definitions/message'}
      locations: {type: array, items: {$ref: '#/definitions/location'}}
  location:
    type: object
    additionalProperties: false
    properties:
      physicalLocation:
        type: object
        required: [artifactLocation]
        additionalProperties: false
        properties:
          artifactLocation: {type: object, additionalProperties: false, properties: {uri: {type: string, format: uri-reference}}}
          region:
            type: object
            additionalProperties: false
            properties:
              startLine: {$ref: '#/definitions/place'}
              startColumn: {$ref: '#/definitions/place'}
              endLine: {$ref: '#/definitions/place'}
              endColumn: {$ref: '#/definitions/place'}
type: object
required: [version, runs]
additionalProperties: false
properties:
  $schema: {type: string, format: uri}
  version: {const: '2.1.0'}
  runs:
    type: array
    items:
      type: object
      required: [tool]
      additionalProperties: false
      properties:
        tool:
          type: object
          required: [driver]
          properties:
            driver:
              type: object
              required: [name]
              additionalProperties: false
              properties:
                name: {type: string, minLength: 1}
                semanticVersion: {type: string, pattern: '^[0-9]+[.][0-9]+[.][0-9]+'}
                rules: {type: array, uniqueItems: true, items: {$ref: '#/definitions/rule'}}
        columnKind: {enum: [utf16CodeUnits, unicodeCodePoints]}
        results: {type: array, items: {$ref: '#/definitions/result'}}
"##;

    /// The log of one broken file, which must be one that the standard allows.
    #[track_caller]
    fn log(name: &str, text: &str) -> Value {
        let source = SourceText {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let problems = load(&[source], &LoadOptions::default()).problems;
        let log: Value = serde_json::from_str(&sarif(&problems)).expect("JSON");
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&serde_saphyr::from_str(SCHEMA).expect("YAML"))
            .expect("a schema");
        let errors: Vec<_> = validator.iter_errors(&log).map(|e| e.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        log
    }

    #[test]
    fn each_problem_is_a_result_with_its_rule_and_its_region_in_characters() {
        let log = log(
            "rules/ü b.yaml",
            "rules:\n  - {id: a, owner: 'Größe', serverity: info, match: some long text, incident_type: workload_failure}\n",
        );
        let run = &log["runs"][0];
        let result = &run["results"][0];
        assert_eq!(result["ruleId"], "R004");
        assert_eq!(result["level"], "error");
        let rule = &run["tool"]["driver"]["rules"]
            [result["ruleIndex"].as_u64().expect("a number") as usize];
        assert_eq!(rule["id"], "R004");
        assert_eq!(rule["shortDescription"]["text"], "no such key");
        assert_eq!(
            result["locations"][0]["physicalLocation"],
            json!({
                "artifactLocation": {"uri": "rules/%C3%BC%20b.yaml"},
                "region": {"startLine": 2, "startColumn": 29, "endLine": 2, "endColumn": 38},
            })
        );
    }

    #[test]
    fn a_place_of_several_lines_ends_where_it_does() {
        let log = log(
            "a.yaml",
            "rules:\n- id: a\n  match: |\n    ä\n    öü\n  name: |\n    ä\n    öü\n  incident_type: workload_failure\n",
        );
        let results = log["runs"][0]["results"].as_array().expect("a list");
        let name = results.iter().find(|result| {
            let text = result["message"]["text"].as_str().unwrap_or_default();
            text.contains("`name` must be one line")
        });
        let region = &name.expect("reported")["locations"][0]["physicalLocation"]["region"];
        assert_eq!(
            *region,
            json!({"startLine": 7, "startColumn": 5, "endLine": 8, "endColumn": 7})
        );
    }

    #[test]
    fn every_code_is_described_and_nothing_wrong_is_a_log_without_results() {
        let log = log(
            "a.yaml",
            "rules: [{id: a, match: some long text, incident_type: workload_failure, catches: some long text}]",
        );
        let run = &log["runs"][0];
        assert_eq!(run["results"], json!([]));
        let rules = run["tool"]["driver"]["rules"].as_array().expect("a list");
        assert_eq!(rules.len(), Code::ALL.len());
        for (rule, code) in rules.iter().zip(Code::ALL) {
            assert_eq!(rule["id"], code.as_str());
            assert!(
                rule["help"]["markdown"]
                    .as_str()
                    .is_some_and(|text| text.contains("```")),
                "{code}"
            );
        }
    }

    #[test]
    fn an_absolute_path_is_a_file_uri() {
        assert_eq!(
            uri("/etc/trommel/a#b.yaml"),
            "file:///etc/trommel/a%23b.yaml"
        );
        assert_eq!(uri("./rules/a.yaml"), "rules/a.yaml");
    }
}
