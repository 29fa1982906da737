//! The connections of one worker to the services.
//!
//! They are pooled run by run: one to an earlier run is never used for another, and goes with it. Everything about them,
//! their tasks included, stays on the worker's thread, so nothing is locked and a client's body goes to the service as it
//! is. [`pool`] keeps them, [`request`] makes what is sent on them.

pub mod pool;
pub mod request;

use std::{cell::RefCell, collections::HashMap, net::Ipv4Addr, rc::Rc};

use greenroom_actors::ids::{RunId, ServiceName};

use self::pool::Pool;
use crate::runtime::RunEndpoint;

/// The pools of one worker.
#[derive(Debug, Default)]
pub struct Upstreams(RefCell<HashMap<ServiceName, (RunId, Rc<Pool>)>>);

/// A run without a port, which its service was to have.
#[derive(Debug, thiserror::Error)]
#[error("it has no port")]
pub struct NoPort;

impl Upstreams {
    /// The pool of this run. One of another run of the same service is dropped; what is on its way on it goes on.
    ///
    /// # Errors
    /// When the run has no port.
    pub fn of(&self, endpoint: &RunEndpoint) -> Result<Rc<Pool>, NoPort> {
        let mut pools = self.0.borrow_mut();
        if let Some((run, pool)) = pools.get(&endpoint.service)
            && *run == endpoint.run
        {
            return Ok(Rc::clone(pool));
        }
        let address = (Ipv4Addr::LOCALHOST, endpoint.port.ok_or(NoPort)?).into();
        let pool = Rc::new(Pool::new(address));
        pools.insert(endpoint.service.clone(), (endpoint.run, Rc::clone(&pool)));
        Ok(pool)
    }
}
