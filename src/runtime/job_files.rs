//! The files of a job as they lie on disk: what it was given, what it has made, what its processes have printed.
//!
//! A name that somebody asks for is looked up among those that the job's result tells, and is never made into a path before.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use greenroom_actors::{
    job::{JobId, JobView},
    job_queue::{
        attempt::JobFolder,
        messages::{Contents, Upload},
    },
    os::service_log::log_dir_of_job,
};
use serde_json::Value;

use super::{
    job_view::{JobRefusal, OutputFile},
    service_log::LogReader,
    uploads::UploadFolder,
};

/// The name of a file that was sent along, where the value of a parameter stands for one: `{"file": NAME, "size": BYTES}`.
#[must_use]
pub fn sent_along(value: &Value) -> Option<&str> {
    value.get("file")?.as_str().filter(|name| is_plain(Path::new(name)))
}

/// Whether a path is a name, or several, and leads nowhere but downwards.
fn is_plain(path: &Path) -> bool {
    use std::path::Component::Normal;
    !path.as_os_str().is_empty() && path.components().all(|part| matches!(part, Normal(_)))
}

/// Copies these files (parameter and name) out of the folder `input` of job `id`, to be sent along once more.
///
/// # Errors
/// When one of them is there no more, or the disk refuses.
pub fn copy(
    id: JobId,
    input: &Path,
    uploads: UploadFolder,
    files: Vec<(String, String)>,
) -> Result<(UploadFolder, Vec<Upload>), JobRefusal> {
    let refuse = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => JobRefusal::Expired(id),
        _ => JobRefusal::Unreadable(error.to_string()),
    };
    uploads.make().map_err(|error| JobRefusal::Unreadable(error.to_string()))?;
    let mut copies = Vec::new();
    for (n, (param, name)) in files.into_iter().enumerate() {
        fs::copy(input.join(&name), uploads.place(n)).map_err(refuse)?;
        copies.push(Upload { param, name, contents: Contents::Moved(uploads.place(n)) });
    }
    Ok((uploads, copies))
}

/// The files that a job has made, with their sizes, in the order of its result.
///
/// # Errors
/// When it has no outcome yet, or one of them is kept no more.
pub fn output(state_dir: &Path, view: &JobView) -> Result<Vec<OutputFile>, JobRefusal> {
    if view.outcome.is_none() {
        return Err(JobRefusal::Open { id: view.id, state: view.state });
    }
    let names = view.result.iter().flat_map(|result| &result.files);
    names.map(|name| Ok(OutputFile { name: name.clone(), size: open_output(state_dir, view, name)?.size })).collect()
}

/// A file that a job has made, open.
#[derive(Debug)]
pub struct MadeFile {
    /// The file.
    #[cfg_attr(not(feature = "gateway"), expect(dead_code, reason = "the gateway alone sends it on"))]
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
}

/// Opens a file that a job has made.
///
/// # Errors
/// When it has made none of that name, or it is kept no more.
pub fn open_output(state_dir: &Path, view: &JobView, name: &str) -> Result<MadeFile, JobRefusal> {
    let known = view.result.as_ref().map(|result| result.files.clone()).unwrap_or_default();
    if !is_plain(Path::new(name)) || !known.iter().any(|file| file == name) {
        return Err(JobRefusal::NoFile { id: view.id, name: name.to_owned(), known });
    }
    open_within(&JobFolder::of(state_dir, view.id).output(), name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => JobRefusal::Expired(view.id),
        _ => JobRefusal::Unreadable(error.to_string()),
    })
}

/// Opens a file below `folder`. One that is none, or to which a link leads out of the folder, is refused: what a program
/// left there must not show other files of this machine, nor make the reader wait.
fn open_within(folder: &Path, name: &str) -> io::Result<MadeFile> {
    let path = fs::canonicalize(folder.join(name))?;
    let is_file = fs::metadata(&path)?.is_file();
    if !is_file || !path.starts_with(fs::canonicalize(folder)?) {
        return Err(io::Error::other(format!("{name} is no file of its own")));
    }
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    Ok(MadeFile { file, size })
}

