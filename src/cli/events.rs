//! `events`: what happened since the runtime started, and with `-f` what happens.

use greenroom_actors::event::EventId;

use super::{
    args::{EventsArgs, Global},
    ask::{Asked, block_on, get, read},
    failure::Failure,
    follow::event_line,
    seen::Status,
    terminal::Terminal,
};

/// Prints them: from the runtime's start, or with `-f` from now on, or from `--since-id` on.
pub fn run(args: &EventsArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let since: Option<EventId> = args
        .since_id
        .as_deref()
        .map(|text| text.parse().map_err(|e| Failure::Option { option: "--since-id", why: format!("`{text}`: {e}") }))
        .transpose()?;
    let asked = Asked::find(global)?;
    block_on(async {
        let after = match since {
            Some(id) => Some(id),
            None if args.follow => None,
            None => {
                let status: Status = read("/api/status", get(&asked, "/api/status").await?)?;
                Some(EventId { epoch: status.runtime.epoch, sequence: 0 })
            }
        };
        let mut events = asked.client.events(after, args.follow).await.map_err(|e| asked.failure(e))?;
        while let Some(event) = events.next().await {
            if terminal.json {
                terminal.line(&event)?;
            } else {
                terminal.say(event_line(&event, terminal.color))?;
            }
        }
        Ok(0)
    })
}
