//! Memory in the configuration: what services say of it, what there is, and what is refused or doubted.

use std::time::Duration;

use greenroom::{
    Config, ServiceConfig,
    actors::{
        memory::GpuId,
        spec::{
            BusySpec, DeclaredCard, Figure, GpuBackend, GpuChoice, GpuLayers, GpuName, MemorySpec, OffloadHow,
            OffloadSpec, PortSpec, ReloadPolicy, ResourcesSpec, Share, StartMode, WakeRule,
        },
        units::{ByteSize, DurationRange},
    },
    config::Reload,
};

use crate::folder::{Folder, service};

const GIB: u64 = 1 << 30;

fn folder(text: &str) -> Folder {
    Folder::with("g.toml", text)
}

/// What is said of a service with these lines.
fn problems(lines: &str) -> Vec<String> {
    folder(&format!("[service.a]\ncommand = \"sleep ${{port}}\"\n{lines}")).problems()
}

/// The problems with what to do about them, of a text.
fn helps(text: &str) -> Vec<String> {
    let errors = folder(text).load().map(|_| ()).expect_err("it should not be taken");
    errors.0.iter().map(|problem| problem.help.clone().unwrap_or_default()).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let folder = folder(text);
    let place = format!("{}/", folder.dir.path().display());
    let told = |w: &greenroom::config::Problem| format!("{} {}", w.place, w.message).replace(&place, "");
    folder.loaded().warnings.iter().map(told).collect()
}

fn memory(lines: &str) -> MemorySpec {
    let loaded = folder(&format!("[service.a]\ncommand = \"sleep ${{port}}\"\n{lines}")).loaded();
    service(&loaded.spec, "a").memory.clone()
}

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
fn forms_that_are_none_are_refused() {
    let refused = problems(
        "vram = \"8 gigs\"\npriority = 1.5\nidle_timeout = \"soon\"\nwake_on = [\"prompt\"]\nbusy = { http = \"/q\" }\n\
         offload.how = \"kill\"\noffload.backoff = \"0s..1s\"\noffload.retries = -1\nneeds = { npu = \"one\" }\n",
    );
    let told = [
        ("3:8 `service.a.vram`", "8 gigs"),
        ("4:12 `service.a.priority`", "1.5"),
        ("5:16 `service.a.idle_timeout`", "soon"),
        ("6:12 `service.a.wake_on`", "`prompt` is not \"*\", a path such as \"/v1/*\", or method and path"),
        ("7:8 `service.a.busy`", "`nonempty` is missing"),
        ("8:15 `service.a.offload.how`", "`kill` is not one of \"stop\", \"sleep\""),
        ("9:19 `service.a.offload.backoff`", "`0s..1s` is not a range of durations of at least 1ms"),
        ("10:19 `service.a.offload.retries`", "-1 is out of range"),
        ("11:17 `service.a.needs.npu`", "found \"one\""),
    ];
    assert_eq!(refused.len(), told.len(), "{refused:#?}");
    for ((place, what), said) in told.iter().zip(&refused) {
        assert!(said.starts_with(&format!("g.toml:{place}")) && said.contains(what), "{place}: {said}");
    }
    for form in ["GET prompt", "FETCH /prompt", "/a*b", "/a?b=c", "", "POST  /x"] {
        assert_eq!(problems(&format!("wake_on = [\"{form}\"]\n")).len(), 1, "{form}");
    }
    for form in ["POST *", "HEAD /x", "/", "/*"] {
        assert_eq!(memory(&format!("wake_on = [\"{form}\"]\n")).wake_on.len(), 1, "{form}");
    }
    assert_eq!(memory("wake_on = []\n").wake_on, [], "no request loads it");
    let shares = Folder::new().set("resources.vram_limit=1.5").set("resources.ram_limit=-1").problems();
    assert_eq!(shares.len(), 2, "{shares:?}");
    assert!(shares[0].contains("expected a share from 0.0 to 1.0, or a size"), "{shares:?}");
}

