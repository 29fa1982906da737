//! Brings the files that a job has made.

use std::{
    fs::{self, File},
    io::Write,
    path::{Component, Path, PathBuf},
};

use greenroom_actors::job::JobView;

use super::find::job_path;
use crate::cli::{
    ask::{Asked, named_path},
    failure::Failure,
};

/// Fetches all of them into `folder`, which is made if need be; gives their paths.
///
/// # Errors
/// When one cannot be had or written, or breaks off.
pub async fn fetch(asked: &Asked, job: &JobView, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for name in job.result.iter().flat_map(|result| &result.files) {
        let Some(path) = below(folder, name) else { continue };
        let refuse = |operation| {
            let path = path.clone();
            move |source| Failure::Io { operation, path, source }
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(refuse("make the folder of"))?;
        }
        let from = job_path(job.id, &named_path("/output?file=", name, ""));
        let mut bytes = asked.client.stream(&from).await.map_err(|error| asked.failure(error))?;
        let mut file = File::create(&path).map_err(refuse("write"))?;
        while let Some(piece) = bytes.whole().await.map_err(|error| asked.failure(error))? {
            file.write_all(&piece).map_err(refuse("write"))?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// The place of a file of that name below `folder`; none for a name that leads elsewhere.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && !name.as_os_str().is_empty()).then(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let place = |name| below(Path::new("/d"), name);
        assert_eq!(place("a/b.png"), Some("/d/a/b.png".into()));
        for name in ["", "..", "../a", "/etc/passwd", "a/../../b"] {
            assert_eq!(place(name), None, "{name}");
        }
    }
}
