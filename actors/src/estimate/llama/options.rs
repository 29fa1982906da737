//! What a command of llama-server says about memory.
//!
//! Names and defaults are those of `common/arg.cpp` and `common/common.h`. Of an option that is given twice the last one
//! is in force, and the command goes before the environment (`LLAMA_ARG_...`). A value that cannot be read leaves the
//! default, as does one that is known only at a start.

use std::path::PathBuf;

use crate::estimate::gguf::TensorKind;

/// Which experts stay on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Experts {
    /// None on their own account.
    WithTheirLayers,
    /// Those of the first so many layers (`--n-cpu-moe`).
    OnHost(u32),
    /// All of them (`--cpu-moe`).
    AllOnHost,
}

/// Options that have to do with memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Tokens of context, of all slots together; `None`: what the model was trained with.
    pub context: Option<u64>,
    /// Requests at a time; `None`: the server decides.
    pub slots: Option<u64>,
    /// Whether all slots share one cache; `None`: if the server decides how many there are.
    pub unified: Option<bool>,
    /// Tokens in a batch.
    pub batch: u64,
    /// Tokens that are computed at a time.
    pub micro_batch: u64,
    /// Whether attention is computed in one piece; `auto` counts as yes.
    pub flash_attention: bool,
    /// Type of the keys in the cache.
    pub keys: TensorKind,
    /// Type of the values in the cache.
    pub values: TensorKind,
    /// Whether layers that see only a window have a cache for the whole context all the same.
    pub full_windows: bool,
    /// Whether the cache of a layer lies where the layer does.
    pub cache_on_card: bool,
    /// Whether the weights on the host are pages of the file.
    pub mapped: bool,
    /// Whether these pages are locked in memory.
    pub locked: bool,
    /// Whether a CPU may keep weights in an order of its own.
    pub repack: bool,
    /// Whether it answers with vectors: then every token has an output.
    pub embeddings: bool,
    /// Layers on the card, where the command has a number; `--device none` is 0.
    pub gpu_layers: Option<u32>,
    /// Whether it uses no card at all (`--device none`).
    pub no_device: bool,
    /// Where the experts go.
    pub experts: Experts,
    /// Whether tensors are put elsewhere by patterns (`-ot`), which are not followed here.
    pub overridden: bool,
    /// Files that are loaded besides the model: a projector for images, a draft model, adapters.
    pub companions: Vec<PathBuf>,
    /// MiB that finished prompts may keep in RAM; `None`: no limit.
    pub prompt_cache: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            context: None,
            slots: None,
            unified: None,
            batch: 2048,
            micro_batch: 512,
            flash_attention: true,
            keys: TensorKind::F16,
            values: TensorKind::F16,
            full_windows: false,
            cache_on_card: true,
            mapped: true,
            locked: false,
            repack: true,
            embeddings: false,
            gpu_layers: None,
            no_device: false,
            experts: Experts::WithTheirLayers,
            overridden: false,
            companions: Vec::new(),
            prompt_cache: Some(8192),
        }
    }
}