#[test]
fn cards_are_named_by_index_or_uuid_each_once() {
    let gpu = |value: &str| memory(&format!("gpu = {value}\n")).gpu;
    assert_eq!((gpu("\"any\""), gpu("\"none\"")), (GpuChoice::Any, GpuChoice::None));
    assert_eq!(gpu("0"), GpuChoice::These(vec![GpuName::Index(0)]));
    for id in ["GPU-5e0fd5c1-6c41", "MIG-5e0f", "declared-0", "0000:03:00.0"] {
        assert_eq!(gpu(&format!("\"{id}\"")), GpuChoice::These(vec![GpuName::Id(GpuId(id.to_owned()))]));
    }
    for (value, said) in [
        ("[]", "3:7 service `a`: `gpu` is an empty list"),
        ("[0, 1, 0]", "3:14 service `a`: `gpu` names one card twice, 0"),
        ("[\"GPU-1\", \"GPU-1\"]", "3:17 service `a`: `gpu` names one card twice, \"GPU-1\""),
        ("[\"any\", 0]", "3:8 service `a`: `gpu`: \"any\" stands in a list"),
        ("\"0\"", "3:7 service `a`: `gpu`: \"0\" is no UUID"),
        ("\"nonne\"", "3:7 service `a`: `gpu`: \"nonne\" is no UUID"),
        ("\"cuda:0 \"", "3:7 service `a`: `gpu`: \"cuda:0 \" is no UUID"),
    ] {
        assert_eq!(problems(&format!("gpu = {value}\n")), [format!("g.toml:{said}")]);
    }
    let help = |value: &str| helps(&format!("[service.a]\ncommand = \"sleep 1\"\ngpu = {value}\n")).join("");
    assert_eq!(help("\"nonne\""), "did you mean \"none\"?");
    assert_eq!(help("\"0\""), "an index has no quotes: 0");
    assert!(help("\"rtx\"").contains("greenroom gpus"));
}

#[test]
fn figures_that_contradict_each_other_are_refused() {
    assert_eq!(
        problems("vram = { idle = \"2GiB\", peak = \"1GiB\" }\n"),
        ["g.toml:3:17 service `a`: `vram.idle`, 2GiB, is more than its peak, 1GiB"]
    );
    assert_eq!(
        problems("gpu = \"none\"\nvram = \"1GiB\"\n"),
        ["g.toml:4:8 service `a` is given `vram`, and with gpu = \"none\" it has no card"]
    );
    assert_eq!(memory("gpu = \"none\"\nvram = \"0B\"\n").gpu, GpuChoice::None);
    let never = problems("busy = { http = \"/q\", nonempty = [] }\n");
    assert_eq!(never, ["g.toml:3:8 service `a`: `busy.nonempty` names no member, so it would never be busy"]);
    let pinned = warnings("[service.a]\ncommand = \"sleep 1\"\npinned = true\nidle_timeout = \"1m\"\n");
    assert_eq!(
        pinned,
        ["g.toml:3:10 service `a` is `pinned`, and all the same offloaded when its `idle_timeout` is over"]
    );
}

#[test]
fn needs_are_of_pools_that_there_are() {
    let text = "[resources]\ncustom.npu = 1\n[service.a]\ncommand = \"sleep 1\"\n";
    assert_eq!(
        folder(&format!("{text}needs = {{ npuu = 1, npu = 2, tape = 1 }}\n")).problems(),
        [
            "g.toml:5:18 service `a` needs `npuu`, which is no pool of `resources.custom`",
            "g.toml:5:27 service `a` needs 2 of `npu`, of which there is 1",
            "g.toml:5:37 service `a` needs `tape`, which is no pool of `resources.custom`",
        ]
    );
    let helps = helps(&format!("{text}needs = {{ npuu = 1, npu = 2, tape = 1 }}\n"));
    assert_eq!((helps[0].as_str(), helps[2].as_str()), ("did you mean `npu`?", "pools are: npu"));
    // A pool with a wrong size is told once, where it stands.
    let faulty = folder("[resources]\ncustom.npu = -1\n[service.a]\ncommand = \"sleep 1\"\nneeds.npu = 1\n").problems();
    assert_eq!(faulty.len(), 1, "{faulty:?}");
}

#[test]
fn only_an_engine_that_can_unload_its_model_sleeps() {
    let text = "[service.a]\ncommand = \"sleep ${port}\"\noffload.how = \"sleep\"\n";
    assert_eq!(
        folder(text).problems(),
        ["g.toml:3:15 service `a`: offload.how = \"sleep\": the engine `generic` cannot unload its model"]
    );
    assert!(helps(text)[0].contains("comfyui"), "{:?}", helps(text));
    // That it has no port either is of no use to who reads that.
    let portless = "[service.a]\ncommand = \"sleep 1\"\noffload.how = \"sleep\"\n";
    assert_eq!(folder(portless).problems(), folder(text).problems());
    // It is asked on its port.
    let blind = "[service.a]\ncommand = \"sleep 1\"\nengine = \"comfyui\"\nready = \"none\"\nalive = \"none\"\n";
    let said = folder(&format!("{blind}offload.how = \"sleep\"\n")).problems();
    assert!(said.len() == 1 && said[0].contains("`offload.how` asks its port"), "{said:?}");
}

