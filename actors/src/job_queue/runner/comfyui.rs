//! A prompt of ComfyUI, from its submission to the files that it has made.
//!
//! `POST /prompt` is answered at once. The websocket is there before the prompt is sent, since what is told of a prompt goes
//! to those who listen alone; the history is looked at besides, now and then, and often where there is no websocket. So a
//! message that was lost costs time and nothing else.

mod told;

use std::{cell::RefCell, path::Path, time::Duration};

use actix_rt::time::sleep;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use self::told::{Told, ended, hear, made, places};
use super::{
    kept::{KeepError, bounded, in_background, keep_as_file},
    refused::{LONGEST_ERROR, failed, refused},
    request::Trouble,
    wire::{Answer, Letter, Wire, WireError, connect},
};
use crate::{
    engines::FailureRules,
    failure::FailureClass,
    job::{JobError, JobResult},
    process_supervisor::probe::http::HOST,
};

/// How long it may take until the websocket is there.
const GREETING: Duration = Duration::from_secs(10);
/// Pause between two looks at the history: with a websocket, and without.
const LOOKS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// Looks in a row that may fail; an engine that loads a model does not answer for a while.
const FAILED_LOOKS: u32 = 30;
/// How long one look may take.
const LOOK_BOUND: Duration = Duration::from_secs(30);
/// The longest history of one prompt, and the longest queue: each prompt in it is there as a whole.
const LONGEST_LOOK: usize = 64 << 20;
/// Looks in a row that find it neither in the queue nor in the history, after which it is taken for lost. The history is
/// written a moment after the queue is.
const MISSING_LOOKS: u32 = 3;
/// How long a prompt that was taken back may take to be gone, and the pause between two looks whether it is.
const GONE_WITHIN: Duration = Duration::from_secs(30);
const GONE_LOOK: Duration = Duration::from_millis(500);

/// A prompt, for whoever submits it and whoever wants it to end.
pub(super) struct Prompt<'a> {
    /// Who is asked.
    pub wire: &'a dyn Wire,
    /// What it is called, for errors.
    pub who: &'a str,
    /// Whose prompt it is: the same for every attempt at a job, so that an earlier one's is found again.
    pub client: String,
    /// Its id, once it has one.
    pub id: &'a RefCell<Option<String>>,
}

/// Where it is told how a prompt gets on.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    /// So many steps of so many.
    pub step: &'a dyn Fn(u64, u64),
    /// In a way that has no number; or its turn has not come.
    pub moves: &'a dyn Fn(),
}

/// A websocket, as long as there is one.
type Socket = Option<WebSocketStream<TcpStream>>;

