//! Requests to remotes: what answers elsewhere and is not started here.
//!
//! `client` speaks HTTP and TLS with them, [`pass()`] sends a request to the URL that is chosen and the answer back, `body`
//! is a request's body that can go to the next URL as long as nothing of it was sent, `written` what is asked, [`watch`]
//! asks each URL for its health, and [`Postman`] speaks to one that is no remote: a webhook. What is decided, [`greenroom_actors::remote`] decides.

mod body;
mod client;
mod pass;
mod post;
mod watch;
mod wire;
mod written;

pub use body::Lent;
pub use client::Connector;
pub use pass::{Letter, Messenger, Passed, broken_off, counted, pass};
pub use post::Postman;
pub use watch::{Watchers, watch};
pub use wire::FarConnections;
