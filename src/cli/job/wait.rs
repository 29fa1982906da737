//! Waits for the outcome of a job and shows how far it has come.

use greenroom_actors::job::{JobId, JobProgress, JobState, JobView};
use serde_json::Value;

use super::{bar, find::look};
use crate::cli::{ask::Asked, client::Events, failure::Failure, terminal::Terminal};

/// Waits until the outcome of a job is known; gives the job as it came and as it is read. `events` began before the job was
/// looked at, so that nothing is missed.
///
/// # Errors
/// When the runtime ends before, or nobody knows the job.
pub async fn wait(
    asked: &Asked,
    mut events: Events,
    id: JobId,
    terminal: &Terminal,
) -> Result<(JobView, Value), Failure> {
    let mut shown = Shown { terminal, said: String::new() };
    loop {
        let (mut view, value) = look(asked, id).await?;
        if view.outcome.is_some() {
            shown.clear();
            return Ok((view, value));
        }
        shown.show(&view);
        // Until something has changed that the job itself has to tell.
        loop {
            let Some(event) = events.next().await else {
                shown.clear();
                return Err(Failure::JobLeft(id));
            };
            match news(&event, id) {
                News::Step(step) => {
                    view = JobView { state: JobState::Running, progress: Some(step), ..view };
                    shown.show(&view);
                }
                News::Changed => break,
                News::OfAnother => {}
            }
        }
    }
}

/// What an event says of a job.
#[derive(Debug, PartialEq)]
enum News {
    /// It has come so far.
    Step(JobProgress),
    /// It is to be looked at anew; also where events were missed.
    Changed,
    /// Nothing.
    OfAnother,
}

fn news(event: &Value, id: JobId) -> News {
    let is_it = event["job_id"].as_str().and_then(|text| text.parse().ok()) == Some(id);
    match event["type"].as_str() {
        Some("gap") => News::Changed,
        Some("job.progress") if is_it => {
            serde_json::from_value(event["progress"].clone()).map_or(News::Changed, News::Step)
        }
        Some("job.state") if is_it => News::Changed,
        _ => News::OfAnother,
    }
}

/// What stands on standard error.
struct Shown<'a> {
    terminal: &'a Terminal,
    said: String,
}

impl Shown<'_> {
    fn show(&mut self, view: &JobView) {
        if self.terminal.json {
            return;
        }
        let columns = self.terminal.redraws();
        let text = columns.map_or_else(|| bar::line(view), |columns| bar::drawn(view, columns));
        if text == self.said {
            return;
        }
        match columns {
            Some(_) => self.terminal.redraw(&text),
            None => self.terminal.note(&text),
        }
        self.said = text;
    }

    /// The line that is drawn anew is no part of what stays.
    fn clear(&self) {
        if !self.said.is_empty() && self.terminal.redraws().is_some() {
            self.terminal.redraw("");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_this_job_alone_are_news_and_so_is_a_gap() {
        let id: JobId = "01M7YVGCFCM54YTD4HWH511JAP".parse().expect("an id");
        let step = json!({ "done": 3, "total": 4, "ratio": 0.75, "eta": null });
        let told = |event: Value| news(&event, id);
        let progress = |job: &str| json!({ "id": "7-1", "type": "job.progress", "job_id": job, "progress": step });
        assert_eq!(told(progress("01M7YVGCFCM54YTD4HWH511JAP")), News::Step(JobProgress::of(3, 4, None)));
        assert_eq!(told(progress("01M7YVGCFCM54YTD4HWH511JAQ")), News::OfAnother);
        assert_eq!(told(json!({ "type": "job.state", "job_id": id, "to": "running" })), News::Changed);
        assert_eq!(told(json!({ "type": "gap", "missed": 3 })), News::Changed);
        assert_eq!(told(json!({ "type": "service.state", "service": "a" })), News::OfAnother);
    }
}
