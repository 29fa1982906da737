//! What a runtime stands on before it has any actor: how process trees are held, and the guardian that would end them
//! after it. Where one of the two cannot be had, or the start fails later, nothing of either is left.

use std::sync::Arc;

use greenroom_actors::{
    os::{
        containment::{Containment, KeepingContainment, Place, Selection},
        guardian::Charge,
    },
    spec::{OnRuntimeExit, RuntimeSpec, ServiceSpec},
};

use super::{StartError, guardian_watch::Posted, launch::warn};

/// Proven, and guarded.
pub(super) struct Ground {
    /// How trees are held.
    pub containment: Arc<dyn Containment>,
    /// Who ends them when the runtime dies.
    pub guardian: Posted,
}

impl Ground {
    /// Posts the guardian and proves what was selected, which may need one.
    ///
    /// # Errors
    /// When the guardian does not start, or trees or kept runs cannot be held as the configuration asks.
    pub(super) async fn prepare(
        selection: Selection,
        place: Place,
        charge: Charge,
        spec: &RuntimeSpec,
    ) -> Result<Self, StartError> {
        let containment = Arc::clone(&selection.containment);
        let guardian = match Posted::start(spec.guardian, charge, selection.nursery.clone()).await {
            Ok(guardian) => guardian,
            Err(error) => {
                close(containment.as_ref());
                return Err(error.into());
            }
        };
        match hold(selection, place, spec).await {
            Ok(containment) => Ok(Self { containment, guardian }),
            Err(error) => {
                Self { containment, guardian }.leave().await;
                Err(error)
            }
        }
    }

    /// The end of a start that has come to nothing.
    pub(super) async fn leave(self) {
        close(self.containment.as_ref());
        self.guardian.dismiss().await;
    }
}

/// Settles on a containment, and makes sure of one for kept runs where there are any.
async fn hold(selection: Selection, place: Place, spec: &RuntimeSpec) -> Result<Arc<dyn Containment>, StartError> {
    let known = selection.tried.len();
    let selection = selection.settle().await?;
    selection.tried.iter().skip(known).for_each(warn);
    let keeping = KeepingContainment::new(selection.containment, place, selection.nursery, spec.service_logs);
    let keeps = |service: &ServiceSpec| service.stop.on_runtime_exit == OnRuntimeExit::Keep;
    if spec.services.iter().any(keeps) {
        keeping.prepare().map_err(StartError::Keep)?;
    }
    Ok(Arc::new(keeping))
}

/// Removes what held the trees, once they have ended.
pub(super) fn close(containment: &dyn Containment) {
    if let Err(error) = containment.close() {
        tracing::error!("the containment could not be removed ({error}); the next start looks at it again");
    }
}