/// What the processes of a job have printed, all attempts, before its last `lines` lines. Empty where none has run.
///
/// # Errors
/// When it is kept no more, or cannot be read.
pub fn log(state_dir: &Path, view: &JobView, lines: u64) -> Result<LogReader, JobRefusal> {
    let folder = JobFolder::of(state_dir, view.id);
    if view.outcome.is_some() && view.started.is_some() && !folder.path().is_dir() {
        return Err(JobRefusal::Expired(view.id));
    }
    LogReader::open(&log_dir_of_job(state_dir, view.id), lines)
        .map_err(|error| JobRefusal::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    const ID: &str = "01M7YVGCFCM54YTD4HWH511JAP";

    fn job(files: &[&str]) -> JobView {
        let view = json!({
            "id": ID, "job": "image", "state": "succeeded", "outcome": "succeeded", "reason": null, "params": {},
            "priority": 0, "attempt": 1, "progress": null, "submitted": "2026-11-21T09:00:00Z",
            "started": "2026-11-21T09:00:00Z", "finished": "2026-11-21T09:00:01Z", "error": null,
            "result": { "files": files, "json": null },
        });
        serde_json::from_value(view).expect("a job")
    }

    #[test]
    fn only_what_the_job_has_made_is_opened() {
        let dir = tempfile::tempdir().expect("a folder");
        let (view, folder) =
            (job(&["out.png", "in/side.png", "../secret", "link", "folder"]), dir.path().join("jobs").join(ID));
        fs::create_dir_all(folder.join("output/in")).expect("made");
        fs::create_dir_all(folder.join("output/folder")).expect("made");
        for (name, text) in
            [("output/out.png", "png"), ("output/in/side.png", "side"), ("secret", "s"), ("output/other", "o")]
        {
            fs::write(folder.join(name), text).expect("written");
        }
        symlink(folder.join("secret"), folder.join("output/link")).expect("linked");
        let open = |name: &str| open_output(dir.path(), &view, name).map(|made| made.size);
        assert_eq!((open("out.png"), open("in/side.png")), (Ok(3), Ok(4)));
        for name in ["other", "../secret", "/etc/passwd", "", "in/../out.png"] {
            assert!(matches!(open(name), Err(JobRefusal::NoFile { .. })), "{name}: {:?}", open(name));
        }
        for name in ["link", "folder"] {
            assert!(matches!(open(name), Err(JobRefusal::Unreadable(_))), "{name}: {:?}", open(name));
        }
    }

    #[test]
    fn what_is_kept_no_more_is_said_to_be_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let view = job(&["out.png"]);
        let id = view.id;
        assert_eq!(output(dir.path(), &view), Err(JobRefusal::Expired(id)));
        assert_eq!(log(dir.path(), &view, 10).map(drop), Err(JobRefusal::Expired(id)));
        assert_eq!(output(dir.path(), &job(&[])), Ok(Vec::new()));
        let open = JobView { outcome: None, ..view };
        assert!(matches!(output(dir.path(), &open), Err(JobRefusal::Open { .. })));
        let files = vec![("init".to_owned(), "a.png".to_owned())];
        let copied = copy(id, &dir.path().join("input"), UploadFolder::of(dir.path()), files);
        assert_eq!(copied.map(drop), Err(JobRefusal::Expired(id)));
        assert!(!dir.path().join("uploads").read_dir().is_ok_and(|mut all| all.next().is_some()), "nothing is left");
    }

    #[test]
    fn a_value_stands_for_a_file_where_it_names_one() {
        assert_eq!(sent_along(&json!({ "file": "a.png", "size": 3 })), Some("a.png"));
        for value in [json!("a.png"), json!({ "file": "../a.png" }), json!({ "file": "" }), json!({ "size": 3 })] {
            assert_eq!(sent_along(&value), None, "{value}");
        }
    }
}
