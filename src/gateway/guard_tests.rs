//! The guard before a route, with requests as they come in.

use std::sync::Arc;

use actix_web::{
    App, HttpResponse,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode},
    test::{TestRequest, init_service, read_body_json},
    web,
};
use greenroom_actors::spec::GatewaySpec;
use serde_json::Value;

use super::guard::Guard;
use crate::runtime::metrics::{Metrics, Turned};

const PAGE: &str = "https://chat.example";

fn spec(keys: &[&str], origins: &[&str]) -> GatewaySpec {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    GatewaySpec { api_keys: owned(keys), cors_origins: owned(origins), ..GatewaySpec::default() }
}

fn guarding(spec: &GatewaySpec) -> Guard {
    Guard::of_gateway(spec, Arc::new(Metrics::new(7, 0)))
}

/// What a route behind this guard answers, which itself lets every page read what it says.
async fn ask(
    guard: &Guard,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> ServiceResponse<impl Sized + use<>> {
    let route = || async { HttpResponse::Ok().insert_header(("Access-Control-Allow-Origin", "*")).body("in") };
    let app = init_service(App::new().wrap(guard.clone()).default_service(web::to(route))).await;
    let mut request = TestRequest::default().method(method).uri(path).insert_header(("Host", "127.0.0.1:8484"));
    for &(name, value) in headers {
        request = request.insert_header((name, value));
    }
    app.call(request.to_request()).await.expect("an answer")
}

async fn status(guard: &Guard, method: Method, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    ask(guard, method, path, headers).await.status()
}

fn header<B>(answer: &ServiceResponse<B>, name: &str) -> Option<String> {
    answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
}

#[actix_rt::test]
async fn a_key_is_needed_everywhere_but_for_what_is_free() {
    let gateway = guarding(&spec(&["sk-1"], &[]));
    for path in ["/", "/api/status", "/v1/models", "/upstream/chat/health", "/health/", "/healthy", "/api/../health"] {
        assert_eq!(status(&gateway, Method::GET, path, &[]).await, StatusCode::UNAUTHORIZED, "{path}");
        let wrong = [("Authorization", "Bearer sk-2")];
        assert_eq!(status(&gateway, Method::GET, path, &wrong).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(&gateway, Method::GET, path, &[("x-api-key", "sk-1")]).await, StatusCode::OK, "{path}");
    }
    for path in ["/health", "/ready", "/health?x"] {
        assert_eq!(status(&gateway, Method::GET, path, &[]).await, StatusCode::OK, "{path}");
    }
}

#[actix_rt::test]
async fn a_page_that_is_not_listed_gets_nowhere() {
    let guard = guarding(&spec(&[], &[PAGE]));
    for (headers, code) in [
        (&[("Origin", "https://evil.example")][..], Some("cross_site")),
        (&[("Origin", "null")], Some("cross_site")),
        (&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], Some("cross_site")),
        (&[("Host", "evil.example")], Some("strange_host")),
        (&[("Host", "evil.example"), ("Origin", "http://evil.example")], Some("strange_host")),
        (&[("Origin", "http://127.0.0.1:8484")], None),
        (&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], None),
    ] {
        let answer = ask(&guard, Method::GET, "/ui", headers).await;
        assert_eq!(header(&answer, "access-control-expose-headers"), None, "{headers:?}");
        match code {
            None => assert_eq!(answer.status(), StatusCode::OK, "{headers:?}"),
            Some(code) => {
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{headers:?}");
                let app = init_service(App::new().wrap(guard.clone())).await;
                let mut request = TestRequest::default().uri("/ui").insert_header(("Host", "127.0.0.1:8484"));
                for &(name, value) in headers {
                    request = request.insert_header((name, value));
                }
                let body: Value = read_body_json(app.call(request.to_request()).await.expect("an answer")).await;
                assert_eq!((&body["error"]["code"], &body["src"]), (&code.into(), &"greenroom".into()));
            }
        }
    }
    let link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
    assert_eq!(status(&guard, Method::GET, "/unload", &link).await, StatusCode::FORBIDDEN, "it changes something");
    assert_eq!(status(&guard, Method::POST, "/api/shutdown", &link).await, StatusCode::FORBIDDEN);
}

