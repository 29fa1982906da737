//! Asks an engine for a token now and then: one that answers its probe may still be wedged.

use tokio::time::sleep;

use super::{
    health::Health,
    http,
    token::{Bustle, Stillness, Tact},
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
/// it counts as no work and keeps nothing in memory. Ends where there is nothing to ask, and when that was told.
pub(super) async fn watch_generation(health: &Health, report: &Reporter) {
    let spec = &health.spec;
    let (Some(every), Some(port)) = (spec.alive.generation, health.values.port) else { return };
    let Some(call) = spec.engine.generation(Some(model_of(spec))) else { return };
    let asking = Asking { health, every, port, call };
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

struct Asking<'a> {
    health: &'a Health,
    every: GenerationSpec,
    port: u16,
    call: HttpCall,
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
        let came = match http::call(self.port, &self.call, timeout).await {
            Ok(status) if status.as_u16() < 500 => return None,
            Ok(status) => format!("generated no token: {method} {path} answers {}", status.as_u16()),
            Err(http::HttpError::TimedOut(_)) => format!("generated no token within {}", format_duration(timeout)),
            Err(error) => format!("generated no token: {method} {path}: {}", chain(&error)),
        };
        let after = self.look();
        tact.tells(&before, &after, stillness.note(clock::now(), after))
            .then(|| format!("it answers its probe, but {came}"))
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
