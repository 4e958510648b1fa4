//! Answers as `serinus compare` reads them: the JSON form of the comparison corpus.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use serinus::shadow::compare::Response;
use std::collections::BTreeSet;

/// What a `body_generate` rule may write, in bytes and in elements of a range, so that a short line cannot ask for more
/// memory than there is.
const MAX_GENERATED: usize = 64 << 20;

/// An answer that owns what it consists of.
#[derive(Debug)]
pub struct Owned {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Owned {
    /// The form that a comparison takes.
    pub fn view(&self) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: Some(&self.body),
            trailers: &self.trailers,
        }
    }

    /// Reads `{"status", "headers", "body" | "body_base64" | "body_generate", "trailers"}`.
    ///
    /// # Errors
    /// Names the member that is missing or wrong.
    pub fn read(value: &Value) -> Result<Self, String> {
        let object = value
            .as_object()
            .ok_or("not an object; write {\"status\": 200, …}")?;
        let status = object.get("status").and_then(Value::as_u64);
        let status = status.and_then(|status| u16::try_from(status).ok());
        Ok(Self {
            status: status.ok_or("status: not a status code; write a number such as 200")?,
            headers: fields(object, "headers")?,
            body: body(object)?,
            trailers: fields(object, "trailers")?,
        })
    }
}

impl Owned {
    /// Reads a file that holds an answer in the JSON form, an HTTP response with its head, or a
    /// body alone.
    ///
    /// # Errors
    /// A file that is one of the first two forms by its beginning, and is not.
    pub fn from_file(bytes: Vec<u8>) -> Result<Self, String> {
        const MEMBERS: [&str; 6] = [
            "status",
            "headers",
            "body",
            "body_base64",
            "body_generate",
            "trailers",
        ];
        if bytes.starts_with(b"HTTP/") {
            return Self::from_http(&bytes);
        }
        let parsed = serde_json::from_slice::<Value>(&bytes).ok();
        let is_response = |object: &&Map<String, Value>| {
            object.contains_key("status")
                && object.contains_key("headers")
                && object.keys().all(|name| MEMBERS.contains(&name.as_str()))
        };
        if parsed
            .as_ref()
            .and_then(Value::as_object)
            .filter(is_response)
            .is_some()
        {
            return Self::read(&parsed.unwrap_or_default());
        }
        Ok(Self {
            status: 200,
            headers: Vec::new(),
            body: bytes,
            trailers: Vec::new(),
        })
    }

    /// Reads a status line, header fields, an empty line and the body.
    fn from_http(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let mut head = Vec::new();
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (line, after) = rest
                .split_at_checked(end.unwrap_or(rest.len()))
                .unwrap_or_default();
            rest = after.get(1..).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            head.push(String::from_utf8_lossy(line).into_owned());
        }
        let mut head = head.into_iter();
        let line = head.next().unwrap_or_default();
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let field = |line: String| match line.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.trim().into())),
            None => Err(format!("header line {line:?}: no colon; write name: value")),
        };
        Ok(Self {
            status: status.ok_or(format!("status line {line:?}: write HTTP/1.1 200 OK"))?,
            headers: head.map(field).collect::<Result<_, _>>()?,
            body: rest.to_vec(),
            trailers: Vec::new(),
        })
    }
}

fn fields(object: &Map<String, Value>, name: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let wrong = || format!("{name}: not a list of [name, value]; write [[\"name\", \"value\"], …]");
    let Some(value) = object.get(name) else {
        return Ok(Vec::new());
    };
    let field = |pair: &Value| match pair.as_array()?.as_slice() {
        [Value::String(name), Value::String(value)] => Some((name.clone(), value.clone().into())),
        _ => None,
    };
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter()
        .map(field)
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}

fn body(object: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let given = ["body", "body_base64", "body_generate"].map(|name| object.get(name));
    match given {
        [None, None, None] => Ok(Vec::new()),
        [Some(Value::String(text)), None, None] => Ok(text.clone().into_bytes()),
        [None, Some(Value::String(text)), None] => STANDARD
            .decode(text)
            .map_err(|error| format!("body_base64: {error}")),
        [None, None, Some(rule)] => {
            let mut body = String::new();
            generate(rule, &mut body).map_err(|what| format!("body_generate: {what}"))?;
            Ok(body.into_bytes())
        }
        _ => Err("body: write one of body (text), body_base64 (text) and body_generate".to_owned()),
    }
}

