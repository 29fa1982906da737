//! What a job does, act by act.

use std::{collections::VecDeque, time::Duration};

use super::options::{JobOptions, Trouble};

/// Tensors that the bar of a load counts.
const TENSORS: u32 = 686;
/// Times that the bar of a load is drawn.
const DRAWN: u32 = 8;

/// One act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Draws the bar of the load.
    Weights(u32, u32),
    /// Has the memory it needs.
    Loaded,
    /// Draws the bar of a picture.
    Step(u32, u32),
    /// Writes the pictures.
    Save,
    /// Says what is wrong and ends.
    Fail(Trouble),
    /// Ends.
    End,
}

/// A script: acts, each with the pause before it.
pub type Script = VecDeque<(Duration, Act)>;

/// What a job with these options does, whose load takes so long.
pub fn script(options: &JobOptions, load: Duration, trouble: Option<Trouble>) -> Script {
    let mut script = Script::new();
    let early = trouble.filter(|trouble| matches!(trouble, Trouble::Oom | Trouble::OomHost | Trouble::BadModel));
    if let Some(trouble) = early {
        script.push_back((load / 2, Act::Fail(trouble)));
        return script;
    }
    for n in 1..=DRAWN {
        script.push_back((load / DRAWN, Act::Weights(TENSORS * n / DRAWN, TENSORS)));
    }
    script.push_back((Duration::ZERO, Act::Loaded));
    if trouble == Some(Trouble::OomCompute) {
        script.push_back((Duration::ZERO, Act::Fail(Trouble::OomCompute)));
        return script;
    }
    let step = Duration::from_millis(options.step_ms);
    for _ in 0..options.batch_count.max(1) {
        for n in 1..=options.steps {
            if trouble == Some(Trouble::Crash) && n > options.steps / 2 {
                script.push_back((Duration::ZERO, Act::Fail(Trouble::Crash)));
                return script;
            }
            script.push_back((step, Act::Step(n, options.steps)));
        }
    }
    let last = if trouble == Some(Trouble::NoPicture) { Act::End } else { Act::Save };
    script.push_back((Duration::ZERO, last));
    if last != Act::End {
        script.push_back((Duration::ZERO, Act::End));
    }
    script
}

/// A bar as stable-diffusion.cpp draws it (`src/util.cpp`, `print_progress_line`).
pub fn bar(done: u32, of: u32, pace: &str) -> String {
    const WIDTH: u32 = 50;
    let current = done * WIDTH / of.max(1);
    let place = |n| match n {
        n if n > current => ' ',
        n if n == current && n != WIDTH - 1 => '>',
        _ => '=',
    };
    let drawn: String = (0..WIDTH).map(place).collect();
    format!("\r  |{drawn}| {done}/{of} - {pace}\u{1b}[K{}", if done == of { "\n" } else { "" })
}

/// The pace of steps that take so long, as it is drawn (`pretty_progress`).
pub fn pace(step: Duration) -> String {
    let seconds = step.as_secs_f64().max(0.000_1);
    if seconds < 1.0 { format!("{:.2}it/s", 1.0 / seconds) } else { format!("{seconds:.2}s/it") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::stand_in::options::Options;

    fn acts(line: &str, trouble: Option<Trouble>) -> Vec<Act> {
        let options = Options::try_parse_from(line.split_whitespace()).expect("options").job;
        script(&options, Duration::from_secs(1), trouble).into_iter().map(|(_, act)| act).collect()
    }

    #[test]
    fn a_job_loads_takes_its_steps_writes_and_ends() {
        let acts = acts("--job --steps 3", None);
        let end = [Act::Loaded, Act::Step(1, 3), Act::Step(2, 3), Act::Step(3, 3), Act::Save, Act::End];
        assert!(acts.ends_with(&end), "{acts:?}");
        assert_eq!(acts[7], Act::Weights(TENSORS, TENSORS));
    }

    #[test]
    fn what_goes_wrong_goes_wrong_where_it_does() {
        assert_eq!(acts("--job", Some(Trouble::Oom)), [Act::Fail(Trouble::Oom)]);
        let crash = acts("--job --steps 4", Some(Trouble::Crash));
        assert!(crash.ends_with(&[Act::Step(2, 4), Act::Fail(Trouble::Crash)]), "{crash:?}");
        assert!(!acts("--job", Some(Trouble::NoPicture)).contains(&Act::Save));
    }

    #[test]
    fn a_bar_is_drawn_as_the_program_draws_it() {
        let bar = bar(1, 3, "3.52it/s");
        assert_eq!(bar, "\r  |================>                                 | 1/3 - 3.52it/s\u{1b}[K");
        assert_eq!(
            (pace(Duration::from_millis(500)), pace(Duration::from_secs(2))),
            ("2.00it/s".into(), "2.00s/it".into())
        );
    }
}
