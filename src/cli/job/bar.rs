//! How a job that is waited for is shown: one line that is drawn anew on a terminal, a line for each change elsewhere. Pure.

use greenroom_actors::{
    job::{JobState, JobView},
    plain::plain,
};

use crate::cli::table::cut;

/// Columns of the bar itself.
const BAR: usize = 24;

/// The line of a terminal with `width` columns.
#[must_use]
pub fn drawn(view: &JobView, width: usize) -> String {
    let text = match (view.state, &view.progress) {
        (JobState::Running, Some(step)) => {
            // The ratio is from 0 to 1, so this is within the bar.
            let full = ((step.ratio * BAR as f64) as usize).min(BAR);
            format!("{} [{}{}] {}", view.job, "#".repeat(full), "-".repeat(BAR - full), step)
        }
        _ => format!("{} {}", view.job, state(view)),
    };
    // The last column stays free: some terminals begin a new line when it is written.
    cut(&text, width.saturating_sub(1))
}

/// The line for a change.
#[must_use]
pub fn line(view: &JobView) -> String {
    match (view.state, &view.progress) {
        (JobState::Running, Some(step)) => format!("job {} ({}): {}", view.id, view.job, step),
        _ => format!("job {} ({}): {}", view.id, view.job, plain(&state(view))),
    }
}

fn state(view: &JobView) -> String {
    let again = if view.attempt > 1 { format!(", attempt {}", view.attempt) } else { String::new() };
    let reason = view.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{}{again}{reason}", view.state.name())
}

#[cfg(test)]
mod tests {
    use greenroom_actors::job::JobProgress;

    use super::*;
    use crate::cli::job::show::tests::job;

    #[test]
    fn a_bar_is_as_full_as_the_job_has_come_far() {
        let mut view = job("running");
        view.progress = Some(JobProgress::of(3, 4, Some(0.4)));
        assert_eq!(drawn(&view, 80), "image [##################------] 3/4, 0.4s left");
        assert_eq!(line(&view), format!("job {} (image): 3/4, 0.4s left", view.id));
        assert_eq!(drawn(&view, 20).chars().count(), 19);
        view.progress = Some(JobProgress::of(4, 4, None));
        assert!(drawn(&view, 80).starts_with("image [########################] 4/4"));
    }

    #[test]
    fn one_that_waits_says_for_what() {
        let mut view = job("waiting");
        view.reason = Some("waits for chat to leave".to_owned());
        view.attempt = 2;
        assert_eq!(drawn(&view, 80), "image waiting, attempt 2 (waits for chat to leave)");
        assert!(line(&view).ends_with("(image): waiting, attempt 2 (waits for chat to leave)"));
    }
}
