//! `start`, `stop`, `restart`, `load`, `offload`, `reset`: tells services something and waits for what comes of it.

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    args::{Global, Services},
    ask::{Asked, block_on, get, read, service_path},
    failure::Failure,
    follow::repeats_a_state,
    progress,
    seen::Service,
    table::{color_of, paint},
    terminal::Terminal,
    waves::{dependents_first, once},
};
use crate::runtime::{ServiceCommand, told};

/// Carries `command` out on all services side by side; a stop in waves, so that nothing loses what it depends on while
/// it still ends. After a wave with a failure no other one is begun.
pub fn run(command: ServiceCommand, args: &Services, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    let answers = block_on(async {
        let mut events = if args.no_wait { None } else { progress::events(&asked.client, terminal).await };
        let mut answers = Vec::new();
        for wave in waves(command, args, &asked).await? {
            let work = async { Ok(join_all(wave.iter().map(|name| tell(command, name, args.no_wait, &asked))).await) };
            // Also what they depend on moves while they start.
            let told = |event: &Value| match event["type"].as_str() {
                Some("service.state" | "swap.done") => true,
                // Its own refusal is the command's error.
                Some("plan.decided") => event["refusal"].is_null(),
                Some("alert.raised") => !repeats_a_state(event),
                _ => false,
            };
            let mut failed = None;
            for outcome in progress::during(&mut events, terminal, told, work).await? {
                match (outcome, &failed) {
                    (Ok((service, answer)), _) => {
                        if !terminal.json {
                            terminal.say(line(&service, args.no_wait, terminal.color))?;
                        }
                        answers.push(answer);
                    }
                    (Err(first), None) => failed = Some(first),
                    // The first one is told at the end of the command.
                    (Err(another), Some(_)) => terminal.note(format!("error: {}", another.chain())),
                }
            }
            if let Some(failure) = failed {
                return Err(failure);
            }
        }
        Ok(answers)
    })?;
    if terminal.json {
        match answers.as_slice() {
            [one] => terminal.value(one)?,
            several => terminal.value(&several)?,
        }
    }
    Ok(0)
}

/// What is told at the same time. Only an end has an order of its own: a start waits for dependencies in the runtime.
async fn waves(command: ServiceCommand, args: &Services, asked: &Asked) -> Result<Vec<Vec<String>>, Failure> {
    if !matches!(command, ServiceCommand::Stop | ServiceCommand::Offload) || args.names.len() == 1 {
        return Ok(vec![once(&args.names)]);
    }
    let path = "/api/services";
    let known: Vec<Service> = read(path, get(asked, path).await?)?;
    let depends_on = known.into_iter().map(|service| (service.name, service.depends_on)).collect();
    Ok(dependents_first(&args.names, &depends_on))
}

async fn tell(command: ServiceCommand, name: &str, no_wait: bool, asked: &Asked) -> Result<(Service, Value), Failure> {
    let wait = if no_wait { "?wait=false" } else { "" };
    let path = service_path(name, &format!("/{}{wait}", word(command)));
    let answer = asked.client.post::<Value>(&path).await.map_err(|e| asked.failure(e))?;
    Ok((read(&path, answer.clone())?, answer))
}

fn word(command: ServiceCommand) -> &'static str {
    match command {
        ServiceCommand::Start => "start",
        ServiceCommand::Stop => "stop",
        ServiceCommand::Restart => "restart",
        ServiceCommand::Reset => "reset",
        ServiceCommand::Load => "load",
        ServiceCommand::Offload => "offload",
    }
}

fn line(service: &Service, no_wait: bool, color: bool) -> String {
    let state = paint(service.state.name(), color_of(service.state), color);
    let pid = service.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let at = service.endpoint.as_ref().map(|e| format!(", {e}")).unwrap_or_default();
    let holds = service.lease.as_ref().and_then(|lease| told::amounts(lease, &[]));
    let holds = holds.map(|amounts| format!(", may hold {amounts}")).unwrap_or_default();
    let asked = if no_wait { "told; now " } else { "" };
    format!("{}: {asked}{state}{pid}{at}{holds}", service.name)
}
