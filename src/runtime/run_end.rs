//! The end of a run, for those who use it: that it comes, that it has come, and how.

use std::time::Duration;

use greenroom_actors::state::{ExitReport, ServiceState, ServiceStatus};

use super::{RunEndpoint, RuntimeHandle};

/// How long a supervisor may take to notice the end of a run: milliseconds, on a machine that is not overloaded.
const NOTICED: Duration = Duration::from_secs(2);

impl RuntimeHandle {
    /// How a run has ended that somebody has found gone before its supervisor did. `None` where that is not known soon: it
    /// may live, and not do what it should.
    pub async fn last_words(&self, endpoint: &RunEndpoint) -> Option<ExitReport> {
        let mut status = self.watch(endpoint.service.as_str()).ok()?;
        let ended = status.wait_for(|now| !is_live(now, endpoint));
        tokio::select! {
            biased;
            // An error means that its supervisor has gone, and nobody knows any more.
            now = ended => now.ok()?.last_exit.clone(),
            _ = self.timer().after(NOTICED) => None,
        }
    }

    /// Waits until a run is asked to end, or has ended: those who only look at it are to leave then.
    pub async fn is_leaving(&self, endpoint: &RunEndpoint) {
        let Ok(mut status) = self.watch(endpoint.service.as_str()) else { return };
        // An error means that its supervisor has gone, and it with it.
        drop(status.wait_for(|now| is_on_its_way_out(now, endpoint)).await);
    }
}

/// Whether something of this run may be there. Whatever comes after it has its end for `last_exit`.
fn is_live(now: &ServiceStatus, run: &RunEndpoint) -> bool {
    now.run_id == Some(run.run) && now.state.is_live()
}

fn is_on_its_way_out(now: &ServiceStatus, run: &RunEndpoint) -> bool {
    use ServiceState::{Killing, Stopping, Stuck};
    !is_live(now, run) || matches!(now.state, Stopping | Killing | Stuck)
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{ids::RunId, state::Disposition, time::Timestamp};

    use super::*;

    #[test]
    fn a_run_is_on_its_way_out_once_it_is_told_to_end_and_not_while_others_use_it() {
        let run = RunEndpoint { service: "chat".parse().expect("a name"), run: RunId::fresh(), port: Some(1) };
        let status = |state, id| ServiceStatus {
            state,
            run_id: Some(id),
            ..ServiceStatus::initial(run.service.clone(), Disposition::Up, Timestamp::from_micros(0))
        };
        for state in ServiceState::ALL {
            use ServiceState::{Draining, Ready, Sleeping, Spawning, Starting, Unready};
            let stays = matches!(state, Spawning | Starting | Ready | Unready | Draining | Sleeping);
            assert_eq!(is_on_its_way_out(&status(state, run.run), &run), !stays, "{state:?}");
            assert!(is_on_its_way_out(&status(state, RunId::fresh()), &run), "{state:?} of another one");
        }
        assert!(is_live(&status(ServiceState::Stopping, run.run), &run));
        assert!(!is_live(&status(ServiceState::Backoff, run.run), &run));
    }
}