#[test]
fn an_engine_says_what_is_busy_unless_the_user_does() {
    let comfyui = "engine = \"comfyui\"\n";
    let queue = BusySpec::Http {
        path: "/queue".to_owned(),
        nonempty: ["queue_running", "queue_pending"].map(str::to_owned).to_vec(),
    };
    assert_eq!(memory(comfyui).busy, queue);
    assert!(matches!(memory("engine = \"a1111\"\n").busy, BusySpec::Http { .. }));
    assert_eq!(memory("").busy, BusySpec::Requests);
    assert_eq!(memory(&format!("{comfyui}busy = \"requests\"\n")).busy, BusySpec::Requests);
    let everywhere =
        format!("[defaults.service]\nbusy = \"requests\"\n[service.a]\ncommand = \"sleep ${{port}}\"\n{comfyui}");
    assert_eq!(service(&folder(&everywhere).loaded().spec, "a").memory.busy, BusySpec::Requests);
    // Without a port there is nobody to ask: the engine's question is dropped, the user's own is refused.
    let blind = "[service.a]\ncommand = \"sleep 1\"\nengine = \"comfyui\"\nready = \"none\"\nalive = \"none\"\n";
    let a = service(&folder(blind).loaded().spec, "a").clone();
    assert_eq!((a.port, a.memory.busy), (None, BusySpec::Requests));
    let said = folder(&format!("{blind}busy = {{ http = \"/q\", nonempty = [\"x\"] }}\n")).problems();
    assert!(said.len() == 1 && said[0].contains("`busy` asks its port"), "{said:?}");
    let fixed = folder(&format!("{blind}port = 7777\n")).loaded();
    assert_eq!(service(&fixed.spec, "a").port, Some(PortSpec::Fixed(7777)));
    assert_eq!(service(&fixed.spec, "a").memory.busy, queue);
}

#[test]
fn declared_cards_and_their_backend_go_together() {
    let none = folder("[resources]\ngpu_backend = \"declared\"\n[service.a]\ncommand = \"sleep 1\"\ngpu = 0\n");
    assert_eq!(none.problems(), ["g.toml:2:15 `resources.gpu_backend` is \"declared\", and no card is declared"]);
    let card = "[[resources.gpu]]\nmemory = \"8GiB\"\n";
    for backend in ["nvml", "amdgpu", "none"] {
        let said = warnings(&format!("[resources]\ngpu_backend = \"{backend}\"\n{card}"));
        assert!(
            said.len() == 1 && said[0].contains(&format!("is not used: `gpu_backend` is \"{backend}\"")),
            "{said:?}"
        );
    }
    for backend in ["auto", "declared"] {
        assert_eq!(warnings(&format!("[resources]\ngpu_backend = \"{backend}\"\n{card}")), [""; 0]);
    }
    let small = warnings("[resources]\ngpu_backend = \"declared\"\ngpu = [{ memory = \"512MiB\" }]\n");
    assert!(small.len() == 1 && small[0].contains("nothing of the card `declared 0` can be given out"), "{small:?}");
    let tiny = Folder::new().set("resources.gpu=[{memory=\"1B\"}]").problems();
    assert!(tiny[0].contains("`1B` is not a size of at least 1MiB"), "{tiny:?}");
}

#[test]
fn a_card_that_is_not_there_is_refused_where_the_cards_are_known() {
    let text = |gpu: &str| {
        format!(
            "[resources]\ngpu_backend = \"declared\"\ngpu = [{{ memory = \"8GiB\" }}]\n[service.a]\ncommand = \"sleep 1\"\ngpu = {gpu}\n"
        )
    };
    for card in ["0", "\"declared-0\""] {
        assert_eq!(folder(&text(card)).loaded().warnings, []);
    }
    for card in ["1", "\"declared-1\"", "\"GPU-1\""] {
        assert_eq!(folder(&text(card)).problems(), [format!("g.toml:6:7 service `a`: `gpu`: there is no card {card}")]);
    }
    let twice = folder(&text("[0, \"declared-0\"]")).problems();
    assert_eq!(twice, ["g.toml:6:7 service `a`: `gpu` names one card twice, by its index and its UUID"]);
    let none = folder("[resources]\ngpu_backend = \"none\"\n[service.a]\ncommand = \"sleep 1\"\ngpu = 0\n").problems();
    assert_eq!(none, ["g.toml:5:7 service `a`: `gpu`: there is no card 0"]);
    // Which cards a driver finds is not known here.
    assert_eq!(memory("gpu = 7\n").gpu, GpuChoice::These(vec![GpuName::Index(7)]));
}