/// Appends what `rule` stands for. Its depth is bounded by the reader of the line.
fn generate(rule: &Value, out: &mut String) -> Result<(), String> {
    let wrong = || "not a text, repeat, range or concat".to_owned();
    if let Value::String(text) = rule {
        return append(text, out);
    }
    let object = rule.as_object().ok_or_else(wrong)?;
    if let Some(parts) = object.get("concat").and_then(Value::as_array) {
        return parts.iter().try_for_each(|part| generate(part, out));
    }
    if let Some(text) = object.get("repeat").and_then(Value::as_str) {
        let times = object
            .get("times")
            .and_then(Value::as_u64)
            .ok_or("repeat: times is missing")?;
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        room(text.len().saturating_mul(times), out)?;
        out.push_str(&text.repeat(times));
        return Ok(());
    }
    match object
        .get("range")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([from, to]) => {
            let ends = from.as_i64().zip(to.as_i64());
            let (from, to) = ends.ok_or("range: not two integers")?;
            generate_range(from..to, object, out)
        }
        _ => Err(wrong()),
    }
}

fn generate_range(
    range: std::ops::Range<i64>,
    object: &Map<String, Value>,
    out: &mut String,
) -> Result<(), String> {
    let text = |name| object.get(name).and_then(Value::as_str);
    let template = text("template").ok_or("range: template is missing")?;
    let separator = text("sep").unwrap_or(",");
    if range.end.saturating_sub(range.start) > MAX_GENERATED as i64 {
        return Err("range: too long; write a shorter one".to_owned());
    }
    let skip = object.get("skip").and_then(Value::as_array);
    let skip: BTreeSet<i64> = skip
        .into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .collect();
    let overrides = object.get("override").and_then(Value::as_object);
    let kept = range.filter(|i| !skip.contains(i));
    let order: Box<dyn Iterator<Item = i64>> = match text("order") {
        Some("desc") => Box::new(kept.rev()),
        _ => Box::new(kept),
    };
    for (n, i) in order.enumerate() {
        if n > 0 {
            append(separator, out)?;
        }
        let i = i.to_string();
        match overrides
            .and_then(|texts| texts.get(&i))
            .and_then(Value::as_str)
        {
            Some(text) => append(text, out)?,
            None => append(&template.replace("{i}", &i), out)?,
        }
    }
    Ok(())
}

fn append(text: &str, out: &mut String) -> Result<(), String> {
    room(text.len(), out)?;
    out.push_str(text);
    Ok(())
}

fn room(bytes: usize, out: &str) -> Result<(), String> {
    if out.len().saturating_add(bytes) > MAX_GENERATED {
        return Err(format!(
            "more than {MAX_GENERATED} bytes; write a shorter body"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Owned;
    use serde_json::json;

    fn body(rule: serde_json::Value) -> Result<String, String> {
        let read = Owned::read(&json!({"status": 200, "body_generate": rule}))?;
        Ok(String::from_utf8(read.body).unwrap())
    }

    #[test]
    fn bodies_are_generated_by_rule() {
        assert_eq!(
            body(json!({"concat": ["[", {"repeat": "ab", "times": 2}, "]"]})).unwrap(),
            "[abab]"
        );
        let range = json!({
            "range": [0, 5], "template": "<{i}{i}>", "sep": ";", "order": "desc",
            "skip": [1], "override": {"3": "x"}
        });
        assert_eq!(body(range).unwrap(), "<44>;x;<22>;<00>");
        assert!(
            body(json!({"repeat": "x", "times": u64::MAX}))
                .unwrap_err()
                .contains("bytes")
        );
        assert_eq!(body(json!({"repeat": "", "times": u64::MAX})).unwrap(), "");
        let endless = json!({"range": [0, i64::MAX], "template": "", "sep": ""});
        assert!(body(endless).unwrap_err().contains("range"));
        assert!(body(json!({"rep": 1})).is_err());
    }

    #[test]
    fn a_file_holds_a_response_an_http_message_or_a_body() {
        let of = |text: &str| Owned::from_file(text.into()).unwrap();
        let json = of(r#"{"status": 404, "headers": [], "body": "x"}"#);
        assert_eq!((json.status, json.body.as_slice()), (404, &b"x"[..]));
        let http = of("HTTP/1.1 404 Not Found\r\nAllow: GET\r\n\r\n\n{}");
        assert_eq!((http.status, http.body.as_slice()), (404, &b"\n{}"[..]));
        assert_eq!(http.headers, [("Allow".to_owned(), b"GET".to_vec())]);
        for body in [
            r#"{"status": "open"}"#,
            r#"{"status":1,"headers":[],"x":1}"#,
            "HTP",
        ] {
            assert_eq!(of(body).body, body.as_bytes());
        }
        assert!(Owned::from_file(b"HTTP/1.1\r\n\r\n".to_vec()).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (value, member) in [
            (json!([]), "object"),
            (json!({"status": 70_000}), "status"),
            (json!({"status": 200, "headers": {"a": "b"}}), "headers"),
            (json!({"status": 200, "trailers": [["a"]]}), "trailers"),
            (
                json!({"status": 200, "body": "", "body_base64": ""}),
                "body",
            ),
            (json!({"status": 200, "body_base64": "?"}), "body_base64"),
        ] {
            assert!(Owned::read(&value).unwrap_err().contains(member), "{value}");
        }
    }
}
