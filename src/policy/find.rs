//! Finds policies in files: one alone, or inside what hands it to the proxy.
//!
//! | document | where the policy is |
//! | --- | --- |
//! | a policy | all of it |
//! | WasmPlugin | `spec.pluginConfig` |
//! | TrafficExtension | `spec.wasm.pluginConfig` |
//! | EnvoyExtensionPolicy | `spec.wasm[].config` |
//! | EnvoyFilter, Envoy bootstrap, listener, ECDS resource | every `configuration` of a Wasm filter |
//!
//! Of several Wasm filters in one document those that say `serinus` in a name, an image or a file
//! are looked at; if none does, all are. Other Kubernetes resources hold no policy.

use super::decode::quoted;
use super::problem::Refusal;
use super::tree::{Node, Value};
use super::{json, yaml};

/// A policy's tree, with the lines of the file that it stands in.
pub type Found = Result<Node, Refusal>;

/// The policies of a file, in its order.
///
/// # Errors
/// The file is neither YAML nor JSON.
pub fn policies(text: &str) -> Result<Vec<Found>, Refusal> {
    let documents = yaml::read(text).or_else(|refusal| {
        // Not all JSON is YAML: escaped surrogates are not, for one.
        json::read(text.as_bytes())
            .map(|tree| vec![tree])
            .map_err(|_| refusal)
    })?;
    Ok(documents.iter().flat_map(in_document).collect())
}

fn in_document(document: &Node) -> Vec<Found> {
    let kind = document.member("kind").and_then(Node::text);
    let spec = document.member("spec");
    let wasm = || spec.and_then(|spec| spec.member("wasm"));
    let places: Vec<&Node> = match kind {
        Some("WasmPlugin") => spec.into_iter().collect(),
        Some("TrafficExtension") => wasm().into_iter().collect(),
        Some("EnvoyExtensionPolicy") => wasm().into_iter().flat_map(Node::elements).collect(),
        Some("EnvoyFilter") => return in_filters(document),
        Some(_) if document.member("apiVersion").is_some() => return Vec::new(),
        _ if is_envoys(document) => return in_filters(document),
        _ => return vec![Ok(document.clone())],
    };
    let config = |place: &Node| {
        let config = place.member("pluginConfig").or(place.member("config"));
        config.cloned().ok_or_else(|| {
            Refusal::whole(
                place.line,
                "the filter is given no policy",
                "`pluginConfig` (in an EnvoyExtensionPolicy `config`) with the policy",
            )
        })
    };
    serinuss(&places).into_iter().map(config).collect()
}

/// What an Envoy configuration has at its root, and a policy has not.
const ENVOYS: [&str; 8] = [
    "@type",
    "static_resources",
    "dynamic_resources",
    "resources",
    "filter_chains",
    "http_filters",
    "typed_config",
    "admin",
];

fn is_envoys(document: &Node) -> bool {
    ENVOYS.iter().any(|key| document.member(key).is_some())
}

/// The policies of all Wasm filters below `node`.
fn in_filters(node: &Node) -> Vec<Found> {
    let mut configs = Vec::new();
    collect(node, &mut configs);
    serinuss(&configs).into_iter().map(in_filter).collect()
}

/// All plugin configurations below `node`: objects with a `vm_config` beside a `configuration`.
fn collect<'n>(node: &'n Node, configs: &mut Vec<&'n Node>) {
    if node.member("vm_config").is_some() || node.member("vmConfig").is_some() {
        configs.push(node);
        return;
    }
    match &node.value {
        Value::List(elements) => elements.iter().for_each(|node| collect(node, configs)),
        Value::Object(members) => members.iter().for_each(|(_, node)| collect(node, configs)),
        _ => {}
    }
}

/// Those of `places` that say `serinus`, or all of them if none does.
fn serinuss<'n>(places: &[&'n Node]) -> Vec<&'n Node> {
    let named: Vec<&Node> = places.iter().copied().filter(|node| says(node)).collect();
    if named.is_empty() {
        places.to_vec()
    } else {
        named
    }
}

fn says(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text.contains("serinus"),
        Value::List(elements) => elements.iter().any(says),
        Value::Object(members) => members
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "pluginConfig" | "configuration" | "config"))
            .any(|(_, node)| says(node)),
        _ => false,
    }
}

/// The policy in a Wasm filter's `configuration`.
fn in_filter(config: &Node) -> Found {
    const WRITE: &str = "`configuration: {\"@type\": \
                         type.googleapis.com/google.protobuf.StringValue, value: …}` with the \
                         policy as JSON text";
    let Some(configuration) = config.member("configuration") else {
        return Err(Refusal::whole(
            config.line,
            "the filter is given no policy",
            WRITE,
        ));
    };
    let kind = configuration
        .member("@type")
        .and_then(Node::text)
        .unwrap_or_default();
    let value = configuration.member("value");
    match value.and_then(Node::text) {
        Some(text) if kind.ends_with("google.protobuf.StringValue") => {
            in_text(text, value.map_or(configuration.line, |value| value.line))
        }
        _ if kind.ends_with("google.protobuf.Struct") => Err(Refusal::whole(
            configuration.line,
            "raw Envoy hands a Struct over in protobuf's own form, which the filter can't read",
            WRITE,
        )),
        _ => Err(Refusal::whole(
            configuration.line,
            format!("its type is {}", quoted(kind)),
            WRITE,
        )),
    }
}

/// The policy in JSON text that begins on `line` of its file.
fn in_text(text: &str, line: u32) -> Found {
    let before = line.saturating_sub(1);
    let moved = |mut refusal: Refusal| {
        for problem in &mut refusal.problems {
            problem.line = problem.line.max(1).saturating_add(before);
        }
        refusal
    };
    // The filter reads JSON and nothing else; YAML is then read for the lines alone.
    let tree = json::read(text.as_bytes()).map_err(moved)?;
    let lined = yaml::read(text)
        .ok()
        .and_then(|mut documents| documents.pop());
    let mut tree = lined.unwrap_or(tree);
    shift(&mut tree, before);
    Ok(tree)
}

fn shift(node: &mut Node, by: u32) {
    node.line = node.line.saturating_add(by);
    match &mut node.value {
        Value::List(elements) => elements.iter_mut().for_each(|node| shift(node, by)),
        Value::Object(members) => members.iter_mut().for_each(|(_, node)| shift(node, by)),
        _ => {}
    }
}
