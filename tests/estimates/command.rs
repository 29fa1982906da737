//! The command `estimate`, and what a runtime makes of an estimate.

use std::fs;

use serde_json::Value;

use crate::common::{
    Greenroom,
    architectures::{self, DENSE},
};

fn figures(estimate: &Value, n: usize) -> (u64, u64) {
    let of = |what: &str| estimate["by_layers"][n][what].as_u64().unwrap_or_else(|| panic!("{n}: {estimate:#}"));
    (of("vram"), of("ram"))
}

#[test]
fn a_file_is_told_part_by_part_and_adds_up() {
    let greenroom = Greenroom::new();
    let model = greenroom.folder().join("model.gguf");
    architectures::write(&model, &DENSE).expect("the test's folder is writable");
    let path = model.display().to_string();
    let told = greenroom.bare(&["estimate", &path, "-ngl", "4", "-c", "4096", "-np", "1"]).expect(0);
    for line in ["llama, 8 layers", "weights", "page cache", "cache ", "compute", "with 4 of 9 layers on the card"] {
        assert!(told.stdout.contains(line), "{line}: {told:?}");
    }
    let json = greenroom.bare(&["estimate", &path, "-ngl", "4", "-c", "4096", "-np", "1", "--json"]).expect(0).json();
    let parts = json["parts"].as_array().expect("parts");
    let on = |side: &str| -> u64 {
        parts.iter().filter(|part| part["side"] == side).map(|part| part["bytes"].as_u64().expect("bytes")).sum()
    };
    assert_eq!((Some(on("gpu")), Some(on("ram") + on("page_cache"))), (json["vram"].as_u64(), json["ram"].as_u64()));
    assert_eq!((json["vram"].as_u64(), json["ram"].as_u64()), (Some(figures(&json, 4).0), Some(figures(&json, 4).1)));
    // 24 MiB of cache for three layers of eight, as llama-server says it.
    let cache = parts.iter().find(|part| part["part"] == "cache" && part["side"] == "gpu").expect("a cache");
    assert_eq!(cache["bytes"], 24 << 20, "{json:#}");
    let none = greenroom.bare(&["--json", "estimate", &path, "--device", "none"]).expect(0).json();
    assert_eq!((&none["vram"], &none["gpu_layers"]), (&Value::from(0), &Value::from(0)), "{none:#}");
}

#[test]
fn what_is_no_model_is_named_with_the_place_where_it_breaks() {
    let greenroom = Greenroom::new();
    let model = greenroom.folder().join("model.gguf");
    architectures::write(&model, &DENSE).expect("the test's folder is writable");
    let path = model.display().to_string();
    let file = fs::File::options().write(true).open(&model).expect("the file is ours");
    file.set_len(1 << 20).expect("the file is ours");
    let cut = greenroom.bare(&["estimate", &path]);
    assert!(cut.code == 1 && cut.text().contains(&path) && cut.text().contains("the file ends at 1048576"), "{cut:?}");
    fs::remove_file(&model).expect("the file is ours");
    let gone = greenroom.bare(&["estimate", &path]);
    assert!(gone.code == 1 && gone.text().contains(&path) && gone.text().contains("cannot be opened"), "{gone:?}");
}

#[test]
fn a_model_that_cannot_be_read_tells_its_cause_once() {
    let greenroom = Greenroom::new();
    let gguf =
        |tensors: u64, more: &[u8]| [b"GGUF\x03\0\0\0".as_slice(), &tensors.to_le_bytes(), &[0; 8], more].concat();
    let safetensors = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    for (name, bytes, told) in [
        ("magic.gguf", b"GGUF".to_vec(), "at byte 4: the file is cut short here"),
        ("hostile.gguf", gguf(9, &[]), "at byte 16: tensors: 9 is more than the 0 that are possible here"),
        ("nothing.gguf", gguf(0, &[]), "at byte 0: `general.architecture` is missing, or has no usable value"),
        ("half.safetensors", vec![0; 4], "it ends before byte 8, within the length of its header"),
        ("syntax.safetensors", safetensors("{"), "from byte 8: EOF while parsing an object at line 1 column 1"),
        (
            "m-00001-of-00002.gguf",
            gguf(0, &[]),
            "m-00002-of-00002.gguf: it cannot be opened: No such file or directory (os error 2)",
        ),
    ] {
        let path = greenroom.folder().join(name);
        fs::write(&path, bytes).expect("the test's folder is writable");
        let refused = greenroom.bare(&["estimate", &path.display().to_string()]);
        assert_eq!((refused.code, refused.stderr.matches(told).count()), (1, 1), "{name}: {refused:?}");
        assert!(refused.stderr.trim_end().ends_with(told), "{name}: {refused:?}");
        let last = told.rsplit(": ").next().unwrap_or(told);
        assert_eq!(refused.stderr.matches(last).count(), 1, "{name}: {refused:?}");
    }
}

#[test]
fn a_service_is_leased_what_its_model_is_estimated_to_take() {
    let greenroom = Greenroom::new();
    let model = greenroom.folder().join("model.gguf");
    architectures::write(&model, &DENSE).expect("the test's folder is writable");
    let command = greenroom.stand_in("llm", "--port ${port} --tokens ${gpu_layers}");
    let llm = |more: &str| {
        format!(
            "[service.llm]\nengine = \"llama-server\"\ncommand = {command}\nmodel_file = \"model.gguf\"\nready = \"/health\"\n\
             start = \"on_demand\"\nenv = {{ LLAMA_ARG_CTX_SIZE = \"4096\", LLAMA_ARG_N_PARALLEL = \"1\" }}\n{more}"
        )
    };
    let card = |bytes: u64| {
        format!(
            "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\n\
             gpu = [{{ name = \"tiny\", memory = \"{bytes}B\" }}]\n"
        )
    };
    greenroom.configure(&format!("{}{}", card(8 << 30), llm("gpu_layers = \"auto\"")));
    let config = greenroom.config_file().display().to_string();
    let of_service = greenroom.bare(&["-c", &config, "--json", "estimate", "llm"]).expect(0).json();
    let of_file = greenroom
        .bare(&["--json", "estimate", &model.display().to_string(), "-c", "4096", "-np", "1"])
        .expect(0)
        .json();
    assert_eq!(of_service["parts"], of_file["parts"], "the service's environment counts");

    // Room for five of nine, with what the card takes besides.
    let (room, _) = figures(&of_file, 5);
    greenroom.configure(&format!("{}{}", card(room + (1 << 20)), llm("gpu_layers = \"auto\"")));
    greenroom.start();
    let plan = greenroom.api().get("/api/plan/llm").expect("an answer").json();
    assert_eq!(plan["need"]["source"], "estimate", "{plan:#}");
    let layers = plan["gpu_layers"].as_u64().expect("a number of layers");
    assert!((4..=5).contains(&layers), "{layers}: {plan:#}");
    let (vram, ram) = figures(&of_file, usize::try_from(layers).expect("a small number"));
    let leased = plan["lease"]["vram"]["declared-0"].as_u64().expect("a lease");
    assert!(leased >= vram && leased <= vram + vram / 20, "{leased} for {vram}");
    assert!(plan["lease"]["ram"].as_u64().is_some_and(|leased| leased >= ram), "{ram}: {plan:#}");
    let why = greenroom.cli(&["why", "llm"]).expect(0);
    assert!(why.stdout.contains("estimated from its model file"), "{why:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
