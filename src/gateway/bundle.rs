//! `POST /api/bundle`: makes a diagnostic bundle and sends it.

use std::{fs::File, path::PathBuf};

use actix_web::{
    http::{StatusCode, header::HeaderMap},
    web::Data,
};
use greenroom_actors::{cause::chain, watchdog::bundle::BundleError};

use super::{
    api::Control,
    closing::unless_closing,
    control::{Answer, Door},
    errors::ApiError,
    jobs::made,
};
use crate::runtime::job_files::MadeFile;

/// 200 with the archive, once it is whole; `Content-Disposition` has its name. It stays in the state dir as well.
pub async fn make<C: Control>(door: Data<Door<C>>) -> Answer {
    let path = unless_closing(door.closing.subscribe(), door.control.bundle()).await??;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Open before anybody could take it away as one of too many.
    let made = open(path)?;
    // Whole, whatever is asked for: the next one would be another bundle.
    made::answer(made, &name, &HeaderMap::new())
}

fn open(path: PathBuf) -> Result<MadeFile, ApiError> {
    let open = || {
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        Ok(MadeFile { file, size })
    };
    open().map_err(|error: std::io::Error| failed(format!("{} cannot be read: {error}", path.display())))
}

fn failed(message: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "bundle_failed", message)
}

impl From<BundleError> for ApiError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Stopping => Self::stopping(),
            BundleError::NotWritten { .. } | BundleError::Thread(_) => failed(chain(&error)),
        }
    }
}
