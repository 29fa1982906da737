//! Work that goes on after its request was answered, as ComfyUI's does: `POST /prompt` puts it into a queue, `GET /queue`
//! tells of it. One piece is worked on at a time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use greenroom_actors::os::clock;
use serde_json::{Value, json};

/// The queue, as the moments at which its pieces are done.
#[derive(Debug)]
pub struct Work {
    each: Duration,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    taken: u64,
    /// Number and end of each, the first one first.
    ends: Vec<(u64, Instant)>,
}

impl Work {
    /// A queue whose pieces take `each`.
    pub fn new(each: Duration) -> Self {
        Self { each, queue: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Queue, Instant) -> T) -> T {
        let now = clock::now();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.ends.retain(|(_, end)| *end > now);
        work(&mut queue, now)
    }
}

impl Queue {
    fn add(&mut self, now: Instant, each: Duration) -> u64 {
        let begin = self.ends.last().map_or(now, |(_, end)| *end);
        self.taken += 1;
        self.ends.push((self.taken, begin + each));
        self.taken
    }

    fn told(&self) -> Value {
        let all: Vec<Value> = self.ends.iter().map(|(number, _)| json!([number, number.to_string()])).collect();
        let (running, pending) = all.split_at(all.len().min(1));
        json!({ "queue_running": running, "queue_pending": pending })
    }
}

/// Adds the routes; a [`Work`] must be there as app data.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/prompt", web::post().to(prompt)).route("/queue", web::get().to(queue));
}

async fn prompt(work: Data<Work>) -> HttpResponse {
    let number = work.with(|queue, now| queue.add(now, work.each));
    HttpResponse::Ok().json(json!({ "prompt_id": number.to_string(), "number": number, "node_errors": {} }))
}

async fn queue(work: Data<Work>) -> HttpResponse {
    HttpResponse::Ok().json(work.with(|queue, _| queue.told()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_worked_on_at_a_time() {
        let (mut queue, now, each) = (Queue::default(), clock::now(), Duration::from_secs(1));
        assert_eq!((queue.add(now, each), queue.add(now, each)), (1, 2));
        assert_eq!(queue.ends, [(1, now + each), (2, now + each * 2)]);
        assert_eq!(queue.told(), json!({ "queue_running": [[1, "1"]], "queue_pending": [[2, "2"]] }));
        assert_eq!(Queue::default().told(), json!({ "queue_running": [], "queue_pending": [] }));
    }
}
