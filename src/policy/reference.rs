//! The policy's JSON Schema and reference page, made from the raw types.

use super::raw;
use schemars::Schema;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The JSON Schema (draft 2020-12) of a policy, for editors.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(raw::Policy);
    schema.insert("title".to_owned(), "Serinus policy".into());
    let mut schema = Schema::to_value(schema);
    without_null(&mut schema);
    schema
}

/// Takes `null` out of what may be left out: the filter refuses empty values.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    for (key, value) in only {
                        members.entry(key).or_insert(value);
                    }
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// The schema as the repository keeps it.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// The reference page, in Markdown.
pub fn page() -> String {
    let schema = schema();
    let mut page = String::from(
        "# The policy\n\n\
         <!-- Made from src/policy/raw by `make docs`; a test keeps it fresh. -->\n\n\
         Every key of a policy, in the order in which one writes it. Keys are camelCase; unknown \
         keys, keys given twice and empty values are refused, with every other problem in one \
         pass. The filter reads JSON; `serinus check --json` turns YAML into it. An editor that \
         knows JSON Schema checks while you type with [policy.schema.json](policy.schema.json).\n\n\
         Parts that this version does not act on are refused as \"not supported yet\": ",
    );
    let _ = writeln!(page, "{}.\n", super::support::listed());
    let definitions = schema
        .get("$defs")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut queue = vec![("Policy".to_owned(), schema)];
    let mut done = Vec::new();
    while let Some((name, definition)) = queue.first().cloned() {
        queue.remove(0);
        section(&name, &definition, &mut page);
        done.push(name);
        for next in referred(&definition) {
            let waiting = queue.iter().any(|(name, _)| *name == next);
            if let (false, false, Some(definition)) =
                (waiting, done.contains(&next), definitions.get(&next))
            {
                queue.push((next, definition.clone()));
            }
        }
    }
    page
}

fn section(name: &str, definition: &Value, page: &mut String) {
    let _ = writeln!(page, "## {name}\n\n{}\n", about(definition));
    if let Some(properties) = definition.get("properties").and_then(Value::as_object) {
        table(definition, properties, page);
    } else if let Some(choices) = definition.get("oneOf").and_then(Value::as_array) {
        let _ = writeln!(page, "| value | meaning |\n| --- | --- |");
        for choice in choices {
            let _ = writeln!(page, "| {} | {} |", form(choice), about(choice));
        }
        page.push('\n');
    }
}

fn table(definition: &Value, properties: &Map<String, Value>, page: &mut String) {
    let required = definition.get("required").and_then(Value::as_array);
    let is_required = |key: &str| required.is_some_and(|keys| keys.iter().any(|k| k == key));
    let _ = writeln!(page, "| key | form | meaning |\n| --- | --- | --- |");
    for (key, property) in properties {
        let must = if is_required(key) { " (required)" } else { "" };
        let (form, about) = (form(property), about(property));
        let _ = writeln!(
            page,
            "| `{key}`{must} | {form} | {about}{} |",
            choices(property)
        );
    }
    page.push('\n');
}

/// The description on one line.
fn about(schema: &Value) -> String {
    let text = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// What each of a few texts means, where the schema says so.
fn choices(schema: &Value) -> String {
    let choices = schema.get("oneOf").and_then(Value::as_array);
    let told = choices
        .into_iter()
        .flatten()
        .filter(|choice| choice.get("const").is_some());
    told.map(|choice| format!(" {}: {}", form(choice), about(choice)))
        .collect()
}

/// What stands there, in a few words.
fn form(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", value.as_str().unwrap_or_default());
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            return choices.iter().map(form).collect::<Vec<_>>().join(", ");
        }
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", form(items));
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let members: Vec<String> = properties
            .iter()
            .map(|(key, value)| format!("`{key}:` {}", form(value)))
            .collect();
        return members.join(", ");
    }
    scalar(schema)
}

fn scalar(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        return values.join(", ");
    }
    let bounds = (schema.get("minimum"), schema.get("maximum"));
    let name = match schema.get("type") {
        Some(Value::Array(types)) => types.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    let example = schema.get("examples").and_then(|examples| examples.get(0));
    match (name, bounds, example.and_then(Value::as_str)) {
        (Some("integer" | "number"), (Some(least), Some(most)), _) => {
            format!("number, {least} to {most}")
        }
        (Some("string"), _, Some(example)) => format!("text, as in `{example}`"),
        (Some("string"), _, None) => "text".to_owned(),
        (Some("object"), ..) if schema.get("maxProperties") == Some(&Value::from(0)) => {
            "`{}`".to_owned()
        }
        (Some("object"), ..) => "object of texts".to_owned(),
        (Some(other), ..) => other.to_owned(),
        (None, ..) => "anything".to_owned(),
    }
}

fn reference(schema: &Value) -> Option<&str> {
    let path = schema.get("$ref").and_then(Value::as_str)?;
    path.strip_prefix("#/$defs/")
}

/// The definitions that `schema` refers to, in order.
fn referred(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(name) = reference(schema) {
        found.push(name.to_owned());
    }
    match schema {
        Value::Object(members) => {
            let inside = members.iter().filter(|(key, _)| *key != "$defs");
            inside.for_each(|(_, value)| found.extend(referred(value)));
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|value| found.extend(referred(value))),
        _ => {}
    }
    found
}
