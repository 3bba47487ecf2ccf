//! Templates: minijinja with strict undefined, over one scope.
//!
//! A text that is one whole `{{ expression }}` keeps the expression's type; any other text with templates becomes a text.
//! What a template yields is never parsed again: a parameter whose value is `{{ x }}` stays that text.
//!
//! A template may loop and build texts, so each has a budget: whatever it holds, it ends soon, in little memory.

mod scan;

pub(crate) use scan::as_expression;
pub(crate) use scan::{FILTERS, unknown_function};

use crate::condition;
use crate::select::Selector;
use caxplan_model::{Map, Target, Value};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, UndefinedBehavior};
use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::LazyLock;

/// The work that one template may do, in minijinja's unit: an instruction, or 64 bytes of data that it makes. Enough to
/// walk over ten thousand targets some ten times; it is used up in about a tenth of a second and 64 MB.
const FUEL: u64 = 1_000_000;
/// The longest text, and the largest value as JSON, that one template may yield, in bytes: as much as the largest file.
const YIELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What templates and conditions can see.
///
/// `root` is an object: `params`, `vars`, `target`, `targets` (a list of [`Target`]s, which the function `targets()`
/// selects from), `steps`, `run`, `secrets`, `env`, and what `foreach` bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// The object.
    pub root: Value,
}

/// Resolves one text. A text without templates is itself.
///
/// # Errors
/// A message for a person that names the template and what is missing or wrong in it.
pub fn resolve(text: &str, scope: &Scope) -> Result<Value, String> {
    if !is_template(text) {
        return Ok(Value::String(text.to_owned()));
    }
    render(text, &context(scope), scope)
}

/// Resolves every text in `map`, however deep; keys stay as they are.
///
/// # Errors
/// As [`resolve`], with the path of the value: `argv.2: …`.
pub fn resolve_map(map: &Map, scope: &Scope) -> Result<Map, String> {
    let context = context(scope);
    map.iter()
        .map(|(key, value)| Ok((key.clone(), resolve_value(value, key, &context, scope)?)))
        .collect()
}

/// Evaluates a `when`: a template that yields a boolean, or a [`crate::condition`].
///
/// # Errors
/// A message for a person.
pub fn evaluate_when(text: &str, scope: &Scope) -> Result<bool, String> {
    if !is_template(text) {
        return condition::evaluate(text, &scope.root).map(|verdict| verdict.ok);
    }
    match resolve(text, scope)? {
        Value::Bool(value) => Ok(value),
        other => Err(format!("`{text}` must yield true or false, and yields {other}")),
    }
}

/// Whether a value is a template, or holds one.
pub(crate) fn holds_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(holds_template),
        Value::Object(map) => map.values().any(holds_template),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a text holds a template.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether a template or a condition speaks of what only the run knows: its steps, or the run itself.
pub fn depends_on_run(text: &str) -> bool {
    roots(text).iter().any(|root| root == "steps" || root == "run")
}

/// The first parts of the paths that a template or a condition reads.
pub(crate) fn roots(text: &str) -> std::collections::BTreeSet<String> {
    let paths = if is_template(text) {
        references(text).unwrap_or_default()
    } else {
        condition_paths(text)
    };
    let root = |path: &String| path.split('.').next().unwrap_or_default().to_owned();
    paths.iter().map(root).collect()
}

/// The dotted paths that a condition reads; none if it is no condition.
pub(crate) fn condition_paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    if let Ok(condition) = condition::parse(text) {
        condition.for_each_path(&mut |path| paths.push(path.segments.join(".")));
    }
    paths
}

/// Why a text is no valid template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// What is wrong, for a person.
    pub(crate) message: String,
    /// Where in the text, in bytes, if it is known.
    pub(crate) range: Option<Range<usize>>,
}

