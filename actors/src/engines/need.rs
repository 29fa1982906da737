//! What an engine knows of the memory that its program needs.

use crate::{estimate::found::Found, memory::Sides};

/// What an engine is told about a service before it says what that needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts<'a> {
    /// The arguments of its command; what is known only at a start (`${port}`) is left out, and of the worker of a job what the
    /// job says (`${param.width}`) is filled in.
    pub arguments: &'a [&'a str],
    /// What the configuration adds to its environment, likewise.
    pub environment: &'a [(&'a str, &'a str)],
    /// Bytes of its model file with all its parts, if it has one.
    pub size: Option<u64>,
    /// Layers of its model, where the file's header says so.
    pub layers: Option<u32>,
    /// What the headers of its model say, where they make sense here.
    pub found: Option<&'a Found>,
    /// Bytes of the further files that its command names, in the order of [`Engine::companions`](super::Engine::companions); 0
    /// of one that is not there.
    pub companions: &'a [u64],
    /// Whether it may use a card, and there is one.
    pub card: bool,
}

/// What a program needs, before it has been measured and where the configuration does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeedHint {
    /// Nothing that is counted.
    Nothing,
    /// The size of its model file x 1.2, and on the card as much of it as `gpu_layers` says. Without a file, nobody knows.
    ByFile,
    /// The same with so many layers on the card, whatever `gpu_layers` says.
    Layers(u32),
    /// So much on either side with 0, 1, 2 and so on layers on the card, up to all of them.
    Split {
        /// What each number of layers comes to. Not empty.
        sides: Vec<Sides>,
        /// Layers that its command puts there; without them `gpu_layers` says it.
        on_card: Option<u32>,
    },
    /// Nobody knows: a card to itself until it has been measured once.
    Unknown,
    /// So much, in bytes, where the engine can work it out itself.
    Figures {
        /// GPU memory, on one card or spread over several.
        vram: u64,
        /// Host memory.
        ram: u64,
    },
}

/// Layers that llama.cpp's own options put on the card, where they stand in the command as plain text (`common/arg.cpp`).
/// `--device none` puts nothing there; of several counts the last one is in force. `-ngl auto` and `all` say nothing here.
pub(super) fn layers_said(arguments: &[&str]) -> Option<u32> {
    let no_device = pairs(arguments).any(|pair| matches!(pair, ("--device" | "-dev", "none")));
    let counts = pairs(arguments).filter(|(option, _)| matches!(*option, "-ngl" | "--gpu-layers" | "--n-gpu-layers"));
    if no_device { Some(0) } else { counts.filter_map(|(_, value)| value.parse().ok()).next_back() }
}

/// Requests that llama.cpp's server works on at a time, where its command says so (`common/arg.cpp`); the last one is in
/// force. Without the option, and with `-1`, the server decides.
pub(super) fn slots_said(arguments: &[&str]) -> Option<u32> {
    let last = pairs(arguments).rfind(|(option, _)| matches!(*option, "-np" | "--parallel"));
    last.and_then(|(_, value)| value.parse().ok()).filter(|slots| *slots > 0)
}

/// Each word with the one after it.
fn pairs<'a>(arguments: &'a [&'a str]) -> impl DoubleEndedIterator<Item = (&'a str, &'a str)> {
    arguments.windows(2).filter_map(|pair| if let [option, value] = pair { Some((*option, *value)) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_llama_cpp_are_read() {
        let said = |command: &str| layers_said(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(said("-m x.gguf -ngl 44 --port 1"), Some(44));
        assert_eq!(said("--n-gpu-layers 0"), Some(0));
        assert_eq!(said("-ngl 44 --gpu-layers 12"), Some(12));
        assert_eq!(said("-ngl 44 --device none"), Some(0));
        assert_eq!(said("--device CUDA0 -ngl 7"), Some(7));
        for nothing in ["-m x.gguf", "-ngl", "-ngl auto", "-ngl all", "-ngl -1", ""] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_slots_of_llama_cpp_are_read() {
        let said = |command: &str| slots_said(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(said("-m x.gguf -np 4"), Some(4));
        assert_eq!(said("--parallel 2 -np 1 -c 4096"), Some(1));
        for nothing in ["-m x.gguf", "-np", "-np -1", "-np 0", "-np 4 --parallel -1", "-np x"] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
    }
}