/// Options by what they are called in the command and in the environment. `!` before a name turns it around.
const OPTIONS: &[(&str, What)] = &[
    ("-c --ctx-size LLAMA_ARG_CTX_SIZE", What::Context),
    ("-np --parallel LLAMA_ARG_N_PARALLEL", What::Slots),
    ("-kvu --kv-unified !-no-kvu !--no-kv-unified LLAMA_ARG_KV_UNIFIED", What::Unified),
    ("-b --batch-size LLAMA_ARG_BATCH", What::Batch),
    ("-ub --ubatch-size LLAMA_ARG_UBATCH", What::MicroBatch),
    ("-fa --flash-attn LLAMA_ARG_FLASH_ATTN", What::FlashAttention),
    ("-ctk --cache-type-k LLAMA_ARG_CACHE_TYPE_K", What::Keys),
    ("-ctv --cache-type-v LLAMA_ARG_CACHE_TYPE_V", What::Values),
    ("--swa-full LLAMA_ARG_SWA_FULL", What::FullWindows),
    ("-kvo --kv-offload !-nkvo !--no-kv-offload LLAMA_ARG_KV_OFFLOAD !LLAMA_ARG_NO_KV_OFFLOAD", What::CacheOnCard),
    ("--mmap !--no-mmap LLAMA_ARG_MMAP !LLAMA_ARG_NO_MMAP !-dio !--direct-io !LLAMA_ARG_DIO", What::Mapped),
    ("--mlock LLAMA_ARG_MLOCK", What::Locked),
    ("--repack !-nr !--no-repack LLAMA_ARG_REPACK !LLAMA_ARG_NO_REPACK", What::Repack),
    ("--embedding --embeddings LLAMA_ARG_EMBEDDINGS --rerank --reranking LLAMA_ARG_RERANKING", What::Embeddings),
    ("-ngl --gpu-layers --n-gpu-layers LLAMA_ARG_N_GPU_LAYERS", What::GpuLayers),
    ("-dev --device LLAMA_ARG_DEVICE", What::Device),
    ("-cmoe --cpu-moe LLAMA_ARG_CPU_MOE", What::AllExpertsOnHost),
    ("-ncmoe --n-cpu-moe LLAMA_ARG_N_CPU_MOE", What::ExpertsOnHost),
    ("-ot --override-tensor LLAMA_ARG_OVERRIDE_TENSOR", What::Override),
    ("-mm --mmproj LLAMA_ARG_MMPROJ", What::Companion),
    ("-md --model-draft --spec-draft-model LLAMA_ARG_SPEC_DRAFT_MODEL LLAMA_ARG_MODEL_DRAFT", What::Companion),
    ("--lora --lora-scaled --control-vector --control-vector-scaled", What::Companion),
    ("-cram --cache-ram LLAMA_ARG_CACHE_RAM", What::PromptCache),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Context,
    Slots,
    Unified,
    Batch,
    MicroBatch,
    FlashAttention,
    Keys,
    Values,
    FullWindows,
    CacheOnCard,
    Mapped,
    Locked,
    Repack,
    Embeddings,
    GpuLayers,
    Device,
    AllExpertsOnHost,
    ExpertsOnHost,
    Override,
    Companion,
    PromptCache,
}

impl What {
    /// Whether it stands alone in a command; in the environment it has a value all the same.
    fn is_flag(self) -> bool {
        matches!(
            self,
            Self::Unified
                | Self::FullWindows
                | Self::CacheOnCard
                | Self::Mapped
                | Self::Locked
                | Self::Repack
                | Self::Embeddings
                | Self::AllExpertsOnHost
        )
    }
}

/// What a name stands for, and whether it means the opposite.
fn known(name: &str) -> Option<(What, bool)> {
    OPTIONS.iter().find_map(|(names, what)| {
        let found = names.split(' ').find(|known| known.trim_start_matches('!') == name)?;
        Some((*what, found.starts_with('!')))
    })
}

