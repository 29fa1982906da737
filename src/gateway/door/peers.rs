//! What the users of llama-swap and of llama.cpp's router know, under the same paths and in the same shapes
//! (`proxy/proxymanager.go`, `proxy/proxymanager_api.go` and `proxy/proxymanager_loghandlers.go` there, and
//! `tools/server/server-models.cpp`).

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Bytes, Data, Path, Query, ServiceConfig},
};
use futures_util::future::join_all;
use greenroom_actors::{
    job::JobName,
    services::Supervised,
    spec::{GpuLayers, JobDefinition},
    state::ServiceStatus,
    template::RunValues,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    models::{self, Host, Stand},
    routes::Doorway,
    table::Unrouted,
    tails,
};
use crate::{
    gateway::{
        closing::unless_closing,
        control::{Door, TAIL, at},
        errors::ApiError,
        query::switch,
    },
    runtime::{RuntimeHandle, ServiceCommand},
};

/// What llama-swap calls the output of all its models together.
const EVERYBODY: &str = "upstream";
/// What llama-swap calls its own log.
const OWN_LOG: &str = "proxy";

type Answer = Result<HttpResponse, ApiError>;
type Runtime = Data<Door<RuntimeHandle>>;

/// Adds them.
pub fn routes(app: &mut ServiceConfig) {
    app.service(at("/v1/models", web::get().to(list)))
        .service(at("/v1/models/{id:.+}", web::get().to(model)))
        .service(at("/models", web::get().to(list)))
        .service(at("/models/load", web::post().to(load)))
        .service(at("/models/unload", web::post().to(unload)))
        .service(at("/running", web::get().to(running)))
        .service(at("/unload", web::get().to(unload_all)))
        .service(at("/api/models/unload", web::post().to(unload_all_as_json)))
        .service(at("/api/models/unload/{id:.+}", web::post().to(unload_one)))
        .service(at("/api/version", web::get().to(version)))
        .service(at("/logs", web::get().to(logs)))
        .service(at("/logs/stream", web::get().to(stream_all)))
        .service(at("/logs/stream/{id:.+}", web::get().to(stream_one)));
}

/// The services that requests can go to, with what is known of each.
fn services(door: &Runtime) -> Vec<(Supervised, ServiceStatus)> {
    let all = door.control.services();
    let with_port = all.iter().filter(|service| service.spec.port.is_some());
    with_port.map(|service| (service.clone(), service.status.borrow().clone())).collect()
}

fn hosts(services: &[(Supervised, ServiceStatus)]) -> Vec<Host<'_>> {
    services.iter().map(|(service, status)| host(service, status)).collect()
}

fn host<'a>(service: &'a Supervised, status: &'a ServiceStatus) -> Host<'a> {
    Host {
        name: service.spec.name.as_str(),
        serves: &service.spec.serves,
        stand: Stand::Service { state: status.state, last_exit: status.last_exit.as_ref() },
    }
}

/// The service that a client means by a name of a model. What answers elsewhere is none: nobody here can load it.
fn find(door: &Runtime, id: &str) -> Result<(Supervised, ServiceStatus), ApiError> {
    let services = services(door);
    let hosts = hosts(&services);
    let place = models::place(&hosts, id);
    place.and_then(|place| services.get(place).cloned()).ok_or_else(|| unknown(&hosts, id))
}

