//! What one worker of the door has at hand: its routing table and its connections. Nothing of it is shared, so nothing of
//! it is locked.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use greenroom_actors::{
    engines::EngineRef,
    remote::{Remote, Remotes},
    services::Supervised,
    spec::JobDefinition,
};

use super::{
    overheard::Rules,
    routes::Doorway,
    table::{Entry, Makes, Table},
    upstream::Upstreams,
};

/// Engines of which no request gets an image.
const WITHOUT_IMAGES: &[&str] = &["llama-server", "vllm"];

/// What requests can go to, by name.
pub type Routes = Table<Target>;

/// Where a request goes.
#[derive(Debug)]
pub enum Target {
    /// To a service of this runtime.
    Service(Rc<Supervised>),
    /// To what answers elsewhere.
    Remote(Arc<Remote>),
    /// It becomes a job of this kind.
    Job(Arc<JobDefinition>),
}

/// What one worker has at hand.
#[derive(Debug, Default)]
pub struct Desk {
    /// Its connections.
    pub upstreams: Upstreams,
    /// What errors of services are looked at with.
    pub rules: Rules,
    made: RefCell<Option<Made>>,
}

/// A table and what it was made of.
#[derive(Debug)]
struct Made {
    of: (Arc<Vec<Supervised>>, Arc<Vec<Arc<JobDefinition>>>),
    routes: Rc<Routes>,
}

impl Desk {
    /// The table of this moment: the one of the last request unless services or kinds of job have come, gone or changed
    /// since.
    pub fn routes(&self, door: &Doorway) -> Rc<Routes> {
        let (services, jobs) = (door.runtime.services(), door.works.definitions());
        let mut made = self.made.borrow_mut();
        if let Some(Made { of, routes }) = &*made
            && Arc::ptr_eq(&of.0, &services)
            && Arc::ptr_eq(&of.1, &jobs)
        {
            return Rc::clone(routes);
        }
        let routes = Rc::new(table(&services, door.runtime.remotes(), &jobs, &door.spec.default_model));
        *made = Some(Made { of: (services, jobs), routes: Rc::clone(&routes) });
        routes
    }
}

/// Of those services that have a port, of the remotes, which stay the same as long as the runtime, and of the kinds of job
/// that serve a name.
fn table(services: &[Supervised], remotes: &Remotes, jobs: &[Arc<JobDefinition>], default_model: &str) -> Routes {
    let with_port = services.iter().filter(|service| service.spec.port.is_some());
    let entries = with_port.map(|service| Entry {
        name: service.spec.name.as_str(),
        serves: &service.spec.serves,
        makes: made_by(&service.spec.engine),
        target: Target::Service(Rc::new(service.clone())),
    });
    let far = remotes.iter().map(|remote| Entry {
        name: remote.name().as_str(),
        serves: &remote.spec().serves,
        makes: made_by(&remote.spec().engine),
        target: Target::Remote(Arc::clone(remote)),
    });
    let jobs = jobs.iter().filter(|job| !job.serves.is_empty()).map(|job| Entry {
        name: job.name.as_str(),
        serves: &job.serves,
        makes: Makes::Images,
        target: Target::Job(Arc::clone(job)),
    });
    Table::new(entries.chain(far).chain(jobs), default_model)
}

fn made_by(engine: &EngineRef) -> Makes {
    if WITHOUT_IMAGES.contains(&engine.name()) { Makes::NoImages } else { Makes::Anything }
}
