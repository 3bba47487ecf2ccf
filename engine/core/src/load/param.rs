//! Parameters: what a plan declares, and the values that a run has.

use super::keys::{PARAM, PARAM_TYPES};
use super::read::{Fields, mapping};
use super::report::Report;
use super::request::Label;
use super::suggest::did_you_mean;
use super::yaml::{Entry, Kind, ScalarValue, Spanned, Yaml};
use crate::condition::{parse_size, parse_version};
use crate::template::is_template;
use caxplan_model::{Duration, Map, ShortText, Span, Value};

/// The type of a parameter, in the order of [`PARAM_TYPES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
    Duration,
    Bytes,
    Version,
    Enum,
    List,
    Map,
}

const TYPES: &[ParamType] = &[
    ParamType::String,
    ParamType::Integer,
    ParamType::Number,
    ParamType::Boolean,
    ParamType::Duration,
    ParamType::Bytes,
    ParamType::Version,
    ParamType::Enum,
    ParamType::List,
    ParamType::Map,
];

/// A declared parameter.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) name: Spanned<ShortText>,
    pub(super) secret: bool,
    pub(super) description: Option<String>,
    kind: ParamType,
    default: Option<Yaml>,
    required: bool,
    pattern: Option<Spanned<ShortText>>,
    min: Option<Spanned<Measure>>,
    max: Option<Spanned<Measure>>,
    pub(super) values: Vec<Value>,
}

/// What `min` and `max` compare. Values of one type have one kind of measure.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Measure {
    Number(f64),
    Version(Vec<u64>),
}

/// The values of a run's parameters.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// All; secret ones are `null`.
    pub(super) open: Map,
    /// The secret ones.
    pub(super) secret: Map,
}

/// Reads `params`.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Vec<Param> {
    let Some(entries) = mapping(yaml, "parameters by name", report) else {
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| read_one(entry, report))
        .collect()
}

fn read_one(entry: &Entry, report: &mut Report) -> Option<Param> {
    if !is_name(&entry.key.value) {
        let message = format!("`{}` is no name that templates can use", entry.key.value);
        report.error("wrong-name", entry.key.span, message).help =
            Some("a name is letters, digits and `_`, and begins with no digit".to_owned());
    }
    if let Kind::Scalar { .. } | Kind::List(_) = entry.value.kind
        && !entry.value.is_null()
    {
        let error = report.error(
            "wrong-type",
            entry.value.head(),
            format!(
                "expected a parameter as a mapping, found {}",
                entry.value.describe()
            ),
        );
        let value = match &entry.value.kind {
            Kind::Scalar { text, .. } if text.len() < 40 => text.as_str(),
            _ => "…",
        };
        error.help = Some(format!("write `{}: {{default: {value}}}`", entry.key.value));
        // It is declared all the same: who uses it is right.
        return Some(Param {
            name: entry.key.clone(),
            secret: false,
            description: None,
            kind: ParamType::String,
            default: None,
            required: false,
            pattern: None,
            min: None,
            max: None,
            values: Vec::new(),
        });
    }
    let empty = Yaml {
        span: entry.key.span,
        kind: Kind::Map(Vec::new()),
    };
    let yaml = if entry.value.is_null() {
        &empty
    } else {
        &entry.value
    };
    let fields = Fields::open(yaml, &PARAM, report)?;
    let kind = fields
        .word("type", PARAM_TYPES, TYPES, report)
        .unwrap_or(if fields.get("values").is_some() {
            ParamType::Enum
        } else {
            ParamType::String
        });
    let values = fields.get("values").map(Yaml::to_value).unwrap_or_default();
    let values = values.as_array().cloned().unwrap_or_default();
    if kind == ParamType::Enum && values.is_empty() {
        let message = "an enum needs `values`: a list of what may be given";
        report.error("missing-key", entry.key.span, message);
    }
    let pattern = fields.text("pattern", report);
    if let Some(pattern) = &pattern
        && matches(&pattern.value, "").is_none()
    {
        let message = format!("`{}` is no regular expression", pattern.value);
        report.error("wrong-pattern", pattern.span, message);
    }
    let default = fields.get("default").cloned();
    let param = Param {
        name: entry.key.clone(),
        secret: fields.boolean("secret", report).unwrap_or(false),
        kind,
        required: fields.boolean("required", report).unwrap_or(default.is_none()),
        pattern,
        min: bound(&fields, "min", kind, report),
        max: bound(&fields, "max", kind, report),
        values,
        default,
        description: fields
            .text("description", report)
            .map(|text| text.value)
            .map(String::from),
    };
    if let (Some(min), Some(max)) = (&param.min, &param.max)
        && min.value > max.value
    {
        let message = "`min` is more than `max`: no value fits";
        report.error("wrong-value", max.span, message).others.push(Label {
            span: min.span,
            text: String::new(),
        });
    } else if let Some(default) = &param.default
        && (param.kind != ParamType::Enum || !param.values.is_empty())
    {
        check_default(&param, default, report);
    }
    Some(param)
}

