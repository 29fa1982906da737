//! The files that come along, and the one that `greenroom init` writes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use greenroom::{
    actors::spec::{Probe, StartMode},
    config::{load_text, starter},
};

use crate::folder::{Folder, service};

#[test]
fn the_files_that_come_along_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new();
    let bin = folder.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["bin/llama-server", "main.py"] {
        folder.write(program, "#!/bin/sh\n");
    }
    let model = folder.write("model.gguf", "GGUF");
    make_executable(&bin.join("llama-server"));
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