/// The variables that a text reads, as dotted paths in order (`params.version`, `targets`), without those that it sets
/// itself and without built-in functions.
pub(crate) fn references(text: &str) -> Result<Vec<String>, SyntaxError> {
    if !is_template(text) {
        return Ok(Vec::new());
    }
    scan::check_length(text).map_err(|message| SyntaxError { message, range: None })?;
    let read = |text: &str| {
        let template = ENVIRONMENT.template_from_str(text);
        template.map(|template| template.undeclared_variables(true))
    };
    let names = read(text).map_err(|error| SyntaxError {
        message: error.detail().unwrap_or("syntax error").to_owned(),
        range: error.range(),
    })?;
    let sliced = scan::without_slices(text).and_then(|text| read(&text).ok());
    let mut names: Vec<String> = names.into_iter().chain(sliced.unwrap_or_default()).collect();
    names.retain(|name| ENVIRONMENT.globals().all(|(global, _)| global != name));
    names.sort();
    names.dedup();
    Ok(names)
}

/// The expression of a text that is one whole `{{ expression }}`.
fn whole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner).trim();
    // `{{ a }} and {{ b }}` begins and ends alike, but `a }} and {{ b` is no expression.
    ENVIRONMENT.compile_expression(inner).is_ok().then_some(inner)
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(write_value);
    environment.set_syntax(
        SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .expect("the default delimiters are valid"),
    );
    environment
});

/// Writes a value into a text as a plan would write it: `true` and not `True`, `["a"]` and not `['a']`.
fn write_value(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &minijinja::Value,
) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let failed = |error: serde_json::Error| {
                let message = match error.is_io() {
                    true => format!("it yields more than {} MiB", YIELD_BYTES_MAX / 1024 / 1024),
                    false => error.to_string(),
                };
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message)
            };
            // A value may hold one large part many times: it is small, and what is written of it is not.
            serde_json::to_writer(Room(YIELD_BYTES_MAX), value).map_err(failed)?;
            let text = serde_json::to_string(value).map_err(failed)?;
            out.write_str(&text).map_err(minijinja::Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// What minijinja sees: the scope, with `targets` as a function in place of the list.
fn context(scope: &Scope) -> minijinja::Value {
    let Value::Object(root) = &scope.root else {
        return data(&scope.root);
    };
    let targets: Vec<Target> = root
        .get("targets")
        .and_then(|list| serde_json::from_value(list.clone()).ok())
        .unwrap_or_default();
    let fields = root.iter().filter(|(name, _)| *name != "targets");
    minijinja::Value::from_pairs(
        fields
            .map(|(name, value)| (name.clone(), data(value)))
            .chain([("targets".to_owned(), targets_function(targets))]),
    )
}

fn data(value: &impl serde::Serialize) -> minijinja::Value {
    minijinja::Value::from(Serde(value))
}

/// What it costs a template to look at one target and to copy it.
const TARGET_FUEL: u64 = 10;

fn targets_function(targets: Vec<Target>) -> minijinja::Value {
    minijinja::Value::from_function(move |state: &minijinja::State<'_, '_>, selector: Option<&str>| {
        let selector = Selector::parse(selector.unwrap_or_default())
            .map_err(|message| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))?;
        state.consume_fuel(TARGET_FUEL * targets.len() as u64)?;
        let selected: Vec<&Target> = targets.iter().filter(|target| selector.matches(target)).collect();
        Ok(data(&selected))
    })
}

