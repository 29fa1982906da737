//! Errors of services that pass by: a service that goes on running may say in an answer what is wrong with it.
//!
//! The beginning of an answer of status 500 and above is kept beside as it passes, and looked at once it is over. Nothing is
//! held back or changed, and a good answer costs one comparison.

use std::{
    cell::RefCell,
    collections::HashMap,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
};
use bytes::Bytes;
use greenroom_actors::{
    engines::FailureRules,
    ids::ServiceName,
    spec::ServiceSpec,
    witness::{FailureSeen, SeenIn, Witness},
};
use hyper::{Response, StatusCode, header};

use crate::runtime::RunEndpoint;

/// The most of an answer that is looked at: a traceback is less.
const LONGEST: usize = 64 << 10;
/// The most of a line that is told.
const LONGEST_LINE: usize = 512;

/// The failure rules of the services that have answered with an error, compiled once for each configuration.
#[derive(Debug, Default)]
pub struct Rules(RefCell<HashMap<ServiceName, Compiled>>);

#[derive(Debug)]
struct Compiled {
    of: Arc<ServiceSpec>,
    rules: Option<Rc<FailureRules>>,
}

impl Rules {
    /// Those of this service.
    fn of(&self, spec: &Arc<ServiceSpec>) -> Option<Rc<FailureRules>> {
        let mut known = self.0.borrow_mut();
        if let Some(compiled) = known.get(&spec.name).filter(|compiled| Arc::ptr_eq(&compiled.of, spec)) {
            return compiled.rules.clone();
        }
        // The configuration has made sure that they compile.
        let rules = FailureRules::new(&spec.engine, &spec.failure).ok().map(Rc::new);
        known.insert(spec.name.clone(), Compiled { of: Arc::clone(spec), rules: rules.clone() });
        rules
    }
}

/// What keeps the beginning of an error, and looks at it when it is dropped.
#[derive(Debug)]
pub struct Ear {
    rules: Rc<FailureRules>,
    witness: Witness,
    endpoint: RunEndpoint,
    status: StatusCode,
    heard: Vec<u8>,
}

impl Ear {
    /// For this answer of a service, if it is worth listening to.
    pub fn on<B>(
        answer: &Response<B>,
        endpoint: &RunEndpoint,
        spec: &Arc<ServiceSpec>,
        rules: &Rules,
        witness: &Witness,
    ) -> Option<Box<Self>> {
        let is_plain = answer.headers().get(header::CONTENT_ENCODING).is_none_or(|how| how == "identity");
        if !answer.status().is_server_error() || !is_plain {
            return None;
        }
        let (rules, witness, endpoint) = (rules.of(spec)?, witness.clone(), endpoint.clone());
        Some(Box::new(Self { rules, witness, endpoint, status: answer.status(), heard: Vec::new() }))
    }

    /// Hears a piece of it.
    pub fn hear(&mut self, piece: &[u8]) {
        let room = LONGEST - self.heard.len();
        self.heard.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The answer, heard as it passes.
    pub fn follow(self: Box<Self>, response: HttpResponse) -> HttpResponse {
        response.map_body(|_, body| BoxBody::new(Overheard { body, ear: self }))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let Some((class, action)) = self.rules.action_of(&self.heard) else { return };
        let matches = |line: &&[u8]| self.rules.class_of(line).is_some();
        // A pattern may reach over the end of a line.
        let line = self.heard.split(|byte| *byte == b'\n').find(matches).unwrap_or(&self.heard);
        let line = String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]).into_owned();
        let RunEndpoint { service, run, .. } = self.endpoint.clone();
        let seen = SeenIn::Answer(self.status.as_u16());
        self.witness.tell(FailureSeen { service, run, class, action, line, seen });
    }
}

/// A body that somebody listens to.
struct Overheard {
    body: BoxBody,
    ear: Box<Ear>,
}

