//! Further endpoints that clients ask: completions of llama-server and OpenAI, OpenAI's embeddings and images, Anthropic's
//! messages. The words are those of a chat; a vector and a picture are the same for everybody.

use std::{io, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Json, ServiceConfig},
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    http::{Engine, token},
    picture::pixel_in_json,
};

/// The length of an embedding.
const DIMENSIONS: usize = 8;

/// Adds the routes; the [`Engine`] must be there as app data.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/completion", web::post().to(llama_completion))
        .route("/v1/completions", web::post().to(completion))
        .route("/v1/embeddings", web::post().to(embeddings))
        .route("/v1/images/generations", web::post().to(images))
        .route("/v1/messages", web::post().to(messages))
        .route("/v1/messages/count_tokens", web::post().to(count));
}

#[derive(Debug, Deserialize)]
struct Completion {
    /// As llama-server has it.
    n_predict: Option<u32>,
    /// As OpenAI has it.
    max_tokens: Option<u32>,
}

impl Completion {
    /// Its words, each in its time.
    async fn text(&self, engine: &Engine) -> (String, u32) {
        engine.has_words().await;
        let tokens = self.n_predict.or(self.max_tokens).unwrap_or(engine.tokens());
        tokio::time::sleep(engine.token_time() * tokens).await;
        ((0..tokens).map(token).collect(), tokens)
    }
}

async fn llama_completion(engine: Data<Engine>, asked: Json<Completion>) -> HttpResponse {
    let (content, tokens) = asked.text(&engine).await;
    HttpResponse::Ok().json(
        json!({ "content": content, "tokens_predicted": tokens, "stop": true, "system_fingerprint": engine.name() }),
    )
}

async fn completion(engine: Data<Engine>, asked: Json<Completion>) -> HttpResponse {
    let (text, tokens) = asked.text(&engine).await;
    let usage = json!({ "completion_tokens": tokens, "prompt_tokens": 1, "total_tokens": tokens + 1 });
    let choice = json!({ "index": 0, "text": text, "finish_reason": "length" });
    let (object, who) = ("text_completion", engine.name());
    HttpResponse::Ok().json(json!({ "object": object, "choices": [choice], "usage": usage, "system_fingerprint": who }))
}

#[derive(Debug, Deserialize)]
struct Embeddings {
    model: String,
    input: Value,
}

async fn embeddings(asked: Json<Embeddings>) -> HttpResponse {
    let count = asked.input.as_array().map_or(1, Vec::len);
    let vector: Vec<f64> = (1..=DIMENSIONS).map(|n| 1.0 / n as f64).collect();
    let data: Vec<Value> =
        (0..count).map(|index| json!({ "object": "embedding", "index": index, "embedding": vector })).collect();
    let usage = json!({ "prompt_tokens": count, "total_tokens": count });
    HttpResponse::Ok().json(json!({ "object": "list", "model": asked.model, "data": data, "usage": usage }))
}

#[derive(Debug, Deserialize)]
struct Images {
    n: Option<usize>,
}

async fn images(asked: Json<Images>) -> HttpResponse {
    let data = vec![json!({ "b64_json": pixel_in_json() }); asked.n.unwrap_or(1).min(16)];
    HttpResponse::Ok().json(json!({ "created": 0, "data": data }))
}

#[derive(Debug, Deserialize)]
struct Messages {
    model: String,
    #[serde(default)]
    stream: bool,
    max_tokens: Option<u32>,
}

async fn count() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "input_tokens": 1 }))
}

async fn messages(engine: Data<Engine>, asked: Json<Messages>) -> HttpResponse {
    let (tokens, time) = (asked.max_tokens.unwrap_or(engine.tokens()), engine.token_time());
    if !asked.stream {
        tokio::time::sleep(time * tokens).await;
        let text: String = (0..tokens).map(token).collect();
        return HttpResponse::Ok().json(message(&asked.model, json!([{ "type": "text", "text": text }]), Some(tokens)));
    }
    let events = stream::iter(events(asked.into_inner().model, tokens));
    let told = stream::StreamExt::then(events, move |(is_token, event)| async move {
        tokio::time::sleep(if is_token { time } else { Duration::ZERO }).await;
        Ok::<_, io::Error>(Bytes::from(event))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(told)
}

/// A message as Anthropic's API has it; without `tokens` it has only begun.
fn message(model: &str, content: Value, tokens: Option<u32>) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": tokens.map(|_| "max_tokens"), "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": tokens.unwrap_or(0) },
    })
}

/// The events of a streamed message, each with whether it is a token.
fn events(model: String, tokens: u32) -> impl Iterator<Item = (bool, String)> {
    let begin = [
        event("message_start", json!({ "message": message(&model, json!([]), None) })),
        event("content_block_start", json!({ "index": 0, "content_block": { "type": "text", "text": "" } })),
    ];
    let delta = |n| json!({ "index": 0, "delta": { "type": "text_delta", "text": token(n) } });
    let end = json!({ "stop_reason": "max_tokens", "stop_sequence": null });
    let end = [
        event("content_block_stop", json!({ "index": 0 })),
        event("message_delta", json!({ "delta": end, "usage": { "output_tokens": tokens } })),
        event("message_stop", json!({})),
    ];
    let tokens = (0..tokens).map(move |n| (true, event("content_block_delta", delta(n))));
    begin.map(|event| (false, event)).into_iter().chain(tokens).chain(end.map(|event| (false, event)))
}

/// One event, whose data begins with its own name.
fn event(kind: &str, rest: Value) -> String {
    let mut data = json!({ "type": kind });
    if let (Some(data), Value::Object(rest)) = (data.as_object_mut(), rest) {
        data.extend(rest);
    }
    format!("event: {kind}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_streamed_token_by_token_between_its_beginning_and_its_end() {
        let events: Vec<_> = events("m".to_owned(), 3).collect();
        assert_eq!(events.iter().filter(|(is_token, _)| *is_token).count(), 3);
        assert!(events[0].1.starts_with("event: message_start\ndata: {\"type\":\"message_start\""), "{events:?}");
        assert!(
            events.last().is_some_and(|(_, last)| last == "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
        );
    }
}
