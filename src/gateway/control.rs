//! The control API: paths, methods and shapes. What the command line uses, and any program may.
//!
//! Every route takes what it answers from a [`Control`] and turns a refusal into an [`ApiError`].

use std::convert::Infallible;

use actix_web::{
    HttpRequest, HttpResponse, Resource, Route,
    http::StatusCode,
    web::{self, Bytes, Data, JsonConfig, Path, PathConfig, Query, QueryConfig, ServiceConfig},
};
use futures_util::stream;
use greenroom_actors::{
    event::EventId,
    ids::ServiceName,
    os::clock,
    state::{Disposition, ServiceState},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

use super::{
    api::Control,
    bundle,
    closing::unless_closing,
    errors::ApiError,
    guard::Guard,
    jobs::routes,
    metrics, openapi,
    query::{HistoryQuery, number, switch},
    sse,
};
use crate::runtime::{
    JobCount, ServiceCommand,
    service_log::{LogReader, folder},
    view::{ServiceView, StatusView},
};

/// Lines of a log that are given where the caller does not say how many.
pub(super) const TAIL: u64 = 100;

/// What every route has at hand.
#[derive(Debug, Clone)]
pub struct Door<C> {
    /// The runtime.
    pub control: C,
    /// Turns to `true` when the server closes: streams and waits end then.
    pub closing: watch::Sender<bool>,
}

pub(super) type Answer = Result<HttpResponse, ApiError>;

/// Adds every route of the control API, and how what cannot be read is refused.
pub fn configure<C: Control>(app: &mut ServiceConfig) {
    app.app_data(QueryConfig::default().error_handler(|e, _| ApiError::bad_param("query", e.to_string()).into()))
        .app_data(PathConfig::default().error_handler(|e, _| ApiError::bad_param("path", e.to_string()).into()))
        .app_data(JsonConfig::default().error_handler(|e, _| ApiError::bad_param("body", e.to_string()).into()))
        .configure(routes::<C>);
}

/// Adds every route of the control API; `Door<C>` must be there as app data.
pub fn routes<C: Control>(app: &mut ServiceConfig) {
    app.service(at("/health", web::get().to(|| async { "OK" })))
        .service(at("/ready", web::get().to(ready::<C>)))
        .service(at("/api/status", web::get().to(status::<C>)))
        .service(at("/api/services", web::get().to(services::<C>)))
        .service(at("/api/services/{name}", web::get().to(service::<C>)))
        .service(at("/api/services/{name}/logs", web::get().to(logs::<C>)))
        .service(at("/api/services/{name}/why", web::get().to(why::<C>)))
        .service(at(
            "/api/services/{name}/{command:start|stop|restart|load|offload|reset}",
            web::post().to(command::<C>),
        ))
        .service(at("/api/remotes", web::get().to(remotes::<C>)))
        .service(at("/api/alerts", web::get().to(alerts::<C>)))
        .service(at("/api/gpus", web::get().to(gpus::<C>)))
        .service(at("/api/plan/{name}", web::get().to(plan::<C>)))
        .service(at("/api/history/runs", web::get().to(history_runs::<C>)))
        .service(at("/api/history/events", web::get().to(history_events::<C>)))
        .service(at("/api/history/swaps", web::get().to(history_swaps::<C>)))
        .service(at("/api/history/requests", web::get().to(history_requests::<C>)))
        .service(at("/api/history/jobs", web::get().to(history_jobs::<C>)))
        .configure(jobs::<C>)
        .service(at("/api/openapi.json", web::get().to(document)))
        .service(at("/metrics", web::get().to(figures::<C>)))
        .service(at("/api/events", web::get().to(events::<C>)))
        .service(at("/api/bundle", web::post().to(bundle::make::<C>)))
        .service(at("/api/reload", web::post().to(reload::<C>)))
        .service(at("/api/shutdown", web::post().to(shutdown::<C>)))
        .default_service(web::to(nothing_here));
}

/// Adds those of jobs. Where a path has two methods the first is a route that lets others by.
fn jobs<C: Control>(app: &mut ServiceConfig) {
    app.route("/api/jobs", web::post().to(routes::submit::<C>))
        .service(at("/api/jobs", web::get().to(routes::list::<C>)))
        .route("/api/jobs/{id}", web::delete().to(routes::cancel::<C>))
        .service(at("/api/jobs/{id}", web::get().to(routes::one::<C>)))
        .service(at("/api/jobs/{id}/retry", web::post().to(routes::retry::<C>)))
        .service(at("/api/jobs/{id}/output", web::get().to(routes::output::<C>)))
        .service(at("/api/jobs/{id}/logs", web::get().to(routes::logs::<C>)));
}

/// A path with the one method it has; other methods are refused in the shape of every refusal.
pub(super) fn at(path: &str, route: Route) -> Resource {
    web::resource(path).route(route).default_service(web::to(wrong_method))
}

async fn wrong_method(request: HttpRequest) -> Answer {
    let message = format!("{} does not take {}", request.path(), request.method());
    Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message))
}

