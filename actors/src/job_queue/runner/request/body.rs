//! Puts the body of a job's request together, files included.

use std::{collections::BTreeMap, fs, io, path::Path};

use actix_rt::task::spawn_blocking;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    job_queue::{
        attempt::Attempt,
        runner::written::{Given, of_file, of_params},
    },
    spec::{ParamKind, RequestBody, RequestJob},
};

/// What is sent; nothing for a request that has no parameters and takes no body.
///
/// # Errors
/// Why there is none, in a sentence: a file cannot be read, a place in it is not there.
pub(super) async fn written(attempt: &Attempt, job: &RequestJob) -> Result<Bytes, String> {
    let (params, folder, body) = (attempt.params.clone(), attempt.folder.input(), job.body.clone());
    let is_empty = matches!(job.method.as_str(), "GET" | "HEAD" | "DELETE") && params.is_empty();
    if is_empty && body == RequestBody::Params {
        return Ok(Bytes::new());
    }
    let kinds = attempt.definition.params.iter();
    let files: Vec<String> =
        kinds.filter(|param| param.kind == ParamKind::File).map(|param| param.name.clone()).collect();
    let made = spawn_blocking(move || make(params, &files, &folder, &body)).await;
    made.map_err(|error| error.to_string())?
}

/// Blocks.
fn make(params: Map<String, Value>, files: &[String], folder: &Path, body: &RequestBody) -> Result<Bytes, String> {
    let given = Given { files: read_all(&params, files, folder)?, params };
    let value = match body {
        RequestBody::Params => of_params(&given),
        RequestBody::File { path, set } => {
            let name = path.display().to_string();
            let cannot =
                |error: &dyn std::fmt::Display| format!("the body of its request, {name}, cannot be read: {error}");
            let text = fs::read(path).map_err(|error| cannot(&error))?;
            let value = serde_json::from_slice(&text).map_err(|error| cannot(&error))?;
            of_file(value, &name, set, &given).map_err(|error| error.to_string())?
        }
    };
    serde_json::to_vec(&value).map(Bytes::from).map_err(|error| error.to_string())
}

fn read_all(params: &Map<String, Value>, files: &[String], folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let named = |param: &String| Some((param.clone(), params.get(param)?.get("file")?.as_str()?.to_owned()));
    let read = |(param, file): (String, String)| {
        let contents = read_in(folder, &file);
        let contents =
            contents.map_err(|error| format!("the file of its parameter `{param}` cannot be read: {error}"))?;
        Ok((param, contents))
    };
    files.iter().filter_map(named).map(read).collect()
}

/// A file of the folder itself.
fn read_in(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    match Path::new(name).file_name() {
        Some(own) if own == name => fs::read(folder.join(own)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "its name is a path")),
    }
}