#[actix_rt::test]
async fn a_listed_page_may_read_answers_and_refusals() {
    let guard = guarding(&spec(&["sk-1"], &[PAGE]));
    for (headers, expected) in [
        (&[("Origin", PAGE), ("x-api-key", "sk-1")][..], StatusCode::OK),
        (&[("Origin", PAGE)], StatusCode::UNAUTHORIZED),
    ] {
        let answer = ask(&guard, Method::POST, "/v1/chat/completions", headers).await;
        assert_eq!(answer.status(), expected);
        let told = ["access-control-allow-origin", "vary", "access-control-expose-headers"];
        assert_eq!(told.map(|name| header(&answer, name)), [PAGE, "Origin", "*"].map(|text| Some(text.to_owned())));
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    }
}

#[actix_rt::test]
async fn a_browser_is_told_before_it_asks_and_needs_no_key_for_that() {
    let guard = guarding(&spec(&["sk-1"], &[PAGE]));
    let asked = |origin| {
        [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization, content-type"),
            ("Access-Control-Request-Private-Network", "true"),
        ]
    };
    let answer = ask(&guard, Method::OPTIONS, "/v1/chat/completions", &asked(PAGE)).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&answer, "access-control-allow-origin").as_deref(), Some(PAGE));
    assert_eq!(header(&answer, "access-control-allow-headers").as_deref(), Some("authorization, content-type"));
    assert!(header(&answer, "access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    assert_eq!(header(&answer, "access-control-allow-private-network").as_deref(), Some("true"));
    for other in ["https://evil.example", "null", "http://127.0.0.1:8484"] {
        let answer = ask(&guard, Method::OPTIONS, "/v1/chat/completions", &asked(other)).await;
        assert_eq!((answer.status(), header(&answer, "access-control-allow-origin")), (StatusCode::FORBIDDEN, None));
    }
    assert_eq!(status(&guard, Method::OPTIONS, "/x", &[]).await, StatusCode::UNAUTHORIZED, "that is no such question");
}

#[actix_rt::test]
async fn nobody_gets_a_tunnel() {
    let guard = guarding(&spec(&[], &[]));
    assert_eq!(status(&guard, Method::CONNECT, "/", &[]).await, StatusCode::METHOD_NOT_ALLOWED);
}

#[actix_rt::test]
async fn who_is_turned_away_is_counted_by_the_reason_and_nobody_else() {
    let metrics = Arc::new(Metrics::new(7, 0));
    let gateway = Guard::of_gateway(&spec(&["sk-1"], &[PAGE]), Arc::clone(&metrics));
    let key = ("x-api-key", "sk-1");
    for (method, headers) in [
        (Method::GET, &[][..]),
        (Method::GET, &[("x-api-key", "sk-2")]),
        (Method::GET, &[key, ("Origin", "https://evil.example")]),
        (Method::OPTIONS, &[("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")]),
        (Method::CONNECT, &[key]),
        (Method::GET, &[key]),
        (Method::OPTIONS, &[("Origin", PAGE), ("Access-Control-Request-Method", "POST")]),
    ] {
        ask(&gateway, method, "/x", headers).await;
    }
    let open = Guard::of_gateway(&spec(&[], &[]), Arc::clone(&metrics));
    ask(&open, Method::GET, "/x", &[("Host", "evil.example")]).await;
    ask(&open, Method::GET, "/health", &[]).await;
    let counted: Vec<_> = metrics.refused.read().collect();
    let (key, page, host, tunnel) =
        (Turned::Unauthorized, Turned::CrossSite, Turned::StrangeHost, Turned::MethodNotAllowed);
    assert_eq!(counted, [(key, 2), (page, 2), (host, 1), (tunnel, 1)]);
    assert!(metrics.requests.read().is_empty(), "they are in no other figure");
}

#[test]
fn the_keys_are_not_in_what_is_shown_of_it() {
    let spec = spec(&["sk-secret"], &[]);
    let shown = format!("{:?} {spec:?}", guarding(&spec));
    assert!(!shown.contains("sk-secret"), "{shown}");
}
