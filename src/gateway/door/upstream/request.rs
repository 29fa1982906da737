//! A request as it goes to a service: the same method, path, query, headers and body, byte for byte.

use std::fmt;

use actix_web::dev::RequestHead;
use hyper::{
    Method, Request, Uri,
    header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING},
    http::uri::PathAndQuery,
};

use crate::gateway::{
    door::{
        headers::{self, Way},
        outgoing::Outgoing,
    },
    errors::ApiError,
};

/// Makes it.
///
/// # Errors
/// When it cannot be said in HTTP/1.1.
pub fn to_service(
    from: &RequestHead,
    path: &str,
    body: Outgoing,
    way: &Way<'_>,
) -> Result<Request<Outgoing>, ApiError> {
    let method = method(from).map_err(|error| refused(&error))?;
    if method == Method::CONNECT {
        return Err(refused(&"CONNECT asks for a tunnel"));
    }
    let path = PathAndQuery::try_from(path).map_err(|error| refused(&error))?;
    let mut headers = headers::to_service(&from.headers, way);
    match body.length() {
        // Another one than came where the model has been renamed.
        Some(length) => {
            if let Some(told) = headers.get_mut(CONTENT_LENGTH)
                && told.to_str().ok().and_then(|told| told.parse().ok()) != Some(length)
            {
                *told = HeaderValue::from(length);
            }
        }
        // Said here, since hyper takes it that a GET has no body.
        None => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
    // HTTP/1.1 must have one, HTTP/1.0 may come without.
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path);
    *request.headers_mut() = headers;
    Ok(request)
}

fn method(from: &RequestHead) -> Result<Method, hyper::http::method::InvalidMethod> {
    match from.method {
        actix_web::http::Method::POST => Ok(Method::POST),
        actix_web::http::Method::GET => Ok(Method::GET),
        ref other => Method::from_bytes(other.as_str().as_bytes()),
    }
}

fn refused(error: &dyn fmt::Display) -> ApiError {
    ApiError::bad_param("path", format!("it cannot be passed on: {error}"))
}
