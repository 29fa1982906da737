//! What the status of a worker says to whoever has given it a job. Pure.
//!
//! The newest status alone is looked at, so it does not matter how many were published in between. A run that was not there
//! when the worker was asked is the job's own, whether it is under way or over already: a worker begins one run for each
//! time that it is asked, and nobody else asks it.

use std::{sync::Arc, time::Duration};

use crate::{
    ids::RunId,
    memory::{Refusal, RefusalKind},
    state::{ServiceState, ServiceStatus},
};

/// The pause before memory is asked for once more, after the first refusal and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What there is to see before the job's own run has begun.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// It may be given the job, and asked to begin.
    Rests,
    /// It waits, for what the sentence says.
    Waits(String),
    /// There is no memory for it.
    Refused(Arc<Refusal>),
    /// The job's own run has begun. It may be over.
    Begun(RunId),
    /// It will not begin; a sentence.
    Never(String),
}

/// Reads the status of a worker. `asked`: whether it was asked to begin since it was seen to rest; `before` is its last run
/// of then.
pub(super) fn seen(now: &ServiceStatus, asked: bool, before: Option<RunId>) -> Seen {
    if let Some(run) = now.run_id.filter(|run| asked && Some(*run) != before) {
        return Seen::Begun(run);
    }
    if now.retired {
        return Seen::Never(format!("`{}` was taken out of the configuration", now.name));
    }
    let told = |or: &str| Seen::Waits(now.reason.clone().unwrap_or_else(|| or.to_owned()));
    match now.state {
        ServiceState::Stuck => Seen::Never(match &now.reason {
            Some(reason) => format!("an earlier process of `{}` is stuck: {reason}", now.name),
            None => format!("an earlier process of `{}` is stuck", now.name),
        }),
        state if state.is_live() => Seen::Waits(format!("waits for an earlier process of `{}` to end", now.name)),
        ServiceState::Reclaiming => told("waits for the memory of an earlier process"),
        _ if !asked => Seen::Rests,
        _ => match &now.refusal {
            Some(refusal) if now.state != ServiceState::Reserved => Seen::Refused(Arc::clone(refusal)),
            _ => told("asks for memory"),
        },
    }
}

/// Whether a refusal is for good: whoever leaves, there will never be room.
pub(super) fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.kind, RefusalKind::TooLarge)
}

/// The pause after so many refusals in a row, from 1.
pub(super) fn pause(refusals: u32) -> Duration {
    let doubled = PAUSE.0.saturating_mul(2u32.saturating_pow(refusals.saturating_sub(1).min(16)));
    doubled.min(PAUSE.1)
}

/// Whether this run is over: nothing of its processes is left.
pub(super) fn is_over(now: &ServiceStatus, run: RunId) -> bool {
    now.run_id != Some(run) || !now.state.is_live()
}

/// Whether what this run held has been measured back, too, or was given up.
pub(super) fn is_settled(now: &ServiceStatus, run: RunId) -> bool {
    now.run_id != Some(run) || !(now.state.is_live() || now.state == ServiceState::Reclaiming)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::ServiceName, state::Disposition, time::Timestamp};

    fn status(state: ServiceState) -> ServiceStatus {
        let name: ServiceName = "image".parse().expect("a name");
        ServiceStatus { state, ..ServiceStatus::initial(name, Disposition::OnDemand, Timestamp::from_micros(0)) }
    }

    fn refusal(kind: RefusalKind) -> Arc<Refusal> {
        let service = "image".parse().expect("a name");
        Arc::new(Refusal { service, kind, missing: Vec::new(), holders: Vec::new() })
    }

    #[test]
    fn a_run_that_was_not_there_before_is_its_own_also_when_it_is_over() {
        let (before, own) = (Some(RunId::fresh()), RunId::fresh());
        for state in ServiceState::ALL {
            let now = ServiceStatus { run_id: Some(own), ..status(state) };
            assert_eq!(seen(&now, true, before), Seen::Begun(own), "{state:?}");
            assert_eq!(seen(&now, true, None), Seen::Begun(own), "{state:?}");
            let same = ServiceStatus { run_id: before, ..status(state) };
            assert!(!matches!(seen(&same, true, before), Seen::Begun(_)), "{state:?}");
            assert!(!matches!(seen(&now, false, None), Seen::Begun(_)), "{state:?}: it was not asked yet");
        }
    }

    #[test]
    fn it_is_asked_once_nothing_of_an_earlier_run_is_left() {
        use ServiceState as S;
        for state in [S::Stopped, S::Offloaded, S::Completed, S::Failed] {
            assert_eq!(seen(&status(state), false, None), Seen::Rests, "{state:?}");
            assert_eq!(seen(&status(state), true, None), Seen::Waits("asks for memory".to_owned()), "{state:?}");
        }
        for state in [S::Ready, S::Stopping, S::Killing, S::Draining, S::Reclaiming] {
            assert!(matches!(seen(&status(state), false, None), Seen::Waits(_)), "{state:?}");
        }
        let stuck = ServiceStatus { reason: Some("process 7".to_owned()), ..status(S::Stuck) };
        let expected = "an earlier process of `image` is stuck: process 7";
        assert_eq!(seen(&stuck, false, None), Seen::Never(expected.to_owned()));
        assert!(matches!(seen(&ServiceStatus { retired: true, ..status(S::Stopped) }, true, None), Seen::Never(_)));
    }

    #[test]
    fn what_it_waits_for_is_told_and_a_refusal_counts_once_it_was_asked() {
        let reason = Some("waits for chat to leave".to_owned());
        let reserved = ServiceStatus { reason: reason.clone(), ..status(ServiceState::Reserved) };
        assert_eq!(Some(seen(&reserved, true, None)), reason.map(Seen::Waits));
        let no = refusal(RefusalKind::InTheWay);
        let refused = ServiceStatus { refusal: Some(Arc::clone(&no)), ..status(ServiceState::Stopped) };
        assert_eq!((seen(&refused, false, None), seen(&refused, true, None)), (Seen::Rests, Seen::Refused(no)));
    }

    #[test]
    fn only_what_never_fits_is_final_and_the_pauses_double_to_their_bound() {
        let kinds = [RefusalKind::TooLarge, RefusalKind::InTheWay, RefusalKind::NotInTime];
        assert_eq!(kinds.map(|kind| is_final(&refusal(kind))), [true, false, false]);
        let pauses: Vec<u64> = [1, 2, 3, 4, 5, 99, u32::MAX].map(|n| pause(n).as_secs()).to_vec();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10, 10]);
    }

    #[test]
    fn a_run_is_settled_once_its_memory_is_back() {
        let run = RunId::fresh();
        let at = |state| ServiceStatus { run_id: Some(run), ..status(state) };
        use ServiceState as S;
        for (state, over, settled) in [
            (S::Ready, false, false),
            (S::Killing, false, false),
            (S::Reclaiming, true, false),
            (S::Stopped, true, true),
        ] {
            assert_eq!((is_over(&at(state), run), is_settled(&at(state), run)), (over, settled), "{state:?}");
        }
        assert!(is_settled(&status(S::Ready), run), "that is another one's");
    }
}