impl Prompt<'_> {
    /// Submits it and follows it to its end; keeps what it has made in `folder`.
    pub async fn done(
        &self,
        letter: &Letter,
        rules: Option<&FailureRules>,
        folder: &Path,
        course: Course<'_>,
    ) -> Result<JobResult, Trouble> {
        let mut socket = self.listen().await;
        let id = self.submit(letter, rules).await?;
        match self.follow(&id, &mut socket, course).await? {
            Told::Failed(what) => {
                return Err(Trouble::Refused(failed(format!("`{}`: {what}", self.who), what.as_bytes(), rules)));
            }
            Told::Interrupted => {
                let what = format!("`{}` was interrupted by somebody else while it worked on this", self.who);
                return Err(Trouble::Refused(JobError::new(Some(FailureClass::Unknown), what)));
            }
            Told::Done | Told::Step(..) | Told::Moves | Told::Nothing => {}
        }
        self.fetch(&id, folder).await
    }

    /// The websocket; without one the history is asked.
    async fn listen(&self) -> Socket {
        let port = self.wire.port()?;
        let greeting = async {
            let stream = connect(port).await.map_err(|error| error.to_string())?;
            let url = format!("ws://{HOST}:{port}/ws?clientId={}", self.client);
            client_async(url, stream).await.map_err(|error| error.to_string())
        };
        match timeout(GREETING, greeting).await {
            Ok(Ok((socket, _answer))) => Some(socket),
            Ok(Err(error)) => {
                tracing::debug!(service = self.who, %error, "there is no websocket; its history is asked instead");
                None
            }
            Err(_) => None,
        }
    }

    async fn submit(&self, letter: &Letter, rules: Option<&FailureRules>) -> Result<String, Trouble> {
        let answer = self.wire.send(&Letter { body: self.submission(&letter.body)?, ..letter.clone() }).await?;
        let (status, is_good) = (answer.status, answer.is_good());
        let body = answer.beginning(LONGEST_ERROR).await;
        if !is_good {
            let said = refused(self.who, status, &body, rules);
            let named = told::refusal(&body).map(|told| format!("`{}` refuses the prompt: {told}", self.who));
            return Err(Trouble::Refused(JobError { message: named.unwrap_or(said.message.clone()), ..said }));
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = answer.get("prompt_id").and_then(Value::as_str).map(str::to_owned);
        let nameless = || self.lost(format!("it answered with status {status} and no `prompt_id`"));
        let id = id.ok_or_else(nameless)?;
        self.id.replace(Some(id.clone()));
        Ok(id)
    }

    /// The body with its sender in it. A workflow alone, as ComfyUI exports it for its API, is put into a prompt.
    fn submission(&self, body: &[u8]) -> Result<Bytes, Trouble> {
        let body: Value =
            serde_json::from_slice(body).map_err(|error| self.lost(format!("its body is no JSON: {error}")))?;
        let mut body = match body {
            Value::Object(fields) if fields.get("prompt").is_some_and(Value::is_object) => fields,
            workflow => Map::from_iter([("prompt".to_owned(), workflow)]),
        };
        body.insert("client_id".to_owned(), json!(self.client));
        Ok(Value::Object(body).to_string().into())
    }

    /// Waits for its end.
    async fn follow(&self, id: &str, socket: &mut Socket, course: Course<'_>) -> Result<Told, Trouble> {
        let (mut failures, mut missing) = (0, 0);
        loop {
            let pause = if socket.is_some() { LOOKS.0 } else { LOOKS.1 };
            let mut look = std::pin::pin!(sleep(pause));
            loop {
                tokio::select! {
                    message = next(socket) => match message.map(|text| hear(&text, id)) {
                        Some(Told::Step(done, total)) => (course.step)(done, total),
                        Some(Told::Moves) => (course.moves)(),
                        Some(Told::Nothing) => {}
                        Some(end) => return Ok(end),
                        // It broke; the history is asked at once, and from then on more often.
                        None => break,
                    },
                    () = &mut look => break,
                }
            }
            match self.look(id).await {
                Ok(Some(told @ (Told::Nothing | Told::Moves))) => {
                    (failures, missing) = (0, 0);
                    // Without a websocket nobody tells how it gets on.
                    if told == Told::Moves || socket.is_none() {
                        (course.moves)();
                    }
                }
                Ok(Some(end)) => return Ok(end),
                Ok(None) => (failures, missing) = (0, missing + 1),
                Err(error) => {
                    failures += 1;
                    if failures >= FAILED_LOOKS || matches!(error, WireError::Refused { .. }) {
                        return Err(error.into());
                    }
                }
            }
            if missing >= MISSING_LOOKS {
                return Err(self.lost("the prompt is neither in its queue nor in its history".to_owned()));
            }
        }
    }

    /// How it has ended, [`Told::Moves`] while it waits in the queue, [`Told::Nothing`] while it is worked on, and `None` where
    /// nobody knows it.
    async fn look(&self, id: &str) -> Result<Option<Told>, WireError> {
        let history = self.get(&format!("/history/{id}")).await?;
        match ended(&history, id) {
            Told::Nothing => {
                let (running, waiting) = places(&self.get("/queue").await?, |entry, _| entry == id);
                let place = if running.is_empty() { Told::Moves } else { Told::Nothing };
                Ok((!running.is_empty() || !waiting.is_empty()).then_some(place))
            }
            end => Ok(Some(end)),
        }
    }

    /// Brings what it has made.
    async fn fetch(&self, id: &str, folder: &Path) -> Result<JobResult, Trouble> {
        let mut history = Value::Null;
        for _ in 0..MISSING_LOOKS {
            history = self.get(&format!("/history/{id}")).await?;
            if ended(&history, id) != Told::Nothing {
                break;
            }
            sleep(LOOKS.1).await;
        }
        let (files, outputs) = made(&history, id);
        let mut names = Vec::new();
        for file in files {
            let query = [("filename", &file.filename), ("subfolder", &file.subfolder), ("type", &file.kind)];
            let query: Vec<String> = query.map(|(name, value)| format!("{name}={}", percent_encoded(value))).to_vec();
            let answer = self.wire.send(&Letter::get(format!("/view?{}", query.join("&")))).await?;
            if !answer.is_good() {
                let status = answer.status;
                let error = refused(self.who, status, &answer.beginning(LONGEST_ERROR).await, None);
                let message = format!("{} was made and cannot be fetched: {}", file.filename, error.message);
                return Err(Trouble::Refused(JobError { message, ..error }));
            }
            names.extend(keep_as_file(answer, folder, &file.name).await?);
        }
        let to = folder.to_owned();
        let kept = in_background(move || {
            std::fs::create_dir_all(&to)?;
            bounded(names, outputs, &to)
        });
        kept.await.map_err(|source| KeepError::Disk { folder: folder.to_owned(), source }.into())
    }

    async fn get(&self, path: &str) -> Result<Value, WireError> {
        let asked = async {
            let answer: Answer = self.wire.send(&Letter::get(path)).await?;
            let (status, is_good) = (answer.status, answer.is_good());
            let body = answer.whole(LONGEST_LOOK).await?;
            let bad = |why: String| WireError::Broken(format!("GET {path}: {why}"));
            if !is_good {
                return Err(bad(format!("status {status}")));
            }
            serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))
        };
        timeout(LOOK_BOUND, asked).await.unwrap_or_else(|_| Err(WireError::Broken(format!("GET {path}: no answer"))))
    }

    fn lost(&self, why: String) -> Trouble {
        Trouble::Lost(format!("`{}`: {why}", self.who))
    }

    /// Takes it back, or interrupts it where it is worked on; true once nothing of it is left. Prompts of the same client
    /// count as well: those of earlier attempts.
    pub async fn stop(&self) -> bool {
        timeout(GONE_WITHIN, async {
            loop {
                match self.take_back().await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => tracing::debug!(service = self.who, %error, "a prompt cannot be taken back yet"),
                }
                sleep(GONE_LOOK).await;
            }
        })
        .await
        .is_ok()
    }

    async fn take_back(&self) -> Result<bool, WireError> {
        let own = self.id.borrow().clone();
        let is_own = |id: &str, client: &str| own.as_deref() == Some(id) || client == self.client;
        let (running, waiting) = places(&self.get("/queue").await?, is_own);
        if !waiting.is_empty() {
            self.post("/queue", json!({ "delete": waiting })).await?;
        }
        if let Some(id) = running.first() {
            // Later versions interrupt it only if it is this one.
            self.post("/interrupt", json!({ "prompt_id": id })).await?;
        }
        Ok(running.is_empty() && waiting.is_empty())
    }

    async fn post(&self, path: &str, body: Value) -> Result<(), WireError> {
        let letter = Letter { method: "POST".to_owned(), path: path.to_owned(), body: body.to_string().into() };
        self.wire.send(&letter).await.map(drop)
    }
}

/// The next text of the websocket; pictures and pings are passed over. `None` once it is gone; without one, never.
async fn next(socket: &mut Socket) -> Option<String> {
    let Some(open) = socket else { return std::future::pending().await };
    loop {
        match open.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.as_str().to_owned()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            Some(Ok(_)) => {}
        }
    }
    *socket = None;
    None
}

/// A text as a value of a query (RFC 3986, section 2).
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
