//! Doors of a service's own: addresses at which every path is one of the service's.
//!
//! They are the gateway's door with another way in. What comes in at one is given the path that it would have at the
//! gateway, `/upstream/{service}` and its own, before anybody looks at it: keys, loading and WebSockets are the same.

use std::{
    any::Any,
    collections::HashMap,
    future::{Ready, ready},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    dev::{Extensions, Service, ServiceRequest, Transform},
    http::{Uri, uri::PathAndQuery},
};
use greenroom_actors::ids::ServiceName;
use tokio::net::{TcpStream, UnixStream};

/// Where a door is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// At an address.
    Tcp(SocketAddr),
    /// At a socket file.
    Unix(PathBuf),
}

/// Which doors belong to one service.
#[derive(Debug, Clone, Default)]
pub struct OwnDoors(Arc<HashMap<Place, ServiceName>>);

/// What a connection knows that has come in at such a door.
#[derive(Debug, Clone)]
struct CameFor(ServiceName);

impl OwnDoors {
    /// One more.
    pub fn add(&mut self, place: Place, service: ServiceName) {
        Arc::make_mut(&mut self.0).insert(place, service);
    }

    /// Whose door is at this place of this machine.
    fn of(&self, place: &Place) -> Option<&ServiceName> {
        let everywhere = || match place {
            Place::Tcp(SocketAddr::V4(at)) => Some(SocketAddr::new([0; 4].into(), at.port())),
            Place::Tcp(SocketAddr::V6(at)) => Some(SocketAddr::new([0_u16; 8].into(), at.port())),
            Place::Unix(_) => None,
        };
        self.0.get(place).or_else(|| self.0.get(&Place::Tcp(everywhere()?)))
    }

    /// To be told of each connection.
    pub fn note(&self, connection: &dyn Any, to: &mut Extensions) {
        if self.0.is_empty() {
            return;
        }
        let tcp = || Some(Place::Tcp(connection.downcast_ref::<TcpStream>()?.local_addr().ok()?));
        let unix = || {
            let address = connection.downcast_ref::<UnixStream>()?.local_addr().ok()?;
            Some(Place::Unix(address.as_pathname()?.to_owned()))
        };
        if let Some(service) = tcp().or_else(unix).and_then(|place| self.of(&place).cloned()) {
            to.insert(CameFor(service));
        }
    }
}

/// Gives what has come in at a service's door its path at the gateway. To be wrapped around everything else.
#[derive(Debug, Clone, Copy)]
pub struct ByOwnDoor;

impl<S: Service<ServiceRequest>> Transform<S, ServiceRequest> for ByOwnDoor {
    type Response = S::Response;
    type Error = S::Error;
    type Transform = Renaming<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Renaming { inner }))
    }
}

/// The same, around one worker's routes.
#[derive(Debug)]
pub struct Renaming<S> {
    inner: S,
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for Renaming<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let service = request.request().conn_data::<CameFor>().map(|CameFor(service)| service.clone());
        if let Some(uri) = service.and_then(|service| at_the_gateway(&service, request.uri())) {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
        self.inner.call(request)
    }
}

/// Where at the gateway this is that was asked of a service, byte for byte. What is no path (`*`) is none there either.
fn at_the_gateway(service: &ServiceName, uri: &Uri) -> Option<Uri> {
    let asked = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    Uri::try_from(format!("/upstream/{service}{asked}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_door_that_is_open_everywhere_is_known_at_each_address() {
        let mut doors = OwnDoors::default();
        let tcp = |text: &str| Place::Tcp(text.parse().expect("an address"));
        doors.add(tcp("127.0.0.1:1"), name("one"));
        doors.add(tcp("0.0.0.0:2"), name("two"));
        doors.add(tcp("[::]:3"), name("three"));
        doors.add(Place::Unix("/run/four".into()), name("four"));
        let of = |place: Place| doors.of(&place).map(ServiceName::as_str);
        assert_eq!(of(tcp("127.0.0.1:1")), Some("one"));
        assert_eq!(of(tcp("10.0.0.7:2")), Some("two"));
        assert_eq!((of(tcp("[::1]:3")), of(tcp("[::ffff:10.0.0.7]:3"))), (Some("three"), Some("three")));
        assert_eq!(of(Place::Unix("/run/four".into())), Some("four"));
        for nobody in [tcp("10.0.0.7:1"), tcp("127.0.0.1:9"), tcp("[::1]:2"), Place::Unix("/run/x".into())] {
            assert_eq!(of(nobody), None);
        }
    }

    #[test]
    fn what_is_asked_of_a_service_is_asked_of_it_at_the_gateway() {
        let of = |uri: &str| {
            let uri = uri.parse().expect("a target");
            at_the_gateway(&name("chat"), &uri).map(|uri| uri.to_string())
        };
        for path in ["/", "/a%2Fb/..//c?x=%20&y", "/upstream/other/x", "//evil.example/"] {
            assert_eq!(of(path), Some(format!("/upstream/chat{path}")));
        }
        assert_eq!(of("http://elsewhere/x?y").as_deref(), Some("/upstream/chat/x?y"));
        // No service has such a name.
        assert_eq!(of("*").as_deref(), Some("/upstream/chat*"));
    }
}
