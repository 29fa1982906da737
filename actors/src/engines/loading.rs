//! The lines of one service's output that tell how its load gets on, or how the worker of a job gets on with that.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder, RegexSet};

use super::{EngineRef, engine::LoadStep};

/// Characters kept of a phase's name.
const LONGEST_PHASE: usize = 40;

/// What the phase of a job is called, which has no other.
const STEPS: &str = "steps";

/// Finds the lines that tell how a load, or a job, gets on. As with failures there are two questions: one about a whole
/// block of output, which is fast, and one about a line.
#[derive(Debug)]
pub struct LoadLines(Told);

/// Who knows what a line tells.
#[derive(Debug)]
enum Told {
    /// The engine, of a load.
    Load(EngineRef, Arc<RegexSet>),
    /// The engine, of a job.
    Job(EngineRef, Arc<RegexSet>),
    /// A pattern of the configuration, of a job.
    Groups(Regex),
}

impl LoadLines {
    /// Those that an engine's program prints while it loads.
    ///
    /// # Errors
    /// When one of its patterns is not a regular expression.
    pub fn new(engine: &EngineRef) -> Result<Self, regex::Error> {
        Ok(Self(Told::Load(engine.clone(), engine.progress_set()?)))
    }

    /// Those that an engine's program prints while it does a job; with `own`, the lines that this regular expression with
    /// the groups `step` and `steps` matches, and no others.
    ///
    /// # Errors
    /// When `own`, or one of the engine's patterns, is not a regular expression.
    pub fn of_job(engine: &EngineRef, own: Option<&str>) -> Result<Self, regex::Error> {
        Ok(Self(match own {
            // With several lines, so that `^` and `$` mean the same in a block as in a line.
            Some(pattern) => Told::Groups(RegexBuilder::new(pattern).multi_line(true).crlf(true).build()?),
            None => Told::Job(engine.clone(), engine.step_set()?),
        }))
    }

    /// Whether any line of this block of output can tell something. May be wrong with yes, never with no.
    #[must_use]
    pub fn may_match(&self, block: &[u8]) -> bool {
        match &self.0 {
            Told::Load(_, patterns) | Told::Job(_, patterns) => !patterns.is_empty() && patterns.is_match(block),
            Told::Groups(pattern) => pattern.is_match(block),
        }
    }

    /// What this line tells. Whatever an application's engine makes of it, the answer is sound: a phase with a name and
    /// a whole, of which no more is done than there is.
    #[must_use]
    pub fn step(&self, line: &[u8]) -> Option<LoadStep> {
        let of_job = |(done, total): (u64, u64)| LoadStep::new(STEPS, done, total);
        let told = match &self.0 {
            Told::Load(engine, _) => self.may_match(line).then(|| engine.progress(line))?,
            Told::Job(engine, _) => self.may_match(line).then(|| engine.step(line))?.map(of_job),
            Told::Groups(pattern) => grouped(pattern, line).map(of_job),
        };
        let LoadStep { phase, done, total } = told?;
        let phase: String = phase.chars().filter(|c| !c.is_control()).take(LONGEST_PHASE).collect();
        (total > 0 && !phase.is_empty()).then(|| LoadStep { phase, done: done.min(total), total })
    }
}

/// What the groups `step` and `steps` of a pattern say: whole numbers.
fn grouped(pattern: &Regex, line: &[u8]) -> Option<(u64, u64)> {
    let found = pattern.captures(line)?;
    let number = |name: &str| std::str::from_utf8(found.name(name)?.as_bytes()).ok()?.trim().parse::<u64>().ok();
    Some((number("step")?, number("steps")?))
}

/// The first `done/total` in a text that something follows, since one at the very end may be cut off in the middle.
pub(super) fn counted(text: &[u8]) -> Option<(u64, u64)> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    let mut from = 0;
    while let Some(slash) = text[from..].iter().position(|byte| *byte == b'/').map(|at| from + at) {
        let before = text[..slash].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let after = digits(&text[slash + 1..]);
        let end = slash + 1 + after;
        if before > 0 && after > 0 && end < text.len() {
            return Some((number(&text[slash - before..slash])?, number(&text[slash + 1..end])?));
        }
        from = slash + 1;
    }
    None
}

