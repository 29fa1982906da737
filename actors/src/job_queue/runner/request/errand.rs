//! One request and all that belongs to it: its progress, its answer, and how it is told to stop.

use std::{cell::RefCell, future::pending, path::PathBuf, sync::Arc, time::Duration};

use actix_rt::time::sleep;
use tokio::time::{sleep_until, timeout};

use super::Trouble;
use crate::{
    engines::{EngineRef, FailureRules, Followed, HttpCall, Interrupt},
    failure::FailureRule,
    job::{JobId, JobProgress, JobResult},
    job_queue::{
        attempt::{Attempt, AttemptNews, Teller},
        runner::{
            comfyui::{Course, Prompt},
            kept::keep,
            refused::{LONGEST_ERROR, refused},
            stillness::Stillness,
            wire::{Letter, Wire},
        },
    },
    os::clock,
    process_supervisor::probe::busy::works,
};

/// Pause between two questions how far it has come.
const PROGRESS: Duration = Duration::from_millis(500);
/// How long one of these, and a call to stop, may take.
const CALL_BOUND: Duration = Duration::from_secs(5);
/// The longest answer to one of them.
const LONGEST_CALL: usize = 1 << 20;
/// How long work that was told to stop may take to do so, how often it is told, and the pause between two looks.
pub(super) const STOP_BOUND: Duration = Duration::from_secs(30);
const STOP_AGAIN: Duration = Duration::from_secs(5);
const IDLE_LOOK: Duration = Duration::from_millis(500);

/// A request on its way.
pub(super) struct Errand<'a> {
    /// Who is asked, for errors.
    pub who: &'a str,
    /// What kind of program that is.
    pub engine: EngineRef,
    /// Which failure an error is.
    pub rules: Option<FailureRules>,
    /// How it is reached.
    pub wire: Arc<dyn Wire>,
    /// What is asked.
    pub letter: &'a Letter,
    /// For which job.
    pub job: JobId,
    /// Where the results go.
    pub folder: PathBuf,
    /// Where progress is told.
    pub tell: &'a Teller,
    /// Of a prompt: its id, once it has one.
    pub prompt: RefCell<Option<String>>,
    /// Since when it has not got on, where that matters and can be told.
    pub stillness: RefCell<Option<Stillness>>,
}

impl<'a> Errand<'a> {
    /// One for this attempt: `who` is asked over this wire, an engine of this kind, with failures of its own kind as well.
    pub fn new(
        attempt: &Attempt,
        who: &'a str,
        engine: &EngineRef,
        failures: &[FailureRule],
        wire: Arc<dyn Wire>,
        letter: &'a Letter,
        tell: &'a Teller,
    ) -> Self {
        Self {
            who,
            engine: engine.clone(),
            // The configuration has made sure that they compile.
            rules: FailureRules::new(engine, failures).ok(),
            wire,
            letter,
            job: attempt.id,
            folder: attempt.folder.output(),
            tell,
            prompt: RefCell::new(None),
            stillness: RefCell::new(None),
        }
    }
}

