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
