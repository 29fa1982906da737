//! A model that does not fit on the card as a whole: some layers go there, and the command says how many.

use std::fs;

use crate::{
    common::{
        Greenroom,
        gguf::{self, Shape},
    },
    house::{chat_well, door, service},
};

const LAYERS: u32 = 8;

/// The number of layers in a command line: what follows `--tokens`.
fn layers(greenroom: &Greenroom) -> u32 {
    let pid = greenroom.service_pid("llm");
    let line = fs::read(format!("/proc/{pid}/cmdline")).expect("a process of ours");
    let words: Vec<String> = String::from_utf8_lossy(&line).split('\0').map(str::to_owned).collect();
    let at = words.iter().position(|word| word == "--tokens").expect("the option");
    words[at + 1].parse().unwrap_or_else(|_| panic!("a number in {words:?}"))
}

#[test]
fn as_many_layers_as_fit_go_to_the_card_and_the_same_number_after_a_reload() {
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("model.gguf");
    gguf::write(&file, Shape { layers: LAYERS, ..Shape::default() }).expect("a model");
    let size = fs::metadata(&file).expect("the model").len();
    // Room for half of it, with what it needs besides its weights.
    let card = size * 12 / 10 / 2;
    let command = greenroom.stand_in("llm", "--port ${port} --tokens ${gpu_layers}");
    let keys = "ready = \"/health\"\nstart = \"on_demand\"\ngpu_layers = \"auto\"\noffload.reload = \"when_free\"";
    let llm = format!("[service.llm]\ncommand = {command}\nmodel_file = \"model.gguf\"\n{keys}\n");
    let resources = format!(
        "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\ngpu = [{{ name = \"tiny\", memory = \"{card}B\" }}]\n"
    );
    let image = service(&greenroom, "image", &format!("vram = \"{card}B\""), "");
    greenroom.configure(&format!("{}{resources}{llm}{image}", door(&greenroom)));
    greenroom.start();
    chat_well(&greenroom, "llm");
    let chosen = layers(&greenroom);
    assert!(chosen > 0 && chosen < LAYERS, "{chosen} of {LAYERS}");
    let lease = greenroom.service("llm")["lease"].clone();
    assert_eq!(lease["gpu_layers"], chosen, "{lease:#}");
    assert!(lease["vram"]["declared-0"].as_u64().is_some_and(|vram| vram <= card), "{lease:#}");
    let pid = greenroom.service_pid("llm");
    chat_well(&greenroom, "image");
    assert_eq!(greenroom.state("llm"), "offloaded");
    assert_eq!(greenroom.cli(&["offload", "image"]).code, 0);
    greenroom.wait_state("llm", "ready");
    assert_ne!(greenroom.service_pid("llm"), pid, "another process");
    assert_eq!(layers(&greenroom), chosen);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
