//! Connections to remotes, over HTTP and TLS.

use std::time::Duration;

use greenroom_actors::remote::Remotes;
use hyper::body::Body;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::body::Lent;

/// How long a connection may take to be made; a machine that is gone does not refuse it.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection may be idle. Servers close theirs after 5 s and more; one that is closed while a request is on
/// its way is tried again only if nothing of it was sent.
const IDLE: Duration = Duration::from_secs(4);

/// Connections that requests go over, kept for the next one.
pub type Connections = Client<HttpsConnector<HttpConnector>, Lent>;

/// Makes connections. Clones share what is known of certificates.
#[derive(Debug, Clone)]
pub struct Connector(HttpsConnector<HttpConnector>);

impl Connector {
    /// For these remotes. The system's certificates are read only where one of them speaks TLS; those in the file that
    /// `SSL_CERT_FILE` names, or the folder of `SSL_CERT_DIR`, take their place.
    #[must_use]
    pub fn new(remotes: &Remotes) -> Self {
        Self::for_urls(remotes.iter().map(|remote| remote.spec()).flat_map(|spec| {
            let reset = spec.reset.http.iter().map(|(_method, url)| url.as_str());
            spec.urls.iter().map(String::as_str).chain(reset)
        }))
    }

    /// The same for these URLs.
    #[must_use]
    pub fn for_urls<'a>(urls: impl IntoIterator<Item = &'a str>) -> Self {
        let mut http = HttpConnector::new();
        // Without it a small piece waits for the acknowledgement of the one before.
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        let has_tls = urls.into_iter().any(|url| url.starts_with("https:"));
        let tls = has_tls.then(trusting_the_system).flatten().unwrap_or_else(trusting_nobody);
        Self(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http))
    }

    /// Connections that are kept, for one worker.
    #[must_use]
    pub fn pool(&self) -> Connections {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(self.0.clone())
    }

    /// Connections that are not kept: each request makes one of its own, and shows whether that can be done.
    #[must_use]
    pub fn single<B: Body<Data: Send> + Send>(&self) -> Client<HttpsConnector<HttpConnector>, B> {
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(self.0.clone())
    }
}

/// With the provider named: which one is meant is not to depend on what an application brings along.
fn settings() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = ring::default_provider().into();
    // The versions are those of this provider itself; a refusal cannot be.
    let settings = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    settings.unwrap_or_else(|_| ClientConfig::builder())
}

fn trusting_the_system() -> Option<ClientConfig> {
    match settings().with_native_roots() {
        Ok(settings) => Some(settings.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(
                "nobody can be asked over https: no certificates are found ({error}); install ca-certificates, or \
                 name a file of them in SSL_CERT_FILE"
            );
            None
        }
    }
}

fn trusting_nobody() -> ClientConfig {
    settings().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}
