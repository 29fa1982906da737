//! The runtime's side of the mutual watch: when the guardian dies, another one is started at once; where that cannot
//! be done, the runtime stops its services and ends, because nobody would end them after it.

use greenroom_actors::{
    event::{EventBus, EventKind, Severity},
    ids::Pid,
    os::{
        guardian::{Charge, Guardian, GuardianError},
        shim::nursery::Nursery,
    },
    spec::GuardianChoice,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::RuntimeHandle;

const ALERT: &str = "guardian_died";

/// A guardian at work, not watched yet.
#[derive(Debug)]
pub struct Posted {
    guardian: Option<Guardian>,
    charge: Charge,
    /// Where shims come from; follows whichever guardian is at work.
    nursery: Nursery,
    pid: watch::Sender<Option<Pid>>,
}

/// A guardian that is watched and replaced until it is told to leave.
#[derive(Debug)]
pub struct Watched {
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Posted {
    /// Starts the first guardian, of whom `nursery` gets its shims from now on. Where the config accepts life without one,
    /// a failure is only logged.
    ///
    /// # Errors
    /// When it does not start and the config requires it.
    pub async fn start(choice: GuardianChoice, charge: Charge, nursery: Nursery) -> Result<Self, GuardianError> {
        let guardian = match (Guardian::start(&charge).await, choice) {
            (Ok(guardian), _) => Some(guardian),
            (Err(error), GuardianChoice::Required) => return Err(error),
            (Err(error), GuardianChoice::BestEffort) => {
                tracing::warn!("no guardian ({error}): what a killed runtime leaves is swept at the next start");
                None
            }
        };
        if let Some(guardian) = &guardian {
            nursery.follow(&guardian.nursery());
        }
        let (pid, _) = watch::channel(guardian.as_ref().map(Guardian::pid));
        Ok(Self { guardian, charge, nursery, pid })
    }

    /// The guardian's process, as it changes.
    #[must_use]
    pub fn pid(&self) -> watch::Receiver<Option<Pid>> {
        self.pid.subscribe()
    }

    /// Begins the watch.
    pub fn watch(self, runtime: RuntimeHandle, bus: EventBus) -> Watched {
        let (leave, left) = oneshot::channel();
        Watched { leave, task: actix::spawn(self.keep(runtime, bus, left)) }
    }

    /// Lets it go when no watch was begun.
    pub async fn dismiss(self) {
        self.nursery.close();
        if let Some(guardian) = self.guardian {
            guardian.dismiss().await;
        }
    }

    async fn keep(self, runtime: RuntimeHandle, bus: EventBus, mut left: oneshot::Receiver<()>) {
        let Some(mut guardian) = self.guardian else { return };
        loop {
            tokio::select! {
                // Told, or nobody is left who could tell.
                _ = &mut left => {
                    self.nursery.close();
                    guardian.dismiss().await;
                    self.pid.send_replace(None);
                    return;
                }
                () = guardian.died() => {}
            }
            bus.emit(alert(Severity::Critical, "the guardian has died; another one is started".to_owned()));
            // Reaps it.
            guardian.dismiss().await;
            guardian = match Guardian::start(&self.charge).await {
                Ok(another) => another,
                Err(error) => {
                    self.nursery.close();
                    self.pid.send_replace(None);
                    let message = format!(
                        "no other guardian can be started ({error}): stopping, as nobody would end the services"
                    );
                    bus.emit(alert(Severity::Emergency, message));
                    runtime.begin_shutdown("the guardian died and could not be replaced");
                    return;
                }
            };
            self.nursery.follow(&guardian.nursery());
            self.pid.send_replace(Some(guardian.pid()));
            bus.emit(EventKind::AlertCleared { alert: ALERT.to_owned(), service: None });
        }
    }
}

impl Watched {
    /// The ordered end: tells the guardian to leave and waits for it; bounded by the guardian's own bounds.
    pub async fn dismiss(self) {
        // Dropping the sender is the word to leave, just as a message would be.
        drop(self.leave);
        // An error means that the watch is gone, and with it whoever could be waited for.
        drop(self.task.await);
    }
}

fn alert(severity: Severity, message: String) -> EventKind {
    EventKind::AlertRaised { alert: ALERT.to_owned(), severity, service: None, message }
}
