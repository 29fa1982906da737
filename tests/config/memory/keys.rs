//! Every key arrives as it was meant, from a file and from code.

use std::time::Duration;

use greenroom::{
    Config, ServiceConfig,
    actors::{
        memory::GpuId,
        spec::{
            BusySpec, DeclaredCard, Figure, GpuBackend, GpuChoice, GpuLayers, GpuName, MemorySpec, OffloadHow,
            OffloadSpec, ReloadPolicy, ResourcesSpec, Share, StartMode, WakeRule,
        },
        units::{ByteSize, DurationRange},
    },
    config::Reload,
};

use super::given::{GIB, folder, memory};
use crate::folder::{Folder, service};

#[test]
fn a_service_and_a_machine_that_say_nothing_have_the_defaults() {
    let loaded = folder("[service.a]\ncommand = \"sleep 1\"\n").loaded();
    assert_eq!(service(&loaded.spec, "a").memory, MemorySpec::default());
    assert_eq!(service(&loaded.spec, "a").gpu_layers, GpuLayers::Auto);
    assert_eq!(loaded.spec.resources, ResourcesSpec::default());
    assert_eq!(loaded.warnings, []);
}

#[test]
fn every_key_of_a_service_arrives() {
    let text = r#"
[resources]
custom.npu = 2
[service.a]
command = "sleep ${port}"
engine = "comfyui"
start = "on_demand"
gpu = [1, "GPU-5e0f"]
gpu_layers = 44
vram = { idle = "1GiB", peak = "7GiB" }
ram = "512MiB"
needs = { npu = 1 }
priority = -3
idle_timeout = "10m"
wake_on = ["POST /prompt", "/v1/*", "*"]
busy = { http = "/q", nonempty = ["running"] }
offload = { how = "sleep", drain = "1m", reload = "when_free", retries = 7, backoff = "2s..20s" }
"#;
    let loaded = folder(text).loaded();
    assert_eq!(loaded.warnings, []);
    let a = service(&loaded.spec, "a");
    assert_eq!((a.start, a.gpu_layers), (StartMode::OnDemand, GpuLayers::Count(44)));
    let expected = MemorySpec {
        gpu: GpuChoice::These(vec![GpuName::Index(1), GpuName::Id(GpuId("GPU-5e0f".to_owned()))]),
        vram: Figure::Known { idle: Some(ByteSize(GIB)), peak: ByteSize(7 * GIB) },
        ram: Figure::Known { idle: None, peak: ByteSize(512 << 20) },
        needs: [("npu".to_owned(), 1)].into(),
        priority: -3,
        pinned: false,
        idle_timeout: Duration::from_secs(600),
        busy: BusySpec::Http { path: "/q".to_owned(), nonempty: vec!["running".to_owned()] },
        wake_on: vec![
            WakeRule { method: Some("POST".to_owned()), path: "/prompt".to_owned() },
            WakeRule { method: None, path: "/v1/*".to_owned() },
            WakeRule::any(),
        ],
        offload: OffloadSpec {
            how: OffloadHow::Sleep,
            drain: Duration::from_secs(60),
            reload: ReloadPolicy::WhenFree,
            retries: 7,
            backoff: DurationRange { min: Duration::from_secs(2), max: Duration::from_secs(20) },
        },
    };
    assert_eq!(a.memory, expected);
}

#[test]
fn every_key_of_resources_arrives() {
    let folder = folder(
        r#"
[resources]
gpu_backend = "declared"
nvml_library = "./lib/nvml.so"
vram_reserve = "1GiB"
vram_limit = 0.9
ram_reserve = "1GB"
ram_limit = "16GiB"
reclaim_timeout = "3s"
calibrate = false
custom = { npu = 1, "odd name" = 2 }
[[resources.gpu]]
name = "declared 8 GB"
memory = "8GiB"
[[resources.gpu]]
memory = "4GiB"
"#,
    );
    let expected = ResourcesSpec {
        backend: GpuBackend::Declared,
        nvml_library: folder.dir.path().join("lib/nvml.so").display().to_string(),
        vram_reserve: ByteSize(GIB),
        vram_limit: Share::Ratio(0.9),
        ram_reserve: ByteSize(1_000_000_000),
        ram_limit: Share::Size(ByteSize(16 * GIB)),
        reclaim_timeout: Duration::from_secs(3),
        calibrate: false,
        custom: [("npu".to_owned(), 1), ("odd name".to_owned(), 2)].into(),
        declared: vec![
            DeclaredCard { name: "declared 8 GB".to_owned(), memory: ByteSize(8 * GIB) },
            DeclaredCard { name: "declared 1".to_owned(), memory: ByteSize(4 * GIB) },
        ],
    };
    assert_eq!(folder.loaded().spec.resources, expected);
    // 1 and 0 are shares as well.
    let whole = Folder::new().set("resources.vram_limit=1").set("resources.nvml_library=libnvidia-ml.so").loaded();
    assert_eq!(whole.spec.resources.vram_limit, Share::Ratio(1.0));
    assert_eq!(whole.spec.resources.nvml_library, "libnvidia-ml.so");
}

#[test]
fn code_sets_the_same_keys() {
    let built = ServiceConfig::new("a")
        .command(["sleep", "${port}"])
        .engine("comfyui")
        .vram(7 * GIB)
        .ram(GIB)
        .priority(3)
        .pinned()
        .reload(Reload::WhenFree)
        .sleeps()
        .idle_timeout(Duration::ZERO);
    let loaded = Config::new().service(built).read().expect("sound");
    let memory = &service(&loaded.spec, "a").memory;
    let text = "engine = \"comfyui\"\nvram = \"7GiB\"\nram = \"1GiB\"\npriority = 3\npinned = true\n\
                offload = { reload = \"when_free\", how = \"sleep\" }\n";
    assert_eq!(*memory, self::memory(text));
}
