//! What the stand-in can be told about the images it makes.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::options::Options;

/// The options of a program that makes images on request.
#[derive(Debug, Clone, Args)]
pub struct ImageOptions {
    /// Whose requests it answers.
    #[arg(long, value_enum, default_value_t)]
    pub engine: Kind,
    /// Fail after every generation, however that ended, that was not followed by a clean-up: `unload-checkpoint` of a
    /// WebUI, `free` of ComfyUI.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "error")]
    pub dirty: Option<Dirty>,
    /// Fail every N-th generation in any case, with a CUDA error.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub fail_every: Option<u64>,
}

/// Whose requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Kind {
    /// llama-server's, and a few of others.
    #[default]
    Llama,
    /// AUTOMATIC1111's WebUI's.
    Webui,
    /// ComfyUI's.
    Comfyui,
}

/// How a program fails whose card was left polluted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dirty {
    /// With an error of the driver's.
    Error,
    /// With not-a-number.
    Nan,
}

/// How images are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Images {
    /// By whom.
    pub kind: Kind,
    /// Steps of an image, unless the request says how many.
    pub steps: u32,
    /// The time each takes.
    pub step: Duration,
    /// What happens without a clean-up.
    pub dirty: Option<Dirty>,
    /// Which ones fail in any case.
    pub fail_every: Option<u64>,
}

impl Images {
    /// As `options` say.
    pub fn of(options: &Options) -> Self {
        Self {
            kind: options.images.engine,
            steps: options.job.steps,
            step: Duration::from_millis(options.job.step_ms),
            dirty: options.images.dirty,
            fail_every: options.images.fail_every,
        }
    }
}

/// Why an image is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The exception's type in Python.
    pub kind: &'static str,
    /// What it says.
    pub message: &'static str,
}

/// The driver's error of a card that was left polluted.
pub const CUDA: Failure = Failure {
    kind: "RuntimeError",
    message: "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported \
              at some other API call, so the stacktrace below might be incorrect.",
};
/// `modules/devices.py`.
pub const NAN: Failure = Failure {
    kind: "NansException",
    message: "A tensor with all NaNs was produced in Unet. This could be either because there's not enough precision to \
              represent the picture, or because your video card does not support half type.",
};
/// PyTorch.
pub const OOM: Failure = Failure {
    kind: "OutOfMemoryError",
    message: "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1.20 GiB is free.",
};

/// Whether the card was left polluted or poisoned, and what becomes of whoever comes next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Card {
    begun: u64,
    polluted: bool,
    poisoned: bool,
}

impl Card {
    /// A generation begins. Why it fails, if it does; whatever becomes of it, the card is polluted from now on.
    pub fn begin(&mut self, images: &Images) -> Option<Failure> {
        self.begun += 1;
        if self.poisoned {
            return Some(NAN);
        }
        let dirty = images.dirty.filter(|_| self.polluted).map(|dirty| match dirty {
            Dirty::Error => CUDA,
            Dirty::Nan => NAN,
        });
        self.polluted = true;
        dirty.or_else(|| images.fail_every.filter(|every| self.begun.is_multiple_of(*every)).map(|_| CUDA))
    }

    /// A generation has ended: a clean-up while it ran was none.
    pub fn end(&mut self) {
        self.polluted = true;
    }

    /// A computation has yielded not-a-number, and no clean-up mends that: only a new process does.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// It is cleaned up.
    pub fn clean(&mut self) {
        self.polluted = false;
    }
}

/// What the words of a prompt bring about: a test can have its generation fail.
pub fn wanted_failure(words: &str) -> Option<Failure> {
    match words {
        words if words.contains("[oom]") => Some(OOM),
        words if words.contains("[nan]") || is_poison(words) => Some(NAN),
        words if words.contains("[fail]") => Some(CUDA),
        _ => None,
    }
}

/// Whether the words of a prompt have every generation from now on yield not-a-number, until the process is another one.
pub fn is_poison(words: &str) -> bool {
    words.contains("[poison]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_after_one_that_was_not_cleaned_up_after_fails() {
        let images =
            |dirty, fail_every| Images { kind: Kind::Webui, steps: 1, step: Duration::ZERO, dirty, fail_every };
        let (mut card, dirty) = (Card::default(), images(Some(Dirty::Nan), None));
        assert_eq!((card.begin(&dirty), card.begin(&dirty), card.begin(&dirty)), (None, Some(NAN), Some(NAN)));
        card.clean();
        assert_eq!((card.begin(&dirty), card.begin(&dirty)), (None, Some(NAN)));
        card.clean();
        card.end();
        assert_eq!(card.begin(&dirty), Some(NAN), "cleaned up too early");
        let (mut card, every) = (Card::default(), images(None, Some(2)));
        assert_eq!((card.begin(&every), card.begin(&every), card.begin(&every)), (None, Some(CUDA), None));
    }

    #[test]
    fn what_is_poisoned_stays_so_whatever_is_cleaned_up() {
        let images = Images { kind: Kind::Webui, steps: 1, step: Duration::ZERO, dirty: None, fail_every: None };
        let mut card = Card::default();
        assert_eq!((card.begin(&images), is_poison("a heron"), is_poison("a [poison]ed heron")), (None, false, true));
        card.poison();
        card.end();
        card.clean();
        assert_eq!((card.begin(&images), wanted_failure("[poison]")), (Some(NAN), Some(NAN)));
    }
}
