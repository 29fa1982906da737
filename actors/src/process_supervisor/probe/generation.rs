//! Asks an engine for a token now and then: one that answers its probe may still be wedged.

use std::cell::Cell;

use tokio::time::sleep;

use super::{
    health::Health,
    http,
    token::{Bustle, Reply, Stillness, Tact},
};
use crate::{
    cause::chain,
    engines::HttpCall,
    os::clock,
    process_supervisor::{lifecycle::RunNews, run::Reporter},
    spec::{FailureClass, GenerationSpec, ServiceSpec},
    units::format_duration,
};

/// In vain so many times in a row: one slow answer condemns nobody.
const TRIES: u32 = 2;

/// Asks as often as it is configured, and tells when a token is waited for in vain. The question goes past the gate, so that
/// it counts as no work and keeps nothing in memory. Where it is not taken, nobody can know from it whether the engine works,
/// which is said in the log, once in a run. Ends where there is nothing to ask, and when that was told.
pub(super) async fn watch_generation(health: &Health, report: &Reporter) {
    let spec = &health.spec;
    let (Some(every), Some(port)) = (spec.alive.generation, health.values.port) else { return };
    let Some(call) = spec.engine.generation(Some(model_of(spec))) else { return };
    let key = key_of(health);
    let asking = Asking { health, every, port, call, key, has_warned: Cell::new(false) };
    let mut stillness = Stillness::new(clock::now(), asking.look());
    loop {
        sleep(every.every).await;
        let mut told = None;
        for _ in 0..TRIES {
            told = asking.ask(&mut stillness).await;
            if told.is_none() {
                break;
            }
        }
        if let Some(reason) = told {
            return report(RunNews::Failing { class: FailureClass::Timeout, reason });
        }
    }
}

/// The name that it goes by in a request.
fn model_of(spec: &ServiceSpec) -> &str {
    let served = spec.serves.first().map(String::as_str);
    spec.door.upstream_model.as_deref().or(served).unwrap_or(spec.name.as_str())
}

/// The key that it takes, where its own command or environment says one. Nobody else is asked with it, and no log has it.
fn key_of(health: &Health) -> Option<String> {
    let words = health.spec.engine.key_words()?;
    let arguments: Vec<String> = health.spec.command.iter().map(|part| part.render(&health.values)).collect();
    let variable = |name: &str| {
        let last = (health.env)().into_iter().rfind(|(known, _)| known == name);
        last.and_then(|(_, value)| value.into_string().ok())
    };
    words.key(&arguments, variable)
}

struct Asking<'a> {
    health: &'a Health,
    every: GenerationSpec,
    port: u16,
    call: HttpCall,
    key: Option<String>,
    has_warned: Cell<bool>,
}

impl Asking<'_> {
    /// Asks once, if it may be asked now. Tells what came instead of a token, where that says anything.
    async fn ask(&self, stillness: &mut Stillness) -> Option<String> {
        let alive = &self.health.spec.alive;
        let tact = Tact { slots: self.health.spec.door.max_concurrency, patience: alive.busy_timeout };
        let before = self.look();
        if !tact.asks(&before, stillness.note(clock::now(), before)) {
            return None;
        }
        let GenerationSpec { timeout, .. } = self.every;
        let HttpCall { method, path, .. } = &self.call;
        let asked = http::call_with(self.port, &self.call, self.key.as_deref(), timeout).await;
        let came = match asked.map(|status| (Reply::of(status.as_u16()), status.as_u16())) {
            Ok((Reply::Works, _)) => return None,
            Ok((Reply::Refuses, status)) => {
                self.warn(status);
                return None;
            }
            Ok((Reply::Fails, status)) => format!("generated no token: {method} {path} answers {status}"),
            Err(http::HttpError::TimedOut(_)) => format!("generated no token within {}", format_duration(timeout)),
            Err(error) => format!("generated no token: {method} {path}: {}", chain(&error)),
        };
        let after = self.look();
        tact.tells(&before, &after, stillness.note(clock::now(), after))
            .then(|| format!("it answers its probe, but {came}"))
    }

    /// Says once that nothing can be learned in this way, and what to do.
    fn warn(&self, status: u16) {
        if self.has_warned.replace(true) {
            return;
        }
        let (spec, HttpCall { method, path, .. }) = (&self.health.spec, &self.call);
        let remedy = match (status, spec.engine.key_words()) {
            (401 | 403, Some(words)) => {
                format!(
                    "have its key as an argument of its own behind {} in `command`, or as {} in `env`",
                    words.option, words.variable
                )
            }
            (404, _) => {
                format!("it is asked as `{}`: have the name that it serves in `upstream_model`", model_of(spec))
            }
            _ => "it takes no such question".to_owned(),
        };
        tracing::warn!(
            service = %spec.name,
            "alive.generation notices nothing: {method} {path} answers {status}; {remedy}, or leave alive.generation out"
        );
    }

    fn look(&self) -> Bustle {
        let Health { gate, said, .. } = self.health;
        Bustle {
            open: gate.is_open(),
            in_flight: gate.in_flight(),
            entries: gate.entries(),
            moves: gate.moves(),
            said: said.get(),
        }
    }
}
