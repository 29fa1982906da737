//! The answers of the routes of jobs.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::LOCATION},
    web::{Data, Path, Payload, Query},
};
use greenroom_actors::{
    job::{JobId, JobName, JobState, JobView},
    job_queue::messages::ListJobs,
};
use serde::Deserialize;
use tokio::sync::watch;

use super::{made, submission};
use crate::{
    gateway::{
        api::Control,
        closing::unless_closing,
        control::{Answer, Door, TAIL},
        errors::ApiError,
        query::{number, switch, words},
    },
    runtime::{Meant, job_files, uploads::UploadFolder},
};

/// 202 with the job, once it is on disk.
pub async fn submit<C: Control>(request: HttpRequest, body: Payload, door: Data<Door<C>>) -> Answer {
    let uploads = UploadFolder::of(door.control.state_dir());
    let spec = submission::read(&request, body, &uploads, door.control.max_body()).await?;
    let view = unless_closing(door.closing.subscribe(), door.control.submit_job(spec)).await??;
    Ok(accepted(&view))
}

fn accepted(view: &JobView) -> HttpResponse {
    HttpResponse::Accepted().insert_header((LOCATION, format!("/api/jobs/{}", view.id))).json(view)
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    job: Option<String>,
    state: Option<String>,
    limit: Option<String>,
    id: Option<String>,
}

pub async fn list<C: Control>(door: Data<Door<C>>, query: Query<ListQuery>) -> Answer {
    let ListQuery { job, state, limit, id } = query.into_inner();
    if let Some(id) = id {
        if job.is_some() || state.is_some() || limit.is_some() {
            return Err(ApiError::bad_param("id", "`id` stands alone"));
        }
        let none = || ApiError::bad_param("id", format!("`{id}` is neither `last` nor what an id begins with"));
        let found = door.control.find_jobs(Meant::parse(&id).ok_or_else(none)?).await?;
        return Ok(all(&found));
    }
    let job: Option<Result<JobName, _>> = job.as_deref().map(str::parse);
    let named = |word: &str| JobState::ALL.into_iter().find(|state| state.name() == word);
    let filter = ListJobs {
        job: job.transpose().map_err(|error| ApiError::bad_param("job", error.to_string()))?,
        states: words("state", state.as_deref(), named)?,
        limit: number("limit", limit.as_deref())?.unwrap_or(0),
    };
    Ok(all(&door.control.jobs(filter).await?))
}

fn all(jobs: &[Arc<JobView>]) -> HttpResponse {
    HttpResponse::Ok().json(jobs.iter().map(Arc::as_ref).collect::<Vec<_>>())
}

pub async fn one<C: Control>(door: Data<Door<C>>, id: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(find(&door, &id).await?.as_ref()))
}

/// 202 with the job: it is cancelled once its work has really stopped.
pub async fn cancel<C: Control>(door: Data<Door<C>>, id: Path<String>) -> Answer {
    Ok(HttpResponse::Accepted().json(door.control.cancel_job(parse(&id)?).await?))
}

/// 202 with the new job, once it is on disk.
pub async fn retry<C: Control>(door: Data<Door<C>>, id: Path<String>) -> Answer {
    let again = unless_closing(door.closing.subscribe(), door.control.retry_job(parse(&id)?)).await??;
    Ok(accepted(&again))
}

#[derive(Debug, Deserialize)]
pub struct OutputQuery {
    file: Option<String>,
}

/// The bytes of the file that is named, or of the only one there is; else a list of them.
pub async fn output<C: Control>(
    request: HttpRequest,
    door: Data<Door<C>>,
    id: Path<String>,
    query: Query<OutputQuery>,
) -> Answer {
    let view = find(&door, &id).await?;
    let state_dir = door.control.state_dir();
    let name = match query.into_inner().file {
        Some(name) => name,
        None => {
            let files = job_files::output(state_dir, &view)?;
            match files.as_slice() {
                [only] => only.name.clone(),
                _ => return Ok(HttpResponse::Ok().json(files)),
            }
        }
    };
    made::answer(job_files::open_output(state_dir, &view, &name)?, &name, request.headers())
}

#[derive(Debug, Deserialize)]
pub struct LogsQuery {
    follow: Option<String>,
    tail: Option<String>,
}

/// What its processes have printed, as it came; followed, until the job has come to its end.
pub async fn logs<C: Control>(door: Data<Door<C>>, id: Path<String>, query: Query<LogsQuery>) -> Answer {
    let follow = switch("follow", query.follow.as_deref(), false)?;
    let tail = number("tail", query.tail.as_deref())?.unwrap_or(TAIL);
    let view = find(&door, &id).await?;
    let reader = job_files::log(door.control.state_dir(), &view, tail).map_err(|refusal| {
        let ApiError { status, code, message, .. } = refusal.into();
        // What cannot be read is a log here.
        let code = if status == StatusCode::INTERNAL_SERVER_ERROR { "logs_unreadable" } else { code };
        ApiError::new(status, code, message)
    })?;
    let over = if follow { until_over(&door, view.id).await? } else { door.closing.subscribe() };
    let chunks = reader.pieces(follow, over);
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").streaming(chunks))
}

/// Turns to `true` when the job has come to its end, or the server closes.
async fn until_over<C: Control>(door: &Door<C>, id: JobId) -> Result<watch::Receiver<bool>, ApiError> {
    let mut views = door.control.follow_job(id).await?;
    let mut closing = door.closing.subscribe();
    let (over, is_over) = watch::channel(false);
    actix_rt::spawn(async move {
        tokio::select! {
            // An error means that nothing more is told of it.
            _ = views.wait_for(|view| view.state.is_final()) => {}
            _ = closing.wait_for(|closing| *closing) => {}
            // Whoever read has gone.
            () = over.closed() => {}
        }
        over.send_replace(true);
    });
    Ok(is_over)
}

async fn find<C: Control>(door: &Door<C>, id: &str) -> Result<Arc<JobView>, ApiError> {
    Ok(door.control.job(parse(id)?).await?)
}

/// An id as it stands in a path.
fn parse(id: &str) -> Result<JobId, ApiError> {
    let none = || ApiError::new(StatusCode::NOT_FOUND, "job_not_found", format!("there is no job {id}"));
    id.parse().map_err(|_| none())
}
