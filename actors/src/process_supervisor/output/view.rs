//! What is looked for in the output while it passes. Pure.
//!
//! Five things: the last lines of each stream, the line that names the cause of a failure, lines after which something is to
//! be done although the program goes on, and, while they are waited for, the line that says "I am ready" and those that tell
//! how a load gets on. A block in which no pattern can match is not split: of it only the last lines are looked at. Lines that
//! lie across two blocks are always looked at. Every byte is looked at once, whatever comes, and what is kept has its bounds.

use memchr::{memchr, memrchr};
use regex::bytes::Regex;

use super::{
    search::{Cause, Noticed, Search},
    splitter::{Line, Splitter},
    tail::{TAIL_LINES, Tail},
};
use crate::engines::{FailureRules, LoadLines, LoadStep};

/// Which stream it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Debug, Default)]
struct Stream {
    splitter: Splitter,
    tail: Tail,
}

/// The view of one run's output.
#[derive(Debug)]
pub struct OutputView {
    stdout: Stream,
    stderr: Stream,
    search: Search,
}

impl OutputView {
    /// A view that names causes by `rules`, sees readiness by `ready` and progress by `loading`.
    #[must_use]
    pub fn new(rules: FailureRules, ready: Option<Regex>, loading: Option<LoadLines>) -> Self {
        Self { stdout: Stream::default(), stderr: Stream::default(), search: Search::new(rules, ready, loading) }
    }

    /// Searches for something else from now on. What was found stays found, the place of a cause among its rules too.
    pub fn replace(&mut self, rules: FailureRules, ready: Option<Regex>) {
        self.search.replace(rules, ready);
    }

    /// Takes the next bytes of a stream.
    pub fn take(&mut self, source: Source, block: &[u8]) {
        let search = &mut self.search;
        let Stream { splitter, tail } = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        let searched = search.may_match(block);
        let began = splitter.is_pending();
        let mut look = |line: Line<'_>| {
            if searched || line.joined {
                search.look(line.text);
            }
            tail.push(line);
        };
        // The line that began in an earlier block ends here, if it does.
        let first = memchr(b'\n', block).map_or(block.len(), |at| at + 1);
        splitter.push(&block[..first], &mut look);
        let rest = &block[first..];
        splitter.push(if searched { rest } else { last_lines(rest, TAIL_LINES) }, &mut look);
        if searched || began {
            search.look_at_bar(splitter.pending());
        }
    }

    /// Both streams have ended.
    pub fn finish(&mut self) {
        for Stream { splitter, tail } in [&mut self.stdout, &mut self.stderr] {
            splitter.finish(|line| {
                self.search.look(line.text);
                tail.push(line);
            });
        }
    }

    /// Whether the line that says "ready" has been seen.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.search.is_ready()
    }

    /// The latest that was told of its load, once.
    pub fn take_step(&mut self) -> Option<LoadStep> {
        self.search.take_step()
    }

    /// Whether anybody wants to know how its load gets on: without that, the search for it costs nothing.
    pub fn watch_load(&mut self, wanted: bool) {
        self.search.watch_load(wanted);
    }

    /// The lines since the last time after which something is to be done, the first for each rule.
    pub fn take_noticed(&mut self) -> Vec<Noticed> {
        self.search.take_noticed()
    }

    /// The line closest to the cause of a failure, the latest of its kind.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.search.cause()
    }

    /// The last lines of standard error, or of standard output if there are none.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        let said = if self.stderr.tail.is_empty() { &self.stdout } else { &self.stderr };
        said.tail.lines()
    }
}