impl MessageBody for Overheard {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = ready!(Pin::new(&mut self.body).poll_next(cx));
        if let Some(Ok(piece)) = &piece {
            self.ear.hear(piece);
        }
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, path::Path};

    use greenroom_actors::{
        failure::{FailureAction, FailureClass},
        ids::RunId,
    };

    use super::*;
    use crate::config::{Sources, load_text};

    fn service() -> Arc<ServiceSpec> {
        let text = "[service.webui]\nengine = \"a1111\"\ncommand = \"/bin/sleep ${port}\"\n";
        let sources = Sources { env: vec![("HOME".to_owned(), "/nowhere".to_owned())], ..Sources::default() };
        let loaded = load_text("greenroom.toml", text, Path::new("/"), &sources);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
        Arc::new(loaded.spec.services.into_iter().next().expect("one"))
    }

    fn answer(status: u16, encoding: Option<&str>) -> Response<()> {
        let mut answer = Response::builder().status(status);
        if let Some(encoding) = encoding {
            answer = answer.header("Content-Encoding", encoding);
        }
        answer.body(()).expect("an answer")
    }

    /// A body of these pieces, as it comes out, and what was told of it.
    async fn overheard(
        status: u16,
        encoding: Option<&str>,
        body: &'static str,
    ) -> (Bytes, Vec<(FailureClass, String)>) {
        let (witness, rules, spec) = (Witness::default(), Rules::default(), service());
        let endpoint = RunEndpoint { service: spec.name.clone(), run: RunId::fresh(), port: None };
        let response = HttpResponse::InternalServerError().body(body);
        let response = match Ear::on(&answer(status, encoding), &endpoint, &spec, &rules, &witness) {
            Some(ear) => ear.follow(response),
            None => response,
        };
        let mut body = response.into_body();
        let mut whole = Vec::new();
        while let Some(piece) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
            whole.extend_from_slice(&piece.expect("it does not break off"));
        }
        drop(body);
        let traces = witness.traces(&spec.name, endpoint.run);
        assert!(traces.iter().all(|trace| trace.action == trace.class.action()));
        (whole.into(), traces.into_iter().map(|trace| (trace.class, trace.line)).collect())
    }

    #[actix_rt::test]
    async fn an_error_passes_as_it_is_and_is_told_with_its_line() {
        let body = "Traceback\n  NansException: all NaNs\nend";
        let (whole, told) = overheard(500, None, body).await;
        assert_eq!(whole, body);
        assert_eq!(told, [(FailureClass::Nan, "  NansException: all NaNs".to_owned())]);
        assert_eq!(FailureClass::Nan.action(), FailureAction::RestartOnce);
    }

    #[actix_rt::test]
    async fn what_is_no_error_is_compressed_or_says_nothing_is_not_told() {
        for (status, encoding, body) in [
            (200, None, "NansException"),
            (422, None, "NansException"),
            (500, Some("gzip"), "NansException"),
            (503, None, "busy"),
        ] {
            assert_eq!(overheard(status, encoding, body).await.1, [], "{status} {encoding:?} {body}");
        }
    }

    #[actix_rt::test]
    async fn only_the_beginning_is_looked_at_and_all_of_it_passes() {
        let body: &'static str = Box::leak(format!("{}NansException", "x".repeat(LONGEST)).into_boxed_str());
        let (whole, told) = overheard(500, None, body).await;
        assert_eq!((whole.len(), told.len()), (body.len(), 0));
        let body: &'static str = Box::leak(format!("NansException{}", "x".repeat(LONGEST)).into_boxed_str());
        let (whole, told) = overheard(500, None, body).await;
        assert_eq!((whole.len(), told.len(), told[0].1.len()), (body.len(), 1, LONGEST_LINE));
    }

    #[test]
    fn rules_are_compiled_once_for_each_configuration() {
        let (rules, spec) = (Rules::default(), service());
        let first = rules.of(&spec).expect("they compile");
        assert!(Rc::ptr_eq(&first, &rules.of(&spec).expect("they compile")));
        let changed = service();
        assert!(!Rc::ptr_eq(&first, &rules.of(&changed).expect("they compile")));
    }
}