impl Options {
    /// What these arguments and this environment say.
    #[must_use]
    pub fn read<'a>(arguments: &[&str], environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut options = Self::default();
        for (name, value) in environment {
            let Some((what, turned)) = known(name) else { continue };
            if what.is_flag() {
                options.flag(what, is_true(value) != turned);
            } else {
                options.value(what, value);
            }
        }
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            let (name, own) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
            let Some((what, turned)) = known(name) else { continue };
            if what.is_flag() {
                options.flag(what, !turned);
            } else if let Some(value) = own {
                options.value(what, value);
            } else {
                let value = rest.clone().next().copied().unwrap_or_default();
                // `-fa` alone is how it was once written.
                let alone = what == What::FlashAttention && !matches!(value, "on" | "off" | "auto" | "0" | "1");
                options.value(what, if alone { "on" } else { value });
                if !alone {
                    rest.next();
                }
            }
        }
        options
    }

    fn flag(&mut self, what: What, on: bool) {
        match what {
            What::Unified => self.unified = Some(on),
            What::FullWindows => self.full_windows = on,
            What::CacheOnCard => self.cache_on_card = on,
            What::Mapped => self.mapped = on,
            What::Locked => self.locked = on,
            What::Repack => self.repack = on,
            What::Embeddings => self.embeddings = on,
            What::AllExpertsOnHost if on => self.experts = Experts::AllOnHost,
            _ => {}
        }
    }

    fn value(&mut self, what: What, value: &str) {
        let positive = || value.parse::<u64>().ok().filter(|n| *n > 0);
        match what {
            What::Context => self.context = positive(),
            What::Slots => self.slots = positive(),
            What::Batch => self.batch = positive().unwrap_or(self.batch),
            What::MicroBatch => self.micro_batch = positive().unwrap_or(self.micro_batch),
            What::FlashAttention => self.flash_attention = !matches!(value, "off" | "0" | "false" | "disabled"),
            What::Keys => self.keys = TensorKind::named(value).unwrap_or(self.keys),
            What::Values => self.values = TensorKind::named(value).unwrap_or(self.values),
            // `auto` and `all` say nothing here: how many go to the card is for `gpu_layers` to say.
            What::GpuLayers => self.gpu_layers = value.parse().ok().or(self.gpu_layers),
            What::Device => self.no_device = value == "none",
            What::ExpertsOnHost => {
                self.experts = value.parse().map_or(self.experts, Experts::OnHost);
            }
            What::Override => self.overridden = true,
            What::Companion => {
                // `FILE:SCALE,FILE:SCALE` for the scaled ones; a single path for most.
                let paths = value.split(',').map(|one| one.rsplit_once(':').map_or(one, |(path, _)| path));
                self.companions.extend(paths.filter(|path| !path.is_empty()).map(PathBuf::from));
            }
            What::PromptCache => {
                self.prompt_cache = value.parse::<i64>().map_or(self.prompt_cache, |mib| u64::try_from(mib).ok());
            }
            _ => {}
        }
    }
}

/// As `parse_bool_value` of `common/arg.cpp` has it; anything else counts as yes.
fn is_true(value: &str) -> bool {
    !matches!(value, "off" | "disabled" | "false" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &str) -> Options {
        Options::read(&command.split(' ').collect::<Vec<_>>(), [])
    }

    #[test]
    fn short_and_long_names_and_the_last_of_two() {
        let short = said("-m x.gguf -c 4096 -np 2 -b 1024 -ub 256 -ctk q8_0 -ctv q4_0 -fa off -ngl 30 -ncmoe 4 -nkvo");
        let long = said(
            "--model x.gguf --ctx-size=4096 --parallel 2 --batch-size 1024 --ubatch-size 256 --cache-type-k q8_0 \
             --cache-type-v=q4_0 --flash-attn off --gpu-layers 12 --n-gpu-layers 30 --n-cpu-moe 4 --no-kv-offload",
        );
        assert_eq!(short, long);
        assert_eq!((short.context, short.slots, short.batch, short.micro_batch), (Some(4096), Some(2), 1024, 256));
        assert_eq!((short.keys, Some(short.values)), (TensorKind::Q8_0, TensorKind::named("q4_0")));
        assert_eq!((short.flash_attention, short.gpu_layers, short.cache_on_card), (false, Some(30), false));
        assert_eq!(short.experts, Experts::OnHost(4));
    }

    #[test]
    fn flags_take_no_value_and_the_command_goes_before_the_environment() {
        let options = Options::read(
            &["--no-mmap", "--embeddings", "-c", "512", "--cpu-moe", "--mmproj", "p.gguf"],
            [("LLAMA_ARG_CTX_SIZE", "9999"), ("LLAMA_ARG_UBATCH", "64"), ("LLAMA_ARG_MMAP", "1"), ("HOME", "/")],
        );
        assert_eq!((options.context, options.micro_batch), (Some(512), 64));
        assert!(!options.mapped && options.embeddings);
        assert_eq!((options.experts, options.companions), (Experts::AllOnHost, vec![PathBuf::from("p.gguf")]));
        assert!(!Options::read(&[], [("LLAMA_ARG_NO_MMAP", "1")]).mapped);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_default() {
        for nothing in ["", "-c", "-c x", "-c 0", "-np -1", "-ctk q9", "-ngl auto", "-ngl", "-fa auto", "-fa", "-b 0"] {
            assert_eq!(said(nothing), Options::default(), "{nothing}");
        }
        assert_eq!(said("-fa -c 512").context, Some(512), "the old `-fa` takes no value");
        assert!(said("--device none").no_device && said("-ot exps=CPU").overridden);
        assert_eq!(said("--cache-ram -1").prompt_cache, None);
    }
}
