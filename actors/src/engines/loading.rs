//! The lines of one service's output that tell how its load gets on.

use std::sync::Arc;

use regex::bytes::RegexSet;

use super::{EngineRef, engine::LoadStep};

/// Characters kept of a phase's name.
const LONGEST_PHASE: usize = 40;

/// Finds the lines that tell how a load gets on. As with failures there are two questions: one about a whole block of
/// output, which is fast, and one about a line.
#[derive(Debug)]
pub struct LoadLines {
    engine: EngineRef,
    patterns: Arc<RegexSet>,
}

impl LoadLines {
    /// Those of an engine.
    ///
    /// # Errors
    /// When one of its patterns is not a regular expression.
    pub fn new(engine: &EngineRef) -> Result<Self, regex::Error> {
        Ok(Self { engine: engine.clone(), patterns: engine.progress_set()? })
    }

    /// Whether any line of this block of output can tell something. May be wrong with yes, never with no.
    #[must_use]
    pub fn may_match(&self, block: &[u8]) -> bool {
        !self.patterns.is_empty() && self.patterns.is_match(block)
    }

    /// What this line tells. Whatever an application's engine makes of it, the answer is sound: a phase with a name and
    /// a whole, of which no more is done than there is.
    #[must_use]
    pub fn step(&self, line: &[u8]) -> Option<LoadStep> {
        let LoadStep { phase, done, total } = self.may_match(line).then(|| self.engine.progress(line))??;
        let phase: String = phase.chars().filter(|c| !c.is_control()).take(LONGEST_PHASE).collect();
        (total > 0 && !phase.is_empty()).then(|| LoadStep { phase, done: done.min(total), total })
    }
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
