//! Estimates of models that are only described.

use proptest::prelude::*;

use super::*;
use crate::estimate::gguf::{Header, Metadata, Tensor, TensorKind, Value};

/// Metadata of an architecture, and tensors one after the other.
fn model(architecture: &str, numbers: &[(&str, u64)], tensors: &[(&str, u64)]) -> Model {
    let number = |(key, value): &(&str, u64)| (format!("{architecture}.{key}"), Value::Whole(i128::from(*value)));
    let name = ("general.architecture".to_owned(), Value::Text(architecture.to_owned()));
    let words = ("tokenizer.ggml.tokens".to_owned(), Value::Long(1000));
    let metadata: Metadata = numbers.iter().map(number).chain([name, words]).collect();
    let mut begins = 0;
    let tensor = |(name, bytes): &(&str, u64)| {
        begins += bytes;
        let shape = vec![bytes / 2, 1];
        Tensor { name: (*name).to_owned(), shape, kind: TensorKind::F16, begins: begins - bytes, bytes: *bytes }
    };
    let tensors = tensors.iter().map(tensor).collect();
    Model::of(vec![Header { metadata, tensors }]).expect("a model")
}

const NUMBERS: &[(&str, u64)] = &[
    ("block_count", 4),
    ("embedding_length", 512),
    ("feed_forward_length", 1024),
    ("attention.head_count", 8),
    ("attention.head_count_kv", 2),
    ("context_length", 4096),
];

/// Four layers of 10,000 bytes, an embedding of 3,000 and an output of 5,000.
fn dense() -> Model {
    let layers = ["blk.0.a", "blk.1.a", "blk.2.a", "blk.3.a"].map(|name| (name, 10_000));
    let ends = [("token_embd.weight", 3000), ("output.weight", 5000)];
    model("llama", NUMBERS, &[&ends[..1], &layers[..], &ends[1..]].concat())
}

fn part(estimate: &Estimate, what: &str, side: Side) -> u64 {
    estimate.parts.iter().filter(|part| part.what.starts_with(what) && part.side == side).map(|part| part.bytes).sum()
}

#[test]
fn the_output_goes_to_the_card_first_and_the_embedding_never() {
    let (model, options) = (dense(), Options { mapped: false, ..Options::default() });
    let on = |n| {
        let estimate = model.estimate(&options, n, true);
        (part(&estimate, "weights", Side::Gpu), part(&estimate, "weights", Side::Ram))
    };
    assert_eq!(on(0), (0, 48_000));
    assert_eq!(on(1), (5000, 43_000));
    assert_eq!(on(3), (25_000, 23_000));
    assert_eq!(on(5), (45_000, 3000));
    assert_eq!(on(99), on(5));
    assert_eq!(model.all_layers(), 5);
}

#[test]
fn a_cache_lies_where_its_layer_lies_unless_it_is_told_not_to() {
    let model = dense();
    // 4 layers x 4096 tokens x 2 heads x 64 numbers x 2 bytes, keys and values.
    let layer = 4096 * 2 * 64 * 2 * 2;
    let options = Options { context: Some(4096), slots: Some(1), ..Options::default() };
    let on = |options: &Options| {
        let estimate = model.estimate(options, 3, true);
        (part(&estimate, "cache", Side::Gpu), part(&estimate, "cache", Side::Ram))
    };
    assert_eq!(on(&options), (2 * layer, 2 * layer));
    assert_eq!(on(&Options { cache_on_card: false, ..options.clone() }), (0, 4 * layer));
    let quantized = Options { keys: TensorKind::Q8_0, values: TensorKind::Q8_0, ..options };
    assert_eq!(on(&quantized).0, 2 * layer * 34 / 64);
}

#[test]
fn a_tied_output_is_held_twice() {
    let model = model("llama", NUMBERS, &[("token_embd.weight", 3000), ("blk.3.a", 10_000)]);
    let estimate = model.estimate(&Options { mapped: false, ..Options::default() }, 99, true);
    assert_eq!((part(&estimate, "weights", Side::Gpu), part(&estimate, "weights", Side::Ram)), (13_000, 3000));
}

