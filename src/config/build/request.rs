//! A job with a `service`: what is asked of whom. Pure but for the body file, which is read to be checked.

use greenroom_actors::{
    ids::ServiceName,
    spec::{ParamSpec, RemoteSpec, RequestBody, RequestJob, ServiceSpec, SetValue},
    template::{Part, Template},
};
use serde_json::Value as Json;

use super::{
    owner::Owner,
    place::{Place, reach},
    read::Reader,
    scope::Scope,
    template::{path_at, template},
};
use crate::config::{
    suggest::nearest,
    tree::{Entry, Node, Value},
};

/// Who can be asked.
#[derive(Clone, Copy)]
pub(super) struct Askable<'a> {
    pub(super) services: &'a [ServiceSpec],
    pub(super) remotes: &'a [RemoteSpec],
}

impl<'a> Askable<'a> {
    fn names(self) -> impl Iterator<Item = &'a ServiceName> {
        let remotes = self.remotes.iter().map(|remote| &remote.name);
        self.services.iter().map(|service| &service.name).chain(remotes)
    }

    /// A service or remote of this name.
    pub(super) fn find(self, name: &str) -> Option<Owner<'a>> {
        let service = self.services.iter().map(|service| service.name.as_str()).find(|own| *own == name);
        let remote = || self.remotes.iter().map(|remote| remote.name.as_str()).find(|own| *own == name);
        service.map(Owner::service).or_else(|| remote().map(Owner::remote))
    }
}

/// The request; `None` if what it cannot do without was reported.
pub(super) fn build(
    reader: &mut Reader<'_>,
    j: &str,
    params: &[ParamSpec],
    askable: Askable<'_>,
) -> Option<RequestJob> {
    let service = target(reader, j, askable);
    let request = reader.node(&["job", j, "request"])?;
    let text = |name| request.field(name).and_then(Node::text).unwrap_or_default().to_owned();
    let (method, path) = (text("method"), text("path"));
    if matches!(method.as_str(), "GET" | "DELETE") {
        bodyless(reader, j, params, request, &method);
    }
    let body = body(reader, j, params, request);
    Some(RequestJob { service: service?, method, path, body })
}

fn target(reader: &mut Reader<'_>, j: &str, askable: Askable<'_>) -> Option<ServiceName> {
    let key = ["job", j, "service"];
    let node = reader.node(&key)?;
    let name = node.text()?;
    let Some(on) = askable.find(name) else {
        let names: Vec<&str> = askable.names().map(ServiceName::as_str).collect();
        let help = match nearest(name, names.iter().copied()) {
            _ if reader.effective.mention(&["job", name]).is_some() => {
                format!("`{name}` is a job; a job asks a service or a remote")
            }
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "there is no service and no remote to be asked: add one".to_owned(),
            None => format!("services and remotes are: {}", names.join(", ")),
        };
        reader.error(node.span, format!("job `{j}` asks `{name}`, which is no service and no remote"), help);
        return None;
    };
    let deaf = |service: &&ServiceSpec| service.name.as_str() == name && service.port.is_none();
    if askable.services.iter().find(deaf).is_some_and(|service| !service.command.is_empty()) {
        let message = format!("job `{j}` asks {on}, which has no port to be asked at");
        let help = "put ${port} into its `command` or `env`, or set its `port` to the one it listens on";
        reader.error(node.span, message, help);
    }
    name.parse().ok()
}

/// A GET has no body, and paths are sent as they stand.
fn bodyless(reader: &mut Reader<'_>, j: &str, params: &[ParamSpec], request: &Node, method: &str) {
    if let Some(file) = request.field("body_file") {
        let message = format!("job `{j}`: `request.body_file`: a {method} has no body");
        reader.error(file.span, message, "use POST, or remove it");
    } else if !params.is_empty() {
        let message = format!("job `{j}`: a {method} has no body, so its params would be sent nowhere");
        let at = request.field("method").map_or(request.span, |node| node.span);
        reader.error(at, message, "use POST, or remove the params; a path is sent as it stands");
    }
}