fn resolve_value(
    value: &Value,
    path: &str,
    context: &minijinja::Value,
    scope: &Scope,
) -> Result<Value, String> {
    match value {
        Value::String(text) if is_template(text) => {
            render(text, context, scope).map_err(|message| format!("{path}: {message}"))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| resolve_value(item, &format!("{path}.{at}"), context, scope))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| {
                Ok((
                    key.clone(),
                    resolve_value(item, &format!("{path}.{key}"), context, scope)?,
                ))
            })
            .collect::<Result<Map, String>>()
            .map(Value::Object),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

fn render(text: &str, context: &minijinja::Value, scope: &Scope) -> Result<Value, String> {
    scan::check_length(text)?;
    let failed = |error: &minijinja::Error| describe(text, error, scope);
    let Some(expression) = whole_expression(text) else {
        let rendered = ENVIRONMENT
            .render_str(text, context.clone())
            .map_err(|error| failed(&error))?;
        return match rendered.len() {
            0..=YIELD_BYTES_MAX => Ok(Value::String(rendered)),
            _ => Err(too_large(text)),
        };
    };
    // It compiled a moment ago.
    let compiled = ENVIRONMENT
        .compile_expression(expression)
        .map_err(|error| failed(&error))?;
    let value = compiled.eval(context.clone()).map_err(|error| failed(&error))?;
    if value.is_undefined() {
        return Err(undefined(text, scope).unwrap_or_else(|| format!("`{text}` is not defined")));
    }
    // A value may hold one large part many times: it is small, and what is written of it is not.
    serde_json::to_writer(Room(YIELD_BYTES_MAX), &value).map_err(|error| match error.is_io() {
        true => too_large(text),
        false => no_data(text, &error),
    })?;
    serde_json::to_value(&value).map_err(|error| no_data(text, &error))
}

/// Takes as many bytes as there is room for, and keeps none.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.0.checked_sub(bytes.len());
        self.0 = left.ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large(text: &str) -> String {
    let mib = YIELD_BYTES_MAX / 1024 / 1024;
    format!("`{}` yields more than {mib} MiB", shown(text))
}

fn no_data(text: &str, error: &serde_json::Error) -> String {
    format!("`{}` yields what is no data: {error}", shown(text))
}

/// A template in a message: its beginning, if it is long.
fn shown(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 200;
    match text.char_indices().nth(CHARS_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

fn describe(text: &str, error: &minijinja::Error, scope: &Scope) -> String {
    if error.kind() == minijinja::ErrorKind::UndefinedError
        && let Some(message) = undefined(text, scope)
    {
        return message;
    }
    let text = shown(text);
    match error.detail() {
        _ if error.kind() == minijinja::ErrorKind::OutOfFuel => format!(
            "`{text}`: this template does too much: it may take {FUEL} steps, and make about 64 bytes in each"
        ),
        Some(detail) => format!("`{text}`: {detail}"),
        None => format!("`{text}`: {}", error.kind()),
    }
}

/// Says which of the variables of `text` is not there, and what is there in its place.
fn undefined(text: &str, scope: &Scope) -> Option<String> {
    let names = references(text).ok()?;
    let text = shown(text);
    names.iter().find_map(|name| {
        let mut at = &scope.root;
        let mut seen = String::new();
        for segment in name.split('.') {
            match at.get(segment) {
                Some(next) => at = next,
                None if seen.is_empty() => return Some(format!("`{text}`: `{segment}` is not defined here")),
                None => {
                    let has = match at.as_object() {
                        Some(map) if map.is_empty() => "it is empty".to_owned(),
                        Some(map) => {
                            let keys: Vec<&str> = map.keys().map(String::as_str).collect();
                            format!("it has {}", keys.join(", "))
                        }
                        None => "it is no object".to_owned(),
                    };
                    return Some(format!("`{text}`: `{seen}` has no `{segment}`; {has}"));
                }
            }
            if !seen.is_empty() {
                seen.push('.');
            }
            seen.push_str(segment);
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::{Scope, evaluate_when, references, resolve, resolve_map};
    use serde_json::json;

    fn scope() -> Scope {
        Scope {
            root: json!({
                "params": {"version": "1.1.0", "size": 3, "evil": "{{ params.size }}", "nodes": ["a", "b"]},
                "steps": {"pick": {"output": {"node": {"name": "node-2"}}}},
                "targets": [
                    {"name": "n1", "groups": ["web"], "labels": {"role": "storage"}},
                    {"name": "n2", "labels": {"role": "edge"}},
                ],
            }),
        }
    }

    #[test]
    fn texts_are_resolved() {
        let check = |text: &str, expected: Result<serde_json::Value, &str>| {
            assert_eq!(resolve(text, &scope()), expected.map_err(str::to_owned), "{text}");
        };
        check("plain", Ok(json!("plain")));
        check("{{ params.size }}", Ok(json!(3)));
        check(" {{- params.nodes -}} ", Ok(json!(["a", "b"])));
        check("v{{ params.version }}", Ok(json!("v1.1.0")));
        check("{{ params.size }}{{ params.size }}", Ok(json!("33")));
        check("{{ '}}' }}", Ok(json!("}}")));
        check("{{ params.evil }}", Ok(json!("{{ params.size }}")));
        check("<{{ params.evil }}>", Ok(json!("<{{ params.size }}>")));
        check("{{ params.size > 2 }}", Ok(json!(true)));
        check("{{ steps.pick.output.node.name }}", Ok(json!("node-2")));
        check(
            "{{ targets('role=storage') | map(attribute='name') | list }}",
            Ok(json!(["n1"])),
        );
        check(
            "{{ targets('role!=storage') | map(attribute='name') | list }}",
            Ok(json!(["n2"])),
        );
        check("{{ targets('group:web') | length }}", Ok(json!(1)));
        check("{{ targets() | length }}", Ok(json!(2)));
        check(
            "{{ params.verson }}",
            Err("`{{ params.verson }}`: `params` has no `verson`; it has version, size, evil, nodes"),
        );
        check("{{ nope }}", Err("`{{ nope }}`: `nope` is not defined here"));
        check(
            "x{{ steps.pick.output.node.port }}",
            Err("`x{{ steps.pick.output.node.port }}`: `steps.pick.output.node` has no `port`; it has name"),
        );
    }

    #[test]
    fn values_in_a_text_are_written_as_in_a_plan() {
        let text = "a={{ true }} b={{ none }} c={{ ['x', false] }} d={{ {'k': 1} }} e={{ 'x' }} f={{ 2 }}";
        assert_eq!(
            resolve(text, &scope()),
            Ok(json!(r#"a=true b=null c=["x",false] d={"k":1} e=x f=2"#))
        );
    }

    #[test]
    fn maps_are_resolved_deep_and_say_where() {
        let map = json!({"argv": ["echo", "{{ params.size }}"], "{{ k }}": {"v": "{{ params.version }}"}});
        let resolved = resolve_map(map.as_object().expect("a map"), &scope()).expect("resolves");
        assert_eq!(
            serde_json::Value::Object(resolved),
            json!({"argv": ["echo", 3], "{{ k }}": {"v": "1.1.0"}})
        );
        let map = json!({"argv": ["echo", "{{ x }}"]});
        assert_eq!(
            resolve_map(map.as_object().expect("a map"), &scope()).expect_err("x is not there"),
            "argv.1: `{{ x }}`: `x` is not defined here"
        );
    }

    #[test]
    fn when_is_a_condition_or_a_template() {
        assert_eq!(evaluate_when("params.size > 2", &scope()), Ok(true));
        assert_eq!(
            evaluate_when("{{ params.nodes | length == 0 }}", &scope()),
            Ok(false)
        );
        assert!(evaluate_when("{{ params.size }}", &scope()).is_err());
    }

    #[test]
    fn a_template_cannot_take_all_time_and_memory() {
        let check = |text: &str, expected: &str| {
            let message = match resolve(text, &scope()) {
                Ok(value) => panic!("`{text}` yields {} bytes", value.to_string().len()),
                Err(message) => message,
            };
            assert!(message.contains(expected), "{text}: {message}");
            assert!(message.len() < 1_000, "{text}: {message}");
        };
        let too_much = "does too much";
        check("{{ range(10000000) }}", "range has too many elements");
        check("{{ range(10000000) | list }}", "range has too many elements");
        check(
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ a * b }}{% endfor %}{% endfor %}",
            too_much,
        );
        check("{% for a in range(99999) %}{{ targets() }}{% endfor %}", too_much);
        check("{{ 'x' * 1000000000 }}", too_much);
        check("{{ 'x' * 9999999999999999999999 }}", "");
        check("{{ ['x'] * 1000000000 }}", "too large");
        check("{{ ['x' * 10000] * 10000 }}", "yields more than 8 MiB");
        check("{{ [range(99999)] * 999 }}", "yields more than 8 MiB");
        check("{{ 'x' * 10000000 }}", "yields more than 8 MiB");
        check("-{{ 'x' * 10000000 }}", "yields more than 8 MiB");
        check("{{ '%1000000000d' | format(1) }}", "");
        check("{{ '{:1000000000}'.format(1) }}", "");
        check("{{ ('x' * 9999) | replace('x', 'y' * 9999) }}", too_much);
        check("{{ range(9999) | join('x' * 99999) }}", too_much);
        check("{{ ('x\n' * 99999) | indent(9999) }}", too_much);
        check("{{ params.nodes | batch(1000000000, 'x') }}", "");
        check("{{ params.nodes | slice(1000000000) | list }}", "");
        check("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion");
        check(
            "{% macro m(x) %}{{ x }}{{ m(x ~ x) }}{% endmacro %}{{ m('xx') }}",
            "",
        );
        check(
            "{% set ns = namespace(t='x') %}{% for i in range(99) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}",
            too_much,
        );
        check(
            &format!("{{{{ {}1{} }}}}", "(".repeat(9_999), ")".repeat(9_999)),
            "",
        );
        check(&format!("{{{{ {}1 }}}}", "not ".repeat(99_999)), "");
        check(
            &format!("{{{{ {}1{} }}}}", "[".repeat(99_999), "]".repeat(99_999)),
            "",
        );
        check(&format!("{{{{ 1{} }}}}", " + x".repeat(99_999)), "");
        check(&"{% if 1 %}".repeat(9_999), "");
        check(&"{% for x in range(9) %}".repeat(30), "");
    }

    #[test]
    fn a_value_is_never_a_template() {
        let hostile = [
            "{{ params.size }}",
            "{% for x in range(9) %}{{ x }}{% endfor %}",
            "{{ secrets.token }}",
            "}}{{ params.size }}{{",
            "{# gone #}",
            "{% raw %}",
            "{% include '/etc/passwd' %}",
            "\" }}{{ 7 * 7 }}",
        ];
        for value in hostile {
            let scope = Scope {
                root: json!({
                    "params": {"x": value, "list": [value], "map": {value: value}, "size": 3},
                    "vars": {"x": value},
                    "env": {"X": value},
                    "secrets": {"x": value, "token": "hush"},
                    "steps": {"read": {"output": {"stdout": value, "content": value}, "before": {"x": value}}},
                    "target": {"name": value, "vars": {"x": value}, "labels": {"x": value}},
                    "targets": [{"name": value, "vars": {"x": value}}],
                    "item": value,
                }),
            };
            for path in [
                "params.x",
                "params.list[0]",
                "params.map | items | first | last",
                "vars.x",
                "env.X",
                "secrets.x",
                "steps.read.output.stdout",
                "steps.read.output.content",
                "steps.read.before.x",
                "target.name",
                "target.vars.x",
                "target.labels.x",
                "(targets() | first).name",
                "(targets() | first).vars.x",
                "item",
            ] {
                let whole = format!("{{{{ {path} }}}}");
                assert_eq!(resolve(&whole, &scope), Ok(json!(value)), "{whole}");
                let part = format!("a {{{{ {path} }}}} b");
                assert_eq!(
                    resolve(&part, &scope),
                    Ok(json!(format!("a {value} b"))),
                    "{part}"
                );
                let twice = format!("{{% set y = {path} %}}{{{{ y }}}}");
                assert_eq!(resolve(&twice, &scope), Ok(json!(value)), "{twice}");
                let map = json!({"argv": ["echo", whole]});
                let map = resolve_map(map.as_object().expect("a map"), &scope);
                assert_eq!(map.map(|map| map["argv"][1].clone()), Ok(json!(value)), "{path}");
                let when = format!("{path} == item");
                if !path.contains(['|', '(']) {
                    assert_eq!(evaluate_when(&when, &scope), Ok(true), "{when}: {value}");
                }
            }
        }
    }

    #[test]
    fn references_are_paths() {
        assert_eq!(
            references("{% for x in params.nodes %}{{ x }}{{ steps.a.output.b }}{% endfor %}{{ range(3) }}"),
            Ok(vec!["params.nodes".to_owned(), "steps.a.output.b".to_owned()])
        );
        assert_eq!(
            references("{{ (steps.a.output.lines | sort)[1:params.n] }}{{ secrets.token[2:] }}"),
            Ok(["params.n", "secrets.token", "steps.a.output.lines"]
                .map(str::to_owned)
                .to_vec())
        );
        assert_eq!(references("{{ item[0:2] | list }}"), Ok(vec!["item".to_owned()]));
        assert!(references("{{ a b }}").is_err());
    }
}
