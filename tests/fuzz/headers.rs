//! The readers of model headers against files that nobody would write.
//!
//! With files as arguments it reads each as a model and says what came of it, which is what a fuzzer wants of its target
//! (`afl-fuzz -i CORPUS -o OUT -- target/release/examples/fuzz_headers @@`). Without any it is a fuzzer of its own, without a
//! view of the code: it changes headers that are right, again and again, for `--seconds N` (10), from `--seed S` on.
//!
//! Whatever panics is written beside the program, named by its seed, and the exit status is 1.

use std::{
    env, fs,
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use greenroom_actors::{
    estimate::{
        gguf::Header,
        llama::{Model, Options},
        safetensors,
    },
    os::clock,
};

#[path = "../common/gguf.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gguf;

/// Numbers at which sums and products go wrong.
const EDGES: [u64; 10] = [0, 1, 2, 0x7f, u32::MAX as u64, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX - 7, u64::MAX];
/// The most memory that all of it may ever have taken, in KiB: a header is read up to some tens of MiB.
const MOST_KIB: u64 = 512 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |name: &str, or: u64| {
        let after = arguments.iter().skip_while(|argument| *argument != name).nth(1);
        after.and_then(|text| text.parse().ok()).unwrap_or(or)
    };
    match arguments.first() {
        Some(first) if !first.starts_with("--") => {
            arguments.iter().for_each(|file| println!("{file}: {}", look(Path::new(file))));
            ExitCode::SUCCESS
        }
        _ => fuzz(Duration::from_secs(number("--seconds", 10)), number("--seed", 1)),
    }
}

/// A file, as a model.
fn look(file: &Path) -> String {
    match fs::read(file) {
        Ok(bytes) => read(&bytes).to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Everything that is made of a model's header.
fn read(bytes: &[u8]) -> &'static str {
    let mut tensors = 0;
    if safetensors::read(Cursor::new(bytes), |entry| tensors += u64::from(entry.bytes > 0)).is_ok() {
        return "safetensors";
    }
    let Ok(header) = Header::read(Cursor::new(bytes)) else { return "no header" };
    let Ok(model) = Model::of(vec![header]) else { return "no language model" };
    for layers in [0, 1, model.all_layers() / 2, model.all_layers(), u32::MAX] {
        for card in [false, true] {
            let estimate = model.estimate(&Options::default(), layers, card);
            // Sums of parts: the places where a wrong one would run over.
            let _both = estimate.vram().saturating_add(estimate.ram());
        }
    }
    "a language model"
}

fn fuzz(span: Duration, seed: u64) -> ExitCode {
    let corpus = corpus();
    let (until, mut random) = (clock::now() + span, fastrand::Rng::with_seed(seed));
    let (mut inputs, mut whole, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    while clock::now() < until {
        let mut bytes = corpus[random.usize(..corpus.len())].clone();
        (0..random.usize(1..8)).for_each(|_| change(&mut bytes, &corpus, &mut random));
        let begun = clock::now();
        match catch_unwind(AssertUnwindSafe(|| read(&bytes))) {
            Ok("no header") => {}
            Ok(_) => whole += 1,
            Err(_) => {
                let kept = PathBuf::from(format!("fuzz-headers-{seed}-{inputs}"));
                println!("input {inputs} of seed {seed} panics: {}", kept.display());
                if let Err(error) = fs::write(&kept, &bytes) {
                    println!("it cannot be kept: {error}");
                }
                return ExitCode::FAILURE;
            }
        }
        slowest = slowest.max(clock::now().duration_since(begun));
        inputs += 1;
    }
    let peak = peak_kib();
    println!("seed {seed}: {inputs} inputs, {whole} of them read to the end, none panics");
    println!("slowest {slowest:?}, most memory {} MiB", peak >> 10);
    if peak > MOST_KIB { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Headers that are right.
fn corpus() -> Vec<Vec<u8>> {
    let folder = env::temp_dir().join(format!("greenroom-fuzz-{}", std::process::id()));
    let file = folder.join("model.gguf");
    let shape = gguf::Shape { layers: 2, embedding: 64, feed_forward: 64, words: 16 };
    let written = fs::create_dir_all(&folder).and_then(|()| gguf::write(&file, shape)).and_then(|()| fs::read(&file));
    let gone = fs::remove_dir_all(&folder);
    let model = written.unwrap_or_else(|error| panic!("no model in {}: {error}", folder.display()));
    gone.unwrap_or_else(|error| panic!("{} is left: {error}", folder.display()));
    let unet = "model.diffusion_model.input_blocks.0.0.weight";
    let text = format!(
        "{{\"__metadata__\":{{\"format\":\"pt\"}},\"{unet}\":{{\"dtype\":\"F16\",\"shape\":[4,8],\"data_offsets\":[0,64]}},\
         \"cond_stage_model.x\":{{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[64,80]}}}}"
    );
    let tensors = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &[0; 80]].concat();
    // Without most of the data, which nobody looks at, a change meets the header more often.
    let head = model[..model.len().min(16 << 10)].to_vec();
    vec![model, head, tensors]
}

/// One change.
fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut fastrand::Rng) {
    if bytes.is_empty() {
        return bytes.push(random.u8(..));
    }
    let at = random.usize(..bytes.len());
    match random.u8(..7) {
        0 => bytes[at] = random.u8(..),
        1 => bytes[at] ^= 1 << random.u8(..8),
        2 | 3 => {
            let width = [4, 8][random.usize(..2)].min(bytes.len() - at);
            let edge = EDGES[random.usize(..EDGES.len())].to_le_bytes();
            bytes[at..at + width].copy_from_slice(&edge[..width]);
        }
        4 => bytes.truncate(at),
        5 => {
            let length = random.usize(..(bytes.len() - at).clamp(1, 256));
            let piece = bytes[at..at + length].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let other = &corpus[random.usize(..corpus.len())];
            let from = random.usize(..other.len());
            let length = (other.len() - from).min(random.usize(1..128)).min(bytes.len() - at);
            bytes[at..at + length].copy_from_slice(&other[from..from + length]);
        }
    }
}

/// The most memory that this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