#[test]
fn experts_stay_on_the_host_when_they_are_told_to() {
    let tensors = [
        ("token_embd.weight", 100),
        ("output.weight", 100),
        ("blk.0.ffn_up_exps.weight", 7000),
        ("blk.3.ffn_up_exps.weight", 7000),
        ("blk.3.ffn_up_shexp.weight", 50),
    ];
    let model = model("qwen3moe", NUMBERS, &tensors);
    let card = |experts| {
        let options = Options { experts, ..Options::default() };
        part(&model.estimate(&options, 99, true), "weights", Side::Gpu)
    };
    use super::super::Experts;
    assert_eq!(card(Experts::WithTheirLayers), 14_150);
    assert_eq!(card(Experts::OnHost(1)), 7150);
    assert_eq!(card(Experts::AllOnHost), 150);
}

#[test]
fn without_a_card_nothing_lies_there_and_none_is_asked_for() {
    for (options, card) in [(Options::default(), false), (Options { no_device: true, ..Options::default() }, true)] {
        let estimate = dense().estimate(&options, 99, card);
        assert_eq!(estimate.vram(), 0);
        assert_eq!(part(&estimate, "weights, mapped", Side::PageCache), 48_000);
    }
}

#[test]
fn what_is_not_known_is_said_and_makes_it_larger() {
    let odd = [NUMBERS, &[("attention.sliding_window", 256)]].concat();
    let cache = |architecture| {
        let estimate = model(architecture, &odd, &[("blk.0.a", 100)]).estimate(&Options::default(), 0, false);
        (part(&estimate, "cache", Side::Ram), estimate.notes.iter().any(|note| note.contains("window")))
    };
    let ((known, _), (unknown, told)) = (cache("gemma3"), cache("somebody-elses"));
    assert!(known < unknown && told, "{known} {unknown}");
    let trained = dense().estimate(&Options::default(), 0, false);
    assert!(trained.notes.iter().any(|note| note.contains("4096 tokens")), "{:?}", trained.notes);
    let options = Options { overridden: true, ..Options::default() };
    let estimate = dense().estimate(&options, 1, true);
    assert_eq!(part(&estimate, "weights", Side::Gpu), 48_000);
    assert!(estimate.notes.iter().any(|note| note.contains("`-ot`")), "{:?}", estimate.notes);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_number_that_a_file_can_say_breaks_it(
        numbers in prop::collection::vec(any::<u64>(), 16), few in prop::collection::vec(0_u64..40, 16),
        pick in any::<u16>(), architecture in prop::sample::select(vec!["llama", "gemma3", "deepseek2", "mamba", "bert", "x"]),
        context in any::<Option<u64>>(), n in any::<u32>(), card in any::<bool>(),
    ) {
        let keys = [
            "embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv",
            "attention.key_length", "attention.sliding_window", "attention.key_length_mla", "attention.value_length_mla",
            "attention.kv_lora_rank", "expert_used_count", "expert_feed_forward_length", "context_length",
            "ssm.inner_size", "ssm.state_size", "shortconv.l_cache", "attention.shared_kv_layers",
        ];
        let value = |n: usize| if pick >> n & 1 == 0 { few[n] } else { numbers[n] };
        let mut said: Vec<(&str, u64)> = keys.iter().enumerate().map(|(n, key)| (*key, value(n))).collect();
        said[0].1 = said[0].1.clamp(1, 1 << 31);
        said.push(("block_count", 3));
        let model = model(architecture, &said, &[("blk.0.a", 100)]);
        let options = Options { context, ..Options::default() };
        let estimate = model.estimate(&options, n, card);
        prop_assert!(estimate.ram() > 0 && (card || estimate.vram() == 0));
    }

    #[test]
    fn more_on_the_card_is_never_less_there_nor_more_on_the_host(n in 1_u32..4, context in 256_u64..1 << 20) {
        let model = dense();
        let options = Options { context: Some(context), ..Options::default() };
        let (fewer, more) = (model.estimate(&options, n, true), model.estimate(&options, n + 1, true));
        let buffers = |estimate: &Estimate| part(estimate, "compute", Side::Gpu) + part(estimate, "driver", Side::Gpu);
        prop_assert!(fewer.vram() - buffers(&fewer) <= more.vram() - buffers(&more));
        prop_assert!(fewer.ram() >= more.ram());
    }
}
