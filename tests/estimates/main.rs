//! What is estimated of a model, held against what a real llama-server says that it takes. Fetched on first use;
//! `GREENROOM_TEST_OFFLINE=1` leaves these tests out.

mod cases;
mod command;
#[path = "../common/mod.rs"]
mod common;
mod said;

use std::path::Path;

use cases::{CASES, Case, ON_CARD};
use common::{architectures, llama, note};
use greenroom::actors::estimate::{
    Estimate, files,
    llama::{Model, Options},
};
use said::{Device, Said, ask, devices};

/// What is estimated and what is said, in bytes.
struct Pair {
    estimated: u64,
    said: u64,
}

impl Pair {
    /// How much more is estimated, in per cent.
    fn error(&self) -> f64 {
        (self.estimated as f64 - self.said as f64) * 100.0 / self.said as f64
    }

    fn written(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!("{:.1} | {:.1} | {:+.1} %", mib(self.said), mib(self.estimated), self.error())
    }
}

fn sum(estimate: &Estimate, which: impl Fn(&str) -> bool) -> u64 {
    estimate.parts.iter().filter(|part| which(part.what)).map(|part| part.bytes).sum()
}

/// What the server can say: it does not count itself, and knows nothing of the driver.
fn is_buffer(what: &str) -> bool {
    !matches!(what, "driver" | "program")
}

fn is_weight_or_cache(what: &str) -> bool {
    what.starts_with("weights") || matches!(what, "cache" | "states")
}

fn model(folder: &Path, case: &Case) -> (std::path::PathBuf, Model) {
    let path = folder.join("model.gguf");
    architectures::write(&path, &case.plan).expect("the test's folder is writable");
    let model = files::read(&path).unwrap_or_else(|error| panic!("{}: {error}: {:?}", case.name, error.cause));
    (path, model)
}

#[test]
fn on_the_host_weights_and_cache_are_right_and_the_whole_is_near() {
    let Some(server) = llama::server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    note("| model | options | weights and cache, MiB | estimated | error | all, MiB | estimated | error |");
    note("|---|---|---|---|---|---|---|---|");
    for case in CASES {
        let (path, model) = model(folder.path(), case);
        let words: Vec<&str> = case.options.split_whitespace().collect();
        let Said { model: weights, cache, other } = ask(server, &path, &words, Device::None).host();
        let estimate = model.estimate(&Options::read(&words, []), 0, false);
        let fixed = Pair { estimated: sum(&estimate, is_weight_or_cache), said: weights + cache };
        let all = Pair { estimated: sum(&estimate, is_buffer), said: weights + cache + other };
        let row = format!("| {} | `{}` | {} | {} |", case.name, case.options.trim(), fixed.written(), all.written());
        note(&row);
        if fixed.error().abs() > 1.0 || !(-3.0..=10.0).contains(&all.error()) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "beyond 1 % of weights and cache, or from -3 to 10 % of all:\n{}", wrong.join("\n"));
}

#[test]
fn a_model_in_two_files_is_one_model() {
    let Some(server) = llama::server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = architectures::write_in_parts(folder.path(), &architectures::DENSE).expect("writable");
    let words = ["-c", "4096", "-np", "1"];
    let said = ask(server, &path, &words, Device::None).host();
    let model = files::read(&path).expect("a model");
    let estimate = model.estimate(&Options::read(&words, []), 0, false);
    let fixed = Pair { estimated: sum(&estimate, is_weight_or_cache), said: said.model + said.cache };
    assert!(fixed.error().abs() < 1.0, "{}", fixed.written());
    // Named by its second file it is the same model.
    let second = folder.path().join("model-00002-of-00002.gguf");
    assert_eq!(files::read(&second).expect("a model").weights(), model.weights());
    std::fs::remove_file(&second).expect("the file is ours");
    let gone = files::read(&path).expect_err("half of it");
    assert!(gone.to_string().ends_with("model-00002-of-00002.gguf"), "{gone}");
}

#[test]
#[ignore = "needs a device that llama-server can use"]
fn on_a_card_the_split_is_right() {
    let Some(server) = llama::server() else { return };
    let cards = devices(server);
    assert!(
        !cards.is_empty(),
        "there is no card to measure on: `{} --list-devices` lists none. It finds a graphics card that has a Vulkan \
         driver; without one, Mesa's software driver (llvmpipe) is enough",
        server.display(),
    );
    note(&format!("measured on {}", cards.join(", ")));
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    note("| model | `-ngl` and more | card, MiB | estimated | error | host, MiB | estimated | error |");
    note("|---|---|---|---|---|---|---|---|");
    for case in ON_CARD {
        let (path, model) = model(folder.path(), case);
        let words: Vec<&str> = case.options.split_whitespace().collect();
        let said = ask(server, &path, &words, Device::Any);
        let options = Options::read(&words, []);
        let estimate = model.estimate(&options, options.gpu_layers.unwrap_or(0), true);
        let on = |gpu: bool| {
            let parts = estimate.parts.iter().filter(|part| is_buffer(part.what));
            parts
                .filter(|part| (part.side == greenroom::actors::estimate::Side::Gpu) == gpu)
                .map(|part| part.bytes)
                .sum()
        };
        let card = Pair { estimated: on(true), said: said.on_card() };
        let host = Pair { estimated: on(false), said: said.on_host() };
        let row = format!("| {} | `{}` | {} | {} |", case.name, case.options.trim(), card.written(), host.written());
        note(&row);
        if card.error() < -3.0 || host.error() < -3.0 || card.error() > 25.0 || host.error() > 25.0 {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "from -3 to 25 %:\n{}", wrong.join("\n"));
}