fn body(reader: &mut Reader<'_>, j: &str, params: &[ParamSpec], request: &Node) -> RequestBody {
    let set = request.field("set");
    let entries = match set.map(|node| &node.value) {
        Some(Value::Table(entries)) => entries.as_slice(),
        _ => &[],
    };
    let Some(file) = request.field("body_file") else {
        if let Some(set) = set {
            let message = format!("job `{j}`: `request.set` changes a file, and there is no `body_file`");
            reader.error(set.span, message, "name the file; without one the params are the body");
        }
        return RequestBody::Params;
    };
    let path = path_at(reader, file, &["job", j, "request", "body_file"], &[("name", j)]).unwrap_or_default();
    let document = document(reader, j, file, &path);
    let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
    let set = entries.iter().filter_map(|entry| {
        check_place(reader, j, document.as_ref(), entry);
        Some((entry.key.clone(), value(reader, &Scope::body(j, &names), j, entry)?))
    });
    let set = set.collect();
    RequestBody::File { path, set }
}

/// What the body file holds; `None` if it was reported.
fn document(reader: &mut Reader<'_>, j: &str, file: &Node, path: &std::path::Path) -> Option<Json> {
    if path.as_os_str().is_empty() {
        // A hole that cannot be filled was reported.
        if file.text() == Some("") {
            reader.error(file.span, format!("job `{j}`: `request.body_file` names no file"), "name a JSON file");
        }
        return None;
    }
    let what = format!("job `{j}`: the body file `{}`", path.display());
    let text = match reader.outside.document(path) {
        Ok(text) => text,
        Err(why) => {
            let help = "a relative path is relative to the config file";
            reader.error(file.span, format!("{what} cannot be read: {why}"), help);
            return None;
        }
    };
    match serde_json::from_str(&text) {
        Ok(document) => Some(document),
        Err(why) => {
            reader.error(file.span, format!("{what} is no JSON: {why}"), "it is sent as JSON, with `set` put into it");
            None
        }
    }
}

/// Says where a place of `set` does not lead into the file.
fn check_place(reader: &mut Reader<'_>, j: &str, document: Option<&Json>, entry: &Entry) {
    let Some(document) = document else { return };
    let place = &entry.key;
    let what = format!("job `{j}`: `request.set`: `{place}`");
    match reach(document, place) {
        Place::There => {}
        Place::New { near } => {
            let help = near.map_or_else(
                || "nothing is wrong if it may be left out of the file".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            reader.warn(entry.key_span, format!("{what} is not in the file: it will be added"), help);
        }
        Place::Nowhere { why, help } => reader.error(entry.key_span, format!("{what}: {why}"), help),
    }
}

/// What is put there; `None` if it was reported.
fn value(reader: &mut Reader<'_>, scope: &Scope<'_>, j: &str, entry: &Entry) -> Option<SetValue> {
    let fixed = match &entry.node.value {
        Value::Bool(value) => Json::from(*value),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) if !number.is_finite() => {
            let message = format!("job `{j}`: `request.set`: `{}`: {number} is no number that JSON has", entry.key);
            reader.error(entry.node.span, message, "write a finite number");
            return None;
        }
        Value::Float(number) => Json::from(*number),
        Value::Text(text) => {
            let before = reader.errors();
            let filled = template(reader, scope, text, entry.node.span);
            return (reader.errors() == before).then(|| set_value(filled));
        }
        _ => return None,
    };
    Some(SetValue::Fixed(fixed))
}

/// A text in which nothing is left to fill in stands as it is.
fn set_value(filled: Template) -> SetValue {
    if filled.0.iter().all(|part| matches!(part, Part::Text(_))) {
        SetValue::Fixed(filled.plain().into())
    } else {
        SetValue::Filled(filled)
    }
}
