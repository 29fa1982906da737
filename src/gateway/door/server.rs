//! The workers of the door, and how they begin and end.
//!
//! They begin with the first guest: three threads, of which two wake twice a second for the date in their answers
//! (`DateService` in actix-http), are not for a runtime at whose door nobody ever knocks.

use std::{
    io,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{App, HttpServer, dev::ServerHandle, web::Data};
use greenroom_actors::{
    os::clock,
    spec::{GatewaySpec, ListenAddress},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    desk::Desk,
    jobs::Works,
    listen::{DoorError, GATEWAY, Listeners, Shutter},
    own::ByOwnDoor,
    peers,
    routes::{Doorway, routes},
    unread::Unread,
};
use crate::{
    gateway::{
        control::{Door, configure},
        guard::Guard,
        remotes::{self, Connector, Messenger, Watchers},
    },
    runtime::RuntimeHandle,
};

/// Threads that serve.
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).expect("two");
/// How long the threads have to end once nothing is to be waited for.
pub(super) const THREADS_END: Duration = Duration::from_secs(2);

/// The open door. Dropping it leaves it open; [`close`](Self::close) closes it.
#[derive(Debug)]
pub struct OpenDoor {
    shutter: Shutter,
    closing: watch::Sender<bool>,
    /// Who look after the remotes as long as requests can come in.
    watchers: Watchers,
    /// Done with the first guest.
    begun: JoinHandle<Serving>,
}

#[derive(Debug)]
struct Serving {
    handle: ServerHandle,
    served: JoinHandle<io::Result<()>>,
}

/// Serves on these listeners, from the first guest on. Must be called inside an actix system.
///
/// # Errors
/// When the system refuses.
pub fn open(listeners: Listeners, spec: &GatewaySpec, runtime: RuntimeHandle) -> Result<OpenDoor, DoorError> {
    let refuse = |source| DoorError::System { key: GATEWAY.to_owned(), address: told(&spec.listen), source };
    let knock = listeners.knock().map_err(refuse)?;
    let own = listeners.own();
    let (tcp, unix, shutter) = listeners.split().map_err(refuse)?;
    let (closing, _) = watch::channel(false);
    let connector = Connector::new(runtime.remotes());
    let watchers = remotes::watch(runtime.remotes(), &connector);
    let control = Data::new(Door { control: runtime.clone(), closing: closing.clone() });
    let guard = Guard::of_gateway(spec, Arc::clone(runtime.metrics()));
    let works: Arc<dyn Works> = Arc::new(runtime.clone());
    let doorway = Data::new(Doorway { runtime, works, spec: Arc::new(spec.clone()), closing: closing.clone() });
    let app = move || {
        App::new()
            .app_data(doorway.clone())
            // Made by each worker for itself: connections stay on their thread.
            .app_data(Data::new(Desk::default()))
            .app_data(Data::new(Messenger::new(&connector)))
            .app_data(control.clone())
            .app_data(Data::new(guard.clone()))
            // Model traffic first: routes are tried in this order.
            .configure(routes)
            .configure(peers::routes)
            .configure(configure::<RuntimeHandle>)
            .wrap(guard.clone())
            .wrap(Unread)
            // The last one is the first to see a request.
            .wrap(ByOwnDoor)
    };
    let most = usize::try_from(spec.max_connections).unwrap_or(usize::MAX);
    // A worker that has as many as it may passes newcomers on to the other, so that their shares add up. Of an odd number
    // one is not given.
    let workers = WORKERS.get().min(most);
    let mut server = HttpServer::new(app)
        .workers(workers)
        .on_connect(move |connection, to| own.note(connection, to))
        .disable_signals()
        // A token is sent as it comes, not with the next one.
        .tcp_nodelay(true)
        // Without this a client that leaves while it waits is not noticed.
        .h1_allow_half_closed(false)
        .client_request_timeout(spec.header_timeout)
        .max_connections((most / workers.max(1)).max(1))
        .shutdown_timeout(0);
    for listener in tcp {
        server = server.listen(listener).map_err(refuse)?;
    }
    for listener in unix {
        server = server.listen_uds(listener).map_err(refuse)?;
    }
    let begun = actix_rt::spawn(async move {
        knock.await;
        let server = server.run();
        Serving { handle: server.handle(), served: actix_rt::spawn(server) }
    });
    Ok(OpenDoor { shutter, closing, watchers, begun })
}

fn told(addresses: &[ListenAddress]) -> String {
    let tell = |address: &ListenAddress| match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    };
    addresses.iter().map(tell).collect::<Vec<_>>().join(", ")
}

impl OpenDoor {
    /// Turns newcomers away, sends those away who wait for a service, and lets answers that have begun come to their end
    /// until `until`, or until `hurry` turns to `true`; what is left then is cut off. Takes four seconds more at the very
    /// most, and next to nothing where nobody is in. Returns how many were cut off.
    pub async fn close(self, until: Instant, mut hurry: watch::Receiver<bool>) -> usize {
        let Self { shutter, closing, watchers, begun } = self;
        drop(watchers);
        // Shut sockets look like a guest. Where nobody has come, nobody is to come any more.
        begun.abort();
        let serving = begun.await.ok();
        if let Some(Serving { handle, .. }) = &serving {
            // So that the accepting thread does not stumble over what is closed next.
            drop(tokio::time::timeout(THREADS_END, handle.pause()).await);
        }
        shutter.close();
        closing.send_replace(true);
        if closing.receiver_count() > 0 {
            let left = until.saturating_duration_since(clock::now());
            tokio::select! {
                () = closing.closed() => {}
                () = tokio::time::sleep(left) => {}
                // An error means that nobody could say so any more.
                Ok(_) = hurry.wait_for(|hurry| *hurry) => {}
            }
        }
        let cut = closing.receiver_count();
        if let Some(serving) = serving {
            serving.end().await;
        }
        cut
    }
}

impl Serving {
    async fn end(self) {
        let ended = async {
            self.handle.stop(false).await;
            self.served.await
        };
        match tokio::time::timeout(THREADS_END, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("the gateway ended with an error: {error}"),
            Ok(Err(error)) => tracing::warn!("the gateway ended by itself: {error}"),
            Err(_) => tracing::warn!("the gateway's threads did not end in {THREADS_END:?}"),
        }
    }
}