/// Whether a name can be used in templates and conditions.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_default(param: &Param, default: &Yaml, report: &mut Report) {
    if let Kind::Scalar { text, .. } = &default.kind
        && is_template(text)
    {
        let message = "a default is a value: this template stays the text that it is";
        report.warning("template-as-value", default.span, message);
    }
    if let Err(message) = param.convert(&value_of(default)) {
        let message = format!("the default of `{}`: {message}", param.name.value);
        report.error("wrong-default", default.head(), message);
    }
}

/// A YAML value; a scalar that is no text as what it is written as, so that `1.10` can be a version.
pub(super) fn value_of(yaml: &Yaml) -> Value {
    match &yaml.kind {
        Kind::Scalar {
            value: ScalarValue::Number(_),
            text,
        } => Value::String(text.to_string()),
        Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => yaml.to_value(),
    }
}

fn bound(fields: &Fields<'_>, key: &str, kind: ParamType, report: &mut Report) -> Option<Spanned<Measure>> {
    let yaml = fields.get(key)?;
    let value = value_of(yaml);
    let number = || {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .map(Measure::Number)
    };
    let (measure, expected) = match kind {
        ParamType::Duration => (measure(kind, &value), "a duration such as `30m`"),
        ParamType::Bytes => (measure(kind, &value), "a size such as `2GiB`"),
        ParamType::Version => (measure(kind, &value), "a version such as `1.2.0`"),
        ParamType::Integer | ParamType::Number => (number(), "a number"),
        ParamType::String | ParamType::List | ParamType::Map => (number(), "a length"),
        ParamType::Boolean | ParamType::Enum => {
            let message = format!("values of this type have no order: there is no `{key}` of them");
            report.error("wrong-value", yaml.head(), message);
            return None;
        }
    };
    if measure.is_none() {
        let error = report.error(
            "wrong-type",
            yaml.head(),
            format!("`{key}` does not fit the type"),
        );
        error.help = Some(format!("expected {expected}"));
    }
    measure.map(|value| Spanned {
        value,
        span: yaml.span,
    })
}

/// What `min` and `max` compare of a value.
fn measure(kind: ParamType, value: &Value) -> Option<Measure> {
    #[allow(clippy::cast_precision_loss)]
    let number = match kind {
        ParamType::Integer | ParamType::Number => value.as_f64()?,
        ParamType::Duration => value.as_str()?.parse::<Duration>().ok()?.as_millis() as f64,
        ParamType::Bytes => match value {
            Value::String(text) => text.parse().ok().or_else(|| parse_size(text))?,
            other => other.as_f64()?,
        },
        ParamType::String => value.as_str()?.chars().count() as f64,
        ParamType::List => value.as_array()?.len() as f64,
        ParamType::Map => value.as_object()?.len() as f64,
        ParamType::Version => return parse_version(value.as_str()?).map(Measure::Version),
        ParamType::Boolean | ParamType::Enum => return None,
    };
    Some(Measure::Number(number))
}

/// Whether the whole of `text` matches; `None` if the pattern is none.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    let schema = serde_json::json!({"pattern": format!("^(?:{pattern})$")});
    let validator = jsonschema::draft7::new(&schema).ok()?;
    Some(validator.is_valid(&Value::String(text.to_owned())))
}