#[test]
fn what_never_fits_is_said_beforehand() {
    let cards = "[resources]\ngpu_backend = \"declared\"\nram_limit = \"1GiB\"\ncustom.npu = 2\n\
                 gpu = [{ memory = \"8GiB\" }, { memory = \"4GiB\" }]\n";
    let one =
        |lines: &str| warnings(&format!("{cards}[service.a]\ncommand = \"sleep 1\"\nstart = \"manual\"\n{lines}\n"));
    assert_eq!(one("vram = \"11GiB\""), [""; 0], "spread over both");
    assert_eq!(
        one("vram = \"12GiB\""),
        ["g.toml:9:8 service `a` needs 12GiB of VRAM, of which at most 11GiB can be given"]
    );
    assert_eq!(one("vram = { idle = \"1GiB\", peak = \"5GiB\" }\ngpu = 1").len(), 1, "too large for that card");
    assert_eq!(one("vram = \"5GiB\"\ngpu = 0"), [""; 0]);
    assert_eq!(one("ram = \"2GiB\""), ["g.toml:9:7 service `a` needs 2GiB of RAM, of which at most 1GiB can be given"]);
    assert_eq!(one("ram = \"2GiB\"\ngpu = \"none\"").len(), 1);
    let cardless =
        warnings("[resources]\ngpu_backend = \"none\"\n[service.a]\ncommand = \"sleep 1\"\nvram = \"1GiB\"\n");
    assert!(cardless.len() == 1 && cardless[0].contains("there is no card"), "{cardless:?}");
    let nothing = warnings("[resources]\nram_reserve = \"900TiB\"\n[service.a]\ncommand = \"sleep 1\"\n");
    assert!(nothing.len() == 1 && nothing[0].starts_with("g.toml:2:15 nothing of the host's memory"), "{nothing:?}");
    let remedy = |lines: &str| {
        let text = format!("{cards}[service.a]\ncommand = \"sleep 1\"\nstart = \"manual\"\n{lines}\n");
        folder(&text).loaded().warnings.into_iter().filter_map(|warning| warning.help).collect::<String>()
    };
    assert!(remedy("vram = \"12GiB\"").contains("resources.vram_reserve"));
    assert!(remedy("ram = \"2GiB\"").contains("resources.ram_reserve"));
}

#[test]
fn eager_services_that_have_no_room_side_by_side_are_said_beforehand() {
    let cards = "[resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\ncustom.npu = 2\ngpu = [{ memory = \"8GiB\" }]\n";
    let three = |b: &str| {
        let service = |name: &str, lines: &str| format!("[service.{name}]\ncommand = \"sleep 1\"\n{lines}\n");
        warnings(&format!(
            "{cards}{}{}{}",
            service("a", "vram = \"5GiB\"\nneeds.npu = 2"),
            service("b", b),
            service("c", "vram = \"9GiB\"\nstart = \"manual\""),
        ))
    };
    let alone = "service `c` needs 9GiB of VRAM, of which at most 8GiB can be given";
    assert_eq!(three("vram = \"3GiB\""), [format!("g.toml:15:8 {alone}")]);
    assert_eq!(
        three("vram = \"4GiB\"\nneeds.npu = 1"),
        [
            format!("g.toml:16:8 {alone}"),
            "g.toml:12:8 the eager services `a` (5GiB), `b` (4GiB) need 9GiB of VRAM together, of which at most 8GiB can be given"
                .to_owned(),
            "g.toml:13:13 the eager services `a` (2), `b` (1) need 3 of `npu` together, of which at most 2 can be given"
                .to_owned(),
        ]
    );
    assert_eq!(three("vram = \"4GiB\"\nstart = \"on_demand\"").len(), 1, "it makes room when it is asked for");
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
