//! Tells services what is wanted of them, and waits for what comes of it.

use greenroom_actors::{
    admit::{any_changes, is_dead_end, tell_dependencies},
    lease::Wish,
    os::clock,
    process_supervisor::messages::{
        LoadService, OffloadService, ResetService, RestartService, StartService, StopService,
    },
    services::Supervised,
};

use super::{
    RuntimeHandle,
    command::{CommandError, ServiceCommand},
    outcome::{self, Outcome},
    view::ServiceView,
};

/// A load on the word of a person or an application.
const BY_WORD: LoadService = LoadService { wish: Wish::Wanted, lifts: true };

impl RuntimeHandle {
    /// Tells a service something and does not wait for the outcome.
    ///
    /// # Errors
    /// When there is none of that name, or the runtime is stopping.
    pub fn tell(&self, name: &str, command: ServiceCommand) -> Result<(), CommandError> {
        let target = self.find(name)?;
        if self.is_stopping() {
            return Err(CommandError::Stopping);
        }
        self.bring_dependencies(&target, command);
        let supervisor = target.supervisor.upgrade().ok_or(CommandError::Stopping)?;
        match command {
            ServiceCommand::Load => supervisor.do_send(BY_WORD),
            ServiceCommand::Offload => supervisor.do_send(OffloadService { reason: by_request() }),
            ServiceCommand::Start => supervisor.do_send(StartService { wish: Wish::Wanted }),
            ServiceCommand::Stop => supervisor.do_send(StopService { reason: by_request() }),
            ServiceCommand::Restart => supervisor.do_send(RestartService { reason: by_request() }),
            ServiceCommand::Reset => supervisor.do_send(ResetService),
        }
        Ok(())
    }

    /// Tells a service something and waits for what comes of it: `ready` or `completed` for a start, `stopped` for a
    /// stop. One that counts as ready as soon as it runs must go on running for a fifth of a second, because many
    /// programs end right after their start. Dropping the future stops the waiting, not the service.
    ///
    /// # Errors
    /// When it ended in another state (`failed`, `stuck`, `backoff` after a failed start).
    pub async fn carry_out(&self, name: &str, command: ServiceCommand) -> Result<ServiceView, CommandError> {
        let target = self.find(name)?;
        if self.is_stopping() {
            return Err(CommandError::Stopping);
        }
        let before = target.status.borrow().run_id;
        self.bring_dependencies(&target, command);
        let supervisor = target.supervisor.upgrade().ok_or(CommandError::Stopping)?;
        // Awaited, so that the status read below is one from after the command. An actor that is gone is a runtime that
        // is stopping.
        let taken = match command {
            ServiceCommand::Start => supervisor.send(StartService { wish: Wish::Wanted }).await,
            ServiceCommand::Stop => supervisor.send(StopService { reason: by_request() }).await,
            ServiceCommand::Restart => supervisor.send(RestartService { reason: by_request() }).await,
            ServiceCommand::Reset => supervisor.send(ResetService).await,
            ServiceCommand::Load => supervisor.send(BY_WORD).await,
            ServiceCommand::Offload => match supervisor.send(OffloadService { reason: by_request() }).await {
                Ok(Err(source)) => return Err(CommandError::Held(target.spec.name.clone(), source)),
                Ok(Ok(())) => Ok(()),
                Err(gone) => Err(gone),
            },
        };
        taken.map_err(|_| CommandError::Stopping)?;
        drop(supervisor);

        let mut status = target.status.clone();
        let mut awaited = self.statuses_of_dependencies(&target);
        loop {
            let now = status.borrow_and_update().clone();
            let blocked = awaited.iter().any(|d| is_dead_end(&d.borrow()));
            let look_on = match outcome::of(command, before, &now, blocked) {
                Outcome::Reached => match outcome::unproven_for(command, &target.spec, &now, clock::wall()) {
                    Some(moment) => Some(moment),
                    None => return Ok(self.view(&target)),
                },
                Outcome::Missed => return Err(CommandError::NotReached(Box::new(self.view(&target)))),
                Outcome::Open => None,
            };
            let dependency = any_changes(&mut awaited);
            let moment = async {
                match look_on {
                    Some(moment) => drop(self.inner.timer.after(moment).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = status.changed() => changed.map_err(|_| CommandError::Stopping)?,
                () = dependency => {}
                () = moment => return Ok(self.view(&target)),
            }
        }
    }

    /// A start or restart also starts what the service depends on, where that is down, and a load loads it: what is wanted
    /// of it stays as it is, as with the service itself.
    fn bring_dependencies(&self, target: &Supervised, command: ServiceCommand) {
        match command {
            ServiceCommand::Start | ServiceCommand::Restart => {
                tell_dependencies(self.inner.roster.services(), target, StartService { wish: Wish::Wanted });
            }
            ServiceCommand::Load => tell_dependencies(self.inner.roster.services(), target, BY_WORD),
            ServiceCommand::Offload | ServiceCommand::Stop | ServiceCommand::Reset => {}
        }
    }
}

fn by_request() -> String {
    "by request".to_owned()
}