/// 404 `model_not_found`, with those there are.
fn unknown(hosts: &[Host<'_>], id: &str) -> ApiError {
    Unrouted::Unknown { name: id.to_owned(), known: models::names(hosts) }.into()
}

/// The start of the runtime, in seconds since 1970.
fn created(door: &Runtime) -> u64 {
    door.control.runtime().epoch / 1000
}

async fn list(door: Runtime, doorway: Data<Doorway>) -> HttpResponse {
    let (services, jobs) = (services(&door), Jobs::look(&doorway).await);
    HttpResponse::Ok().json(models::list(&everybody(&services, &door, &jobs), created(&door)))
}

async fn model(door: Runtime, doorway: Data<Doorway>, id: Path<String>) -> Answer {
    let (services, jobs) = (services(&door), Jobs::look(&doorway).await);
    let hosts = everybody(&services, &door, &jobs);
    let found = models::find(&hosts, &id, created(&door));
    found.map(|model| HttpResponse::Ok().json(model)).ok_or_else(|| unknown(&hosts, &id))
}

/// The kinds of job, and those of which one is being worked on.
struct Jobs {
    kinds: Arc<Vec<Arc<JobDefinition>>>,
    at_work: Vec<JobName>,
}

impl Jobs {
    async fn look(door: &Doorway) -> Self {
        let kinds = door.works.definitions();
        // Where there is nothing to be told, the queue is left alone.
        let at_work = if kinds.iter().any(serves) { door.works.at_work().await } else { Vec::new() };
        Self { kinds, at_work }
    }
}

fn serves(job: &Arc<JobDefinition>) -> bool {
    !job.serves.is_empty()
}

/// The services, what answers elsewhere, and the kinds of job that serve a name: those that the routing table has.
fn everybody<'a>(services: &'a [(Supervised, ServiceStatus)], door: &'a Runtime, jobs: &'a Jobs) -> Vec<Host<'a>> {
    let remotes = door.control.remotes().iter().map(|remote| Host {
        name: remote.name().as_str(),
        serves: &remote.spec().serves,
        stand: Stand::Remote { is_reached: remote.is_in() },
    });
    let jobs = jobs.kinds.iter().filter(|job| serves(job)).map(|job| Host {
        name: job.name.as_str(),
        serves: &job.serves,
        stand: Stand::Job { is_at_work: jobs.at_work.contains(&job.name) },
    });
    hosts(services).into_iter().chain(remotes).chain(jobs).collect()
}

#[derive(Debug, Deserialize)]
struct Named {
    model: String,
}

fn named(body: &Bytes) -> Result<String, ApiError> {
    let body: Result<Named, _> = serde_json::from_slice(body);
    body.map(|body| body.model).map_err(|error| ApiError::bad_param("model", format!("the body names none: {error}")))
}

/// Begins to load it. Whether it has come is told by `GET /models`.
async fn load(door: Runtime, body: Bytes) -> Answer {
    tell(&door, &named(&body)?, ServiceCommand::Load)
}

/// Begins to unload it.
async fn unload(door: Runtime, body: Bytes) -> Answer {
    tell(&door, &named(&body)?, ServiceCommand::Offload)
}

fn tell(door: &Runtime, model: &str, command: ServiceCommand) -> Answer {
    let (service, _) = find(door, model)?;
    door.control.tell(service.spec.name.as_str(), command)?;
    Ok(HttpResponse::Ok().json(json!({ "success": true })))
}

async fn running(door: Runtime) -> HttpResponse {
    let services = services(&door);
    let running: Vec<Value> = services.iter().filter_map(|(service, status)| entry(&door, service, status)).collect();
    HttpResponse::Ok().json(json!({ "running": running }))
}

/// One entry of `/running`, as far as it is there.
fn entry(door: &Runtime, service: &Supervised, status: &ServiceStatus) -> Option<Value> {
    let state = models::process_state(status.state)?;
    let (spec, placement) = (&service.spec, status.placement.as_deref());
    let mut values = RunValues::of(spec, status.port, door.control.state_dir());
    if let Some(placement) = placement {
        values.gpus = placement.gpus.iter().map(ToString::to_string).collect();
        values.gpu_layers = placement.gpu_layers.map_or(values.gpu_layers, GpuLayers::Count);
    }
    let words: Vec<String> = spec.command.iter().map(|word| word.render(&values)).collect();
    Some(json!({
        "model": spec.serves.first().map_or(spec.name.as_str(), String::as_str),
        "state": state,
        "cmd": shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default(),
        "proxy": status.port.map(|port| format!("http://127.0.0.1:{port}")).unwrap_or_default(),
        "ttl": spec.memory.idle_timeout.as_secs(),
        "name": spec.name,
        "description": "",
    }))
}