impl Errand<'_> {
    /// Asks, and keeps what is answered.
    pub async fn done(&self) -> Result<JobResult, Trouble> {
        match self.engine.follows(&self.letter.method, &self.letter.path) {
            Followed::ByAnswer => self.answered().await,
            Followed::ByAsking(path) => tokio::select! {
                outcome = self.answered() => outcome,
                never = self.watch(&path) => match never {},
            },
            Followed::ByPrompt => {
                let course = Course { step: &self.steps(), moves: &|| self.moves() };
                self.as_prompt().done(self.letter, self.rules.as_ref(), &self.folder, course).await
            }
        }
    }

    fn as_prompt(&self) -> Prompt<'_> {
        Prompt { wire: self.wire.as_ref(), who: self.who, client: self.job.to_string(), id: &self.prompt }
    }

    async fn answered(&self) -> Result<JobResult, Trouble> {
        let answer = self.wire.send(self.letter).await?;
        if answer.is_good() {
            return Ok(keep(answer, self.folder.clone()).await?);
        }
        let status = answer.status;
        let body = answer.beginning(LONGEST_ERROR).await;
        Err(Trouble::Refused(refused(self.who, status, &body, self.rules.as_ref())))
    }

    /// Asks how far it has come, again and again.
    async fn watch(&self, path: &str) -> std::convert::Infallible {
        let step = self.steps();
        loop {
            sleep(PROGRESS).await;
            let asked = async {
                let answer = self.wire.send(&Letter::get(path)).await?;
                // There is no such path, or it is not for us: nobody can tell how it gets on.
                if (400..500).contains(&answer.status) {
                    self.moves();
                }
                answer.whole(LONGEST_CALL).await
            };
            if let Ok(Ok(answer)) = timeout(CALL_BOUND, asked).await
                && let Some((done, total)) = self.engine.request_step(&answer)
            {
                step(done, total);
            }
        }
    }

    /// Tells steps, at most as many as can be of use, with the time that is left at the pace so far.
    fn steps(&self) -> impl Fn(u64, u64) {
        let (began, last) = (clock::now(), RefCell::new(None));
        move |done, total| {
            if let Some(stillness) = &mut *self.stillness.borrow_mut() {
                stillness.is_at(done, total, clock::now());
            }
            if last.replace(Some((done, total))) == Some((done, total)) {
                return;
            }
            let spent = clock::now().saturating_duration_since(began).as_secs_f64();
            let eta = (done > 0).then(|| spent / done as f64 * total.saturating_sub(done) as f64);
            self.tell.tell(AttemptNews::Progress(JobProgress::of(done, total, eta)));
        }
    }

    fn moves(&self) {
        if let Some(stillness) = &mut *self.stillness.borrow_mut() {
            stillness.moves(clock::now());
        }
    }

    /// Its work begins, and may stand still for so long, where its engine tells how it gets on; zero: for ever.
    pub fn begins(&self, bound: Duration) {
        let is_told = self.engine.follows(&self.letter.method, &self.letter.path) != Followed::ByAnswer;
        let key = || format!("service.{}.limits.progress", self.who);
        let stillness = is_told.then(|| Stillness::of_request(bound, key(), clock::now())).flatten();
        self.stillness.replace(stillness);
    }

    /// Waits until it has stood still for too long, and says so.
    pub async fn stands_still(&self) -> String {
        loop {
            let (due, told) = match &*self.stillness.borrow() {
                Some(stillness) => (stillness.due(), stillness.is_stuck(clock::now()).then(|| stillness.told())),
                None => (None, None),
            };
            match (told, due) {
                (Some(told), _) => return told,
                (None, Some(due)) => sleep_until(due.into()).await,
                (None, None) => pending().await,
            }
        }
    }

    /// Tells whoever was asked to stop, again and again, until this is dropped; or until nothing of it is left, where that is
    /// known. `false` where it cannot be told. To be polled together with [`done`](Self::done).
    pub async fn interrupt(&self) -> bool {
        if self.engine.follows(&self.letter.method, &self.letter.path) == Followed::ByPrompt {
            // What is on its way there cannot be taken back yet.
            while self.prompt.borrow().is_none() {
                sleep(IDLE_LOOK).await;
            }
            return self.as_prompt().stop().await;
        }
        let Interrupt::Calls(calls) = self.engine.interrupt() else { return false };
        loop {
            self.call(&calls).await;
            sleep(STOP_AGAIN).await;
        }
    }

    async fn call(&self, calls: &[HttpCall]) {
        for call in calls {
            match timeout(CALL_BOUND, self.wire.send(&call.into())).await {
                Ok(Ok(answer)) if answer.is_good() => {}
                Ok(Ok(answer)) => {
                    tracing::warn!(service = self.who, status = answer.status, "it does not take `{}`", call.path)
                }
                Ok(Err(error)) => tracing::debug!(service = self.who, %error, "it cannot be told to stop"),
                Err(_) => tracing::debug!(service = self.who, "it does not answer when told to stop"),
            }
        }
    }

    /// Ends what an earlier runtime may have begun for this job; true once whoever was asked is idle. Nobody else is in.
    pub async fn stop_earlier(&self) -> bool {
        if self.engine.follows(&self.letter.method, &self.letter.path) == Followed::ByPrompt {
            return self.as_prompt().stop().await;
        }
        match self.engine.interrupt() {
            // The connection has broken with the runtime that had it.
            Interrupt::Disconnect => true,
            Interrupt::Restart => false,
            Interrupt::Calls(calls) => timeout(STOP_BOUND, async {
                self.call(&calls).await;
                while self.is_busy().await {
                    sleep(IDLE_LOOK).await;
                }
            })
            .await
            .is_ok(),
        }
    }

    /// Whether it says that it works, where it can say so. One that does not answer may be too busy to.
    async fn is_busy(&self) -> bool {
        let Some(question) = self.engine.busy() else { return false };
        let asked = async { self.wire.send(&Letter::get(question.path)).await?.whole(LONGEST_CALL).await };
        match timeout(CALL_BOUND, asked).await {
            Ok(Ok(answer)) => works(&answer, &question.nonempty),
            Ok(Err(_)) | Err(_) => true,
        }
    }
}