async fn nothing_here(request: HttpRequest) -> Answer {
    let message = format!("there is nothing at {} {}", request.method(), request.path());
    Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message))
}

/// 200 when everything that is wanted up is of use. Who brings no key learns how many are not, and not which.
async fn ready<C: Control>(request: HttpRequest, door: Data<Door<C>>) -> Answer {
    let status = door.control.status();
    let missing: Vec<&ServiceView> = status.services.iter().filter(|service| is_missing(service)).collect();
    if missing.is_empty() {
        return Ok(HttpResponse::Ok().json(json!({ "ready": true })));
    }
    let may_know = request.app_data::<Data<Guard>>().is_none_or(|guard| guard.opens_for(request.headers()));
    let message = if may_know {
        let each: Vec<String> = missing.iter().map(|s| format!("{} is {}", s.name, s.state.name())).collect();
        each.join(", ")
    } else {
        format!("not ready: {} of {}", missing.len(), status.services.len())
    };
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message))
}

/// Whether it is wanted up and neither is, nor leaves memory to come back when there is room.
fn is_missing(service: &ServiceView) -> bool {
    let is_planned = matches!(
        service.state,
        ServiceState::Draining
            | ServiceState::Stopping
            | ServiceState::Reclaiming
            | ServiceState::Offloaded
            | ServiceState::Sleeping
    );
    let is_of_use = matches!(service.state, ServiceState::Ready | ServiceState::Completed);
    service.disposition == Disposition::Up && !is_of_use && !is_planned
}

/// Everything at a glance.
#[derive(Debug, Serialize)]
struct Glance {
    #[serde(flatten)]
    status: StatusView,
    /// Open jobs.
    jobs: Vec<JobCount>,
}

async fn status<C: Control>(door: Data<Door<C>>) -> HttpResponse {
    let jobs = door.control.job_counts().await;
    HttpResponse::Ok().json(Glance { status: door.control.status(), jobs })
}

async fn services<C: Control>(door: Data<Door<C>>) -> HttpResponse {
    HttpResponse::Ok().json(door.control.status().services)
}

async fn service<C: Control>(door: Data<Door<C>>, name: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(door.control.service(&name)?))
}

async fn why<C: Control>(door: Data<Door<C>>, name: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(door.control.why(&name).await?))
}

async fn remotes<C: Control>(door: Data<Door<C>>) -> HttpResponse {
    HttpResponse::Ok().json(door.control.status().remotes)
}

async fn alerts<C: Control>(door: Data<Door<C>>) -> HttpResponse {
    HttpResponse::Ok().json(door.control.alerts())
}

async fn gpus<C: Control>(door: Data<Door<C>>) -> HttpResponse {
    HttpResponse::Ok().json(&*door.control.memory())
}

async fn plan<C: Control>(door: Data<Door<C>>, name: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(unless_closing(door.closing.subscribe(), door.control.plan(&name)).await??))
}

#[derive(Debug, Deserialize)]
struct WaitQuery {
    wait: Option<String>,
}

/// 200 with the service when it is done; 202 at once with `wait=false`.
async fn command<C: Control>(door: Data<Door<C>>, path: Path<(String, String)>, query: Query<WaitQuery>) -> Answer {
    let (name, word) = path.into_inner();
    let command = match word.as_str() {
        "start" => ServiceCommand::Start,
        "stop" => ServiceCommand::Stop,
        "restart" => ServiceCommand::Restart,
        "load" => ServiceCommand::Load,
        "offload" => ServiceCommand::Offload,
        // The route lets nothing else in.
        _ => ServiceCommand::Reset,
    };
    if switch("wait", query.wait.as_deref(), true)? {
        let done = unless_closing(door.closing.subscribe(), door.control.carry_out(&name, command)).await?;
        return Ok(HttpResponse::Ok().json(done?));
    }
    door.control.tell(&name, command)?;
    Ok(HttpResponse::Accepted().json(door.control.service(&name)?))
}

#[derive(Debug, Deserialize)]
struct LogsQuery {
    follow: Option<String>,
    tail: Option<String>,
}