async fn unload_all(door: Runtime) -> Answer {
    offload(&door, services(&door)).await?;
    Ok(HttpResponse::Ok().body("OK"))
}

async fn unload_all_as_json(door: Runtime) -> Answer {
    offload(&door, services(&door)).await?;
    Ok(HttpResponse::Ok().json(json!({ "msg": "ok" })))
}

async fn unload_one(door: Runtime, id: Path<String>) -> Answer {
    offload(&door, vec![find(&door, &id)?]).await?;
    Ok(HttpResponse::Ok().body("OK"))
}

/// Takes those out of memory that are in it, side by side, and waits for it. Who is in use has its time to be left.
async fn offload(door: &Runtime, services: Vec<(Supervised, ServiceStatus)>) -> Result<(), ApiError> {
    let is_in = |status: &ServiceStatus| models::process_state(status.state).is_some();
    let names = services.iter().filter(|(_, status)| is_in(status)).map(|(service, _)| service.spec.name.as_str());
    let work = join_all(names.map(|name| door.control.carry_out(name, ServiceCommand::Offload)));
    let outcomes = unless_closing(door.closing.subscribe(), work).await?;
    outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

async fn version() -> HttpResponse {
    let unknown = "unknown";
    HttpResponse::Ok().json(json!({
        "version": env!("CARGO_PKG_VERSION"), "commit": unknown, "build_date": unknown,
    }))
}

/// The last lines of every service.
async fn logs(door: Runtime) -> Answer {
    text(&door, all_names(&door), TAIL, false)
}

#[derive(Debug, Deserialize)]
struct StreamQuery {
    #[serde(rename = "no-history")]
    no_history: Option<String>,
    /// Of ours: without it the stream has no end.
    follow: Option<String>,
}

impl StreamQuery {
    fn follow(&self) -> Result<bool, ApiError> {
        switch("follow", self.follow.as_deref(), true)
    }

    fn tail(&self) -> u64 {
        if self.no_history.is_some() { 0 } else { TAIL }
    }
}

async fn stream_all(door: Runtime, query: Query<StreamQuery>) -> Answer {
    text(&door, all_names(&door), query.tail(), query.follow()?)
}

/// Of all, or of one model.
async fn stream_one(door: Runtime, id: Path<String>, query: Query<StreamQuery>) -> Answer {
    let names = match id.as_str() {
        EVERYBODY => all_names(&door),
        OWN_LOG => {
            let message = "the runtime's own log goes to its standard error; there are `upstream` and the models here";
            return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message));
        }
        id => vec![find(&door, id)?.0.spec.name.to_string()],
    };
    text(&door, names, query.tail(), query.follow()?)
}

fn all_names(door: &Runtime) -> Vec<String> {
    door.control.services().iter().map(|service| service.spec.name.to_string()).collect()
}

fn text(door: &Runtime, names: Vec<String>, lines: u64, follow: bool) -> Answer {
    let tails = tails::of(door.control.state_dir(), names, lines).map_err(|error| {
        let message = format!("cannot read the logs: {error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "logs_unreadable", message)
    })?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/plain; charset=utf-8").insert_header(("X-Content-Type-Options", "nosniff"));
    Ok(answer.streaming(tails::stream(tails, door.closing.subscribe(), follow)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_an_unknown_model_is_told_those_there_are_also_where_there_is_none() {
        let chat = Host { name: "chat", serves: &[], stand: Stand::Remote { is_reached: true } };
        let some = unknown(&[chat], "nope");
        assert_eq!(
            (some.code, some.message.as_str()),
            ("model_not_found", "there is no model `nope`; there are: chat")
        );
        let none = unknown(&[], "nope");
        assert_eq!(none.message, "there is no model `nope`; no service has a port that requests could go to");
    }
}