impl Param {
    /// Its type, as plans write it.
    pub(super) fn kind_word(&self) -> &'static str {
        let position = TYPES.iter().position(|kind| *kind == self.kind);
        position
            .and_then(|at| PARAM_TYPES.get(at))
            .copied()
            .unwrap_or("string")
    }

    /// Whether a run needs a value that neither a default nor its absence is.
    pub(super) fn is_required(&self) -> bool {
        self.required && self.default.is_none()
    }

    /// The value that it has if none is given.
    pub(super) fn default_value(&self) -> Option<Value> {
        // It was checked where it stands.
        self.convert(&value_of(self.default.as_ref()?)).ok()
    }

    /// What is declared of it, as data for [`check`].
    pub(super) fn rule(&self) -> Value {
        let number = |bound: &Option<Spanned<Measure>>| {
            bound.as_ref().map(|bound| match &bound.value {
                Measure::Number(number) => Value::from(*number),
                Measure::Version(parts) => Value::from(parts.clone()),
            })
        };
        serde_json::json!({
            "type": self.kind_word(),
            "required": self.required,
            "pattern": self.pattern.as_ref().map(|pattern| &pattern.value),
            "min": number(&self.min),
            "max": number(&self.max),
            "values": self.values,
        })
    }

    /// The value as this parameter's type.
    pub(super) fn convert(&self, value: &Value) -> Result<Value, String> {
        let value = self.typed(value)?;
        if let (Some(pattern), Some(text)) = (&self.pattern, value.as_str())
            && matches(&pattern.value, text) == Some(false)
        {
            return Err(format!(
                "{} does not match `{}`",
                self.shown(&value),
                pattern.value
            ));
        }
        let measure = measure(self.kind, &value);
        if measure.is_none() && (self.min.is_some() || self.max.is_some()) {
            return Err(format!(
                "{} has no order, and there is a `min` or a `max`",
                self.shown(&value)
            ));
        }
        if let Some(measure) = measure {
            let of = match self.kind {
                ParamType::String | ParamType::List | ParamType::Map => "the length of ",
                _ => "",
            };
            if self.min.as_ref().is_some_and(|min| measure < min.value) {
                return Err(format!(
                    "{of}{} is less than the least, `min`",
                    self.shown(&value)
                ));
            }
            if self.max.as_ref().is_some_and(|max| measure > max.value) {
                return Err(format!(
                    "{of}{} is more than the greatest, `max`",
                    self.shown(&value)
                ));
            }
        }
        Ok(value)
    }

    /// A value for a message; never that of a secret.
    fn shown(&self, value: &Value) -> String {
        match value {
            _ if self.secret => "the secret value".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        }
    }

    fn typed(&self, value: &Value) -> Result<Value, String> {
        let wrong = |expected: &str| Err(format!("expected {expected}, found {}", self.shown(value)));
        let text = match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let json = || {
            text.as_deref()
                .and_then(|text| serde_json::from_str::<Value>(text).ok())
        };
        match self.kind {
            ParamType::String => match value {
                Value::String(text) => Ok(Value::String(text.clone())),
                _ => text.map_or_else(|| wrong("a text"), |text| Ok(Value::String(text))),
            },
            ParamType::Integer => match text.and_then(|text| text.parse::<i64>().ok()) {
                Some(number) => Ok(number.into()),
                None => wrong("a whole number"),
            },
            ParamType::Number => {
                match text
                    .and_then(|text| text.parse().ok())
                    .and_then(serde_json::Number::from_f64)
                {
                    Some(number) => Ok(Value::Number(number)),
                    None => wrong("a number"),
                }
            }
            ParamType::Boolean => match text.as_deref() {
                Some("true") => Ok(Value::Bool(true)),
                Some("false") => Ok(Value::Bool(false)),
                _ => wrong("true or false"),
            },
            ParamType::Duration => match text {
                Some(text) => match text.parse::<Duration>() {
                    Ok(_) => Ok(Value::String(text)),
                    Err(error) => Err(format!("expected a duration: {error}")),
                },
                None => wrong("a duration"),
            },
            ParamType::Bytes => match text {
                Some(text) if text.parse::<u64>().is_ok() || parse_size(&text).is_some() => {
                    Ok(Value::String(text))
                }
                _ => wrong("a size such as `512MiB` or `2GB`"),
            },
            ParamType::Version => match text {
                Some(text) if is_version(&text) => Ok(Value::String(text)),
                _ => wrong("a version such as `1.2.0`"),
            },
            ParamType::Enum => {
                let found = self.values.iter().find(|of| match of {
                    Value::String(word) => Some(word) == text.as_ref(),
                    other => *other == value || Some(other.to_string()) == text,
                });
                match found {
                    Some(found) => Ok(found.clone()),
                    None => {
                        let values: Vec<String> = self.values.iter().map(|value| self.shown(value)).collect();
                        wrong(&format!("one of {}", values.join(", ")))
                    }
                }
            }
            ParamType::List => match (value, json()) {
                (Value::Array(_), _) => Ok(value.clone()),
                (_, Some(list @ Value::Array(_))) => Ok(list),
                // `-p nodes=a,b`
                (Value::String(text), _) => {
                    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                    Ok(items.map(str::to_owned).collect())
                }
                _ => wrong("a list"),
            },
            ParamType::Map => match (value, json()) {
                (Value::Object(_), _) => Ok(value.clone()),
                (_, Some(map @ Value::Object(_))) => Ok(map),
                _ => wrong("a mapping"),
            },
        }
    }
}

fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'))
}

/// The value of a parameter by what is declared of it.
///
/// # Errors
/// Why it cannot be its value.
pub(super) fn check(name: &str, rule: &Value, value: &Value) -> Result<Value, String> {
    let here = Span::default();
    let number = |key: &str| {
        let value = match &rule[key] {
            Value::Array(parts) => Measure::Version(parts.iter().filter_map(Value::as_u64).collect()),
            other => Measure::Number(other.as_f64()?),
        };
        Some(Spanned { value, span: here })
    };
    let kind = PARAM_TYPES.iter().position(|word| rule["type"] == **word);
    let param = Param {
        name: Spanned {
            value: name.to_owned().into(),
            span: here,
        },
        secret: rule["secret"] == true,
        description: None,
        kind: kind
            .and_then(|at| TYPES.get(at))
            .copied()
            .unwrap_or(ParamType::String),
        default: None,
        required: rule["required"] == true,
        pattern: rule["pattern"].as_str().map(|pattern| Spanned {
            value: pattern.into(),
            span: here,
        }),
        min: number("min"),
        max: number("max"),
        values: rule["values"].as_array().cloned().unwrap_or_default(),
    };
    if value.is_null() && !param.required {
        return Ok(Value::Null);
    }
    param.convert(value)
}

/// Settles the value of every parameter: given, else the inventory's, else the default.
pub(super) fn settle(
    params: &[Param],
    inventory: &[Entry],
    given: &Map,
    place: Span,
    report: &mut Report,
) -> Values {
    let known = || params.iter().map(|param| param.name.value.as_str());
    for name in given.keys() {
        if known().all(|of| of != name) {
            let message = format!("the plan has no parameter `{name}`, which was given a value");
            report.error("unknown-param", place, message).help = did_you_mean(name, known());
        }
    }
    for entry in inventory {
        if known().all(|of| of != entry.key.value) {
            let message = format!("the plan has no parameter `{}`", entry.key.value);
            report.warning("unknown-param", entry.key.span, message).help =
                did_you_mean(&entry.key.value, known());
        }
    }
    let mut values = Values::default();
    for param in params {
        let name = &param.name.value;
        let from_inventory = inventory.iter().find(|entry| entry.key.value == *name);
        let (value, span) = match (given.get(name.as_str()), from_inventory, &param.default) {
            (Some(given), _, _) => (Some(given.clone()), param.name.span),
            (None, Some(entry), _) => (Some(value_of(&entry.value)), entry.value.head()),
            (None, None, Some(default)) => (Some(value_of(default)), default.head()),
            (None, None, None) => (None, param.name.span),
        };
        let is_default = given.get(name.as_str()).is_none() && from_inventory.is_none();
        let value = match value {
            Some(value) => match param.convert(&value) {
                Ok(value) => value,
                // The default was checked where it stands.
                Err(_) if is_default => Value::Null,
                Err(message) => {
                    report.error("wrong-param", span, format!("parameter `{name}`: {message}"));
                    Value::Null
                }
            },
            None if param.required => {
                let message = format!("the parameter `{name}` has no value");
                let help = format!(
                    "give it with `-p {name}=…`, in a file with `--params FILE`, or a `default` here"
                );
                report.error("missing-param", param.name.span, message).help = Some(help);
                Value::Null
            }
            None => Value::Null,
        };
        if param.secret {
            values.open.insert(name.to_string(), Value::Null);
            values.secret.insert(name.to_string(), value);
        } else {
            values.open.insert(name.to_string(), value);
        }
    }
    values
}
