//! The layers of settings, and the table of them all.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{ConfigError, RawConfig};

/// One setting, for the README and for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the file, levels separated by dots.
    pub key: String,
    /// The variable that sets it. A list in it is separated by `;`, which neither selectors nor paths need.
    pub variable: String,
    /// Its default as it would be written; `None` where there is none.
    pub default: Option<String>,
    /// What it means.
    pub doc: String,
    form: Form,
}

/// How the text of a variable is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Switch,
    List,
}

/// Every setting there is, taken from the types that read them, in the order of their keys.
#[must_use]
pub fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(&schema(), "", &mut settings);
    settings
}

/// The JSON Schema of the settings file.
#[must_use]
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<RawConfig>()
        .to_value()
}

fn collect(schema: &Value, prefix: &str, settings: &mut Vec<Setting>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (name, property) in properties {
        let key = format!("{prefix}{name}");
        if property.get("properties").is_some() {
            collect(property, &format!("{key}."), settings);
            continue;
        }
        settings.push(Setting {
            variable: variable(&key),
            default: property
                .get("default")
                .filter(|value| !value.is_null())
                .map(written),
            doc: property["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            form: form(&property["type"]),
            key,
        });
    }
}

/// `limits.body_bytes_max` is `TROMMEL_LIMITS_BODY_BYTES_MAX`. The level of logs, which every command has, is `TROMMEL_LOG`.
fn variable(key: &str) -> String {
    match key {
        "log.level" => LOG_VARIABLE.to_owned(),
        key => format!("TROMMEL_{}", key.replace('.', "_").to_uppercase()),
    }
}

/// Sets the level of logs, as `RUST_LOG` does elsewhere.
pub const LOG_VARIABLE: &str = "TROMMEL_LOG";

pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(written).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

/// The form that a schema's `type` asks for: one name or several.
fn form(types: &Value) -> Form {
    let is = |name: &str| match types {
        Value::Array(types) => types.iter().any(|each| each == name),
        one => one == name,
    };
    // What may also be a text, such as a size, is read from the text.
    if is("string") {
        Form::Text
    } else if is("boolean") {
        Form::Switch
    } else if is("integer") {
        Form::Number
    } else if is("array") {
        Form::List
    } else {
        Form::Text
    }
}

/// Settings from layer upon layer; a later one goes before those beneath.
#[derive(Debug, Default)]
pub(super) struct Layers(Map<String, Value>);

impl Layers {
    /// Puts `raw` on top.
    pub(super) fn add(&mut self, raw: &RawConfig) -> Result<(), ConfigError> {
        // Only a path that is no UTF-8 cannot be written as JSON.
        let value = serde_json::to_value(raw)
            .map_err(|error| ConfigError::Unreadable(error.to_string()))?;
        if let Value::Object(layer) = value {
            put_over(&mut self.0, layer);
        }
        Ok(())
    }

    /// Puts every set variable on top. An empty one counts as not set.
    ///
    /// Variables that name no setting are ignored: Kubernetes adds `TROMMEL_SERVICE_HOST` and more for a service of this name.
    pub(super) fn add_variables(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        for setting in settings() {
            let Some(text) = variable(&setting.variable).filter(|text| !text.is_empty()) else {
                continue;
            };
            let wrong = |problem: String| ConfigError::Variable {
                variable: setting.variable.clone(),
                problem,
            };
            let value = setting.form.read(&text).map_err(wrong)?;
            let layer = setting.key.rsplit('.').fold(value, |value, name| {
                Value::Object(Map::from_iter([(name.to_owned(), value)]))
            });
            let raw: RawConfig =
                serde_json::from_value(layer).map_err(|error| wrong(error.to_string()))?;
            self.add(&raw)?;
        }
        Ok(())
    }

    pub(super) fn into_raw(self) -> RawConfig {
        serde_json::from_value(Value::Object(self.0)).expect("each layer was read as such")
    }
}

impl Form {
    fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(text.into()),
            Self::Number => match text.parse::<u64>() {
                Ok(number) => Ok(number.into()),
                Err(_) => Err(format!("`{text}` is not a number")),
            },
            Self::Switch => match text.parse::<bool>() {
                Ok(on) => Ok(on.into()),
                Err(_) => Err(format!("`{text}` is neither true nor false")),
            },
            Self::List => Ok(text
                .split(';')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect()),
        }
    }
}

fn put_over(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (name, value) in above {
        match (below.get_mut(&name), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(below)), Value::Object(above)) => put_over(below, above),
            (_, value) => {
                below.insert(name, value);
            }
        }
    }
}