/// The output as it came, in chunks.
async fn logs<C: Control>(door: Data<Door<C>>, name: Path<String>, query: Query<LogsQuery>) -> Answer {
    // Also keeps the name from being a path to somewhere else.
    let name: ServiceName = door.control.service(&name)?.name;
    let follow = switch("follow", query.follow.as_deref(), false)?;
    let log = folder(door.control.state_dir(), name.as_str());
    let tail = number("tail", query.tail.as_deref())?.unwrap_or(TAIL);
    let reader = LogReader::open(&log, tail).map_err(|error| {
        let message = format!("cannot read the logs in {}: {error}", log.display());
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "logs_unreadable", message)
    })?;
    let chunks = reader.pieces(follow, door.closing.subscribe());
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").streaming(chunks))
}

async fn history_runs<C: Control>(door: Data<Door<C>>, query: Query<HistoryQuery>) -> Answer {
    let filter = query.filter(clock::wall())?;
    Ok(HttpResponse::Ok().json(door.control.history_runs(filter).await?))
}

async fn history_events<C: Control>(door: Data<Door<C>>, query: Query<HistoryQuery>) -> Answer {
    let filter = query.filter(clock::wall())?;
    Ok(HttpResponse::Ok().json(door.control.history_events(filter).await?))
}

async fn history_swaps<C: Control>(door: Data<Door<C>>, query: Query<HistoryQuery>) -> Answer {
    let filter = query.filter(clock::wall())?;
    Ok(HttpResponse::Ok().json(door.control.history_swaps(filter).await?))
}

async fn history_requests<C: Control>(door: Data<Door<C>>, query: Query<HistoryQuery>) -> Answer {
    let filter = query.filter(clock::wall())?;
    Ok(HttpResponse::Ok().json(door.control.history_requests(filter).await?))
}

async fn history_jobs<C: Control>(door: Data<Door<C>>, query: Query<HistoryQuery>) -> Answer {
    let filter = query.filter(clock::wall())?;
    Ok(HttpResponse::Ok().json(door.control.history_jobs(filter).await?))
}

/// What there is, for programs.
async fn document() -> HttpResponse {
    HttpResponse::Ok().json(openapi::document())
}

/// The figures as Prometheus reads them.
async fn figures<C: Control>(door: Data<Door<C>>) -> Answer {
    let page = door.control.metrics().await.ok_or_else(ApiError::no_metrics)?;
    Ok(HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(page))
}

#[derive(Debug, Deserialize)]
struct EventsQuery {
    since: Option<String>,
    follow: Option<String>,
}

/// Server-sent events, from just after `Last-Event-ID` (or `since=`) if one is given. `follow=0` ends where waiting
/// would begin.
async fn events<C: Control>(request: HttpRequest, door: Data<Door<C>>, query: Query<EventsQuery>) -> Answer {
    let follow = switch("follow", query.follow.as_deref(), true)?;
    let header = request.headers().get("Last-Event-ID").map(|v| v.to_str().unwrap_or("unreadable").to_owned());
    let after: Option<EventId> = header
        .or_else(|| query.since.clone())
        .map(|text| text.parse().map_err(|e| ApiError::bad_param("Last-Event-ID", format!("`{text}`: {e}"))))
        .transpose()?;
    let chunks = sse::stream(door.control.events(after), door.closing.subscribe(), follow);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-store"))
        .streaming(chunks))
}

/// 200 with the report when it is done; 202 with `wait=false` as soon as the services have been told.
async fn reload<C: Control>(door: Data<Door<C>>, query: Query<WaitQuery>) -> Answer {
    let wait = switch("wait", query.wait.as_deref(), true)?;
    let report = unless_closing(door.closing.subscribe(), door.control.reload(wait)).await??;
    Ok(if wait { HttpResponse::Ok() } else { HttpResponse::Accepted() }.json(report))
}

#[derive(Debug, Deserialize)]
struct ShutdownQuery {
    force: Option<String>,
}

/// 202: the stop has begun. Its end is the end of the process.
async fn shutdown<C: Control>(door: Data<Door<C>>, query: Query<ShutdownQuery>) -> Answer {
    let force = switch("force", query.force.as_deref(), false)?;
    // The stop closes this very server, and waits for whoever holds a receiver: until the answer has been sent.
    let guest = door.closing.subscribe();
    if force {
        door.control.force_shutdown();
    } else {
        door.control.begin_shutdown("asked over the control API");
    }
    let body = serde_json::to_vec(&door.control.runtime()).unwrap_or_default();
    let whole = stream::unfold((Some(Bytes::from(body)), guest), |(body, guest)| async move {
        body.map(|body| (Ok::<_, Infallible>(body), (None, guest)))
    });
    Ok(HttpResponse::Accepted().content_type("application/json").streaming(whole))
}