/// The part of `block` that begins with the last `count` line breaks' lines: the whole block if it has fewer.
fn last_lines(block: &[u8], count: usize) -> &[u8] {
    let mut end = block.len();
    for _ in 0..=count {
        match memrchr(b'\n', &block[..end]) {
            Some(at) => end = at,
            None => return block,
        }
    }
    &block[end + 1..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::{
        engines::{EngineRef, Engines},
        failure::{FailureAction, FailureClass, FailureRule},
        os::clock,
    };
    use proptest::prelude::*;

    fn view_of(engine: &str, ready: Option<&str>) -> OutputView {
        let engine = Engines::default().named(engine).expect("an engine");
        let rules = FailureRules::new(&engine, &[]).expect("rules");
        let loading = LoadLines::new(&engine).expect("patterns");
        OutputView::new(rules, ready.map(|r| Regex::new(r).expect("a regex")), Some(loading))
    }

    fn view(ready: Option<&str>) -> OutputView {
        view_of("llama-server", ready)
    }

    #[test]
    fn a_bar_that_is_drawn_piece_by_piece_is_seen_as_it_grows_until_it_has_loaded() {
        let mut view = view(None);
        let dots = |view: &mut OutputView, block: &[u8]| {
            view.take(Source::Stderr, block);
            view.take_step().map(|step| (step.done, step.total))
        };
        assert_eq!(dots(&mut view, b"load_tensors: x\n."), Some((1, 100)));
        assert_eq!(dots(&mut view, b".."), Some((3, 100)));
        assert_eq!(dots(&mut view, b"..\n"), Some((5, 100)));
        assert_eq!(dots(&mut view, b"nothing\n"), None);
        view.watch_load(false);
        assert_eq!(dots(&mut view, b"..\n"), None);
    }

    #[test]
    fn a_bar_that_is_drawn_over_itself_is_seen_wherever_the_chunks_end() {
        let bars = "\r  |=>  | 1/9 - 2.00GB/s\u{1b}[K\r  |==> | 12/90 - 2.10GB/s\u{1b}[K";
        for cut in 0..bars.len() {
            let mut view = view_of("sd-server", None);
            let (a, b) = bars.as_bytes().split_at(cut);
            let steps = [a, b].map(|part| {
                view.take(Source::Stdout, part);
                view.take_step()
            });
            let last = steps.into_iter().flatten().last().map(|step| (step.done, step.total));
            assert_eq!(last, Some((12, 90)), "cut at {cut}");
        }
    }

    #[test]
    fn the_last_lines_of_a_block_are_found_from_its_end() {
        assert_eq!(last_lines(b"a\nb\nc\nd", 2), b"b\nc\nd");
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb", 2), b"a\nb");
        assert_eq!(last_lines(b"", 2), b"");
    }

    #[test]
    fn the_line_closest_to_the_cause_wins_over_what_followed_from_it() {
        let mut view = view(None);
        view.take(Source::Stderr, b"unable to allocate CUDA0 buffer\nexiting due to model loading error\n");
        view.take(Source::Stdout, b"last words\n");
        let cause = view.cause().expect("a cause");
        assert_eq!((cause.class, cause.line.as_str()), (FailureClass::OomGpu, "unable to allocate CUDA0 buffer"));
        assert_eq!(view.last_lines(), ["unable to allocate CUDA0 buffer", "exiting due to model loading error"]);
    }

    #[test]
    fn what_is_to_be_acted_on_is_noticed_once_for_each_rule_wherever_the_chunks_end() {
        let nan = "NansException: \u{1b}[2J all of it\n";
        for cut in 0..nan.len() {
            let mut view = view(None);
            let (a, b) = nan.as_bytes().split_at(cut);
            for _ in 0..3 {
                view.take(Source::Stderr, a);
                view.take(Source::Stderr, b);
            }
            view.take(Source::Stderr, b"torch.OutOfMemoryError: of which nothing is made while it goes on\n");
            let (class, action) = (FailureClass::Nan, FailureAction::RestartOnce);
            let line = nan.trim_end().to_owned();
            assert_eq!(view.take_noticed(), [Noticed { class, action, line }], "cut at {cut}");
            assert_eq!(view.take_noticed(), []);
        }
    }

    #[test]
    fn hostile_output_is_looked_at_in_linear_time_and_bounded_memory() {
        let own = ["(x+x+)+y", "x*x*x*x*b", "(?:x|xx)*$z"].map(|pattern| FailureRule {
            pattern: pattern.to_owned(),
            class: FailureClass::Driver,
            action: FailureAction::Restart,
        });
        let rules = FailureRules::new(&EngineRef::generic(), &own).expect("rules");
        let mut view = OutputView::new(rules, None, None);
        let mut looked = |block: &[u8], times: u32| {
            let began = clock::now();
            for _ in 0..times {
                view.take(Source::Stdout, block);
                assert_eq!(view.take_noticed(), []);
            }
            began.elapsed()
        };
        // One line without an end, with what no terminal should see and what is no text.
        let block = [&[b'x'; 4000][..], b"\0\x1b[2J\xff\xfe"].concat();
        let (short, long) = (looked(&block, 50), looked(&block, 500));
        // Ten times as much; quadratic would be a hundred times as long. The rest is for a machine that does other things.
        assert!(long < short * 40 + Duration::from_secs(5), "{short:?} became {long:?}");
        assert!(view.stdout.splitter.pending().len() <= 16 * 1024);
    }

    #[test]
    fn a_line_is_recognised_wherever_the_chunks_end_and_also_without_a_line_break() {
        for cut in 0..27 {
            let mut view = view(Some("model loaded"));
            let (a, b) = b"x\nsrv: model loaded: ok, go\n".split_at(cut);
            view.take(Source::Stderr, a);
            view.take(Source::Stderr, b);
            assert!(view.is_ready(), "cut at {cut}");
        }
        let mut view = view(None);
        view.take(Source::Stdout, b"invalid magic characters");
        assert_eq!(view.cause(), None);
        view.finish();
        assert_eq!(view.cause().map(|c| c.class), Some(FailureClass::BadModel));
        assert_eq!(view.last_lines(), ["invalid magic characters"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn skipping_what_nobody_looks_at_changes_nothing_that_is_seen(
            lines in prop::collection::vec("[a-c]{0,5}|invalid magic characters|model loaded", 0..120),
            cuts in prop::collection::vec(0usize..600, 0..6),
        ) {
            let text = lines.join("\n").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut view = view(Some("model loaded"));
            for pair in cuts.windows(2) {
                view.take(Source::Stdout, &text[pair[0]..pair[1]]);
            }
            view.finish();
            let said: Vec<&String> = lines.iter().filter(|l| !l.is_empty()).collect();
            let expected: Vec<&String> = said.iter().skip(said.len().saturating_sub(TAIL_LINES)).copied().collect();
            let seen = view.last_lines();
            prop_assert_eq!(seen.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(view.is_ready(), lines.iter().any(|l| l == "model loaded"));
            prop_assert_eq!(view.cause().is_some(), lines.iter().any(|l| l.starts_with("invalid")));
        }
    }
}
