//! The files that come along, and the one that `greenroom init` writes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use greenroom::{
    actors::spec::{JobWork, Probe, ReloadPolicy, RequestBody, StartMode},
    config::{Loaded, load_text, starter},
};

use crate::folder::{Folder, service};

#[test]
fn the_files_that_come_along_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new();
    let bin = folder.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["bin/llama-server", "bin/sd-server", "main.py"] {
        folder.write(program, "#!/bin/sh\n");
    }
    let model = folder.write("model.gguf", "GGUF");
    for program in ["llama-server", "sd-server"] {
        make_executable(&bin.join(program));
    }
    std::os::unix::fs::symlink("/bin/sh", bin.join("python")).unwrap();
    let folder = folder.variable("MODEL", &model.display().to_string()).variable("COMFYUI_PYTHON", "bin/python");
    let home = folder.dir.path().display().to_string();
    let mut folder = folder.variable("COMFYUI", &home).variable("PATH", &format!("{home}/bin"));

    folder.sources.files = vec![root.join("config/llama-server.toml")];
    let loaded = folder.loaded();
    assert_eq!(loaded.warnings, []);
    let chat = service(&loaded.spec, "chat");
    assert_eq!(
        (chat.engine.name(), chat.start, chat.model_file.clone()),
        ("llama-server", StartMode::Eager, Some(model))
    );

    folder.sources.files = vec![root.join("config/comfyui.toml")];
    let loaded = folder.loaded();
    assert_eq!(loaded.warnings, []);
    assert_eq!(service(&loaded.spec, "comfyui").ready.probe, Probe::Http("/system_stats".to_owned()));
    let JobWork::Request(request) = &loaded.spec.jobs[0].work else { panic!("{:?}", loaded.spec.jobs) };
    // Every place that is set is there in the workflow, or it would have been reported.
    assert!(matches!(&request.body, RequestBody::File { set, .. } if set.len() == 3), "{request:?}");
}

/// The configuration of this name, with the model files that it names in a folder, and a key.
#[track_caller]
fn with_models(name: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    let folder = Folder::new();
    let home = folder.dir.path().display().to_string();
    let text = fs::read_to_string(&path).unwrap();
    for file in text.split("${env.MODELS}/").skip(1).filter_map(|rest| rest.split('"').next()) {
        folder.write(file, "GGUF");
    }
    for program in ["llama-server", "sd-server", "sd-cli"] {
        make_executable(&folder.write(program, "#!/bin/sh\n"));
    }
    let folder = folder.variable("MODELS", &home).variable("PATH", &home);
    let mut folder = folder.variable("GREENROOM_KEY", "sk-1");
    folder.sources.files = vec![path];
    let loaded = folder.loaded();
    assert_eq!(loaded.warnings, []);
    loaded
}

#[test]
fn the_one_for_open_webui_has_a_model_for_each_of_its_uses_and_one_key() {
    let spec = with_models("open-webui.toml").spec;
    assert_eq!(spec.gateway.api_keys, ["sk-1"]);
    let engine = |name: &str| service(&spec, name).engine.name().to_owned();
    assert_eq!([engine("chat"), engine("embed"), engine("image")], ["llama-server", "llama-server", "sd-server"]);
    // What its comments tell people to enter.
    assert_eq!(service(&spec, "chat").serves, ["gemma"]);
    assert!(["embed", "image"].iter().all(|name| service(&spec, name).serves == [*name]));
    assert_eq!(service(&spec, "embed").start, StartMode::Eager);
}

#[test]
fn the_one_with_several_models_lets_them_take_turns() {
    let spec = with_models("several-models.toml").spec;
    assert_eq!(spec.services.len(), 3);
    assert!(spec.services.iter().all(|service| service.start == StartMode::OnDemand && service.model_file.is_some()));
    assert_eq!(service(&spec, "small").serves, ["small", "gpt-4o-mini"]);
}

#[test]
fn the_one_with_a_chat_and_images_paints_with_what_clients_send() {
    let spec = with_models("image-and-chat.toml").spec;
    assert_eq!(service(&spec, "chat").memory.offload.reload, ReloadPolicy::WhenFree);
    let job = &spec.jobs[0];
    assert!(matches!(&job.work, JobWork::Process(process) if process.service.engine.name() == "sd-cpp"), "{job:?}");
    let params: Vec<&str> = job.params.iter().map(|param| param.name.as_str()).collect();
    assert_eq!(params, ["prompt", "steps", "width", "height", "seed", "negative_prompt", "init"]);
    assert_eq!(job.serves, ["sdxl"]);
}

/// Every file that comes along is looked at by one of these tests or by the demo that it belongs to.
#[test]
fn no_file_that_comes_along_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let names = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names.collect();
    found.sort();
    let known = [
        "comfyui-workflow.json",
        "comfyui.toml",
        "demo.toml",
        "greenroom.toml",
        "image-and-chat.toml",
        "incident-i2.toml",
        "incident-i3.toml",
        "incident-i6.toml",
        "incident-i7.toml",
        "llama-server.toml",
        "open-webui.toml",
        "several-models.toml",
    ];
    assert_eq!(found, known);
}

#[test]
fn the_starter_is_right_for_the_files_that_it_names() {
    let folder = Folder::new();
    let models: Vec<PathBuf> =
        ["Qwen2.5-7B.gguf", "sdxl turbo.safetensors", "we\"ird ${x}.gguf"].map(|name| folder.write(name, "x")).into();
    for models in [&[][..], &models[..]] {
        let text = starter(models);
        let loaded = load_text("greenroom.toml", &text, folder.dir.path(), &folder.sources);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        assert!(loaded.warnings.iter().all(|w| w.message.contains("is not on PATH")), "{:?}", loaded.warnings);
        assert_eq!(loaded.spec.services.len(), models.len().max(1));
        let files: Vec<_> = loaded.spec.services.iter().filter_map(|service| service.model_file.clone()).collect();
        assert_eq!(files, models);
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
