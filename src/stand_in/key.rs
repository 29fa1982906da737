//! The key that llama-server asks of whoever speaks to it (`--api-key`).

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::Next,
    web::Data,
};
use serde_json::json;

use super::http::Engine;

/// What is answered to everybody (llama.cpp, `tools/server/server-http.cpp`).
const PUBLIC: &[&str] = &["/health", "/v1/health", "/models", "/v1/models"];

/// Lets in whoever has the key, if there is one; nobody else gets as far as to be worked for.
pub async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let key = request.app_data::<Data<Engine>>().and_then(|engine| engine.key.as_deref());
    let said = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if key.is_none() || said == key || PUBLIC.contains(&request.path()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let error = json!({ "message": "Invalid API Key", "type": "authentication_error", "code": 401 });
    let refused = HttpResponse::Unauthorized().json(json!({ "error": error }));
    Ok(request.into_response(refused).map_into_right_body())
}