/// Where `part` ends in `text`, if it stands in it.
pub(super) fn after<'a>(text: &'a [u8], part: &str) -> Option<&'a [u8]> {
    memchr::memmem::find(text, part.as_bytes()).map(|at| &text[at + part.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::{Engine, Engines};

    fn steps(engine: &str, lines: &[&str]) -> Vec<Option<(String, u64, u64)>> {
        let lines_of = LoadLines::new(&Engines::default().named(engine).expect("an engine")).expect("patterns");
        let step = |line: &&str| lines_of.step(line.as_bytes()).map(|s| (s.phase, s.done, s.total));
        lines.iter().map(step).collect()
    }

    fn told(phase: &str, done: u64, total: u64) -> Option<(String, u64, u64)> {
        Some((phase.to_owned(), done, total))
    }

    #[test]
    fn llama_server_names_its_phases_and_older_ones_draw_dots() {
        let said = steps(
            "llama-server",
            &[
                "0.00.022.374 I srv    load_model: loading model 'big.gguf'",
                "0.00.034.206 I load_tensors: loading model tensors, this can take a while... (mmap = false)",
                ".............",
                "0.02.564.478 I llama_context: constructing llama_context",
                "0.03.177.232 I cmn  common_init_: warming up the model with an empty run - please wait ...",
                "0.03.510.789 I srv    load_model: initializing, n_slots = 1, n_ctx_slot = 4096",
                "0.03.513.707 I srv  llama_server: model loaded",
                "0.02.3 I print_info: n_layer = 1/2 ",
            ],
        );
        let expected = [
            told("weights", 0, 1),
            told("weights", 0, 1),
            told("weights", 13, 100),
            told("context", 0, 1),
            told("warmup", 0, 1),
            told("slots", 0, 1),
            None,
            None,
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn sd_server_counts_tensors_and_its_steps_of_sampling_are_none_of_a_load() {
        let bar = "  |==========>                                       | 227/1130 - 1.20GB/s\u{1b}[K";
        let lines = [bar, "  |=>      | 3/4 - 3.37it/s", "  |=>  | 12/11", "loading tensors completed, 3/4 of all"];
        assert_eq!(steps("sd-server", &lines), [told("weights", 227, 1130), None, None, None]);
    }

    #[test]
    fn vllm_counts_shards_and_graphs() {
        let lines = [
            "Loading safetensors checkpoint shards:  41% Completed | 20/49 [06:03<09:33, 19.76s/it]",
            "(EngineCore pid=7) Loading pt checkpoint shards:   0% Completed | 0/3 [00:00<?, ?it/s]",
            "Loading safetensors checkpoint shards:  41% Completed | 20/4",
            "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  12%|█▏        | 8/67 [00:00<00:04, 14.5it/s]",
            "INFO 05-06 20:59:57 [default_loader.py:384] Loading weights took 24.84 seconds",
        ];
        let expected = [told("weights", 20, 49), told("weights", 0, 3), None, told("graphs", 8, 67), None];
        assert_eq!(steps("vllm", &lines), expected);
    }

    #[test]
    fn a_webui_names_one_phase_and_any_program_none() {
        let line = "Loading weights [6ce0161689] from /models/v1-5.safetensors";
        assert_eq!(steps("a1111", &[line]), [told("weights", 0, 1)]);
        assert_eq!(steps("generic", &[line]), [None]);
        assert_eq!(steps("comfyui", &[line]), [None]);
    }

    #[test]
    fn sd_cpp_counts_the_steps_of_sampling_and_its_load_is_none_of_them() {
        let engine = Engines::default().named("sd-cpp").expect("an engine");
        let lines = LoadLines::of_job(&engine, None).expect("patterns");
        let step = |line: &str| lines.step(line.as_bytes()).map(|step| (step.done, step.total));
        let bar = "\r  |=====================================>            | 3/4 - 3.37it/s\u{1b}[K";
        assert_eq!((step(bar), step("  |=>    | 7/20 - 49.63s/it\u{1b}[K")), (Some((3, 4)), Some((7, 20))));
        for other in
            ["  |##>   | 227/1130 - 1.20GB/s\u{1b}[K", "  |##>   | 3/9 - 812.11MB/s", "  |=>   | 3/4 - 3.37i", "3/4"]
        {
            assert_eq!(step(other), None, "{other}");
        }
    }

    #[test]
    fn a_job_has_lines_of_its_own_and_the_configuration_may_say_which() {
        let any = EngineRef::generic();
        let own = LoadLines::of_job(&any, Some(r"^frame (?<step>\d+) of (?<steps>\d+)$")).expect("a pattern");
        assert_eq!(own.step(b"frame 7 of 24"), Some(LoadStep::new(STEPS, 7, 24)));
        assert_eq!(own.step(b"frame 99 of 24"), Some(LoadStep::new(STEPS, 24, 24)));
        assert_eq!((own.step(b"frame 7 of 0"), own.step(b"a frame 7 of 9")), (None, None));
        assert_eq!(own.step(b"frame 99999999999999999999 of 24"), None);
        assert!(own.may_match(b"x\r\nframe 1 of 2\r\ny") && !own.may_match(b"frames"));
        let none = LoadLines::of_job(&any, None).expect("no patterns");
        assert!(!none.may_match(b"| 3/4 - 1.0it/s") && none.step(b"| 3/4 - 1.0it/s").is_none());
        assert!(LoadLines::of_job(&any, Some("(")).is_err());
    }

    struct Boaster;

    impl Engine for Boaster {
        fn name(&self) -> &str {
            "boaster"
        }

        fn progress_lines(&self) -> &[&'static str] {
            &["^step "]
        }

        fn progress(&self, line: &[u8]) -> Option<LoadStep> {
            let (done, total) = counted(line)?;
            Some(LoadStep::new("x\u{1b}".repeat(100), done, total))
        }
    }

    #[test]
    fn whatever_an_engine_says_is_made_sound() {
        let lines = LoadLines::new(&EngineRef::new(Boaster)).expect("patterns");
        assert_eq!(lines.step(b"step 9/4 "), Some(LoadStep::new("x".repeat(LONGEST_PHASE), 4, 4)));
        assert_eq!(lines.step(b"step 0/0 "), None);
        assert_eq!(lines.step(b"no step 1/4 "), None);
        assert_eq!(lines.step(b"step 1/99999999999999999999 "), None);
        assert!(lines.may_match(b"a\nstep 1\nb") && !lines.may_match(b"a step"));
    }
}
