//! What one worker of the door has at hand: its routing table and its connections. Nothing of it is shared, so nothing of
//! it is locked.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use greenroom_actors::{
    assembly::Supervised,
    remote::{Remote, Remotes},
};

use super::{
    table::{Entry, Table},
    upstream::Upstreams,
};
use crate::runtime::RuntimeHandle;

/// The services and remotes that requests can go to, by name.
pub type Routes = Table<Target>;

/// Where a request goes.
#[derive(Debug)]
pub enum Target {
    /// To a service of this runtime.
    Service(Rc<Supervised>),
    /// To what answers elsewhere.
    Remote(Arc<Remote>),
}

/// What one worker has at hand.
#[derive(Debug, Default)]
pub struct Desk {
    /// Its connections.
    pub upstreams: Upstreams,
    made: RefCell<Option<Made>>,
}

/// A table and the set of services that it was made of.
#[derive(Debug)]
struct Made {
    of: Arc<Vec<Supervised>>,
    routes: Rc<Routes>,
}

impl Desk {
    /// The table of this moment: the one of the last request unless services have come, gone or changed since.
    pub fn routes(&self, runtime: &RuntimeHandle, default_model: &str) -> Rc<Routes> {
        let services = runtime.services();
        let mut made = self.made.borrow_mut();
        if let Some(Made { of, routes }) = &*made
            && Arc::ptr_eq(of, &services)
        {
            return Rc::clone(routes);
        }
        let routes = Rc::new(table(&services, runtime.remotes(), default_model));
        *made = Some(Made { of: services, routes: Rc::clone(&routes) });
        routes
    }
}

/// Of those services that have a port, and of the remotes, which stay the same as long as the runtime.
fn table(services: &[Supervised], remotes: &Remotes, default_model: &str) -> Routes {
    let with_port = services.iter().filter(|service| service.spec.port.is_some());
    let entries = with_port.map(|service| Entry {
        name: service.spec.name.as_str(),
        serves: &service.spec.serves,
        target: Target::Service(Rc::new(service.clone())),
    });
    let far = remotes.iter().map(|remote| Entry {
        name: remote.name().as_str(),
        serves: &remote.spec().serves,
        target: Target::Remote(Arc::clone(remote)),
    });
    Table::new(entries.chain(far), default_model)
}
